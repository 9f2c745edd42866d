"""Keeps the packages that write other formats from rearranging and filling our log."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

_TALKATIVE = ("tensorflow", "tf2onnx")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Restores the root logger's handlers (OpenVINO removes absl's) and hears only errors."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in _TALKATIVE}
    try:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
