"""The configuration of a crop: the region of interest around a coordinate."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from spine_tf.configuration import limits
from tfrecords import json_object

WINDOWS = ("slice", "series", "crop")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoiConfig:
    """The region of interest that is cut out around a coordinate.

    Attributes:
        roi_mm: side of the square in millimetres.
        roi_px: side of the square in output pixels.
        num_slices: slices of a crop, odd; the annotated one is in the middle.
        mirror_right: flip axial crops of one side so that lateral lies to the image's right.
        window: the pixels whose 0.5 and 99.5 percentile are mapped to 0 and 1: those of the
            annotated "slice", of all slices of its "series", or of the "crop".
    """

    roi_mm: Annotated[float, limits.Range(1.0, 1000.0)] = 50.0
    roi_px: Annotated[int, limits.Range(8, 1024)] = 128
    num_slices: Annotated[int, limits.Range(1, 63)] = 1
    mirror_right: bool = True
    window: Annotated[str, limits.Choice(WINDOWS)] = "slice"

    def __post_init__(self) -> None:
        limits.check(self)
        if self.num_slices % 2 == 0:
            raise ValueError(f"num_slices is {self.num_slices}, expected an odd number")


def to_dict(roi: RoiConfig) -> dict[str, Any]:
    """Returns a region of interest as JSON types.

    The window by slice is left out, so that a manifest without the field means just that.
    """
    values = dataclasses.asdict(roi)
    if roi.window == RoiConfig.window:
        del values["window"]
    return values


def from_dict(values: Mapping[str, Any]) -> RoiConfig:
    """Returns the region of interest of a records directory.

    Args:
        values: the configuration in its manifest, with more than the region of interest.

    Raises:
        ValueError: a field is missing, of another type or out of range.
    """
    names = [field.name for field in dataclasses.fields(RoiConfig)]
    for name in names:
        if name != "window" and name not in values:
            raise ValueError(f"the region of interest has no {name}; expected {', '.join(names)}")
    return json_object.build(RoiConfig, {n: values[n] for n in names if n in values}, "")
