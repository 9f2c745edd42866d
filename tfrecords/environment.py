"""Other packages' settings in the environment, which would change what a program computes.

They are set for the program and its children alone; the user's files stay as they are.
"""

import json
import os
import pathlib
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from tfrecords import regular_file

# What Keras takes where nothing is set, and what networks and their weights here are made for.
_KERAS = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}

# Of Keras, beside KERAS_HOME: each changes how models are run, or fails the import.
_OTHERS = (
    *("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED"),
    "TF_USE_LEGACY_KERAS",
)

# No folder, nor can one be made there: Keras then has its defaults, and caches weights elsewhere.
_NO_FOLDER = f"{os.devnull}/keras"


def settle() -> tuple[str, ...]:
    """Makes this process and its children see no settings that this code isn't made for.

    To be called before Keras is imported.

    Returns:
        What the user has set and is not used, in words.
    """
    unused = [*_settle_keras(), *_settle_warnings()]
    return tuple(unused)


def _settle_keras() -> list[str]:
    unused = []
    backend = os.environ.get("KERAS_BACKEND")
    if backend not in (None, "", "tensorflow"):
        unused.append(f"KERAS_BACKEND={backend}")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    for name in _OTHERS:
        if os.environ.pop(name, None):
            unused.append(name)
    path = _keras_file()
    if not _is_usual(path):
        os.environ["KERAS_HOME"] = _NO_FOLDER
        unused.append(str(path))
    return unused


def _keras_file() -> pathlib.Path:
    """Where Keras looks for its settings, by its own rule."""
    if "KERAS_HOME" in os.environ:
        return pathlib.Path(os.path.expanduser(os.environ["KERAS_HOME"])) / "keras.json"  # noqa: PTH111
    home = os.path.expanduser("~")  # noqa: PTH111  pathlib's raises where there is none
    return pathlib.Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras" / "keras.json"


def _is_usual(path: pathlib.Path) -> bool:
    """Whether Keras can read the file, if there is one, and finds its defaults in it."""
    try:
        found: Any = json.loads(regular_file.read_bytes(path))
    except FileNotFoundError:
        return True
    except (OSError, ValueError, RecursionError, MemoryError):
        return False
    return isinstance(found, Mapping) and all(
        found.get(name, value) == value for name, value in _KERAS.items()
    )


def _settle_warnings() -> list[str]:
    """Warnings of other packages are no errors, whatever -W or PYTHONWARNINGS says."""
    if not any(option.startswith("error") for option in sys.warnoptions):
        return []
    sys.warnoptions.clear()
    os.environ.pop("PYTHONWARNINGS", None)
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    return ["warnings as errors"]
