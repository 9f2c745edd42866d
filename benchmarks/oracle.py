"""Heatmaps of what is known: the truth, as a network of chosen faults would draw it.

What decodes heatmaps is proven with it before there is a network, and apart from one. Everything it
draws follows from its seed, whatever the windows come in.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from spine_tf.crops import imaged_study, landmark_kinds, windows as windows_module
from spine_tf.dicom import geometry
from spine_tf.localization import heatmaps

CANAL, FORAMEN, LEFT_RECESS, RIGHT_RECESS = "canal", "foramen", "left_recess", "right_recess"


class Structure(NamedTuple):
    """A structure of a patient.

    Attributes:
        kind: CANAL, FORAMEN, LEFT_RECESS or RIGHT_RECESS.
        level: index into LEVELS; -1 and 5 are the discs above and below.
        point: mm in the patient, float64 (3,).
    """

    kind: str
    level: int
    point: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Faults:
    """What is wrong with what is drawn.

    Attributes:
        blur: width of a peak against the usual one.
        displacement_mm: standard deviation of where a structure is seen, in the plane.
        missed: share of the structures that are not seen.
        false_peaks: mean number of peaks a slice where there is nothing.
        noise: standard deviation of every pixel.
        leak: so high, at most, a disc is seen in the channels of its neighbours.
    """

    blur: float = 1.0
    displacement_mm: float = 0.0
    missed: float = 0.0
    false_peaks: float = 0.0
    noise: float = 0.0
    leak: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Known:
    """A study and what is in it.

    Attributes:
        study: its stacks.
        structures: what they show, where that is in the patient.
        confusion: how sure the network is that discs are the one (-1) above or below (1) what they
            are: (shift, share of the amplitude).
        drawn_at: series -> mm by which its content lies off what its headers say.
    """

    study: imaged_study.ImagedStudy
    structures: Sequence[Structure]
    confusion: tuple[int, float] = (0, 0.0)
    drawn_at: Mapping[int, np.ndarray] = dataclasses.field(default_factory=dict)


class _Seen(NamedTuple):
    """A structure in a stack: the plane it is on, its place there, and its height."""

    structure: Structure
    plane: int
    point: np.ndarray
    height: float


class Oracle:
    """Draws heatmaps of known studies; a `heatmaps.Source`."""

    def __init__(self, known: Iterable[Known], faults: Faults | None = None, seed: int = 0) -> None:
        """Args: known holds all studies that will be asked for."""
        self._faults = faults or Faults()
        self._seed = seed
        self._known = {one.study.study_id: one for one in known}
        self._planes: dict[tuple[int, int], tuple[imaged_study.SliceStack, int]] = {}
        self._seen: dict[int, list[_Seen]] = {}
        for one in self._known.values():
            for stack in one.study.stacks:
                for plane, number in enumerate(stack.numbers):
                    self._planes[stack.series_id, number] = stack, plane

    def sagittal(self, windows: Sequence[windows_module.Window]) -> np.ndarray:
        """See `heatmaps.Source`."""
        return self._draw(windows, heatmaps.SAGITTAL_CHANNELS, (CANAL, FORAMEN))

    def axial(self, windows: Sequence[windows_module.Window]) -> np.ndarray:
        """See `heatmaps.Source`."""
        return self._draw(windows, heatmaps.AXIAL_CHANNELS, (LEFT_RECESS, RIGHT_RECESS))

    def _draw(
        self, windows: Sequence[windows_module.Window], num_channels: int, kinds: Sequence[str]
    ) -> np.ndarray:
        return np.stack([self._draw_one(window, num_channels, kinds) for window in windows])

    def _draw_one(
        self, window: windows_module.Window, num_channels: int, kinds: Sequence[str]
    ) -> np.ndarray:
        rng = self._generator(window.series_id, window.instance_number)
        blobs = [
            *self._true_blobs(window, kinds),
            *self._false_blobs(num_channels, rng),
        ]
        sigma_px = landmark_kinds.SIGMA_MM / window.pixel_mm * self._faults.blur
        drawn = heatmaps.draw(blobs, num_channels, sigma_px)
        if self._faults.noise:
            noise = rng.standard_normal(drawn.shape[:2], np.float32)
            drawn += self._faults.noise * noise[:, :, None]
        return drawn

    def _generator(self, *of: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *of])

    def _true_blobs(
        self, window: windows_module.Window, kinds: Sequence[str]
    ) -> Iterable[heatmaps.Blob]:
        stack, plane = self._planes[window.series_id, window.instance_number]
        known = self._known[window.study_id]
        for seen in self._seen_in(known, stack):
            steps = abs(seen.plane - plane)
            if seen.structure.kind not in kinds or steps >= len(landmark_kinds.AMPLITUDES):
                continue
            (x, y), _ = window.locate(seen.point.tolist())
            height = seen.height * landmark_kinds.AMPLITUDES[steps]
            for channel, share in self._channels(seen.structure, known.confusion):
                yield heatmaps.Blob(channel, x, y, height * share)

    def _seen_in(self, known: Known, stack: imaged_study.SliceStack) -> list[_Seen]:
        """What the stack shows; drawn once, so that a structure is at one place on all slices."""
        key = id(stack)
        if key not in self._seen:
            rng = self._generator(stack.series_id, stack.numbers[0])
            shift = known.drawn_at.get(stack.series_id, np.zeros(3))
            looks = (self._look(one, stack, shift, rng) for one in known.structures)
            self._seen[key] = [one for one in looks if one is not None]
        return self._seen[key]

    def _look(
        self,
        structure: Structure,
        stack: imaged_study.SliceStack,
        shift: np.ndarray,
        rng: np.random.Generator,
    ) -> _Seen | None:
        displaced = rng.normal(0, 1, 3) * self._faults.displacement_mm
        height, chance = rng.uniform(0.75, 1.0), rng.random()
        normal = np.array(stack.normal)
        point = structure.point + shift
        located = [geometry.locate(point.tolist(), header) for header in stack.headers]
        distances = [abs(distance) for _, distance in located]
        plane = distances.index(min(distances))
        (x, y), header = located[plane][0], stack.headers[plane]
        gap = stack_gap_mm(stack)
        is_on = 0 <= x < header.columns and 0 <= y < header.rows and min(distances) <= gap
        if not is_on or chance < self._faults.missed:
            return None
        point = point + displaced - (displaced @ normal) * normal
        return _Seen(structure, plane, point, height)

    def _channels(
        self, structure: Structure, confusion: tuple[int, float]
    ) -> Iterable[tuple[int, float]]:
        """The channels that a structure is seen in, each with its share of the amplitude."""
        if structure.kind in (LEFT_RECESS, RIGHT_RECESS):
            yield (LEFT_RECESS, RIGHT_RECESS).index(structure.kind), 1.0
            return
        first = 0 if structure.kind == CANAL else heatmaps.NUM_LEVELS
        shift, share = confusion
        shares = {structure.level: 1.0 - share if shift else 1.0}
        if shift:
            shares[structure.level + shift] = share
        for step in (-1, 1):
            shares.setdefault(structure.level + step, self._faults.leak)
        for level, height in shares.items():
            if 0 <= level < heatmaps.NUM_LEVELS and height > 0:
                yield first + level, height

    def _false_blobs(self, num_channels: int, rng: np.random.Generator) -> Iterable[heatmaps.Blob]:
        for _ in range(rng.poisson(self._faults.false_peaks)):
            x, y = rng.uniform(0, windows_module.SIDE_PX, 2)
            channel = int(rng.integers(num_channels))
            yield heatmaps.Blob(channel, float(x), float(y), float(rng.uniform(0.2, 0.7)))


def stack_gap_mm(stack: imaged_study.SliceStack) -> float:
    """Returns how far a structure may be from the nearest plane to be seen on it."""
    first = stack.headers[0].position or (0.0, 0.0, 0.0)
    last = stack.headers[-1].position or first
    length = abs(
        geometry.position_along(stack.normal, last) - geometry.position_along(stack.normal, first)
    )
    return max(length / max(len(stack.numbers) - 1, 1), 4.0)
