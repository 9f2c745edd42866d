"""Answers to rows: mixed by the numbering, averaged over models, explained; no model is asked."""

import pathlib

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.dicom import reasons
from spine_tf.readings import reading
from spine_tf.rsna import annotations, sources
from spine_tf.serving import answers, asked_rows, grader, row_evidence, spec

_CANAL, _LEFT = labels.CONDITIONS[0], labels.CONDITIONS[3]


def _grader(name, conditions=(_CANAL,), levels=labels.LEVELS, prior=(0.5, 0.3, 0.2)):
    """One that is never asked."""
    return grader.Grader(
        label=reading.Model(name=name, sha256="0"),
        directory=pathlib.Path(name),
        served=spec.Spec(
            task="multiclass",
            conditions=tuple(conditions),
            levels=tuple(levels),
            class_prior=prior,
            roi=roi_config.RoiConfig(),
        ),
    )


def _point(level, *, condition=0, numbering=(0.0, 1.0, 0.0), flag=""):
    return annotations.Annotation(
        study_id=7,
        series_id=70,
        instance_number=1,
        condition=condition,
        level=level,
        x=1.0,
        y=1.0,
        label=None,
        numbering=numbering,
        flag=flag,
    )


def _grades(graders, added, *, asked=None, rejects=(), points=()):
    found = answers.Answers(graders)
    for model, row, probabilities in added:
        found.add(model, row, np.array(probabilities, np.float32))
    evidence = row_evidence.Evidence()
    evidence.add_points([*points, *(row for _, row, _ in added)])
    evidence.add_rejects(rejects)
    asked = asked or asked_rows.asked_of_models(graders, [7])
    return {one.row_id: evidence.grade(one, found) for one in asked}, evidence


def test_row_mixes_its_level_and_those_beside_it():
    doubtful = (0.2, 0.7, 0.1)
    added = [(0, _point(level, numbering=doubtful), np.eye(3)[level % 3]) for level in range(5)]
    grades, _ = _grades([_grader("a")], added)
    # L3/L4, of level 2: its own by .7, L2/L3's point by .1 (one lower), L4/L5's by .2 (one higher).
    middle = grades["7_spinal_canal_stenosis_l3_l4"]
    assert middle.probabilities == pytest.approx((0.2, 0.1, 0.7))
    top = grades["7_spinal_canal_stenosis_l1_l2"]
    assert top.probabilities == pytest.approx((0.7 / 0.9, 0.2 / 0.9, 0))
    assert {one.answered_by for one in grades.values()} == {"model"}


def test_share_of_a_neighbour_alone_answers_nothing():
    grades, _ = _grades([_grader("a")], [(0, _point(2, numbering=(0.4, 0.6, 0)), (0, 0, 1))])
    above = grades["7_spinal_canal_stenosis_l2_l3"]
    assert (above.answered_by, above.probabilities) == ("prior", (0.5, 0.3, 0.2))
    assert [one.reason for one in above.remarks] == ["no_coordinate"]


def test_models_answer_what_each_grades_and_their_mean_where_both_do():
    both = [_grader("a", [_CANAL]), _grader("b", [_CANAL, _LEFT], prior=(0.2, 0.2, 0.6))]
    added = [
        (0, _point(0), (1, 0, 0)),
        (1, _point(0), (0, 1, 0)),
        (1, _point(0, condition=3), (0, 0, 1)),
    ]
    grades, _ = _grades(both, added)
    shared = grades["7_spinal_canal_stenosis_l1_l2"]
    assert (shared.models, shared.probabilities) == (("a", "b"), (0.5, 0.5, 0.0))
    alone = grades["7_left_subarticular_stenosis_l1_l2"]
    assert (alone.models, alone.probabilities) == (("b",), (0, 0, 1))
    assert grades["7_spinal_canal_stenosis_l5_s1"].probabilities == pytest.approx((0.35, 0.25, 0.4))
    assert grades["7_left_subarticular_stenosis_l5_s1"].probabilities == pytest.approx(
        (0.2, 0.2, 0.6)
    )


def test_weights_of_the_competition_are_of_what_was_averaged():
    found = answers.Answers([_grader("a")], is_competition_weighted=True)
    found.add(0, _point(0, numbering=(0.0, 0.75, 0.25)), np.array([1.0, 0.0, 0.0]))
    found.add(0, _point(1), np.array([0.0, 0.0, 1.0]))
    mixed = found.probabilities(asked_rows.Target(7, 0, 1))
    np.testing.assert_allclose(mixed, np.array([0.2, 0, 0.8]) * (1, 2, 4))
    np.testing.assert_allclose(found.probabilities(None), np.array([0.5, 0.3, 0.2]) * (1, 2, 4))


def test_every_row_says_by_what_it_was_answered_and_why():
    flagged = _point(0, flag="numbering faint")
    lost = reasons.Reject(
        key="7/70/1/spinal_canal_stenosis/l2_l3",
        reason=reasons.Reason.MISSING_FILE,
        detail="gone",
        file="x.dcm",
    )
    other = reasons.Reject(
        key="9/90/1/spinal_canal_stenosis/l2_l3",
        reason=reasons.Reason.UNKNOWN_SERIES,
        detail="d",
        file="",
    )
    grades, evidence = _grades([_grader("a")], [(0, flagged, (1, 0, 0))], rejects=[lost, other])
    own = grades["7_spinal_canal_stenosis_l1_l2"]
    assert own.answered_by == "model, flagged"
    (why,) = own.remarks
    assert why.reason == "faint numbering"
    assert "one level too high or too low" in why.detail
    gone = grades["7_spinal_canal_stenosis_l2_l3"]
    assert gone.answered_by == "prior"
    assert gone.remarks == (reading.Remark(reason="missing_file", detail="gone", file="x.dcm"),)
    asked = asked_rows.asked_of_models([_grader("a")], [7])
    assert [name for name, _ in evidence.unasked(asked)] == ["9_spinal_canal_stenosis_l2_l3"]


def _sample(tmp_path, text, side="test"):
    (tmp_path / "sample_submission.csv").write_text(text)
    return sources.Folder(directory=tmp_path, side=side)


def test_sample_decides_rows_and_their_order(tmp_path):
    names = [
        "8_right_subarticular_stenosis_l5_s1",
        "7_spinal_canal_stenosis_l1_l2",
        "7_spinal_canal_stenosis_l9",
        "7_left_subarticular_stenosis_l1_l2",
    ]
    lines = "".join(f"{name},0.3,0.3,0.4\r\n" for name in names)
    text = f"row_id,normal_mild,moderate,severe\r\n{lines}"
    graders = [_grader("a")]
    task = graders[0].served.task_spec
    asked = asked_rows.asked_of_sample(_sample(tmp_path, text), task)
    grades, _ = _grades(graders, [(0, _point(0), (1, 0, 0))], asked=asked)
    assert list(grades) == names
    assert [one.remarks[0].reason if one.remarks else "" for one in grades.values()] == [
        *("no_model", "", "unknown_row", "no_model")
    ]
    assert asked_rows.asked_of_sample(_sample(tmp_path, text, "train"), task) is None
    assert asked_rows.asked_of_sample(_sample(tmp_path, text), labels.TASKS["binary"]) is None
    with pytest.raises(ValueError, match=r"sample_submission\.csv has no column 'row_id'"):
        asked_rows.asked_of_sample(_sample(tmp_path, "id,severe\n1,1\n"), task)
