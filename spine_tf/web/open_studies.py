"""The studies that pages have open, each under a random id, until they leave or time is up."""

import dataclasses
import secrets
import threading
import time
from concurrent import futures

from spine_tf.web import bounds as bounds_module, byte_budget, refusal, session, worklist


@dataclasses.dataclass(kw_only=True, eq=False)
class OpenStudy:
    """A study on its way to a page, or there.

    Attributes:
        turn: its reading's.
        read: the session, once it is read.
        lease: what it takes of the memory.
        last_used: when it was asked for last.
    """

    turn: worklist.Turn
    read: "futures.Future[session.Session]"
    lease: byte_budget.Lease
    last_used: float = dataclasses.field(default_factory=time.monotonic)

    def end(self) -> None:
        """Lets it go; while it is still read, it takes memory."""
        self.turn.leave()
        self.read.add_done_callback(lambda done: self.lease.end())


class OpenStudies:
    """Safe among threads."""

    def __init__(self, bounds: bounds_module.Bounds) -> None:
        """Takes how many there may be, and for how long."""
        self._bounds = bounds
        self._studies: dict[str, OpenStudy] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._studies)

    def require_room(self) -> None:
        """Raises Refusal where no other may be opened."""
        self.expire()
        with self._lock:
            self._require_room()

    def _require_room(self) -> None:
        if len(self._studies) < self._bounds.num_studies:
            return
        oldest = min(one.last_used for one in self._studies.values())
        left = oldest + self._bounds.kept_seconds - time.monotonic()
        raise refusal.Refusal(
            429,
            f"{len(self._studies)} studies are open in pages, the most at once: close one of them, "
            "or try again later",
            retry_after=max(int(left) + 1, 1),
        )

    def open(self, study: OpenStudy) -> str:
        """Takes a study in and returns its id; Refusal where no other may be opened."""
        name = secrets.token_urlsafe(24)
        try:
            with self._lock:
                self._require_room()
                self._studies[name] = study
        except refusal.Refusal:
            study.end()
            raise
        return name

    def get(self, name: str) -> OpenStudy:
        """Returns a study, whose time begins anew.

        Raises:
            refusal.Refusal: it is not there any more.
        """
        self.expire()
        with self._lock:
            study = self._studies.get(name)
            if study is None:
                raise refusal.Refusal(
                    404,
                    "this study is not in memory any more, since its page left it or nobody asked "
                    f"for it in {self._bounds.kept_seconds / 60:g} minutes: open it again",
                )
            study.last_used = time.monotonic()
            return study

    def drop(self, name: str) -> None:
        """Forgets a study, whether it is there or not; its reading ends where it is."""
        with self._lock:
            study = self._studies.pop(name, None)
        if study is not None:
            study.end()

    def expire(self) -> None:
        """Forgets the studies that nobody asked for in time."""
        oldest = time.monotonic() - self._bounds.kept_seconds
        for name, study in list(self._studies.items()):
            if study.last_used < oldest:
                self.drop(name)

    def end(self) -> None:
        """Forgets all."""
        for name in list(self._studies):
            self.drop(name)
