"""From a patient and a slice to stored pixels: contrast, coil, noise."""

import numpy as np

from spine_tf.phantom import anatomy, slice_geometry
from spine_tf.phantom import patient as patients

CONTRASTS = {
    "Sagittal T1": anatomy.Contrast(
        fat=0.9, muscle=0.3, marrow=0.55, disc=0.33, bone=0.1, fluid=0.15, nerve=0.35
    ),
    "Sagittal T2/STIR": anatomy.Contrast(
        fat=0.7, muscle=0.2, marrow=0.4, disc=0.3, bone=0.08, fluid=0.95, nerve=0.4
    ),
    "Axial T2": anatomy.Contrast(
        fat=0.7, muscle=0.2, marrow=0.4, disc=0.25, bone=0.08, fluid=0.95, nerve=0.35
    ),
}
_LARGEST = 1000.0


def image(
    patient: patients.Patient,
    plane: slice_geometry.Slice,
    series_description: str,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns the stored pixels of a slice, uint16 (rows, columns), 12 bits."""
    x, y, z = plane.coordinates()
    v, s = patient.spine.locate(y, z)
    signal = anatomy.paint(
        patient,
        CONTRASTS[series_description],
        x,
        v,
        s,
        edge_mm=max(plane.spacing),
    )
    signal = signal * rng.uniform(0.7, 1.0)
    real = signal + 0.05 * rng.standard_normal(plane.shape)
    imaginary = 0.05 * rng.standard_normal(plane.shape)
    return np.rint(np.hypot(real, imaginary) * _LARGEST).clip(0, 4095).astype("<u2")
