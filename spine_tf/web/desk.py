"""Where studies are taken in and read: the models, and the bounds of what is done with them."""

import asyncio
import functools
from collections.abc import Callable
from typing import TypeVar

from absl import logging
from starlette import requests

from spine_tf.serving import study_reader
from spine_tf.studies import held
from spine_tf.web import (
    bounds as bounds_module,
    byte_budget,
    open_studies,
    refusal,
    session,
    uploads,
    worklist,
)
from tfrecords import words

_Result = TypeVar("_Result")

# A page's own small requests: a corrected point, a slice, a file.
_NUM_TOUCHES = 2
_POLL_SECONDS = 0.5


class Desk:
    """Everything that requests share; safe among threads."""

    def __init__(self, reader: study_reader.StudyReader, bounds: bounds_module.Bounds) -> None:
        """Takes models that are loaded."""
        self.reader, self.bounds = reader, bounds
        self.studies = open_studies.OpenStudies(bounds)
        self._budget = byte_budget.ByteBudget(bounds.num_held_bytes)
        self._readings = worklist.Worklist(
            "reading",
            num_workers=bounds.num_readings,
            num_waiting=bounds.num_waiting,
            seconds=bounds.reading_seconds,
        )
        self._touches = worklist.Worklist(
            "touch",
            num_workers=_NUM_TOUCHES,
            num_waiting=bounds.num_waiting,
            seconds=bounds.reading_seconds,
        )

    @property
    def num_read_or_waiting(self) -> int:
        """How many studies are read, or wait for it."""
        return self._readings.num_turns

    async def take_in(self, request: requests.Request) -> open_studies.OpenStudy:
        """Receives a zip and begins to read it when its turn comes.

        Raises:
            refusal.Refusal: it is not taken, or too many wait.
        """
        try:
            turn = self._readings.admit()
        except refusal.Refusal:
            await uploads.drain(request, self.bounds)
            raise
        lease = byte_budget.Lease(self._budget)
        try:
            # A list, which gives the zip up when it has been unpacked.
            parts = [await uploads.receive(request, self.bounds, lease)]
        except BaseException:
            turn.end()
            lease.end()
            raise
        read = self._readings.run(turn, functools.partial(self._read, parts, turn, lease))
        return open_studies.OpenStudy(turn=turn, read=read, lease=lease)

    def _read(
        self, parts: list[bytes], turn: worklist.Turn, lease: byte_budget.Lease
    ) -> session.Session:
        try:
            turn.phase = "finding the series"
            study = self._hold(parts.pop(), turn.check)
            lease.end()  # the zip is no more
            lease.take(study.num_bytes)
            turn.phase = "finding points and grading"
            found = session.Session(self.reader, study, turn.check)
        except BaseException:
            lease.end()
            raise
        logging.info(
            "read a study of %s in %.1f s", words.counted(found.num_images, "image"), turn.seconds
        )
        return found

    def _hold(self, data: bytes, check: held.Check) -> held.HeldStudy:
        limits, min_slices = self.bounds.contents, self.bounds.min_slices
        try:
            return held.hold(data, check=check, min_slices=min_slices, limits=limits)
        except held.TooMuch as err:
            raise refusal.Refusal(413, str(err)) from err
        except ValueError as err:
            raise refusal.Refusal(400, str(err)) from err

    async def touch(self, work: Callable[[], _Result]) -> _Result:
        """Does something small with an open study, in a thread."""
        turn = self._touches.admit()
        return await asyncio.wrap_future(self._touches.run(turn, work))

    def stop(self) -> None:
        """Ends what is read; who waits for it is told so."""
        self._readings.stop()

    def end(self) -> None:
        """Forgets all studies and ends the threads."""
        self.studies.end()
        self._readings.end()
        self._touches.end()


async def wait_for(request: requests.Request, study: open_studies.OpenStudy) -> session.Session:
    """Returns a study once it is read; its reading ends where the client goes.

    Raises:
        refusal.Left: the client has gone.
    """
    done = asyncio.wrap_future(study.read)
    while not (await asyncio.wait({done}, timeout=_POLL_SECONDS))[0]:
        if await request.is_disconnected():
            study.turn.leave()
            break
    return await done
