"""The note beside a shard: what is in it. Its presence alone says that the shard is done."""

import dataclasses
import json
import pathlib

from spine_tf.dicom import reasons
from tfrecords import atomic, manifest

SUFFIX = ".json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Note:
    """What a shard turned out to be.

    Attributes:
        shard: for the manifest.
        class_counts: severity -> records.
        rejects: rows of the plan that gave no record.
        unreadable: files that could be no neighbour of an annotated slice, being unreadable.
    """

    shard: manifest.Shard
    class_counts: dict[str, int]
    rejects: tuple[reasons.Reject, ...]
    unreadable: tuple[str, ...]


def write_note(directory: pathlib.Path, note: Note) -> None:
    """Writes a shard's note; to be called when the shard is in place."""
    atomic.write_json(note_path(directory, note.shard.file), dataclasses.asdict(note))


def read_note(directory: pathlib.Path, file: str) -> Note | None:
    """Reads a shard's note; None where the shard isn't done or isn't what the note says."""
    try:
        values = json.loads(note_path(directory, file).read_bytes())
        note = Note(
            shard=manifest.Shard(**values["shard"]),
            class_counts=values["class_counts"],
            rejects=tuple(
                reasons.Reject(**{**reject, "reason": reasons.Reason(reject["reason"])})
                for reject in values["rejects"]
            ),
            unreadable=tuple(values["unreadable"]),
        )
        is_whole = (directory / file).stat().st_size == note.shard.num_bytes
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return note if is_whole else None


def note_path(directory: pathlib.Path, file: str) -> pathlib.Path:
    """Returns where a shard's note lies."""
    return directory / f"{file}{SUFFIX}"
