"""A client's connection, which is closed where nothing comes or goes on it any more."""

import asyncio

from uvicorn.protocols.http import h11_impl

_SECONDS = 15.0


class Connection(h11_impl.H11Protocol):
    """Of uvicorn, which waits without end for a request that has begun, or an answer to be read.

    So a few hundred clients that send a byte now and then would keep all others out. How long the
    body of a request may take is for who reads it.
    """

    seconds = _SECONDS
    """Between two looks; what stands still for both of them is closed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to look at it."""
        super().connection_made(transport)
        self._stood: tuple[object, int] | None = None
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Looks no more."""
        self._next_look.cancel()
        super().connection_lost(exc)

    def _look_later(self) -> None:
        self._next_look = self.loop.call_later(self.seconds, self._look)

    def _look(self) -> None:
        stands = self._standing()
        if stands is not None and stands == self._stood:
            self.transport.abort()
            return
        self._stood = stands
        self._look_later()

    def _standing(self) -> tuple[object, int] | None:
        """Which request came last, and how much of answers waits; None while one is worked on."""
        num_waiting = self.transport.get_write_buffer_size()
        is_at_work = self.cycle is not None and not self.cycle.response_complete
        return None if is_at_work and not num_waiting else (self.cycle, num_waiting)
