"""What a conversion would write, without writing it: from its plan and a few of its images."""

import collections
import dataclasses
import itertools
import time
from collections.abc import Mapping, Sequence

from spine_tf.conversion import kind, plan
from spine_tf.dicom import reasons
from spine_tf.rsna import sources
from tfrecords import progress, words

_NUM_IMAGES = 16
# Of a TFRecord: its length and two checksums.
_FRAME_BYTES = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preview:
    """What a conversion would come to.

    Attributes:
        wanted: the plan, which says the rows, the shards and what the CSVs rule out.
        nouns: what is read at once: images, or studies.
        num_images: of these, how many would be read.
        num_tried: how many of them were read to find out the next two.
        seconds: that those took, in this process alone.
        bytes_per_row: bytes of its records, on average; 0 where no row gave any.
        rejects: reason -> rows of the tried images that gave no record.
    """

    wanted: plan.Plan
    nouns: str
    num_images: int
    num_tried: int
    seconds: float
    bytes_per_row: float
    rejects: Mapping[str, int]

    def in_words(self, num_workers: int) -> str:
        """Returns a line each of rows, size, time and rejects.

        Args:
            num_workers: processes that would convert.
        """
        rows = self.wanted.num_rows
        shards = collections.Counter(part.split for part in self.wanted.shards)
        splits = ", ".join(f"{split} {count}" for split, count in shards.items())
        per_image = self.seconds / max(self.num_tried, 1)
        estimated = max(1.0, per_image * self.num_images / num_workers)
        by_csv = collections.Counter(reject.reason.value for reject in self.wanted.rejects)
        return "\n".join(
            [
                f"rows: {rows} of {self.num_images} {self.nouns}",
                f"shards: {sum(shards.values())} ({splits})",
                f"size: about {self.bytes_per_row * rows / 1e6:.1f} MB",
                f"time: about {estimated:.0f} s with {num_workers} workers: {self.num_tried} of "
                f"the {self.nouns} took {self.seconds:.1f} s in one",
                f"ruled out by the CSVs: {_counts_in_words(by_csv)}",
                f"rejected of the {self.num_tried} {self.nouns}: {_counts_in_words(self.rejects)}",
            ]
        )


def _counts_in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def preview(source: sources.Source, conversion: plan.Settings) -> Preview:
    """Plans a conversion and tries some of its images, evenly spread over the shards.

    Args:
        source: the data set.
        conversion: what would decide the records.

    Raises:
        ValueError: as `plan.make_plan`.
    """
    with progress.waiting("planning"):
        wanted = plan.make_plan(source, conversion)
    images = _images(wanted)
    tried = images[:: -(-len(images) // _NUM_IMAGES)] if images else []
    rows = list(itertools.chain.from_iterable(tried))
    started = time.monotonic()
    rejects: collections.Counter[str] = collections.Counter()
    num_bytes: collections.Counter[str] = collections.Counter()
    with progress.waiting(f"trying {words.counted(len(tried), 'image')}"):
        for made in conversion.record_kind.read(source, rows, set()):
            if isinstance(made, reasons.Reject):
                rejects[made.reason.value] += 1
            else:
                num_bytes[made.row] += len(made.data) + _FRAME_BYTES
    return Preview(
        wanted=wanted,
        nouns=conversion.record_kind.read_at_once,
        num_images=len(images),
        num_tried=len(tried),
        seconds=time.monotonic() - started,
        bytes_per_row=num_bytes.total() / len(num_bytes) if num_bytes else 0.0,
        rejects=rejects,
    )


def _images(wanted: plan.Plan) -> list[Sequence[kind.Row]]:
    """The rows of each image or study, in the order of the shards."""
    return [
        list(rows)
        for part in wanted.shards
        for _, rows in itertools.groupby(
            sorted(part.rows, key=lambda row: row.image), key=lambda row: row.image
        )
    ]
