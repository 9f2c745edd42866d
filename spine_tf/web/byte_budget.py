"""How many bytes of zips and studies are in memory together."""

import threading

from spine_tf.web import refusal

_RETRY_SECONDS = 15


class ByteBudget:
    """Counts what leases hold; safe among threads."""

    def __init__(self, num_bytes: int) -> None:
        """Takes how many there may be."""
        self._num_bytes = num_bytes
        self._num_taken = 0
        self._lock = threading.Lock()

    @property
    def num_taken(self) -> int:
        """How many are in use."""
        return self._num_taken

    def take(self, num_bytes: int) -> None:
        """Takes some; Refusal where there are not so many left."""
        with self._lock:
            if self._num_taken + num_bytes > self._num_bytes:
                raise refusal.Refusal(
                    429,
                    f"the studies in memory take all of the {self._num_bytes} bytes that there are "
                    "for them: try again later",
                    retry_after=_RETRY_SECONDS,
                )
            self._num_taken += num_bytes

    def give_back(self, num_bytes: int) -> None:
        """Gives some back."""
        with self._lock:
            self._num_taken -= num_bytes


class Lease:
    """What one zip or study takes of a budget."""

    def __init__(self, budget: ByteBudget) -> None:
        """Takes nothing yet."""
        self._budget = budget
        self._num_bytes = 0

    def take(self, num_bytes: int) -> None:
        """Takes some more."""
        self._budget.take(num_bytes)
        self._num_bytes += num_bytes

    def end(self) -> None:
        """Gives all back; again does nothing."""
        self._budget.give_back(self._num_bytes)
        self._num_bytes = 0
