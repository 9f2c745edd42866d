"""Phantom studies without pixels: sound, varied, or with a planted fault, to prove decoding on.

The geometry of a study takes milliseconds, its images seconds. The truth is where structures are,
not where simulated readers mark them, 2 mm off.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import oracle

from spine_tf import labels
from spine_tf.crops import imaged_study
from spine_tf.dicom import header
from spine_tf.rsna import annotations
from spine_tf.synthesis import (
    patient as patient_module,
    phantom_config,
    protocol,
    sequence,
    variation,
)

SOUND, VARIED, OUT_OF_VIEW = "sound", "varied", "varied, sacrum unseen"
_BEHIND_MM = 8.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A study whose truth is known.

    Attributes:
        known: what an oracle draws.
        truth: the points that are right, in the order of conditions and levels; of rows that the
            study's series show.
        fault: what was planted, or SOUND; VARIED, OUT_OF_VIEW of varied studies.
    """

    known: oracle.Known
    truth: tuple[annotations.Annotation, ...]
    fault: str


def make(index: int, fault: str = SOUND, seed: int = 0) -> Case:
    """Returns study `index` of a phantom with as many slices as real studies have.

    Args:
        index: the study's number, from 0.
        fault: SOUND or one of FAULTS.
        seed: seed of everything random.
    """
    rng = np.random.default_rng([seed, index])
    config = phantom_config.PhantomConfig(axial_slices_per_level=5, sagittal_slices=15)
    patient = patient_module.make_patient(rng)
    all_series = protocol.make_series(patient, config, 1000 * (index + 1), rng)
    study_id = index + 1
    scene = _Scene(
        series=all_series, structures=_structures(patient), patient=patient, confusion=(0, 0.0)
    )
    if fault != SOUND:
        scene = FAULTS[fault](scene, rng)
    return _make_case(study_id, scene, fault)


def make_varied(index: int, seed: int = 0) -> Case:
    """Returns study `index` of a varied phantom.

    Where no sagittal slice shows the disc below the lowest graded one, nothing tells which disc is
    the lowest, and the oracle is unsure of it as a network would be.
    """
    config = phantom_config.PhantomConfig(seed=seed, varied=phantom_config.PARTS)
    varied, rng = variation.Study(config, index), np.random.default_rng([seed, index])
    patient = varied.make_patient(rng)
    all_series = varied.make_series(patient, 1000 * (index + 1), rng)
    scene = _Scene(
        series=all_series,
        structures=_structures(patient),
        patient=patient,
        confusion=(0, 0.0),
        is_cut=True,
    )
    if _sees(scene, patient.sacral_s):
        return _make_case(index + 1, scene, VARIED)
    keeps_lowest = _sees(scene, float(patient.level_s[-1]))
    scene = dataclasses.replace(scene, confusion=_draw_confusion(keeps_lowest, rng))
    return _make_case(index + 1, scene, OUT_OF_VIEW)


def _sees(scene: "_Scene", s: float) -> bool:
    point = scene.patient.position(0.0, _BEHIND_MM, s)
    return any(one.find(point) for one in scene.series if one.description != sequence.AXIAL_T2)


def _make_case(study_id: int, scene: "_Scene", fault: str) -> Case:
    study = imaged_study.ImagedStudy(
        study_id=study_id,
        stacks=tuple(
            stack
            for series in scene.series
            for stack in imaged_study.split(
                study_id, series.series_id, series.description, _headers(series)
            )
        ),
    )
    known = oracle.Known(
        study=study,
        structures=scene.structures,
        confusion=scene.confusion,
        drawn_at=scene.drawn_at,
    )
    return Case(known=known, truth=_truth(study_id, scene), fault=fault)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Scene:
    """What a fault may change."""

    series: tuple[protocol.Series, ...]
    structures: tuple[oracle.Structure, ...]
    patient: patient_module.Patient
    confusion: tuple[int, float]
    drawn_at: Mapping[int, np.ndarray] = dataclasses.field(default_factory=dict)
    is_cut: bool = False


def _structures(patient: patient_module.Patient) -> tuple[oracle.Structure, ...]:
    found = []
    for condition in labels.CONDITIONS:
        for index, level in enumerate(labels.LEVELS):
            point = patient.landmark(condition, level)
            found.append(oracle.Structure(_kind(condition), index, point))
    # The canal at T12/L1 and S1/S2 looks like that of their neighbours.
    upper = patient.disc_s[patient.build.num_above - 1]
    for outside, s in ((-1, upper), (5, patient.sacral_s)):
        point = patient.position(0.0, _BEHIND_MM, float(s))
        found.append(oracle.Structure(oracle.CANAL, outside, point))
    return tuple(found)


def _kind(condition: str) -> str:
    if "subarticular" in condition:
        return f"{labels.side_of(condition)}_recess"
    return oracle.FORAMEN if "foraminal" in condition else oracle.CANAL


def _headers(series: protocol.Series) -> dict[int, header.Header]:
    return {
        number: header.Header(
            rows=plane.shape[0],
            columns=plane.shape[1],
            bits_allocated=16,
            bits_stored=12,
            high_bit=11,
            is_signed=False,
            is_inverted=False,
            slope=1.0,
            intercept=0.0,
            spacing=plane.spacing,
            position=plane.position,
            orientation=(*plane.row_direction, *plane.column_direction),
        )
        for number, plane in enumerate(series.slices, start=1)
    }


def _truth(study_id: int, scene: _Scene) -> tuple[annotations.Annotation, ...]:
    rows = []
    for condition, name in enumerate(labels.CONDITIONS):
        for level, level_name in enumerate(labels.LEVELS):
            fitting = [one for one in scene.series if one.description == _shown_on(name)]
            point = scene.patient.landmark(name, level_name)
            if fitting and (mark := _mark(study_id, fitting, point, condition, level, scene)):
                rows.append(mark)
    return tuple(rows)


def _shown_on(condition: str) -> str:
    if "subarticular" in condition:
        return sequence.AXIAL_T2
    return sequence.SAGITTAL_T1 if "foraminal" in condition else sequence.SAGITTAL_T2


def _mark(
    study_id: int,
    fitting: list[protocol.Series],
    point: np.ndarray,
    condition: int,
    level: int,
    scene: _Scene,
) -> annotations.Annotation | None:
    """The point on the nearest slice of the series that lies nearest, None where that ends."""

    def place(series: protocol.Series) -> np.ndarray:
        return point + scene.drawn_at.get(series.series_id, 0.0)

    def distance(series: protocol.Series) -> float:
        return abs(series.slices[series.nearest(place(series))].project(place(series))[2])

    if scene.is_cut:
        fitting = [one for one in fitting if one.find(place(one))]
    if not fitting:
        return None
    series = min(fitting, key=distance)
    index = series.nearest(place(series))
    x, y, _ = series.slices[index].project(place(series))
    rows, columns = series.slices[index].shape
    if not (0 <= x < columns and 0 <= y < rows):
        return None
    return annotations.Annotation(
        study_id=study_id,
        series_id=series.series_id,
        instance_number=index + 1,
        condition=condition,
        level=level,
        x=x,
        y=y,
        label=None,
    )


# ---- Faults.


def _sacrum_cut_off(scene: _Scene, rng: np.random.Generator) -> _Scene:
    """Sagittal slices end above the lowest disc, or just below it; the network then guesses."""
    keeps_lowest = bool(rng.random() < 0.5)
    level = labels.LEVELS[4 if keeps_lowest else 3]
    lowest = scene.patient.landmark(labels.CONDITIONS[0], level)
    series = tuple(
        one if one.description == sequence.AXIAL_T2 else _cut_below(one, lowest)
        for one in scene.series
    )
    confusion = _draw_confusion(keeps_lowest, rng)
    return dataclasses.replace(scene, series=series, confusion=confusion)


def _draw_confusion(keeps_lowest: bool, rng: np.random.Generator) -> tuple[int, float]:
    """The lowest disc that is seen passes for L5/S1 the more, the less is seen below it."""
    share = float(rng.uniform(0.1, 0.55) if keeps_lowest else rng.uniform(0.3, 0.8))
    return int(rng.choice([-1, 1])) if keeps_lowest else 1, share


_BELOW_MM = 14.0


def _cut_below(series: protocol.Series, point: np.ndarray) -> protocol.Series:
    slices = tuple(
        dataclasses.replace(
            plane,
            shape=(
                min(plane.shape[0], round(plane.project(point)[1] + _BELOW_MM / plane.spacing[0])),
                plane.shape[1],
            ),
        )
        for plane in series.slices
    )
    return dataclasses.replace(series, slices=slices)


def _axial_shifted(scene: _Scene, rng: np.random.Generator) -> _Scene:
    """The axial series show what lies one level higher or lower: the patient moved."""
    discs = [scene.patient.landmark(labels.CONDITIONS[0], level) for level in labels.LEVELS]
    step = (discs[3] - discs[2]) * float(rng.choice([-1.0, 1.0]))
    shift = np.array([0.0, 0.0, step[2]])
    axial = [one.series_id for one in scene.series if one.description == sequence.AXIAL_T2]
    return dataclasses.replace(scene, drawn_at=dict.fromkeys(axial, shift))


def _tags_swapped(scene: _Scene, rng: np.random.Generator) -> _Scene:
    """T1 is called T2 and the other way round."""
    names = {
        sequence.SAGITTAL_T1: sequence.SAGITTAL_T2,
        sequence.SAGITTAL_T2: sequence.SAGITTAL_T1,
    }
    series = tuple(
        dataclasses.replace(one, description=names.get(one.description, one.description))
        for one in scene.series
    )
    return dataclasses.replace(scene, series=series)


def _series_missing(scene: _Scene, rng: np.random.Generator) -> _Scene:
    """All series of one description are missing."""
    name = str(rng.choice(sorted({one.description for one in scene.series})))
    series = tuple(one for one in scene.series if one.description != name)
    return dataclasses.replace(scene, series=series)


def _two_stacks(scene: _Scene, rng: np.random.Generator) -> _Scene:
    """The axial series holds a second stack of another tilt, with fewer slices."""
    axial = next(one for one in scene.series if one.description == sequence.AXIAL_T2)
    angle = float(rng.uniform(0.15, 0.3))
    turned = tuple(_turned(plane, angle) for plane in axial.slices[::2])
    doubled = dataclasses.replace(axial, slices=axial.slices + turned)
    series = tuple(doubled if one is axial else one for one in scene.series)
    return dataclasses.replace(scene, series=series)


def _turned(plane: protocol.Slice, angle: float) -> protocol.Slice:
    """A slice turned around its own left-right axis, by its middle."""
    down = np.array(plane.column_direction)
    turned = np.cos(angle) * down + np.sin(angle) * plane.normal
    half_mm = (plane.shape[0] - 1) / 2 * plane.spacing[0]
    position = np.array(plane.position) + half_mm * (down - turned)
    return dataclasses.replace(
        plane, position=tuple(position.tolist()), column_direction=tuple(turned.tolist())
    )


FAULTS: Mapping[str, Callable[[_Scene, np.random.Generator], _Scene]] = {
    "sacrum_cut_off": _sacrum_cut_off,
    "axial_shifted": _axial_shifted,
    "tags_swapped": _tags_swapped,
    "series_missing": _series_missing,
    "two_stacks": _two_stacks,
}
