"""TensorBoard's event files, without the name of the machine that its own writers put into theirs.

Without TensorFlow too, which would take the GPU's memory from other processes.
"""

import os
import pathlib
import time
import types
from collections.abc import Mapping

from tensorboard.compat.proto import event_pb2, summary_pb2

from tfrecords import shard


class EventFile:
    """A new file of a directory; closed, it is whole, and what has been added is there before."""

    def __init__(self, directory: pathlib.Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads what has tfevents in its name, in the order of the names.
        name = f"events.out.tfevents.{time.time():017.6f}.{os.getpid()}"
        self._file = (directory / name).open("xb")
        self._write(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))

    def __enter__(self) -> "EventFile":
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()

    def add(self, step: int, summary: summary_pb2.Summary) -> None:
        """Adds what happened at a step, such as an epoch."""
        self._write(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))

    def add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds figures by name."""
        pairs = (summary_pb2.Summary.Value(tag=tag, simple_value=v) for tag, v in values.items())
        self.add(step, summary_pb2.Summary(value=pairs))

    def close(self) -> None:
        """Ends the file."""
        self._file.close()

    def _write(self, event: event_pb2.Event) -> None:
        self._file.write(b"".join(shard.framed(event.SerializeToString())))
        self._file.flush()
