"""What differs around spines: the belly's organs and gas, its wall, streaks of fat in the back."""

import dataclasses

import numpy as np

from spine_tf.synthesis import sequence as sequence_module


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surroundings:
    """One patient's; lengths in millimetres before the posterior wall of the vertebrae.

    Attributes:
        organs_mm: where the organs begin, behind which fat lies.
        organ_share: how much of the belly is organ rather than fat.
        gas, fluid: deviations of a patchy texture above which bowel holds gas or fluid.
        wall_mm: where the belly ends.
        streaks: strength of fat in the muscles of the back.
        mottle: strength of patches in the marrow.
    """

    organs_mm: float
    organ_share: float
    gas: float
    fluid: float
    wall_mm: float
    streaks: float
    mottle: float


def draw(rng: np.random.Generator) -> Surroundings:
    """Draws one patient's."""
    return Surroundings(
        organs_mm=float(rng.uniform(42, 75)),
        organ_share=float(rng.uniform(0.1, 0.9)),
        gas=float(rng.uniform(0.8, 2.5)),
        fluid=float(rng.uniform(0.8, 2.5)),
        wall_mm=float(rng.uniform(110, 230)),
        streaks=float(rng.uniform(0.05, 0.4)),
        mottle=float(rng.uniform(0.0, 0.2)),
    )


def add_belly(
    image: np.ndarray,
    around: Surroundings,
    sequence: sequence_module.Sequence,
    front: np.ndarray,
    coarse: np.ndarray,
) -> np.ndarray:
    """Returns a picture of fat with a belly in it.

    Args:
        image: float32 (rows, columns), fat.
        around: of the patient.
        sequence: contrast.
        front: millimetres behind the spine's posterior wall, broadcastable.
        coarse: texture of the belly, of the image's shape.
    """
    signals = sequence.signals
    inside = np.clip((-around.organs_mm - front) / 8, 0, 1)
    # Mirrored, one texture is as good as three that have nothing to do with each other.
    for texture, start, tissue in (
        (coarse, 1 - 2 * around.organ_share, "organ"),
        (coarse[::-1, ::-1], around.fluid, "fluid"),
        (coarse[:, ::-1], around.gas, "air"),
    ):
        share = np.clip(2.5 * (texture - start), 0, 1) * inside
        image = image + share * (np.float32(0.9 * signals[tissue]) - image)
    wall = np.abs(front + around.wall_mm - 16) < 8
    image = np.where(wall, np.float32(signals["muscle"]), image)
    return image * np.clip((front + around.wall_mm + 20) / 3, 0, 1)


def texture_gain(
    around: Surroundings,
    front: np.ndarray,
    v: np.ndarray,
    streaks: np.ndarray,
    patches: np.ndarray,
) -> np.ndarray:
    """Returns the factor of streaks behind the canal and of patches in the bodies.

    Args:
        around: of the patient.
        front: millimetres behind the spine's posterior wall, as the crow flies, broadcastable.
        v: of the frame, broadcastable.
        streaks, patches: textures of mean 0 and deviation 1, of the slice's shape.
    """
    # Far before a hollow sacrum the frame's v is positive again.
    behind = np.clip((front - 10) / 6, 0, 1) * np.clip((v - 17) / 6, 0, 1)
    behind = behind * np.clip((56 - v) / 8, 0, 1)
    bodies = np.clip(-v / 3, 0, 1) * np.clip((v + 36) / 3, 0, 1)
    return np.exp(
        np.float32(around.streaks) * behind * streaks + np.float32(around.mottle) * bodies * patches
    )
