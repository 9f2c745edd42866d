"""From a patient and a slice to stored pixels."""

import dataclasses

import numpy as np
from scipy import ndimage

from spine_tf.synthesis import (
    lesions,
    patient as patient_module,
    protocol,
    sequence as sequence_module,
    stenosis,
    structure,
    surroundings,
    torso,
    vertebrae,
)

# Layers through the thickness of a slice that are averaged, as fractions of it.
_LAYERS = (-0.25, 0.25)
_LARGEST_STORED = 4095
_KNOT_PX = 6
_TEXTURE_PX = 512
_BENT_MM = 1.0


def make_structures(patient: patient_module.Patient) -> tuple[structure.Structure, ...]:
    """Returns all structures of a patient in the order of painting: later ones cover earlier.

    Discs come before bodies, whose hollow end plates cut them to a lens, and after the sac, which
    they dent; facets and flavum come last around the canal and give it its shape.
    """
    return (
        *torso.make_vessels(patient),
        *torso.make_muscles(patient),
        *stenosis.make_epidural_fat(patient),
        *stenosis.make_foraminal_fat(patient),
        *stenosis.make_sac(patient),
        *vertebrae.make_discs(patient),
        *vertebrae.make_pedicles(patient),
        *vertebrae.make_bodies(patient),
        *vertebrae.make_pedicle_roots(patient),
        *vertebrae.make_arches(patient),
        *lesions.make_lesions(patient),
        *stenosis.make_exiting_roots(patient),
        *stenosis.make_flavum(patient),
        *stenosis.make_facets(patient),
        *stenosis.make_traversing_roots(patient),
    )


class Scanner:
    """Takes slices of one patient; what they share is computed once."""

    def __init__(self, patient: patient_module.Patient, rng: np.random.Generator) -> None:
        self._patient = patient
        self._structures = make_structures(patient)
        self._torso = torso.make_torso(patient)
        self._textures = _draw_textures(rng)
        if patient.around is not None:
            self._mottles = _draw_mottles(rng)
        self._sagittal: dict[protocol.Slice, structure.Grid] = {}

    def image(
        self,
        plane: protocol.Slice,
        sequence: sequence_module.Sequence,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Returns the stored pixels of a slice, uint16 (rows, columns) of 12 bits."""
        acquired = plane.resampled(sequence.acquired_mm)
        signal = self.signal(acquired, sequence, rng)
        image = sequence_module.acquire(signal, plane.shape, sequence, rng)
        stored = np.rint(image * np.float32(sequence.largest))
        return np.clip(stored, 0, _LARGEST_STORED).astype("<u2")

    def signal(
        self,
        plane: protocol.Slice,
        sequence: sequence_module.Sequence,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Returns the signal before acquisition, float32 (rows, columns)."""
        x, y, z = plane.coordinates()
        fine, coarse = self._textures.cut(plane.shape, rng)
        back = torso.background(self._torso, sequence, x, y, z, coarse)
        edge = max(plane.spacing) / self._patient.scale
        total = np.zeros(plane.shape, np.float32)
        for layer in _LAYERS:
            image = back.copy()
            points = self._grid(plane, layer * plane.thickness)
            structure.paint(image, self._structures, sequence.signals, points, edge)
            total += image
        total *= np.float32(1 / len(_LAYERS)) * (1 + np.float32(0.05) * fine)
        if self._patient.around is not None:
            streaks, patches = self._mottles.cut(plane.shape, rng)
            front = torso.behind_wall(self._torso, y, z)
            around = self._patient.around
            total *= surroundings.texture_gain(around, front, points.v, streaks, patches)
        return total * torso.illumination(self._torso, sequence, x, y, z)

    def _grid(self, plane: protocol.Slice, depth: float) -> structure.Grid:
        scale = self._patient.scale
        x, y, z = plane.coordinates(depth)
        if y.shape[1] == 1:
            v, s = self._locate(y, z)
            u = (x - self._aside(v, s)) / scale
            return structure.make_grid(u.astype(np.float32), v, s)
        if plane.row_direction[0]:  # oblique: nothing is shared
            v, s = self._locate(y, z)
            u = (x - self._patient.lateral(s)) / np.float32(scale)
            return structure.make_grid(u.astype(np.float32), v, s)
        key = dataclasses.replace(plane, position=(0.0, *plane.position[1:]))
        if key not in self._sagittal:
            v, s = self._locate(y, z)
            self._sagittal[key] = structure.make_grid(np.zeros((1, 1), np.float32), v, s)
        shared = self._sagittal[key]
        u = (x.astype(np.float32) - self._patient.lateral(shared.s)) / np.float32(scale)
        return shared.with_u(u)

    def _aside(self, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Returns how far the spine lies beside the middle: alike in a slice if it hardly bends."""
        middle = np.interp(5.0, v[:, 0], s[:, 0])
        if self._patient.is_bent:
            aside = self._patient.lateral(s)
            near = aside[np.abs(v) < 40]
            if near.size and np.ptp(near) > _BENT_MM:
                return aside
        return self._patient.lateral(middle)

    def _locate(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns (v, s), worked out on every sixth row and column: they are smooth."""
        shape, scale = y.shape, self._patient.scale
        rows, columns = (_knots(size) for size in shape)
        v, s = self._patient.spine.locate(y[np.ix_(rows, columns)], z[np.ix_(rows, columns)])
        v, s = (_filled(_filled(values, rows, 0), columns, 1) for values in (v, s))
        return (v / scale).astype(np.float32), (s / scale).astype(np.float32)


def _knots(size: int) -> np.ndarray:
    return np.unique(np.append(np.arange(0, size, _KNOT_PX), size - 1))


def _filled(values: np.ndarray, knots: np.ndarray, axis: int) -> np.ndarray:
    """Interpolates linearly between knots along one axis."""
    pixels = np.arange(knots[-1] + 1)
    upper = np.searchsorted(knots, pixels)
    lower = np.maximum(upper - 1, 0)
    part = (knots[upper] - pixels) / np.maximum(knots[upper] - knots[lower], 1)
    part = part[:, None] if axis == 0 else part
    return part * values.take(lower, axis) + (1 - part) * values.take(upper, axis)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Textures:
    """Mottle of tissues: random fields that a study draws once and its slices cut at random.

    Periodic, of mean 0 and standard deviation 1, float32 (512, 512).

    Attributes:
        fine: speckle of marrow and muscle.
        coarse: patches of the size of bowel loops.
    """

    fine: np.ndarray
    coarse: np.ndarray

    def cut(
        self, shape: tuple[int, int], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the same random window of both fields, of the given shape."""
        rows = (np.arange(shape[0]) + rng.integers(_TEXTURE_PX)) % _TEXTURE_PX
        columns = (np.arange(shape[1]) + rng.integers(_TEXTURE_PX)) % _TEXTURE_PX
        return (
            self.fine.take(rows, axis=0).take(columns, axis=1),
            self.coarse.take(rows, axis=0).take(columns, axis=1),
        )


def _draw_textures(rng: np.random.Generator) -> _Textures:
    """Draws the fields of one study."""
    noise = rng.standard_normal((_TEXTURE_PX, _TEXTURE_PX), dtype=np.float32)
    fine = ndimage.gaussian_filter(noise, 1.2, mode="wrap", truncate=2.5)
    patches = rng.standard_normal((_TEXTURE_PX // 8, _TEXTURE_PX // 8), dtype=np.float32)
    patches = ndimage.gaussian_filter(patches, 1.4, mode="wrap")
    coarse = ndimage.zoom(patches, 8, order=1, mode="grid-wrap", grid_mode=True)
    return _Textures(fine=_standardized(fine), coarse=_standardized(coarse))


def _draw_mottles(rng: np.random.Generator) -> _Textures:
    """Draws streaks along the back, as `fine`, and patches in the marrow, as `coarse`."""
    noise = rng.standard_normal((2, _TEXTURE_PX, _TEXTURE_PX), dtype=np.float32)
    streaks = ndimage.gaussian_filter(noise[0], (6.0, 1.4), mode="wrap", truncate=2.5)
    patches = ndimage.gaussian_filter(noise[1], 3.0, mode="wrap", truncate=2.5)
    return _Textures(fine=_standardized(streaks), coarse=_standardized(patches))


def _standardized(field: np.ndarray) -> np.ndarray:
    return ((field - field.mean()) / field.std()).astype(np.float32)
