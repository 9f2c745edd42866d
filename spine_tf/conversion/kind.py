"""What a kind of record has to say: which rows a plan deals out, and how they become records."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from spine_tf.configuration import roi_config
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations, sources
from tfrecords import schema


class Row(Protocol):
    """What a plan deals out whole: an annotation, or a study."""

    @property
    def study_id(self) -> int:
        """Decides the split."""

    @property
    def key(self) -> str:
        """Unique in a plan; begins with the study, as the keys of all that comes of a row do."""

    @property
    def image(self) -> tuple[int, ...]:
        """Rows of which this is equal are read together; it begins with the study."""


Images = Mapping[tuple[int, int], Sequence[int] | None]
"""(study, series) -> the instances that are read of it, None for all that there are."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Made:
    """A record.

    Attributes:
        row: key of the row that it was made of.
        key: its own.
        data: as serialized.
        label: index into SEVERITIES, of kinds that have one class a record.
        is_cut_short: as `stacks.Neighbours` has it.
    """

    row: str
    key: str
    data: bytes
    label: int | None = None
    is_cut_short: bool = False


class Kind(Protocol):
    """A kind of record; picklable, for workers.

    Attributes:
        name: as given to --kind.
        noun: what a row is, for progress.
        read_at_once: what rows with one `image` are, in the plural.
        description: of the data set, for TFDS.
        conditions: those that its records know.
        needed: those of which at least one makes a record; the others only add to it.
        fixed_region: the region of interest where the kind decides it; None: the user does.
        rows_per_shard: about so many rows are in a shard.
        needs_labels: a row without a grade gives no record.
        has_classes: each record has one severity, which the manifest counts.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    read_at_once: ClassVar[str]
    description: ClassVar[str]
    conditions: ClassVar[tuple[str, ...]]
    needed: ClassVar[tuple[str, ...]]
    fixed_region: ClassVar[roi_config.RoiConfig | None]
    rows_per_shard: ClassVar[int]
    needs_labels: ClassVar[bool]
    has_classes: ClassVar[bool]

    def __init__(self, *, region: roi_config.RoiConfig) -> None:
        """Takes the region of interest."""

    @property
    def region(self) -> roi_config.RoiConfig:
        """The region of interest: what a record shows around a point."""

    def schema(self) -> schema.Schema:
        """Returns the fields of a record."""

    def rows(self, found: annotations.Annotations) -> list[Any]:
        """Returns the rows of a plan, each a `Row`, given what the CSVs say."""

    def images(self, rows: Iterable[Any]) -> Images:
        """Returns the images that decide the records of some rows."""

    def read(
        self, source: sources.Source, rows: Iterable[Any], unreadable: set[str]
    ) -> Iterator[Made | reasons.Reject]:
        """Yields the records of some rows, those of one image together, and what gave none.

        Args:
            source: where the images are.
            rows: in any order.
            unreadable: gets files that could have had a share in a record, being unreadable.
        """
