"""Charts as files: the PNG shows what the SVG shows, without a browser's help."""

import io

import numpy as np
from PIL import Image

from spine_tf.pages import charts, figure_files, svg


def _pixels(picture):
    return np.asarray(Image.open(io.BytesIO(figure_files.to_png(picture))).convert("RGB"), float)


def test_both_files_are_written(tmp_path):
    picture = charts.matrix([[5, 2], [1, 9]], ["A", "B"], title="t")
    figure_files.write(tmp_path / "figures", {"confusion": picture})
    assert (tmp_path / "figures/confusion.svg").read_text() == svg.standalone(picture)
    written = Image.open(tmp_path / "figures/confusion.png")
    assert written.size == (2 * (104 + 2 * 92 + 4), 2 * (44 + 2 * 92 + 4))


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


def test_no_colour_is_left_unknown():
    style = figure_files._with_plain_colours(
        svg.standalone(
            svg.document(svg.mark(5, 5, 4), width=9, height=9, title="t", description="d")
        )
    )
    assert "var(" not in style
    assert "@media" not in style
