"""Step 2 of a conversion: one shard, from DICOM files to a file of records. No TensorFlow.

The note beside a shard says what is in it and what it was made of. A shard is done while there is
a note and the images are still those: one that came, went or changed its size since, and rejected
rows that can be used now, make it be written again.
"""

import collections
import dataclasses
import functools
import hashlib
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

from spine_tf import labels
from spine_tf.conversion import kind, plan
from spine_tf.dicom import reasons
from spine_tf.rsna import layout, sources
from tfrecords import atomic, json_object, manifest, shard as shard_module

NOTE_SUFFIX = ".json"

_MAX_BYTES_IN_MEMORY = 2**26


@dataclasses.dataclass(frozen=True, kw_only=True)
class Note:
    """What a shard turned out to be.

    Attributes:
        shard: for the manifest.
        class_counts: severity -> records, of kinds whose records have one each.
        rejects: rows of the plan that gave no record.
        unreadable: files that could be no neighbour of an annotated slice, being unreadable.
        images: sha256 of the names and sizes of the files that decide the shard.
        num_cut_short: records that repeat a slice although the acquisition goes on behind a gap.
    """

    shard: manifest.Shard
    class_counts: dict[str, int]
    rejects: tuple[reasons.Reject, ...]
    unreadable: tuple[str, ...]
    images: str
    num_cut_short: int

    @property
    def is_settled(self) -> bool:
        """Whether every row gave a record and every file could be read."""
        return not self.rejects and not self.unreadable


def write_shard(
    part: plan.Shard,
    *,
    source: sources.Source,
    record_kind: kind.Kind,
    output_dir: pathlib.Path,
) -> Note:
    """Writes a shard and its note, or returns the note of a shard that is done.

    Idempotent: whoever writes it, and however often, the bytes are the same.
    """
    done = read_done(part, source=source, record_kind=record_kind, output_dir=output_dir)
    if done is not None:
        return done
    # Taken first: what comes while the shard is written makes it be written again.
    images = describe_images(part, source, record_kind)
    # Another shard of the same length would pass for what an older note says.
    note_path(output_dir, part.file).unlink(missing_ok=True)
    # It is on disk from the first byte on, and no file before: few shards need one.
    with tempfile.SpooledTemporaryFile(1, dir=str(output_dir)) as file:
        rejects, num_cut_short = [], 0
        spool = _Spool(file)
        found: collections.Counter[int | None] = collections.Counter()
        unreadable: set[str] = set()
        # Images come in the order that decodes each once, records go in the order of the plan.
        for made in record_kind.read(source, part.rows, unreadable):
            if isinstance(made, reasons.Reject):
                rejects.append(made)
            else:
                spool.add(made.key, made.data)
                found[made.label] += 1
                num_cut_short += made.is_cut_short
        writer = _write_records(part, output_dir, spool)
    note = Note(
        shard=writer.shard,
        class_counts=_class_counts(found) if record_kind.has_classes else {},
        rejects=tuple(sorted(rejects)),
        unreadable=tuple(sorted(unreadable)),
        images=images,
        num_cut_short=num_cut_short,
    )
    _write_note(output_dir, note)
    return note


def read_done(
    part: plan.Shard,
    *,
    source: sources.Source,
    record_kind: kind.Kind,
    output_dir: pathlib.Path,
) -> Note | None:
    """Returns the note of a shard that would turn out the same; its rejected rows are tried."""
    note = read_note(output_dir, part.file)
    if note is None or note.images != describe_images(part, source, record_kind):
        return None
    return note if note.is_settled or _fails_as_before(part, note, source, record_kind) else None


def describe_images(part: plan.Shard, source: sources.Source, record_kind: kind.Kind) -> str:
    """Returns the sha256 of the names and sizes of the files that decide a shard's records.

    Neither times nor places: machines of an array job may each have a copy of the images.
    """
    digest = hashlib.sha256()
    for (study, series), numbers in sorted(record_kind.images(part.rows).items()):
        sizes = source.sizes(study, series)
        for number in sorted(sizes) if numbers is None else numbers:
            name = layout.image_name(source.side, study, series, number)
            digest.update(f"{name} {sizes.get(number, 'missing')}\n".encode())
    return digest.hexdigest()


def _fails_as_before(
    part: plan.Shard, note: Note, source: sources.Source, record_kind: kind.Kind
) -> bool:
    """Tries studies with rejects again, and rows beside files that could not be read."""
    folders = {file.rpartition("/")[0] for file in note.unreadable}
    studies = {reject.key.partition("/")[0] for reject in note.rejects}

    def has_failed(row: kind.Row) -> bool:
        return str(row.study_id) in studies or any(
            layout.series_dir(source.side, *ids) in folders for ids in record_kind.images([row])
        )

    unreadable: set[str] = set()
    found = list(record_kind.read(source, filter(has_failed, part.rows), unreadable))
    rejects = sorted(item for item in found if isinstance(item, reasons.Reject))
    return tuple(rejects) == note.rejects and unreadable == set(note.unreadable)


class _Spool:
    """Where records wait for their place in a shard: in memory, on disk what is more than a bit.

    Kept as they came: a file in memory would copy them twice, into pages that it has to ask for.
    """

    def __init__(self, file: IO[Any]) -> None:
        self._file = file
        self._waiting: dict[str, bytes | tuple[int, int]] = {}
        self._num_bytes = 0

    def add(self, key: str, data: bytes) -> None:
        """Takes in a record."""
        self._num_bytes += len(data)
        if self._num_bytes <= _MAX_BYTES_IN_MEMORY:
            self._waiting[key] = data
        else:
            self._waiting[key] = self._file.tell(), len(data)
            self._file.write(data)

    def records(self) -> Iterator[bytes]:
        """Yields the records in the order of the plan."""
        for key in sorted(self._waiting, key=plan.order_of):
            item = self._waiting[key]
            if isinstance(item, bytes):
                yield item
            else:
                self._file.seek(item[0])
                yield self._file.read(item[1])


def _write_records(
    part: plan.Shard, output_dir: pathlib.Path, spool: _Spool
) -> shard_module.Writer:
    writer = shard_module.Writer(output_dir / part.file, part.split)
    with writer:
        for record in spool.records():
            writer.write(record)
    return writer


def _class_counts(found: Mapping[int | None, int]) -> dict[str, int]:
    return {name: found.get(index, 0) for index, name in enumerate(labels.SEVERITIES)}


def _write_note(directory: pathlib.Path, note: Note) -> None:
    """Writes a shard's note; the shard is in place."""
    atomic.write_json(note_path(directory, note.shard.file), dataclasses.asdict(note))


def read_note(directory: pathlib.Path, file: str) -> Note | None:
    """Reads a shard's note; None where the shard isn't done or isn't what the note says."""
    try:
        note = json_object.read_as(
            functools.partial(json_object.build, Note),
            note_path(directory, file),
            expected="a shard's note",
            mend="convert again",
        )
        is_whole = (directory / file).stat().st_size == note.shard.num_bytes
    except (FileNotFoundError, ValueError):
        return None
    return note if is_whole else None


def note_path(directory: pathlib.Path, file: str) -> pathlib.Path:
    """Returns where a shard's note lies."""
    return directory / f"{file}{NOTE_SUFFIX}"
