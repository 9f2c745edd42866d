import math
import re
import xml.etree.ElementTree as ElementTree

import pytest
from matplotlib import font_manager, textpath

from spine_tf.pages import charts

_SVG = "{http://www.w3.org/2000/svg}"


def _root(drawn):
    return ElementTree.fromstring(drawn.__html__())


def _size(drawn):
    """Width and height of the picture, in its own units."""
    return tuple(float(number) for number in _root(drawn).get("viewBox").split()[2:])


def _texts(drawn):
    return [element.text for element in _root(drawn).iter() if element.text]


def _places(drawn, tag):
    """Where elements of a kind stand, by their text."""
    return {
        element.text: (float(element.get("x")), float(element.get("y")))
        for element in _root(drawn).iter(f"{_SVG}{tag}")
    }


def _marks(drawn):
    """Where marks with a tooltip stand, by their tooltip."""
    return {
        group.find(f"{_SVG}title").text: tuple(
            float(group.find(f"{_SVG}use").get(axis)) for axis in "xy"
        )
        for group in _root(drawn).iter(f"{_SVG}g")
        if group.find(f"{_SVG}title") is not None and group.find(f"{_SVG}use") is not None
    }


def _curves(*series, **options):
    return charts.curves(series, title="t", x_label="across", y_label="up", **options)


def _points(*points, **options):
    tooltips = [f"{x:g}, {y:g}" for x, y in points]
    return charts.Curve(
        name="", points=points, has_line=False, has_marks=True, tooltips=tooltips, **options
    )


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (-0.2, 0.2, ["-0.2", "-0.1", "0", "0.1", "0.2"]),
        (1.0, 31.0, ["10", "20", "30"]),
        (0.0, 1.7, ["0", "0.5", "1", "1.5"]),
    ],
)
def test_ticks_are_round_and_inside(low, high, expected):
    texts = _texts(_curves(x_range=(low, high), y_range=(1000.0, 1001.0)))

    assert [text for text in texts if re.match(r"-?\d", text) and float(text) < 900] == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"x_range": (0.0, 2.0), "x_scale": "whole"}, ["0", "1", "2"]),
        ({"x_range": (5e-4, 0.2), "x_scale": "log"}, ["1e-3", "1e-2", "1e-1"]),
        ({"x_range": (-0.2, 1.2), "x_names": ("one", "two")}, ["one", "two"]),
        ({"x_range": (0.0, 0.5), "x_is_percent": True}, [f"{10 * i}\u202f%" for i in range(6)]),
    ],
)
def test_scale_decides_what_stands_at_the_axis(options, expected):
    texts = _texts(_curves(y_range=(1000.0, 1001.0), **options))

    assert texts[1 : texts.index("across")] == expected


def test_values_stand_where_the_axes_say():
    drawn = _curves(_points((0.4, 2.0), (1.0, 8.0)), y_range=(0.0, 10.0))

    numbers, marks = _places(drawn, "text"), _marks(drawn)
    (left, low), (right, high) = marks["0.4, 2"], marks["1, 8"]
    assert left == pytest.approx(numbers["0.4"][0], abs=0.02)
    assert right == pytest.approx(numbers["1"][0], abs=0.02)
    # A number's foot stands somewhat below its tick, by the same for all of them.
    assert 0 < numbers["2"][1] - low < 6
    assert numbers["2"][1] - low == pytest.approx(numbers["8"][1] - high, abs=0.02)


def test_whisker_chart_says_its_values_in_words():
    rows = [
        charts.Row(name="a < b", value=0.5, low=0.25, high=0.75),
        charts.Row(name="nothing", value=None, note="none"),
    ]

    drawn = charts.dot_and_whisker(rows, title="T & U", label="share")

    texts = _texts(drawn)
    assert "T & U" in texts
    assert "a < b" in texts
    said = _root(drawn).find(f"{_SVG}desc").text
    assert "95 % interval 25.0\u202f% to 75.0\u202f%" in said
    assert "nothing: none" in said
    assert list(_marks(drawn)) == [said.split("; ")[0]]


def test_value_outside_the_axis_is_drawn_at_its_end():
    drawn = charts.dot_and_whisker(
        [charts.Row(name="x", value=7.0)], title="t", label="l", is_percent=False
    )

    ((column, _),) = _marks(drawn).values()
    assert column == pytest.approx(_places(drawn, "text")["1"][0], abs=0.02)
    assert column <= _size(drawn)[0]
    assert "7.000" in _texts(drawn)


def test_y_outside_the_range_is_drawn_at_its_end():
    drawn = _curves(_points((0.5, 9.0), (0.6, 1.0), (0.7, -3.0), (0.8, 0.0)))

    marks = _marks(drawn)
    assert marks["0.5, 9"][1] == marks["0.6, 1"][1]
    assert marks["0.7, -3"][1] == marks["0.8, 0"][1]


def _width(text):
    """In the font that the layout reckons with, which is a wide one."""
    font = font_manager.FontProperties(family="DejaVu Sans")
    return textpath.TextPath((0, 0), text, size=12, prop=font).get_extents().width


def test_range_that_is_not_given_holds_all_values_and_needs_no_finite_one():
    drawn = _curves(_points((10.0, -50.0), (40.0, 70.0)), x_range=None, y_range=None)
    broken = _curves(_points((1.0, math.nan), (2.0, 3.0)), x_range=None, y_range=None)

    (left, low), (right, high) = _marks(drawn).values()
    assert {"10", "20", "30", "40", "-50", "0", "50"} <= set(_texts(drawn))
    width, height = _size(drawn)
    assert 0 < left < right < width
    assert 0 < high < low < height
    assert list(_marks(broken)) == ["2, 3"]


def test_long_names_leave_the_picture_at_no_side():
    rows = [charts.Row(name="n" * 40, value=0.5, note="out of time")]
    drawn = charts.dot_and_whisker(rows, title="t", label="l")
    named = [charts.Curve(name=f"{'w' * 24}{k}", points=[(0, 0), (1, 1)]) for k in range(4)]
    below = _curves(*named, legend_at="below")

    name, note = (_places(drawn, "text")[text] for text in ("n" * 40, "out of time"))
    assert name[0] - _width("n" * 40) > 0
    assert note[0] + _width("out of time") < _size(drawn)[0]
    places = {text: at for text, at in _places(below, "text").items() if "www" in text}
    assert len({y for _, y in places.values()}) == 4
    assert all(x + _width(text) < _size(below)[0] for text, (x, _) in places.items())


def test_matrix_shows_counts_and_shares_and_an_empty_row():
    drawn = charts.matrix([[3, 1], [0, 0]], ["no", "yes"], title="m")

    texts = _texts(drawn)
    assert {"3", "1", "75\u202f%", "25\u202f%"} <= set(texts)
    # Once for a screen reader, once as the cell's tooltip.
    assert texts.count("3 of 4 no predicted no") == 1
    assert "3 of 4 no predicted no; 1 of 4" in _root(drawn).find(f"{_SVG}desc").text


def test_series_differ_by_dash_and_mark_not_by_colour_alone():
    points = [(0, 0), (1, 1)]
    lines = [charts.Curve(name="", points=points, series=k) for k in range(5)]

    drawn = _curves(*lines)
    marked = _curves(*(_points((0.5, 0.5), series=k) for k in range(5)))

    styles = [path.get("style") for path in _root(drawn).iter(f"{_SVG}path")]
    dashes = [style.partition("stroke-dasharray: ")[2] for style in styles if "var(--c" in style]
    assert len(dashes) == len(set(dashes)) == 5
    defined = _root(marked).iter(f"{_SVG}path")
    shapes = {path.get("d") for path in defined if path.get("id")}
    fills = {use.get("style") for use in _root(marked).iter(f"{_SVG}use")}
    assert len(shapes) == 4
    assert any("fill: var(--panel)" in fill for fill in fills)


def test_legend_names_what_has_a_name_in_full_strength():
    faint = charts.Curve(name="faint", points=[(0, 0), (1, 1)], is_faint=True)
    drawn = _curves(faint, charts.Curve(name="", points=[(0, 1), (1, 0)], series=1))

    styles = [path.get("style") for path in _root(drawn).iter(f"{_SVG}path")]
    of_the_faint = [style for style in styles if "stroke: var(--c0)" in style]
    assert len(of_the_faint) == 2
    assert sum("opacity" in style for style in of_the_faint) == 1
    assert sum("stroke: var(--c1)" in style for style in styles) == 1


def test_guide_and_grey_line_are_of_no_series():
    grey = charts.Curve(name="", points=[(0, 0), (1, 1)], series=None)
    drawn = _curves(grey, guide=0.5, has_diagonal=True)

    styles = [path.get("style", "") for path in _root(drawn).iter(f"{_SVG}path")]
    assert not any("var(--c" in style for style in styles)
    assert sum("stroke-dasharray" in style for style in styles) == 2


def test_long_names_of_an_axis_stand_in_rows():
    names = ["[16, 32, 64, 96, 128]", "[8, 16]", "[32, 64, 96]"]
    drawn = charts.curves(
        [charts.Curve(name="", points=[(0, 1), (1, 2), (2, 3)])],
        title="t",
        x_label="filters",
        y_label="y",
        x_range=None,
        y_range=None,
        x_names=names,
    )
    heights = {
        each.text: float(
            re.search(r"[\d.]+(?=[ ,]*\)|$)", each.get("transform") or each.get("y"))[0]
        )
        for each in _root(drawn).iter(f"{_SVG}text")
    }
    first, second, third = (heights[name] for name in names)
    assert first == third < second - 10
