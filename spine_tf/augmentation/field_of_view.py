"""What a network sees of a record: which millimetres, on how many pixels, by which kernel.

The kernel is linear interpolation averaged over a box: a triangle of radius 1 convolved with a box
of `box` record pixels, `sqrt(2 (pitch^2 - 1))` wide, which has the variance of the converter's
triangle of radius `pitch`. Its weights sum to one wherever it stands. At a pitch of 1 it is linear
interpolation, which smooths between pixels and not on them; from a pitch of 1.4 on it passes the
same share of an image's noise on the grid and off it, within 4 %, so that moved images and
unmoved ones are of one kind.
"""

import dataclasses
import math
import sys
from typing import Any

import numpy as np

from spine_tf.configuration import family_config
from tfrecords import records

# An input may have this much more pixels than the record has there: beyond, it is blown up.
_LEAST_PITCH = 0.9

# From here on the kernel passes noise alike on the records' grid and off it.
_FLAT_PITCH = 1.4


@dataclasses.dataclass(frozen=True, kw_only=True)
class FieldOfView:
    """A square around the middle of a record, and the pixels that a network sees it on.

    Attributes:
        record_px: side of a record's image in its pixels.
        record_mm: the same in millimetres; None where nobody said.
        input_px: side of the network's input in its pixels.
        pitch: record pixels from one input pixel to the next.
    """

    record_px: int
    record_mm: float | None
    input_px: int
    pitch: float

    @property
    def is_whole(self) -> bool:
        """Whether the input's pixels are the record's."""
        return self.input_px == self.record_px and self.pitch == 1.0

    @property
    def is_flat(self) -> bool:
        """Whether an image is equally sharp in any pose."""
        return self.pitch >= _FLAT_PITCH

    @property
    def box(self) -> float:
        """Width of the kernel's box in record pixels."""
        return math.sqrt(max(0.0, 2.0 * (self.pitch**2 - 1.0)))

    def in_pixels(self, length_mm: float) -> float:
        """Returns a length in record pixels.

        Raises:
            ValueError: the record's side in millimetres is not known.
        """
        if self.record_mm is None:
            raise ValueError(
                f"{length_mm:g} mm of a crop whose side in millimetres is not known: expected "
                "records whose manifest says roi_mm"
            )
        return length_mm * self.record_px / self.record_mm

    def axis_weights(self) -> np.ndarray:
        """Returns the weights of record pixels in each input pixel, unmoved, along an axis.

        Returns:
            float32 (input_px, record_px); pixels outside the record count as 0.
        """
        offsets = np.arange(self.input_px) - (self.input_px - 1) / 2
        positions = (self.record_px - 1) / 2 + self.pitch * offsets
        distances = np.arange(self.record_px) - positions[:, np.newaxis]
        return np.asarray(kernel(distances, self.box), np.float32)


def record_mm(source: records.Records) -> float | None:
    """Returns the side of a directory's images in millimetres, None where it doesn't say."""
    found = source.manifest.config.get("roi_mm")
    if not isinstance(found, int | float):
        return None
    # An integer of JSON may be larger than a float can be.
    return float(found) if 0 < found <= sys.float_info.max else None


def whole(side_px: int, side_mm: float | None = None) -> FieldOfView:
    """Returns the view of all of a record on its own pixels."""
    return FieldOfView(record_px=side_px, record_mm=side_mm, input_px=side_px, pitch=1.0)


def make(settings: family_config.ModelConfig, side_px: int, side_mm: float | None) -> FieldOfView:
    """Returns what `model.input_mm` and `model.input_px` say of records.

    Args:
        settings: the network's settings.
        side_px: side of a record's image in pixels.
        side_mm: the same in millimetres; only `input_mm` needs it.

    Raises:
        ValueError: the records hold less than the network is to see.
    """
    unset = whole(side_px, side_mm)
    seen_px = unset.in_pixels(settings.input_mm) if settings.input_mm else float(side_px)
    if seen_px > side_px * (1 + 1e-6):
        raise ValueError(
            f"model.input_mm is {settings.input_mm:g}, but the crops have {side_mm:g} mm: "
            "convert with a larger --roi_mm or set a smaller model.input_mm"
        )
    if not settings.input_px:
        # As many pixels fewer on one side as on the other, so that none lies between two others.
        margin = round((side_px - seen_px) / 2)
        return dataclasses.replace(unset, input_px=side_px - 2 * margin)
    pitch = seen_px / settings.input_px
    if pitch < _LEAST_PITCH:
        raise ValueError(
            f"model.input_px is {settings.input_px}, but the crops have {seen_px:.4g} px in what "
            "the model sees of them: convert with a larger --roi_px or set a smaller "
            "model.input_px"
        )
    return dataclasses.replace(unset, input_px=settings.input_px, pitch=pitch)


def kernel(distances: Any, box: float) -> Any:
    """Returns the weight of a record pixel at distances from a place, in record pixels.

    Args:
        distances: an array or tensor of any shape.
        box: width of the box; 0 is linear interpolation.

    Returns:
        Of the same kind and shape.
    """
    if not box:
        return 1.0 - abs(_clip(distances))
    half = box / 2.0
    return (_below(distances + half) - _below(distances - half)) / box


def reach(box: float) -> float:
    """Returns the distance from which on the kernel is 0, in record pixels."""
    return 1.0 + box / 2.0


def _below(distances: Any) -> Any:
    """The integral of the triangle of radius 1 up to a distance."""
    clipped = _clip(distances)
    return 0.5 + clipped - 0.5 * clipped * abs(clipped)


def _clip(values: Any) -> Any:
    """Between -1 and 1, alike for numpy and TensorFlow."""
    return (abs(values + 1.0) - abs(values - 1.0)) * 0.5
