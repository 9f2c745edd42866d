"""The discs of a study: what the sagittal stacks of one frame of reference see, put together.

A disc has up to three structures in a stack (canal, left and right foramen). They find each other
by height in the patient; a foramen's side is the side of the midline it lies on.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from spine_tf.crops import anatomy, imaged_study, windows
from spine_tf.localization import heatmaps, numbering as numbering_module, spots

CANAL, LEFT_FORAMEN, RIGHT_FORAMEN = "canal", "left_foramen", "right_foramen"

# Half of the smallest way between two discs.
_SAME_DISC_MM = 13.0
_MEAN_ABOVE_MM = float(np.mean(anatomy.FORAMEN_ABOVE_MM))
# So high must a canal's peak be to say where the midline is.
_SURE = 0.3
_BATCH = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """A structure of a disc, seen in one stack.

    Attributes:
        stack: where.
        part: CANAL, LEFT_FORAMEN or RIGHT_FORAMEN.
        spot: the structure.
    """

    stack: imaged_study.SliceStack
    part: str
    spot: spots.Spot

    @property
    def height(self) -> float:
        """How high the disc's canal point lies by this view, mm towards the head."""
        above = 0.0 if self.part == CANAL else _MEAN_ABOVE_MM
        return float(self.spot.point[2]) - above


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spine:
    """The discs of a study that were named.

    Attributes:
        levels: views of each level's disc, the best first; empty where none was found.
        numbering: which disc is which.
        frame: UID of the frame of reference.
    """

    levels: tuple[tuple[View, ...], ...]
    numbering: numbering_module.Numbering
    frame: str

    def view(self, level: int, part: str, *, prefers_t1: bool) -> View | None:
        """Returns the best view of a structure: in the preferred weighting if there is one."""
        found = [view for view in self.levels[level] if view.part == part]
        return min(found, key=lambda view: view.stack.is_t1 != prefers_t1, default=None)


def find(
    study: imaged_study.ImagedStudy,
    source: heatmaps.Source,
    temperature: float = numbering_module.TEMPERATURE,
) -> list[Spine]:
    """Returns the spine of each frame of reference, that of the best stacks first."""
    by_frame: dict[str, list[imaged_study.SliceStack]] = {}
    for stack in study.sagittal:
        by_frame.setdefault(stack.frame, []).append(stack)
    return [_number(stacks, source, temperature) for stacks in by_frame.values()]


def _number(
    stacks: Sequence[imaged_study.SliceStack], source: heatmaps.Source, temperature: float
) -> Spine:
    seen = {index: _look(stack, source) for index, stack in enumerate(stacks)}
    discs = _fuse(_views(stacks, seen))
    points = [np.mean([_canal_place(view) for view in disc], axis=0) for disc in discs]
    scores = np.array([_scores(disc) for disc in discs]).reshape(-1, heatmaps.NUM_LEVELS)
    found = numbering_module.number(points, scores, temperature)
    return Spine(
        levels=tuple(
            () if index is None else tuple(sorted(discs[index], key=lambda v: -v.spot.amplitude))
            for index in found.candidates
        ),
        numbering=found,
        frame=stacks[0].frame,
    )


def _look(stack: imaged_study.SliceStack, source: heatmaps.Source) -> list[list[spots.Spot]]:
    """The canal and the foramen spots of a stack; heatmaps of a few slices are held at once."""
    all_windows = windows.around_middles(stack, windows.SAGITTAL_MM)
    maps = (
        heatmap
        for start in range(0, len(all_windows), _BATCH)
        for heatmap in source.sagittal(all_windows[start : start + _BATCH])
    )
    return spots.collect(all_windows, maps, (heatmaps.CANAL, heatmaps.FORAMEN))


def _views(
    stacks: Sequence[imaged_study.SliceStack], seen: Mapping[int, list[list[spots.Spot]]]
) -> list[View]:
    canals = [
        View(stack=stack, part=CANAL, spot=spot)
        for index, stack in enumerate(stacks)
        for spot in seen[index][0]
    ]
    foramina = [(stacks[index], spot) for index in seen for spot in seen[index][1]]
    midline = Midline(
        [view.spot.point for view in canals if view.spot.amplitude >= _SURE]
        or [spot.point for _, spot in foramina]
    )
    return canals + [
        View(
            stack=stack,
            part=LEFT_FORAMEN if midline.offset(spot.point) > 0 else RIGHT_FORAMEN,
            spot=spot,
        )
        for stack, spot in foramina
    ]


class Midline:
    """Where the middle of the spine is between left and right, at any height."""

    def __init__(self, points: Sequence[np.ndarray]) -> None:
        """Args: points lie on it or on both sides of it, mm in the patient."""
        self._points = np.array(points, np.float64).reshape(-1, 3)

    def offset(self, point: np.ndarray) -> float:
        """Returns how far to the patient's left of it a point lies, mm.

        The middle there is the median of what lies within two discs; slices are a few mm apart, so
        that a single point says it badly.
        """
        if not len(self._points):
            return float(point[0])
        apart = np.abs(self._points[:, 2] - point[2])
        near = self._points[apart <= max(2 * anatomy.SPACING_MM[0], float(apart.min()))]
        return float(point[0] - np.median(near[:, 0]))


def _canal_place(view: View) -> np.ndarray:
    """Where the canal point is by a view; of a foramen its height alone is asked for."""
    return np.array([0.0, view.spot.point[1], view.height])


def _fuse(views: Iterable[View]) -> list[list[View]]:
    """Puts the views of a disc together, from head to feet; the surest ones come first."""
    discs: list[list[View]] = []
    for view in sorted(views, key=lambda view: -view.spot.amplitude):
        near = [disc for disc in discs if _takes(disc, view)]
        if near:
            min(near, key=lambda disc: _apart(disc, view)).append(view)
        else:
            discs.append([view])
    return sorted(discs, key=lambda disc: -_height(disc))


def _takes(disc: Sequence[View], view: View) -> bool:
    has_part = any(other.part == view.part and other.stack is view.stack for other in disc)
    return not has_part and _apart(disc, view) <= _SAME_DISC_MM


def _apart(disc: Sequence[View], view: View) -> float:
    return abs(_height(disc) - view.height)


def _height(disc: Sequence[View]) -> float:
    weights = [view.spot.amplitude for view in disc]
    return float(np.average([view.height for view in disc], weights=weights))


def _scores(disc: Sequence[View]) -> np.ndarray:
    """How much a disc looks like each level: the mean of its views, lone ones count less.

    What one structure alone shows may be noise; two that agree seldom are.
    """
    scores = np.array([view.spot.scores for view in disc])
    return scores.mean(axis=0) * (1.0 if len(disc) > 1 else 0.7)
