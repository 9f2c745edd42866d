"""A corrected point: what a reading from the start says, by no more crops than it changes."""

import dataclasses

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.localization import finder
from spine_tf.readings import reading
from spine_tf.rsna import sources
from spine_tf.serving import correction, grader, spec, study_reader

_SERIES = {10: "Sagittal T2/STIR", 11: "Sagittal T1", 12: "Axial T2"}
_ROI = roi_config.RoiConfig(roi_mm=30.0, roi_px=16)


class _Means(grader.Grader):
    """Grades by the mean of a crop, so that a crop of another place has another grade."""

    asked: list

    def answer(self, batch):
        self.asked.extend(row.key for row in batch.rows)
        return np.stack([_shares(image) for image in batch.images])

    def answer_levels(self, levels):
        self.asked.extend(row.key for level in levels for row in level.rows)
        return np.stack([np.tile(_shares(level.image), (5, 1)) for level in levels])


def _shares(image):
    severe = float(image.mean()) / 4096
    return np.array([1 - 1.5 * severe, 0.5 * severe, severe])


class _Once:
    """A finder that looks once at the one study there is."""

    def __init__(self, one):
        self._one, self._found = one, None

    def find(self, source, study):
        self._found = self._found or self._one.find(source, study)
        return self._found


@pytest.fixture(scope="module")
def source(squares_dir):
    return sources.open_source(squares_dir)


@pytest.fixture(scope="module")
def finder_once(squares_localizer_dir):
    return _Once(finder.load(squares_localizer_dir))


@pytest.fixture(params=[False, True], ids=["crops", "levels"], scope="module")
def reader(request, finder_once, tmp_path_factory):
    views = [(name, _SERIES[[10, 11, 11, 12, 12][c]]) for c, name in enumerate(labels.CONDITIONS)]
    served = spec.Spec(
        task="multiclass",
        conditions=labels.CONDITIONS,
        levels=labels.LEVELS,
        class_prior=(0.5, 0.3, 0.2),
        roi=_ROI,
        views=tuple(views) if request.param else (),
    )
    label = reading.Model(name="means", sha256="0")
    one = _Means(label=label, directory=tmp_path_factory.mktemp("x"), served=served)
    object.__setattr__(one, "asked", [])
    one.__dict__["model"] = _Loaded()
    return study_reader.StudyReader(graders=[one], finder=finder_once)


class _Loaded:
    def require(self, served):
        pass


def test_correction_is_what_a_reading_from_the_start_says(reader, source):
    one = reader.read_study(source, 1, _SERIES)
    found = next(row for row in one.result.points if (row.condition, row.level) == (3, 2))
    asked = reader.graders[0].asked
    moved = dataclasses.replace(
        found, x=found.x + 30, y=found.y - 50, confidence=1.0, numbering=(0.0, 1.0, 0.0), flag=""
    )
    asked.clear()
    corrected = correction.correct(reader, one, source, _SERIES, [moved])
    assert {key.split("/")[3] for key in asked} >= {labels.CONDITIONS[3]}
    assert 0 < len(asked) <= (25 if reader.graders[0].served.views else 5)
    again = reader.read_study(source, 1, _SERIES, given=[moved])
    _require_same(corrected, again)
    before = {grade.row_id: grade for grade in one.grades}
    changed = [each for each in corrected.grades if each != before[each.row_id]]
    assert changed
    _require_same(correction.correct(reader, corrected, source, _SERIES, []), one)


def _require_same(one, other):
    assert one.result.points == other.result.points
    assert one.readers == other.readers
    for mine, others in zip(one.grades, other.grades, strict=True):
        assert mine.row_id == others.row_id
        assert mine.answered_by == others.answered_by
        assert mine.remarks == others.remarks
        assert mine.probabilities == pytest.approx(others.probabilities)
