"""The points that a network marks on a window: its channels, and how a point is drawn on them.

A point is a Gaussian on its own slice, a lower one on the slices beside it: the peak is place,
slice, presence and confidence at once.
"""

import dataclasses
import types
from collections.abc import Mapping

from spine_tf import labels
from spine_tf.configuration import record_kind
from spine_tf.crops import windows
from tfrecords import records

AMPLITUDES = (1.0, 0.5, 0.25)
"""Of a peak, by the distance in slices to the point's own; 0 beyond."""
SIGMA_MM = 4.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of window.

    Attributes:
        side_mm: of the window.
        channels: what each marks.
        groups: channels of one kind of structure, which are told apart by its level or side.
        is_sided: a window seen in a mirror has left and right exchanged, channel by channel.
    """

    side_mm: float
    channels: tuple[str, ...]
    groups: tuple[slice, ...]
    is_sided: bool = False


_LEVELS = len(labels.LEVELS)

# A foramen looks alike on both sides, so the side is no channel: it is the side of the midline.
KINDS: Mapping[str, Kind] = types.MappingProxyType(
    {
        record_kind.SAGITTAL: Kind(
            side_mm=windows.SAGITTAL_MM,
            channels=tuple(
                f"{part}_{level}" for part in ("canal", "foramen") for level in labels.LEVELS
            ),
            groups=(slice(0, _LEVELS), slice(_LEVELS, 2 * _LEVELS)),
        ),
        record_kind.AXIAL: Kind(
            side_mm=windows.AXIAL_MM,
            channels=("left_recess", "right_recess"),
            groups=(slice(0, 2),),
            is_sided=True,
        ),
    }
)
"""Kind of record -> what its network marks."""


def of_records(source: records.Records) -> Kind:
    """Returns what the records' windows show; ValueError where they have no points."""
    name = record_kind.of(source.manifest.config)
    if name not in KINDS:
        raise ValueError(
            f"{source.directory} holds records of kind {name}, task landmarks learns from those of "
            f"{' or '.join(KINDS)}: convert with --kind"
        )
    return KINDS[name]
