"""Work that waits its turn: so much at once, so much waiting, each within its time."""

import collections
import math
import statistics
import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

from spine_tf.web import refusal

_NUM_REMEMBERED = 16

_Result = TypeVar("_Result")


class Turn:
    """A place on the list: whose work it is asks it now and then whether to go on."""

    def __init__(self, seconds: float, end: Callable[["Turn"], None]) -> None:
        """Takes how long the work may take once it began, and what the end of the turn means."""
        self._seconds, self._end = seconds, end
        self._started: float | None = None
        self._ended_by: Exception | None = None
        self.phase = "waiting"

    def start(self) -> None:
        """Starts the clock."""
        self._started = time.monotonic()
        self.check()

    def check(self) -> None:
        """Raises what ends the work.

        Raises:
            refusal.Refusal: it took too long.
            refusal.Left: nobody waits for it any more; or what it was told to raise.
        """
        if self._ended_by is not None:
            raise self._ended_by
        if self.seconds > self._seconds:
            raise refusal.Refusal(
                413,
                f"it took more than {self._seconds:g} s, the most that one study may take: send "
                "fewer images",
            )

    @property
    def seconds(self) -> float:
        """How long the work has taken."""
        return 0.0 if self._started is None else time.monotonic() - self._started

    def leave(self, why: Exception | None = None) -> None:
        """Says that the work ends at its next check: nobody waits for it any more, or `why`."""
        self._ended_by = self._ended_by or why or refusal.Left()

    def end(self) -> None:
        """Makes place for another; once."""
        self._end(self)
        self._end = lambda turn: None


class Worklist:
    """Threads that do work in the order in which it came; safe among threads."""

    def __init__(self, name: str, *, num_workers: int, num_waiting: int, seconds: float) -> None:
        """Takes the bounds.

        Args:
            name: of the threads.
            num_workers: works at once.
            num_waiting: others that may have a turn.
            seconds: that one may take.
        """
        self._threads = futures.ThreadPoolExecutor(num_workers, thread_name_prefix=name)
        self._num_workers, self._num_turns = num_workers, num_workers + num_waiting
        self._seconds = seconds
        self._turns: set[Turn] = set()
        self._taken: collections.deque[float] = collections.deque(maxlen=_NUM_REMEMBERED)
        self._lock = threading.Lock()

    @property
    def num_turns(self) -> int:
        """Works that wait or go on."""
        return len(self._turns)

    def admit(self) -> Turn:
        """Returns a turn, which has to be ended, by `run` or by itself.

        Raises:
            refusal.Refusal: too many wait.
        """
        with self._lock:
            if len(self._turns) >= self._num_turns:
                raise refusal.Refusal(
                    429,
                    f"{len(self._turns)} studies are read or wait for it, the most at once: try "
                    "again later",
                    retry_after=self._wait_seconds(),
                )
            turn = Turn(self._seconds, self._ended)
            self._turns.add(turn)
            return turn

    def _ended(self, turn: Turn) -> None:
        with self._lock:
            self._turns.discard(turn)
            if turn.seconds:
                self._taken.append(turn.seconds)

    def _wait_seconds(self) -> int:
        """About how long it takes until one place is free."""
        return max(math.ceil(statistics.median(self._taken or [1.0]) / self._num_workers), 1)

    def run(self, turn: Turn, work: Callable[[], _Result]) -> "futures.Future[_Result]":
        """Does work in its turn, which it ends."""

        def timed() -> _Result:
            try:
                turn.start()
                return work()
            finally:
                turn.end()

        return self._threads.submit(timed)

    def stop(self) -> None:
        """Ends all work at its next check, as a refusal."""
        for turn in list(self._turns):
            turn.leave(refusal.Refusal(503, "the server has ended: send it again later"))

    def end(self) -> None:
        """Ends the threads; what they do ends at its next check."""
        for turn in list(self._turns):
            turn.leave()
        self._threads.shutdown(cancel_futures=True)
