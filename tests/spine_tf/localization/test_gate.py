"""Graded, flagged, or left to the prior; and how sure, by all signals together."""

import dataclasses

import pytest

from spine_tf.localization import gate

_SURE = gate.Signals(condition=0, amplitude=0.9, probabilities=(0.01, 0.98, 0.01))


def test_sure_point_has_no_flag():
    verdict = gate.judge(_SURE)
    assert (verdict.missing, verdict.flag) == (None, "")
    assert verdict.confidence == pytest.approx(0.98 * 0.9)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"probabilities": (0.2, 0.75, 0.05)}, "numbering"),
        ({"deviation": 3.5}, "routes"),
        ({"study_deviation": 2.0}, "routes"),
        ({"amplitude": 0.2}, "faint"),
        ({"condition": 1, "apart_mm": 20.0}, "distance"),
        ({"condition": 1, "apart_mm": 45.0}, "distance"),
        ({"condition": 3, "apart_mm": 5.0}, "distance"),
        ({"known": frozenset({gate.Doubt.SACRUM})}, "sacrum"),
    ],
)
def test_each_signal_flags_and_makes_less_sure(change, flag):
    verdict = gate.judge(dataclasses.replace(_SURE, **change))
    assert (verdict.missing, verdict.flag) == (None, flag)
    assert verdict.confidence < gate.judge(_SURE).confidence


def test_distance_of_the_right_structures_is_no_doubt():
    for condition, apart_mm in ((1, 31.0), (3, 17.0)):
        signals = dataclasses.replace(_SURE, condition=condition, apart_mm=apart_mm)
        assert not gate.judge(signals).flag


@pytest.mark.parametrize(
    ("condition", "right", "missing"),
    [
        (0, 0.39, gate.Missing.WRONG_LEVEL),
        (0, 0.41, None),
        (3, 0.32, gate.Missing.WRONG_LEVEL),
        (3, 0.34, None),
        (1, 0.34, None),
    ],
)
def test_prior_takes_over_where_the_level_is_more_probably_wrong(condition, right, missing):
    rest = (1 - right) / 2
    signals = dataclasses.replace(_SURE, condition=condition, probabilities=(rest, right, rest))
    assert gate.judge(signals).missing == missing


def test_what_is_hardly_seen_is_left_to_the_prior():
    assert gate.judge(dataclasses.replace(_SURE, amplitude=0.1)).missing == gate.Missing.TOO_FAINT


def test_flags_stand_in_the_order_of_the_checks():
    signals = dataclasses.replace(
        _SURE, amplitude=0.2, deviation=9.0, known=frozenset({gate.Doubt.SERIES})
    )
    assert gate.judge(signals).flag == "routes faint series"
