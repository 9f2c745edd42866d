"""A figure and the words it is written in: one notation for all of them."""

import dataclasses

import pytest

from spine_tf.scoring import figure
from tfrecords import json_object

WHOLE = figure.Figure(value=0.7064, low=0.62, high=0.79)
BARE = figure.Figure(value=0.7064)
NONE = figure.Figure(reason="no example is Severe")


@pytest.mark.parametrize(
    ("found", "words", "change", "percent", "points"),
    [
        (
            WHOLE,
            "0.706 (0.620 to 0.790)",
            "+0.706 (+0.620 to +0.790)",
            "70.6\u202f% (62.0 to 79.0)",
            "+70.6 points (+62.0 to +79.0)",
        ),
        (BARE, "0.706", "+0.706", "70.6\u202f%", "+70.6 points"),
        (NONE, *["undefined"] * 4),
        (
            figure.Figure(value=-0.01, low=-0.05, high=0.044),
            "-0.010 (-0.050 to 0.044)",
            "-0.010 (-0.050 to +0.044)",
            "-1.0\u202f% (-5.0 to 4.4)",
            "-1.0 points (-5.0 to +4.4)",
        ),
    ],
)
def test_figure_has_one_notation(found, words, change, percent, points):
    assert found.in_words() == words
    assert found.change_in_words() == change
    assert found.in_percent() == percent
    assert found.change_in_points() == points


def test_digits_may_be_more_or_fewer():
    assert WHOLE.in_words(2) == "0.71 (0.62 to 0.79)"
    assert BARE.in_percent(2) == "70.64\u202f%"
    assert WHOLE.in_points(0) == "71 points (62 to 79)"
    assert WHOLE.alone.in_words() == "0.706"


@pytest.mark.parametrize(
    ("low", "high", "is_clear", "is_above", "is_below"),
    [
        (0.01, 0.2, True, True, False),
        (-0.2, -0.01, True, False, True),
        (-0.1, 0.1, False, False, False),
        (0.0, 0.1, False, False, False),
        (None, None, False, False, False),
    ],
)
def test_interval_that_leaves_0_out_is_clear(low, high, is_clear, is_above, is_below):
    found = figure.Figure(value=0.05, low=low, high=high)

    assert found.is_clear == is_clear
    assert (found.is_above(0.0), found.is_below(0.0)) == (is_above, is_below)


@pytest.mark.parametrize("found", [WHOLE, BARE, NONE, figure.Figure()])
def test_figure_reads_back_from_json(found):
    values = found.to_json()

    assert json_object.convert(figure.Figure, values, "accuracy") == found
    assert list(values)[:3] == ["value", "low", "high"]
    assert ("reason" in values) == bool(found.reason)


def test_columns_of_no_figure_are_empty():
    assert figure.columns(WHOLE) == (0.7064, 0.62, 0.79)
    assert figure.columns(None) == (None, None, None)


def test_mappings_sequences_and_dataclasses_become_json():
    @dataclasses.dataclass(frozen=True)
    class Found:
        name: str
        figures: dict[str, figure.Figure]
        counts: tuple[int, ...]

    found = Found("x", {"accuracy": BARE}, (1, 2))

    assert figure.as_json([found]) == [
        {
            "name": "x",
            "figures": {"accuracy": {"value": 0.7064, "low": None, "high": None}},
            "counts": [1, 2],
        }
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"value": 0.5, "low": 0.4}, "expected both ends of an interval or none"),
        ({"low": 0.4, "high": 0.6}, "and none without a value"),
        (
            {"mean": 0.5},
            r"no field 'accuracy.mean'; did you mean accuracy.reason\?; there are accuracy.value",
        ),
        (0.5, "accuracy is 0.5, expected an object"),
    ],
)
def test_what_is_no_figure_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        json_object.convert(figure.Figure, values, "accuracy")
