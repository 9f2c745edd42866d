"""An annotated point: on its image, and in the coordinates of the patient."""

import dataclasses

from spine_tf.dicom import header
from spine_tf.rsna import annotations

# Placeholders lie at about 5, 5 px; no structure of the spine lies in that corner.
_CORNER_PX = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """A row and where it is in the patient.

    Attributes:
        row: of the coordinates CSV.
        left, back, head: mm along the patient's axes.
    """

    row: annotations.Annotation
    left: float
    back: float
    head: float


def make_point(row: annotations.Annotation, slice_header: header.Header) -> Point | None:
    """Places a row in the patient (PS3.3, C.7.6.2.1.1); None where the slice doesn't say where."""
    position, orientation = slice_header.position, slice_header.orientation
    if position is None or orientation is None:
        return None
    right = row.x * slice_header.spacing[1]
    down = row.y * slice_header.spacing[0]
    left, back, head = (
        position[axis] + right * orientation[axis] + down * orientation[axis + 3]
        for axis in range(3)
    )
    return Point(row=row, left=left, back=back, head=head)


def is_placeholder(row: annotations.Annotation) -> bool:
    """Returns whether a row's point lies in the corner where placeholders do."""
    return 0 <= row.x < _CORNER_PX and 0 <= row.y < _CORNER_PX


def is_on_image(row: annotations.Annotation, slice_header: header.Header) -> bool:
    """Returns whether a row's point is on its image: pixels reach half a pixel around centres."""
    rows, columns = slice_header.shape
    return -0.5 <= row.x < columns - 0.5 and -0.5 <= row.y < rows - 0.5
