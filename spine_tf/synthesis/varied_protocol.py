"""Series of every protocol: fields of view cut off, oblique planes, several stacks, missing series.

A point that no series shows has no row: `annotation.mark_exactly` tells which ones are in view.
"""

import dataclasses

import numpy as np

from spine_tf.synthesis import patient as patient_module, protocol, sequence

# Sides of the matrices; large ones cost time.
_SAGITTAL_PX = (192, 224, 256, 256, 320, 320, 320, 384, 448)
_AXIAL_PX = (192, 224, 256, 256, 320, 320, 384)
_SAGITTAL_FOV_MM, _AXIAL_FOV_MM = (190.0, 400.0), (120.0, 240.0)
_USUAL_FOV_MM = (235.0, 325.0)

_MISSING = {sequence.SAGITTAL_T1: 0.08, sequence.SAGITTAL_T2: 0.06, sequence.AXIAL_T2: 0.08}
_CUT_BELOW, _CUT_ABOVE, _UNUSUAL_FOV, _NARROW = 0.13, 0.1, 0.25, 0.4
_OBLIQUE_SAGITTAL, _OBLIQUE_AXIAL, _ANOTHER_PLAN = 0.45, 0.2, 0.3


def make_series(
    patient: patient_module.Patient, first_series_id: int, rng: np.random.Generator
) -> tuple[protocol.Series, ...]:
    """Returns the series of a study, at least one, in an order as protocols have it.

    Args:
        patient: who is scanned.
        first_series_id: the others follow.
        rng: draws.
    """
    stacks = [(sequence.AXIAL_T2, slices) for slices in _axial_series(patient, rng)]
    plan = _draw_plan(patient, rng)
    for description in (sequence.SAGITTAL_T1, sequence.SAGITTAL_T2):
        if rng.random() < _ANOTHER_PLAN:
            plan = _draw_plan(patient, rng)
        stacks.append((description, _sagittal(plan)))
    missing = {name for name, share in _MISSING.items() if rng.random() < share}
    kept = [stack for stack in stacks if stack[0] not in missing] or stacks
    return tuple(
        protocol.Series(
            series_id=first_series_id + index,
            description=description,
            slices=protocol.numbered(description, slices, rng),
        )
        for index, (description, slices) in enumerate(kept)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Plan:
    """How sagittal slices lie.

    Attributes:
        center: of all, float64 (3,).
        directions: float64 (3, 3): along a row, down a column, from slice to slice.
        shape: (rows, columns).
        spacing: of pixels, mm.
        count, step: slices, and their distance in mm.
        filled: thickness as a share of the step.
    """

    center: np.ndarray
    directions: np.ndarray
    shape: tuple[int, int]
    spacing: float
    count: int
    step: float
    filled: float


def _draw_plan(patient: patient_module.Patient, rng: np.random.Generator) -> _Plan:
    is_unusual = rng.random() < _UNUSUAL_FOV
    fov_mm = float(rng.uniform(*(_SAGITTAL_FOV_MM if is_unusual else _USUAL_FOV_MM)))
    rows = int(rng.choice(_SAGITTAL_PX))
    columns = rows
    if rng.random() < _NARROW:
        columns = 2 * round(rows * rng.uniform(0.5, 0.9) / 2)
    turns = rng.normal(0, [0.06, 0.05, 0.05]).clip(-0.2, 0.2)
    if rng.random() > _OBLIQUE_SAGITTAL:
        turns[1:] = 0.0
    return _Plan(
        center=_center(patient, fov_mm, columns / rows, rng),
        directions=_turned_axes(turns),
        shape=(rows, columns),
        spacing=fov_mm / rows,
        count=int(rng.integers(9, 16)),
        step=float(rng.uniform(3.3, 5.5)),
        filled=float(rng.uniform(0.7, 1.0)),
    )


def _center(
    patient: patient_module.Patient, fov_mm: float, width: float, rng: np.random.Generator
) -> np.ndarray:
    """The middle of the field: near L3, or so that the field ends amid the discs."""
    center = patient.position(0.0, 5.0, float(patient.level_s[2]))
    center[2] += rng.normal(0, 13)
    chance = rng.random()
    if chance < _CUT_BELOW:
        center[2] = _canal(patient, rng.uniform(2.5, 4.9))[2] + fov_mm / 2
    elif chance < _CUT_BELOW + _CUT_ABOVE:
        center[2] = _canal(patient, rng.uniform(-0.5, 2.5))[2] - fov_mm / 2
    # Spines lie behind the middle of a wide field.
    center[1] += rng.normal(-0.09, 0.07) * fov_mm * width
    middle = float(np.mean(patient.lateral(patient.level_s)))
    center[0] = middle + rng.normal(0, 3)
    return center


def _canal(patient: patient_module.Patient, level: float) -> np.ndarray:
    """The canal at a level or between two; -1 and 5 are the discs above and below."""
    first = patient.build.num_above
    return patient.position(0.0, 5.0, float(np.interp(first + level, *_numbered(patient.disc_s))))


def _numbered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(values)), values


def _turned_axes(turns: np.ndarray) -> np.ndarray:
    """Row, column and normal of a sagittal slice turned about x, then y, then z, in radians."""
    (a, b, c), axes = turns, np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return axes @ (about_z @ about_y @ about_x).T


def _sagittal(plan: _Plan) -> list[protocol.Slice]:
    row, column, across = plan.directions
    offsets = (np.arange(plan.count) - (plan.count - 1) / 2) * plan.step
    return [
        protocol.centered(
            plan.center + offset * across,
            row,
            column,
            shape=plan.shape,
            spacing=plan.spacing,
            thickness=round(plan.filled * plan.step, 2),
        )
        for offset in offsets
    ]


def _axial_series(
    patient: patient_module.Patient, rng: np.random.Generator
) -> list[list[protocol.Slice]]:
    """One series or two: blocks along discs, straight stacks, both, in one series or apart."""
    blocks = _Blocks(patient, rng)
    chance = rng.random()
    if chance < 0.4:
        return [blocks.angled(range(int(rng.choice([0, 0, 1, 2, 2])), 5))]
    if chance < 0.62:
        return [blocks.straight(0, 4)]
    if chance < 0.78:  # the upper discs in one stack, the lower ones in their own
        split = int(rng.integers(2, 4))
        return [blocks.straight(0, split) + blocks.angled(range(split + 1, 5))]
    together = [blocks.straight(0, 4), blocks.angled(range(int(rng.integers(2, 4)), 5))]
    return together if chance < 0.9 else [together[0] + together[1]]


class _Blocks:
    """Stacks of axial slices of one size."""

    def __init__(self, patient: patient_module.Patient, rng: np.random.Generator) -> None:
        self._patient, self._rng = patient, rng
        self._px, self._fov_mm = int(rng.choice(_AXIAL_PX)), float(rng.uniform(*_AXIAL_FOV_MM))
        self._step, self._filled = float(rng.uniform(3.3, 5.2)), float(rng.uniform(0.75, 1.0))
        self._roll, self._yaw = rng.normal(0, 0.07, 2) * (rng.random() < _OBLIQUE_AXIAL)
        self._follows = bool(rng.random() < 0.5)

    def angled(self, levels: range) -> list[protocol.Slice]:
        """A few slices along each disc."""
        count = int(self._rng.integers(3, 6))
        slices = []
        for level in levels:
            first = self._rng.uniform(-1.5, 1.5) - (count - 1) / 2 * self._step
            distances = first + self._step * np.arange(count)
            slices += self._slices(float(self._patient.level_s[level]), distances)
        return slices

    def straight(self, first: int, last: int) -> list[protocol.Slice]:
        """Parallel slices from a disc to another, as one between them lies."""
        patient, step = self._patient, 1.25 * self._step
        middle = patient.level_s[int(self._rng.integers(first, last + 1))]
        above, below = (
            float(abs(patient.level_s[level] - middle)) * patient.scale + self._rng.uniform(3, 14)
            for level in (first, last)
        )
        return self._slices(float(middle), np.arange(-above, below, step))

    def _slices(self, s: float, distances: np.ndarray) -> list[protocol.Slice]:
        patient, rng = self._patient, self._rng
        tangent_y, tangent_z = patient.spine.tangent(s * patient.scale)
        angle = np.arctan2(-tangent_y, -tangent_z) + rng.normal(0, 0.07)
        row, down = self._axes(angle)
        center = patient.position(0.0, 10.0, s)
        if not self._follows:
            center[0] = float(np.mean(patient.lateral(patient.level_s)))
        return [
            protocol.centered(
                center + distance * np.cross(row, down) * -1,
                row,
                down,
                shape=(self._px, self._px),
                spacing=self._fov_mm / self._px,
                thickness=round(self._filled * self._step, 2),
            )
            for distance in distances.tolist()
        ]

    def _axes(self, angle: float) -> tuple[np.ndarray, np.ndarray]:
        """Row and column directions of slices tilted by an angle, perhaps oblique."""
        down = np.array([0.0, np.cos(angle), -np.sin(angle)])
        row = np.array([1.0, self._yaw, self._roll])
        if not (self._yaw or self._roll):
            return np.array([1.0, 0.0, 0.0]), down
        row -= (row @ down) * down
        return row / np.linalg.norm(row), down
