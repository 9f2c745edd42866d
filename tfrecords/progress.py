"""How far something long is: a bar on a terminal, elsewhere a line a minute in the log.

Nothing here starts a thread but `waiting`: a process with threads can't be forked safely.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping

import tqdm
from absl import logging

LINE_SECONDS = 60.0


class Count:
    """Counts what is done of something."""

    def __init__(self, name: str, *, total: int, unit: str, done: int = 0) -> None:
        """Shows nothing yet where there is no terminal.

        Args:
            name: what is being done, such as "converting".
            total: how many there are.
            unit: what they are, such as "study".
            done: those that an earlier call has done.
        """
        self._name, self._total, self._unit = name, total, unit
        self._done = done
        # The first one is slower than those after it: it compiles, or fills caches.
        self._first: tuple[float, int] | None = None
        self._said = time.monotonic()
        # tqdm's monitor is a thread.
        tqdm.tqdm.monitor_interval = 0
        self._bar = tqdm.tqdm(
            total=total,
            initial=done,
            unit=unit,
            desc=name,
            # A server's threads would draw over each other.
            disable=not (sys.stderr.isatty() and _is_main_thread()),
            smoothing=0.05,
        )

    @property
    def is_bar(self) -> bool:
        """Whether a bar shows it, so that lines would only be in its way."""
        return not self._bar.disable

    @property
    def seconds_left(self) -> float | None:
        """By the pace since the first was done; None before the second is."""
        if self._first is None or self._done <= self._first[1]:
            return None
        seconds = time.monotonic() - self._first[0]
        return seconds / (self._done - self._first[1]) * max(0, self._total - self._done)

    def add(self, number: int = 1) -> None:
        """Counts some more."""
        self.move(self._done + number)

    def move(self, done: int, figures: Mapping[str, float] | None = None) -> None:
        """Takes how many are done in all, and figures that the bar shows beside."""
        self._bar.update(done - self._bar.n)
        if figures is not None:
            self._bar.set_postfix(figures)
        self._done = done
        self._first = self._first or (time.monotonic(), done)
        if not self.is_bar and time.monotonic() - self._said >= LINE_SECONDS:
            self._said = time.monotonic()
            logging.info("%s: %s", self._name, self.in_words())

    def in_words(self) -> str:
        """Returns such as "study 3 of 60, 0:40 left"."""
        seconds = self.seconds_left
        left = "" if seconds is None else f", {duration(seconds)} left"
        return f"{self._unit} {self._done} of {self._total}{left}"

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def counting(name: str, *, total: int, unit: str, done: int = 0) -> Iterator[Count]:
    """Gives a `Count`, and ends its bar."""
    count = Count(name, total=total, unit=unit, done=done)
    try:
        yield count
    finally:
        count.close()


@contextlib.contextmanager
def waiting(name: str) -> Iterator[None]:
    """Says every minute that something goes on whose end can't be foretold.

    Args:
        name: what, such as "building resnet50".
    """
    started, is_over = time.monotonic(), threading.Event()

    def tell() -> None:
        while not is_over.wait(LINE_SECONDS):
            logging.info("%s: %s so far", name, duration(time.monotonic() - started))

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        is_over.set()
        teller.join()


def duration(seconds: float) -> str:
    """Returns 0:40 of 40 seconds, 1:01:05 of 3,665."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
