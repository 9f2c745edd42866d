import xml.etree.ElementTree as ElementTree

import pytest

from spine_tf.evaluation import verdict
from spine_tf.pages import charts, svg


def _texts(picture):
    return [element.text for element in ElementTree.fromstring(picture).iter() if element.text]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.2, 0.2, [-0.2, -0.1, 0.0, 0.1, 0.2]),
        (1.0, 31.0, [10.0, 20.0, 30.0]),
        (0.0, 1.7, [0.0, 0.5, 1.0, 1.5]),
    ],
)
def test_ticks_are_round_and_inside(low, high, expected):
    assert svg.ticks(low, high) == pytest.approx(expected)


def test_axes_put_values_where_they_belong():
    axes = svg.Axes(x_range=(0.0, 2.0), y_range=(-1.0, 1.0))

    assert (axes.x(0.0), axes.x(2.0)) == (axes.left, axes.right)
    assert (axes.y(-1.0), axes.y(1.0)) == (axes.bottom, axes.top)
    assert axes.y(0.0) == (axes.top + axes.bottom) / 2


def test_whisker_chart_says_its_values_in_words():
    rows = [
        charts.Row(name="a < b", value=0.5, low=0.25, high=0.75),
        charts.Row(name="nothing", value=None, note="none"),
    ]

    picture = charts.dot_and_whisker(rows, title="T & U", label="share")

    texts = _texts(picture)
    assert "T & U" in texts
    assert "a < b" in texts
    said = ElementTree.fromstring(picture).find("{http://www.w3.org/2000/svg}desc").text
    assert "95 % interval 25.0\u202f% to 75.0\u202f%" in said
    assert "nothing: none" in said


def test_value_outside_the_axis_is_drawn_at_its_end():
    picture = charts.dot_and_whisker(
        [charts.Row(name="x", value=7.0)], title="t", label="l", is_percent=False
    )

    root = ElementTree.fromstring(picture)
    circle = root.find("{http://www.w3.org/2000/svg}circle")
    assert float(circle.get("cx")) <= float(root.get("viewBox").split()[2])
    assert "7.000" in _texts(picture)


def test_matrix_shows_counts_and_shares_and_an_empty_row():
    picture = charts.matrix([[3, 1], [0, 0]], ["no", "yes"], title="m")

    texts = _texts(picture)
    assert {"3", "1", "75\u202f%", "25\u202f%"} <= set(texts)
    assert "3 of 4 no predicted no" in texts


def test_series_differ_by_dash_and_mark_not_by_colour_alone():
    curves = [charts.Curve(name=str(k), points=[(0, 0), (1, 1)], series=k) for k in range(4)]

    picture = charts.curves(curves, title="t", x_label="x", y_label="y")

    root = ElementTree.fromstring(picture)
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len({line.get("stroke-dasharray") for line in lines}) == 4
    assert len(set(svg.MARKS)) == len(svg.DASHES) == 5


def test_standalone_picture_is_whole_and_carries_its_style():
    picture = svg.standalone(charts.matrix([[1]], ["a"], title="m"))

    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert "prefers-color-scheme: dark" in picture


@pytest.mark.parametrize(
    ("value", "written"), [(1.0, "1"), (0.126, "0.13"), (-2.50, "-2.5"), (0.0, "0")]
)
def test_coordinates_have_no_needless_digits(value, written):
    assert svg.number(value) == written


def _analysis(**changes):
    figure = {"value": 0.8, "low": 0.75, "high": 0.85}
    values = {
        "num_examples": 100,
        "num_studies": 50,
        "metrics": {"accuracy": figure, "expected_calibration_error": {"value": 0.05}},
        "per_class": {
            "Normal/Mild": {"recall": figure},
            "Severe": {"recall": {**figure, "value": 0.6}},
        },
        "class_counts": {"Normal/Mild": 70, "Severe": 30},
        "baselines": {"majority": {"accuracy": {**figure, "value": 0.7}}},
        "lead_over_majority": {"accuracy": {"value": 0.1, "low": 0.05, "high": 0.15}},
    }
    return {**values, **changes}


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        ((0.1, 0.05, 0.15), "the model is better by 10.0 points (+5.0 to +15.0 points)"),
        ((0.1, -0.05, 0.2), "these data do not show that the model is better"),
        ((-0.1, -0.2, -0.05), "the model is worse"),
        ((0.1, None, None), "with one study nothing can be said"),
    ],
)
def test_verdict_follows_the_paired_interval(lead, said):
    value, low, high = lead
    analysis = _analysis(
        lead_over_majority={"accuracy": {"value": value, "low": low, "high": high}}
    )

    assert said in verdict.sentences(analysis)[1]


def test_verdict_names_the_weakest_class_and_wide_intervals():
    wide = {"value": 0.8, "low": 0.6, "high": 0.95}
    analysis = _analysis(metrics={"accuracy": wide, "expected_calibration_error": {"value": 0.05}})

    assert any("weakest on Severe: 60.0" in sentence for sentence in verdict.sentences(analysis))
    assert any("\u00b118 points" in sentence for sentence in verdict.sentences(analysis))
    assert not any("is wide" in sentence for sentence in verdict.sentences(_analysis()))


def test_every_split_is_said_in_words_of_its_own():
    words = {verdict.split_in_words(split) for split in ("test", "oof", "external", "fold_3")}

    assert len(words) == 4
    assert any(sentence.startswith("fold_3, which") for sentence in words)
