"""Charts as files: SVG, and the same picture as PNG for slides and papers."""

import importlib.util
import pathlib
import re
from collections.abc import Mapping

import resvg_py

from spine_tf.pages import svg
from tfrecords import atomic

_ZOOM = 2

_VARIABLE = re.compile(r"(--\w+): (#\w+);")
_USE = re.compile(r"var\((--\w+)\)")


def write(directory: pathlib.Path, pictures: Mapping[str, str]) -> None:
    """Writes each chart as name.svg and name.png.

    Args:
        directory: made if it isn't there.
        pictures: as `svg.document` makes them, by name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        atomic.write_text(directory / f"{name}.svg", svg.standalone(picture))
        atomic.write_bytes(directory / f"{name}.png", to_png(picture))


def to_png(picture: str) -> bytes:
    """Returns a chart at twice its size, in the light colours on white.

    Args:
        picture: as `svg.document` makes it.
    """
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=_with_plain_colours(svg.standalone(picture)),
            zoom=_ZOOM,
            background="#ffffff",
            skip_system_fonts=True,
            font_dirs=[str(_font_dir())],
            font_family="DejaVu Sans",
            sans_serif_family="DejaVu Sans",
        )
    )


def _with_plain_colours(picture: str) -> str:
    """The picture without CSS variables, which only browsers know; the light values come first."""
    light, _, _ = svg.STYLE.partition("@media")
    values = dict(_VARIABLE.findall(light))
    without_media = re.sub(r"@media[^{]*\{.*?\} \}\n", "", picture, flags=re.DOTALL)
    return _USE.sub(lambda use: values[use.group(1)], without_media)


def _font_dir() -> pathlib.Path:
    """Matplotlib brings fonts along, so that a chart looks alike on every machine."""
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        raise ValueError("matplotlib is not installed, whose fonts PNG figures are written in")
    return pathlib.Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
