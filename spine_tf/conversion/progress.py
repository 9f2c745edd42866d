"""What a user sees while shards are written: a bar on a terminal, nothing in a log file."""

import contextlib
import sys
from collections.abc import Callable, Iterator

import tqdm


@contextlib.contextmanager
def show(total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Yields a function that adds rows to the bar.

    Args:
        total: rows in all.
        done: rows that an earlier run has converted.
    """
    # tqdm's monitor is a thread, and a process with threads can't be forked safely.
    tqdm.tqdm.monitor_interval = 0
    with tqdm.tqdm(
        total=total,
        initial=done,
        unit="ROI",
        desc="converting",
        disable=not sys.stderr.isatty(),
        smoothing=0.05,
    ) as bar:
        yield bar.update
