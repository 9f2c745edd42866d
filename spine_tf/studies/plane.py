"""Which plane of the body slices lie in."""

from collections.abc import Sequence

SAGITTAL, CORONAL, AXIAL = "sagittal", "coronal", "axial"

# By the patient's axis that the slices are stacked along: left, back, head.
PLANES = (SAGITTAL, CORONAL, AXIAL)

# Axial slices along L5/S1 lean up to 70 degrees in patients, coronal ones along the lordosis hardly
# 30: what leans less than 60 is axial.
_AXIAL_COSINE = 0.5


def of(normal: Sequence[float]) -> str:
    """Returns the plane of slices with this unit normal, of PLANES."""
    left, back, head = map(abs, normal)
    if left >= max(back, head):
        return SAGITTAL
    return AXIAL if head >= _AXIAL_COSINE else CORONAL
