"""The plan of a conversion: which row goes to which shard. From the CSVs alone, no pixels."""

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from spine_tf.crops import record
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations, folds
from tfrecords import shard

ROWS_PER_SHARD = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One file to be.

    Attributes:
        file: its name.
        split: fold_0 ... or test.
        rows: its records, in the order of the file.
    """

    file: str
    split: str
    rows: tuple[annotations.Annotation, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole conversion, before any image is opened.

    Attributes:
        config: what decides the records, as JSON types.
        source: sha256 of each CSV by name.
        shards: by split, test last, then by index.
        rejects: rows that the CSVs already rule out.
        counts: what else was seen in the CSVs.
    """

    config: dict[str, Any]
    source: dict[str, str]
    shards: tuple[Shard, ...]
    rejects: tuple[reasons.Reject, ...]
    counts: dict[str, int]

    @property
    def num_rows(self) -> int:
        """Rows that are to become records."""
        return sum(len(part.rows) for part in self.shards)

    def to_json(self) -> dict[str, Any]:
        """Returns the plan as JSON types; equal conversions have equal ones."""
        return {
            "config": self.config,
            "source": self.source,
            "shards": [
                {"file": part.file, "split": part.split, "keys": [row.key for row in part.rows]}
                for part in self.shards
            ],
        }


def make_plan(
    rows: annotations.Annotations,
    splits: Mapping[int, str],
    *,
    config: dict[str, Any],
    source: dict[str, str],
) -> Plan:
    """Deals checked rows to shards.

    Args:
        rows: what the CSVs say.
        splits: study -> split, of every study of the rows.
        config, source: see Plan.
    """
    of_split: dict[str, list[annotations.Annotation]] = {}
    for row in rows.rows:
        of_split.setdefault(splits[row.study_id], []).append(row)
    names = sorted(of_split, key=lambda name: (name == folds.TEST, len(name), name))
    return Plan(
        config=config,
        source=source,
        shards=tuple(part for name in names for part in _cut(name, of_split[name])),
        rejects=tuple(sorted(rows.rejects)),
        counts=rows.counts,
    )


def _cut(split: str, rows: Sequence[annotations.Annotation]) -> list[Shard]:
    """Cuts the rows of a split into shards of about equal size.

    Sorted by a hash of the study, a shard is a fair sample of studies, and the rows of one image
    lie together; a cut moves to the end of an image, so that no image is decoded for two shards.
    """
    hashes = {row.study_id: _hash(str(row.study_id)) for row in rows}
    images = [
        list(group)
        for _, group in itertools.groupby(
            sorted(rows, key=lambda row: (hashes[row.study_id], row.image)),
            key=lambda row: row.image,
        )
    ]
    num_shards = -(-len(rows) // ROWS_PER_SHARD)
    parts: list[list[annotations.Annotation]] = [[] for _ in range(num_shards)]
    position = 0
    for image in images:
        parts[position * num_shards // len(rows)].extend(image)
        position += len(image)
    return [
        Shard(
            file=shard.file_name(record.DATASET_NAME, split, index, num_shards),
            split=split,
            rows=tuple(sorted(part, key=lambda row: _hash(row.key))),
        )
        for index, part in enumerate(parts)
    ]


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
