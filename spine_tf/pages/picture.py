"""A chart as a picture: SVG that follows its page's colours and says what it shows, and PNG.

Matplotlib draws both. In the SVG the light colours become CSS variables, so that one chart serves
light, dark and print; the words that an artist is given become the titles of its marks.
"""

import contextlib
import functools
import io
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from PIL import Image

from tfrecords import atomic

if TYPE_CHECKING:  # A program's --help does not wait for matplotlib.
    from matplotlib import artist as mpl_artist, axes as mpl_axes, figure as mpl_figure

# Light, dark and print. No two light ones are equal: chart.mplstyle draws in them, and by them an
# SVG's colours are told apart.
_COLOURS: Mapping[str, tuple[str, str, str]] = {
    "ink": ("#1c2530", "#e6eaf0", "#000000"),
    "muted": ("#5b6776", "#9aa6b5", "#444444"),
    "grid": ("#dde2e8", "#333d49", "#cccccc"),
    "panel": ("#ffffff", "#171c23", "#ffffff"),
    "accent": ("#0b62a4", "#63b3ed", "#0b62a4"),
    "c0": ("#0072b2", "#5ab4ee", "#0072b2"),
    "c1": ("#b06f00", "#f0b23e", "#b06f00"),
    "c2": ("#c2410c", "#ff8a65", "#c2410c"),
    "c3": ("#6b4fa0", "#b9a3ec", "#6b4fa0"),
    "c4": ("#28724f", "#6fcf97", "#28724f"),
}

# One unit of an SVG, a CSS pixel in it, is one of matplotlib's points.
_UNITS_PER_INCH = 72
_PNG_ZOOM = 2
_UNCOMPRESSED: Mapping[str, Any] = {"pil_kwargs": {"compress_level": 0}}

WIDTH = 400.0
"""Of a chart in CSS pixels: on a telephone of 400 its letters still have 11 of them."""


def css() -> str:
    """Returns the colours as variables, and the rules of a chart, for a page or a file."""
    light, dark, printed = (
        " ".join(f"--{name}: {values[k]};" for name, values in _COLOURS.items()) for k in range(3)
    )
    return (
        f":root, svg.chart {{ {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root, svg.chart {{ {dark} }} }}\n"
        f"@media print {{ :root, svg.chart {{ {printed} }} }}\n"
        "svg.chart { display: block; width: 100%; height: auto; stroke-linejoin: round; }\n"
        "svg.chart text { font-family: system-ui, sans-serif !important; }\n"
    )


def colour(name: str) -> str:
    """Returns what to draw in: ink, muted, grid, panel or c0 to c4."""
    return _COLOURS[name][0]


class Picture:
    """A chart, rendered when it is asked for; a template puts its SVG into the page as it is."""

    def __init__(
        self,
        figure: "mpl_figure.Figure",
        words: Mapping[str, str],
        tooltips: Mapping[str, Sequence[str]],
    ) -> None:
        self._figure = figure
        self._words = words
        self._tooltips = tooltips

    @functools.cached_property
    def _svg(self) -> str:
        with _style():
            root = ElementTree.fromstring(_save(self._figure, "svg"))
        # The PNG keeps the layout that the SVG was given.
        self._figure.set_layout_engine("none")
        return _tidied(root, self._words, self._tooltips)

    def __html__(self) -> str:
        """Returns the SVG, for a page that has `css`; the same chart gives the same bytes."""
        return self._svg

    def standalone(self) -> str:
        """Returns the SVG as a file of its own, with the style inside."""
        head, rest = self._svg.split(">", 1)
        return f"{head}><style>{css()}</style>{rest}\n"

    def png(self) -> bytes:
        """Returns the picture at twice its size, in the light colours on white."""
        with _style():
            return _save(self._figure, "png")

    def pixels(self) -> Image.Image:
        """Returns what `png` does; to compress it would take as long as to draw it."""
        with _style():
            return Image.open(io.BytesIO(_save(self._figure, "png", **_UNCOMPRESSED)))


def write(directory: pathlib.Path, pictures: Mapping[str, Picture]) -> None:
    """Writes each picture as name.svg, and as name.png for slides and papers.

    Args:
        directory: made if it isn't there.
        pictures: by name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        atomic.write_text(directory / f"{name}.svg", picture.standalone())
        atomic.write_bytes(directory / f"{name}.png", picture.png())


def side_by_side_png(pictures: Sequence[Picture]) -> bytes:
    """Returns pictures as one PNG, from left to right."""
    drawn = [picture.pixels() for picture in pictures]
    size = (sum(each.width for each in drawn), max(each.height for each in drawn))
    sheet = Image.new("RGB", size, colour("panel"))
    left = 0
    for each in drawn:
        sheet.paste(each, (left, 0))
        left += each.width
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


class Canvas:
    """What a chart is drawn on.

    Attributes:
        axes: matplotlib's.
        series: colour, dash and mark of each series, as keywords of matplotlib's lines.
    """

    def __init__(self, figure: "mpl_figure.Figure", series: Sequence[Mapping[str, Any]]) -> None:
        self.axes: mpl_axes.Axes = figure.add_subplot()
        self.series = series
        self._figure = figure
        self._tooltips: dict[str, Sequence[str]] = {}

    def set_tooltips(self, artist: "mpl_artist.Artist", tooltips: Sequence[str]) -> None:
        """Shows words, one a mark of an artist, while the pointer rests on the mark."""
        group = f"tooltips_{len(self._tooltips)}"
        artist.set_gid(group)
        self._tooltips[group] = tooltips

    def finish(self, *, title: str, description: str) -> Picture:
        """Returns the picture, with its name and what it shows for those who don't see it."""
        return Picture(self._figure, {"title": title, "desc": description}, self._tooltips)


@contextlib.contextmanager
def canvas(*, height: float, width: float = WIDTH) -> Iterator[Canvas]:
    """Gives an empty canvas, and the style of all charts to draw and finish it in.

    Args:
        height: in CSS pixels, which are the SVG's own units.
        width: likewise.
    """
    import matplotlib.figure

    with _style():
        size = (width / _UNITS_PER_INCH, height / _UNITS_PER_INCH)
        series = list(matplotlib.rcParams["axes.prop_cycle"])
        yield Canvas(matplotlib.figure.Figure(figsize=size), series)


def _style() -> contextlib.AbstractContextManager[None]:
    import matplotlib

    return matplotlib.rc_context(fname=pathlib.Path(__file__).with_name("chart.mplstyle"))


def _save(figure: "mpl_figure.Figure", kind: str, **options: Any) -> bytes:
    # Without a date and matplotlib's version in it the same chart gives the same bytes.
    unsaid = {"svg": ("Creator", "Date", "Format", "Type"), "png": ("Software",)}[kind]
    buffer = io.BytesIO()
    dpi = _UNITS_PER_INCH * _PNG_ZOOM
    figure.savefig(buffer, format=kind, dpi=dpi, metadata=dict.fromkeys(unsaid), **options)
    return buffer.getvalue()


_NAMESPACE = "http://www.w3.org/2000/svg"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_VARIABLES = {values[0]: f"var(--{name})" for name, values in _COLOURS.items()}
_COLOUR = re.compile("|".join(_VARIABLES))


def _tidied(
    root: ElementTree.Element, words: Mapping[str, str], tooltips: Mapping[str, Sequence[str]]
) -> str:
    """Makes matplotlib's SVG one that fits into a page beside others."""
    for element in list(root.iter()):
        _tidy(element)
    for group in [group for group in root.iter("g") if group.get("id") in tooltips]:
        _add_titles(group, tooltips[group.attrib["id"]])
    for group in root.iter("g"):
        group.attrib.pop("id", None)  # Not unique in a page. What is used by its id keeps it.
    root.attrib = {
        "class": "chart",
        "xmlns": _NAMESPACE,
        "role": "img",
        "viewBox": root.attrib["viewBox"],
    }
    for index, (tag, text) in enumerate(words.items()):
        element = ElementTree.Element(tag)
        element.text = text
        root.insert(index, element)
    return ElementTree.tostring(root, encoding="unicode")


def _tidy(element: ElementTree.Element) -> None:
    """Takes out rules for the whole page, clipping (no chart needs it) and needless digits."""
    for child in list(element):
        if child.tag.endswith(("}style", "}clipPath")):
            element.remove(child)
    element.tag = element.tag.removeprefix(f"{{{_NAMESPACE}}}")
    element.attrib = {
        name.rpartition("}")[2]: _COLOUR.sub(_variable, _LONG_NUMBER.sub(_short, value))
        for name, value in element.attrib.items()
        if name != "clip-path" and not value.startswith(("rotate(0 ", "rotate(-0 "))
    }
    element.tail = None
    if element.tag != "text":
        element.text = None


def _variable(found: re.Match[str]) -> str:
    return _VARIABLES[found.group()]


def _short(found: re.Match[str]) -> str:
    return f"{float(found.group()):.2f}".rstrip("0").rstrip(".")


def _add_titles(group: ElementTree.Element, titles: Sequence[str]) -> None:
    """Puts each mark, or each shape where there are no marks, into a group with a title."""
    parents = {child: parent for parent in group.iter() for child in parent}
    marks = list(group.iter("use")) or list(group.iter("path"))
    for mark, text in zip(marks, titles, strict=True):
        titled = ElementTree.Element("g")
        ElementTree.SubElement(titled, "title").text = text
        titled.append(mark)
        parent = parents[mark]
        parent[list(parent).index(mark)] = titled
