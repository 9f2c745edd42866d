"""A chart as a picture: SVG that follows its page's colours and says what it shows, and PNG.

Matplotlib draws both. In the SVG the light colours become CSS variables, so that one chart serves
light, dark and print; the words that an artist is given become the titles of its marks.
"""

import contextlib
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

# Light, dark and print. The series' are near Okabe and Ito's palette, told apart with every common
# colour vision. No two light ones are equal: by them an SVG's colours are told apart too.
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
# Series differ by dash and mark too, so that none needs colour to be read.
_SERIES: Sequence[Mapping[str, Any]] = (
    {"color": "c0", "linestyle": "-", "marker": "o", "markerfacecolor": "c0"},
    {"color": "c1", "linestyle": (0, (7, 3)), "marker": "s", "markerfacecolor": "c1"},
    {"color": "c2", "linestyle": (0, (2, 3)), "marker": "^", "markerfacecolor": "c2"},
    {"color": "c3", "linestyle": (0, (9, 3, 2, 3)), "marker": "D", "markerfacecolor": "c3"},
    {"color": "c4", "linestyle": (0, (1, 2)), "marker": "o", "markerfacecolor": "panel"},
)

# One unit of an SVG, a CSS pixel in it, is one of matplotlib's points.
_UNITS_PER_INCH = 72
_PNG_ZOOM = 2


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


def series_style(series: int) -> dict[str, Any]:
    """Returns colour, dash and mark of a series, as keywords of matplotlib's lines."""
    style = dict(_SERIES[series % len(_SERIES)])
    for name in ("color", "markerfacecolor"):
        style[name] = colour(style[name])
    return style


class Picture:
    """A chart, drawn; a template puts its SVG into the page as it is."""

    def __init__(self, figure: "mpl_figure.Figure", svg: str):
        self._figure = figure
        self._svg = svg

    def __html__(self) -> str:
        """Returns the SVG, for a page that has `css`; the same chart gives the same bytes."""
        return self._svg

    def standalone(self) -> str:
        """Returns the SVG as a file of its own, with the style inside."""
        head, rest = self._svg.split(">", 1)
        return f"{head}><style>{css()}</style>{rest}\n"

    def png(self) -> bytes:
        """Returns the picture at twice its size, in the light colours on white."""
        return _save(self._figure, "png")


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
    images = [Image.open(io.BytesIO(picture.png())) for picture in pictures]
    size = (sum(image.width for image in images), max(image.height for image in images))
    sheet = Image.new("RGB", size, colour("panel"))
    left = 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


class Canvas:
    """What a chart is drawn on, in the style of all charts inside its `with` block.

    Attributes:
        axes: matplotlib's.
    """

    def __init__(self, *, title: str, height: float, width: float = 420.0):
        """Makes an empty one.

        Args:
            title: of the picture, for those who don't see it.
            height: in CSS pixels, which are the SVG's own units.
            width: likewise.
        """
        from matplotlib import figure

        self._title = title
        self._tooltips: dict[str, Sequence[str]] = {}
        self._style = _style()
        with _style():
            self._figure = figure.Figure(
                figsize=(width / _UNITS_PER_INCH, height / _UNITS_PER_INCH), layout="constrained"
            )
            self.axes: mpl_axes.Axes = self._figure.add_subplot()

    def __enter__(self) -> "Canvas":
        """Sets the style."""
        self._style.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Sets matplotlib's style back."""
        self._style.__exit__(*error)

    def set_tooltips(self, artist: "mpl_artist.Artist", tooltips: Sequence[str]) -> None:
        """Shows words, one a mark of an artist, while the pointer rests on the mark."""
        group = f"tooltips_{len(self._tooltips)}"
        artist.set_gid(group)
        self._tooltips[group] = tooltips

    def finish(self, description: str) -> Picture:
        """Returns the picture.

        Args:
            description: what it shows, for those who don't see it.
        """
        root = ElementTree.fromstring(_save(self._figure, "svg"))
        # The PNG keeps the layout that the SVG was given.
        self._figure.set_layout_engine("none")
        words = {"title": self._title, "desc": description}
        return Picture(self._figure, _tidied(root, words, self._tooltips))


def _save(figure: "mpl_figure.Figure", kind: str) -> bytes:
    # Without a date and matplotlib's version in it the same chart gives the same bytes.
    metadata = {"svg": ("Creator", "Date", "Format", "Type"), "png": ("Software",)}[kind]
    buffer = io.BytesIO()
    with _style():
        figure.savefig(
            buffer,
            format=kind,
            dpi=_UNITS_PER_INCH * _PNG_ZOOM,
            metadata=dict.fromkeys(metadata),
        )
    return buffer.getvalue()


def _style() -> contextlib.AbstractContextManager[None]:
    import matplotlib

    ink, muted, grid, panel = map(colour, ("ink", "muted", "grid", "panel"))
    return matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "spine_tf",
            "font.family": "DejaVu Sans",  # Matplotlib's own: alike on every machine, and wide.
            "font.size": 12.0,
            "text.parse_math": False,
            "text.color": ink,
            "figure.facecolor": panel,
            "figure.constrained_layout.h_pad": 0.06,
            "figure.constrained_layout.w_pad": 0.06,
            "axes.facecolor": "none",
            "axes.edgecolor": muted,
            "axes.labelcolor": ink,
            "axes.linewidth": 1.0,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.grid": True,
            "grid.color": grid,
            "grid.linewidth": 1.0,
            "xtick.labelcolor": muted,
            "xtick.labelsize": 12.0,
            "xtick.bottom": False,
            "ytick.labelcolor": muted,
            "ytick.labelsize": 12.0,
            "ytick.left": False,
            "ytick.major.pad": 8.0,
            "lines.linewidth": 2.0,
            "lines.markersize": 10.0,
            "lines.markeredgewidth": 2.0,
            "lines.scale_dashes": False,
            "lines.solid_capstyle": "butt",
            "legend.frameon": False,
            "axes.labelpad": 6.0,
            "axes.labelsize": 12.0,
            "legend.fontsize": 12.0,
        }
    )


_NAMESPACE = "http://www.w3.org/2000/svg"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_VARIABLES = {values[0]: f"var(--{name})" for name, values in _COLOURS.items()}
_COLOUR = re.compile("|".join(_VARIABLES))


def _tidied(
    root: ElementTree.Element, words: Mapping[str, str], tooltips: Mapping[str, Sequence[str]]
) -> str:
    """Makes matplotlib's SVG one that fits into a page beside others."""
    groups = {group.get("id"): group for group in root.iter(f"{{{_NAMESPACE}}}g")}
    for name, titles in tooltips.items():
        _add_titles(groups[name], titles)
    for element in root.iter():
        _tidy(element)
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


def _add_titles(group: ElementTree.Element, titles: Sequence[str]) -> None:
    """Puts each mark, or each shape where there are no marks, into a group with a title."""
    parents = list(group.iter(f"{{{_NAMESPACE}}}g"))
    marks, shapes = (
        [
            (parent, found)
            for parent in parents
            for found in parent.findall(f"{{{_NAMESPACE}}}{tag}")
        ]
        for tag in ("use", "path")
    )
    for (parent, mark), text in zip(marks or shapes, titles, strict=True):
        titled = ElementTree.Element(f"{{{_NAMESPACE}}}g")
        ElementTree.SubElement(titled, f"{{{_NAMESPACE}}}title").text = text
        titled.append(mark)
        parent[list(parent).index(mark)] = titled


def _tidy(element: ElementTree.Element) -> None:
    """Takes out rules for the whole page, clipping, line breaks and what else is not needed."""
    for child in list(element):
        if child.tag.endswith(("}style", "}clipPath")):
            element.remove(child)
    element.tag = element.tag.removeprefix(f"{{{_NAMESPACE}}}")
    element.attrib = dict(_tidied_attributes(element))
    element.tail = None
    if element.tag not in ("text", "title"):
        element.text = None


def _tidied_attributes(element: ElementTree.Element) -> Iterator[tuple[str, str]]:
    for name, value in element.attrib.items():
        # Only what is drawn again by its id needs one; charts keep their values inside the axes.
        if (name == "id" and element.tag == "g") or name == "clip-path":
            continue
        if name == "transform" and value.startswith(("rotate(0 ", "rotate(-0 ")):
            continue
        if name == "style":
            value = _COLOUR.sub(lambda found: _VARIABLES[found.group()], value)
        value = _LONG_NUMBER.sub(lambda found: _short(found.group()), value)
        yield name.rpartition("}")[2], " ".join(value.split())


def _short(number: str) -> str:
    return f"{float(number):.2f}".rstrip("0").rstrip(".")
