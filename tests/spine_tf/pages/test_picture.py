"""Charts as pictures: SVG that a page can hold, and the same as PNG without a browser's help."""

import io
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spine_tf.pages import charts, picture


def _pixels(drawn):
    return np.asarray(Image.open(io.BytesIO(drawn.png())).convert("RGB"), float)


def _curves():
    return charts.curves(
        [
            charts.Curve(name="a < b", points=[(0, 0), (1, 1)], band=[(0, 0, 1), (1, 0, 1)]),
            charts.Curve(name="b", points=[(0, 1), (1, 0)], series=4, has_marks=True),
            charts.Curve(name="c", points=[(0, 1)], has_marks=True, tooltips=["<i>"]),
        ],
        title="t",
        x_label="x",
        y_label="y",
        has_diagonal=True,
    )


def _whiskers():
    row = charts.Row(name="<b>", value=0.5, low=0.25, high=0.75)
    return charts.dot_and_whisker([row], title="<i>", label="l", guide=0.3)


def _matrix():
    return charts.matrix([[5, 2], [1, 9]], ["A & B", "C"], title="t")


_ALL = pytest.mark.parametrize("make", [_curves, _whiskers, _matrix])


def test_both_files_are_written(tmp_path):
    drawn = charts.matrix([[5, 2], [1, 9]], ["A", "B"], title="t")
    picture.write(tmp_path / "figures", {"confusion": drawn})
    assert (tmp_path / "figures/confusion.svg").read_text() == drawn.standalone()
    written = Image.open(tmp_path / "figures/confusion.png")
    assert written.size == (2 * (104 + 2 * 92 + 4), 2 * (44 + 2 * 92 + 4))


def test_standalone_picture_carries_its_style_and_one_for_a_page_does_not():
    drawn = _matrix()
    assert picture.css() in drawn.standalone()
    assert "prefers-color-scheme: dark" in drawn.standalone()
    assert "<style" not in drawn.__html__()
    assert drawn.standalone().endswith("</svg>\n")


@_ALL
def test_same_chart_gives_the_same_bytes(make):
    first, again = make(), make()
    assert first.__html__() == again.__html__()
    assert first.png() == again.png() == first.png()


@_ALL
def test_svg_asks_for_nothing_and_sets_nothing_outside_itself(make):
    text = make().__html__()
    assert text.count("http") == 1
    assert text.startswith('<svg class="chart" xmlns="http://www.w3.org/2000/svg" role="img"')
    assert not re.search(
        r"<(style|script|metadata|image|clipPath)|clip-path|font-family: [^']", text
    )
    assert "<b>" not in text
    assert "<i>" not in text


@_ALL
def test_what_has_an_id_is_the_same_wherever_it_stands(make):
    """A page holds many charts: an id in two of them must mean one thing."""
    defined: dict[str, Any] = {}
    for drawn in (make(), _curves(), _whiskers(), _matrix()):
        text = drawn.__html__()
        for element, name in re.findall(r'(<[^>]*\bid="([^"]*)"[^>]*>)', text):
            assert defined.setdefault(name, element) == element
        assert set(re.findall(r'href="#([^"]*)"', text)) <= set(defined)


@_ALL
def test_no_colour_is_left_unknown(make):
    text = make().__html__()
    used = set(re.findall(r"var\((--\w+)\)", text))
    assert used
    assert not re.search(r"#[0-9a-f]{6}", text)
    for part in picture.css().split("@media")[:3]:
        assert used <= set(re.findall(r"(--\w+):", part))


@_ALL
def test_coordinates_have_no_needless_digits(make):
    assert not re.search(r"\d\.\d{3}|\.0\b", re.sub(r">[^<]*<", "><", make().__html__()))


def test_colours_are_the_light_ones_on_white():
    row = charts.Row(name="", value=0.5)
    pixels = _pixels(charts.dot_and_whisker([row], title="t", label=""))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    has_colour = (np.abs(pixels - [0x00, 0x72, 0xB2]).max(axis=2) < 2).sum()
    assert has_colour > 100


def test_text_is_drawn():
    one, other = (
        charts.dot_and_whisker([charts.Row(name=name, value=0.5)], title="t", label="accuracy")
        for name in ("dense", "naïve")
    )
    assert _pixels(one).shape == _pixels(other).shape
    assert np.abs(_pixels(one) - _pixels(other)).max() > 100


def test_pictures_stand_side_by_side():
    one, other = _curves(), _matrix()
    sheet = Image.open(io.BytesIO(picture.side_by_side_png([one, other])))
    assert sheet.size == (2 * 400 + 2 * 292, 2 * 344)
    right = np.asarray(sheet.crop((800, 0, 1384, 464)).convert("RGB"), float)
    assert (right == _pixels(other)).all()


@pytest.mark.slow
def test_style_is_for_charts_alone_and_drawing_starts_no_thread():
    code = (
        "import sys, threading\n"
        "from spine_tf.pages import charts, template\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import matplotlib\n"
        "before = matplotlib.rcParams.copy()\n"
        "charts.matrix([[1]], ['a'], title='t').png()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert threading.active_count() == 1\n"
        "assert dict(dict.items(matplotlib.rcParams)) == dict(dict.items(before))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
