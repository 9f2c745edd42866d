"""What a phantom data set is made of: one frozen configuration."""

import dataclasses
from typing import Any

from spine_tf.synthesis import evidence

ANATOMY, CURVATURE, LESIONS = "anatomy", "curvature", "lesions"
CONTRAST, SCANNER, PROTOCOL = "contrast", "scanner", "protocol"
PARTS = (ANATOMY, CURVATURE, LESIONS, CONTRAST, SCANNER, PROTOCOL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhantomConfig:
    """A synthetic data set; the same configuration gives the same bytes.

    The defaults have fewer slices than real studies, to be quick; `axial_slices_per_level=6,
    sagittal_slices=17` has as many. Small sizes make quick tests: `PhantomConfig(num_studies=8,
    axial_px=(128,), axial_fov_mm=(80.0, 80.0), sagittal_px=(128,), sagittal_slices=7)`.

    Attributes:
        num_studies: studies of the train side.
        num_test_studies: studies of the test side, which have no labels and no coordinates.
        seed: seed of everything random.
        with_errors: plant the errors that the real data have.
        with_oddities: plant oddities of scanners and archives, which change no right answer.
        edition: of the truth. 1: a target's own view says all there is to know of it; 2: views
            show it in part, and context helps: see `evidence`.
        varied: what is drawn anew for every study, of PARTS, far wider than usual. Points then lie
            where structures are, all of those in view and no others, and sizes and slices of a
            varied protocol are its own.
        axial_px: sides in pixels among which a study's axial series draw.
        axial_fov_mm: smallest and largest side of an axial slice in millimetres.
        sagittal_px: sides in pixels among which a study's sagittal series draw.
        sagittal_fov_mm: smallest and largest height of a sagittal slice in millimetres.
        sagittal_slices: slices of a sagittal series.
        axial_slices_per_level: axial slices around each disc, where they are angled to it.
    """

    num_studies: int = 60
    num_test_studies: int = 2
    seed: int = 0
    with_errors: bool = False
    with_oddities: bool = False
    edition: int = 1
    varied: tuple[str, ...] = ()
    axial_px: tuple[int, ...] = (256, 320, 320, 320, 320, 384, 384, 512)
    axial_fov_mm: tuple[float, float] = (130.0, 190.0)
    sagittal_px: tuple[int, ...] = (256, 320, 320, 384, 448)
    sagittal_fov_mm: tuple[float, float] = (250.0, 290.0)
    sagittal_slices: int = 11
    axial_slices_per_level: int = 3

    def __post_init__(self) -> None:
        _require_at_least("num_studies", self.num_studies, 1)
        if self.with_errors and self.with_oddities:
            raise ValueError(
                "errors and oddities are not planted together: what an oddity leaves as it is "
                "would be wrong already"
            )
        if self.edition not in evidence.EDITIONS:
            raise ValueError(f"edition is {self.edition}, expected 1 or 2")
        if unknown := set(self.varied) - set(PARTS):
            raise ValueError(
                f"varied has {', '.join(sorted(unknown))}, expected some of {', '.join(PARTS)}"
            )
        # In one order, so that the order on the command line changes nothing.
        in_order = tuple(part for part in PARTS if part in self.varied)
        object.__setattr__(self, "varied", in_order)
        if self.varied and (self.with_errors or self.with_oddities):
            raise ValueError(
                "errors and oddities are planted in usual studies: the points of varied ones are "
                "all right"
            )
        _require_at_least("num_test_studies", self.num_test_studies, 0)
        _require_at_least("seed", self.seed, 0)
        _require_at_least("sagittal_slices", self.sagittal_slices, 3)
        _require_at_least("axial_slices_per_level", self.axial_slices_per_level, 1)
        for name in ("axial_px", "sagittal_px"):
            values = getattr(self, name)
            if not values or min(values) < 32 or max(values) > 1024:
                raise ValueError(f"{name} is {values}, expected sizes from 32 to 1024")
        for name in ("axial_fov_mm", "sagittal_fov_mm"):
            low, high = getattr(self, name)
            if not 40 <= low <= high <= 500:
                raise ValueError(f"{name} is {low}, {high}, expected a range within 40 to 500")


def to_dict(config: PhantomConfig) -> dict[str, Any]:
    """Returns a configuration as JSON types; what is not asked for is not named."""
    values = dataclasses.asdict(config)
    if not config.with_oddities:
        del values["with_oddities"]
    if config.edition == 1:
        del values["edition"]
    if not config.varied:
        del values["varied"]
    return values


def _require_at_least(name: str, value: int, low: int) -> None:
    if value < low:
        raise ValueError(f"{name} is {value}, expected at least {low}")
