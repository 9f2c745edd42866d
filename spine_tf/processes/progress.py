"""A bar on a terminal, nothing in a log file."""

import contextlib
import sys
from collections.abc import Callable, Iterator

import tqdm


@contextlib.contextmanager
def show(total: int, *, unit: str, doing: str, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Shows how far something is; yields what adds to it.

    Args:
        total: in all.
        unit: of what.
        doing: what is done, such as "converting".
        done: what an earlier run has done.
    """
    # tqdm's monitor is a thread, and a process with threads can't be forked safely.
    tqdm.tqdm.monitor_interval = 0
    with tqdm.tqdm(
        total=total,
        initial=done,
        unit=unit,
        desc=doing,
        disable=not sys.stderr.isatty(),
        smoothing=0.05,
    ) as bar:
        yield bar.update
