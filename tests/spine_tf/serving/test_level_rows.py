"""Crops of a study, in any order, as the levels that a model is asked about."""

import numpy as np

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.crops import cutting
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations
from spine_tf.serving import level_rows, spec

_PX = 16
_VIEWS = (
    ("spinal_canal_stenosis", "Axial T2"),
    ("spinal_canal_stenosis", "Sagittal T2/STIR"),
    ("left_subarticular_stenosis", "Axial T2"),
)
_SERIES = {(1, 10): "Sagittal T2/STIR", (1, 12): "Axial T2"}


def _served():
    return spec.Spec(
        task="multiclass",
        conditions=labels.CONDITIONS[:1],
        levels=labels.LEVELS,
        class_prior=(0.5, 0.3, 0.2),
        roi=roi_config.RoiConfig(roi_px=_PX),
        views=_VIEWS,
    )


def _row(series, condition, level):
    return annotations.Annotation(
        study_id=1,
        series_id=series,
        instance_number=3,
        condition=condition,
        level=level,
        x=1.0,
        y=1.0,
        label=None,
    )


def _batch(*rows, rejects=()):
    values = [100 * row.series_id + 10 * row.condition + row.level for row in rows]
    return cutting.Batch(
        rows=list(rows),
        images=np.stack([np.full((_PX, _PX, 1), value, np.uint16) for value in values]),
        windows=np.array([[value, value + 1] for value in values], np.float32),
        rejects=list(rejects),
    )


def test_level_comes_when_its_last_crop_has_come_each_in_the_view_of_its_series():
    rows = [_row(10, 0, 2), _row(12, 3, 2), _row(12, 0, 2), _row(10, 0, 4)]
    gathering = level_rows.Gathering(_served(), rows, _SERIES)

    first = list(gathering.add(_batch(rows[0], rows[1])))
    second = list(gathering.add(_batch(rows[2], rows[3])))

    assert first == []
    assert [(one.study_id, one.level) for one in second] == [(1, 2), (1, 4)]
    whole, part = second
    np.testing.assert_array_equal(whole.image[:, 0, 0, 0], [1202, 1002, 1232])
    np.testing.assert_array_equal(whole.window, [1202, 1203, 1002, 1003, 1232, 1233])
    np.testing.assert_array_equal(whole.present, [1, 1, 1])
    np.testing.assert_array_equal(part.present, [0, 1, 0])
    asked = level_rows.inputs(second)
    assert asked["image"].shape == (2, 3, _PX, _PX, 1)
    np.testing.assert_array_equal(asked["level"], [2, 4])


def test_rejected_crop_is_a_missing_view_and_a_level_of_rejects_never_comes():
    rows = [_row(10, 0, 2), _row(12, 3, 2), _row(10, 0, 3)]
    gathering = level_rows.Gathering(_served(), rows, _SERIES)
    rejects = [
        reasons.Reject(key=row.key, reason=reasons.Reason.MISSING_FILE, detail="", file="")
        for row in rows[1:]
    ]
    (found,) = gathering.add(_batch(rows[0], rejects=rejects))
    assert (found.level, found.present.tolist()) == (2, [0, 1, 0])


def test_first_of_several_points_of_a_view_is_looked_at():
    first, other = _row(12, 3, 2), _row(12, 3, 2)
    gathering = level_rows.Gathering(_served(), [first, other], _SERIES)
    (found,) = gathering.add(_batch(first, other))
    assert found.rows == (first, other)
    assert found.image[2, 0, 0, 0] == 1232


def test_canal_on_a_series_of_no_view_is_not_looked_at():
    stray = _row(99, 0, 2)
    gathering = level_rows.Gathering(_served(), [stray, _row(12, 3, 2)], _SERIES)
    (found,) = gathering.add(_batch(stray, _row(12, 3, 2)))
    assert found.present.tolist() == [0, 0, 1]
