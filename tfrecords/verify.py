"""Reads a whole records directory, with the checks of every reader."""

import dataclasses
import pathlib

from tfrecords import records


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verified:
    """What was found to be right.

    Attributes:
        num_shards, num_examples, num_bytes: how many the whole directory has.
    """

    num_shards: int
    num_examples: int
    num_bytes: int


def verify(directory: pathlib.Path) -> Verified:
    """Reads every record and compares everything that the directory says twice.

    Raises:
        ValueError: the first thing that is wrong; names file and record.
    """
    source = records.open_records(directory)
    source.index(source.splits)
    shards = source.manifest.shards
    return Verified(
        num_shards=len(shards),
        num_examples=sum(part.num_examples for part in shards),
        num_bytes=sum(part.num_bytes for part in shards),
    )
