"""Charts as SVG text: axes, lines, bands and marks that follow the page's colours.

Colours are CSS variables, so that one chart serves light and dark; series differ by dash and mark
too, so that none needs colour to be read.
"""

import dataclasses
import html
import math
from collections.abc import Iterable, Sequence

# Okabe and Ito's palette: told apart with every common colour vision.
STYLE = """
:root, svg.chart { --ink: #1c2530; --muted: #5b6776; --grid: #dde2e8; --panel: #ffffff;
  --accent: #0b62a4; --c0: #0072b2; --c1: #b06f00; --c2: #c2410c; --c3: #6b4fa0; --c4: #28724f; }
@media (prefers-color-scheme: dark) { :root, svg.chart { --ink: #e6eaf0; --muted: #9aa6b5;
  --grid: #333d49; --panel: #171c23; --accent: #63b3ed; --c0: #5ab4ee; --c1: #f0b23e;
  --c2: #ff8a65; --c3: #b9a3ec; --c4: #6fcf97; } }
@media print { :root, svg.chart { --ink: #000; --muted: #444; --grid: #ccc; --panel: #fff;
  --accent: #0b62a4; --c0: #0072b2; --c1: #b06f00; --c2: #c2410c; --c3: #6b4fa0; --c4: #28724f; } }
svg.chart { font: 12px system-ui, sans-serif; display: block; width: 100%; height: auto; }
svg.chart text { fill: var(--ink); }
svg.chart text.muted { fill: var(--muted); }
svg.chart .grid { stroke: var(--grid); stroke-width: 1; }
svg.chart .axis { stroke: var(--muted); stroke-width: 1; }
svg.chart .guide { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 2 4; }
svg.chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg.chart .panel { fill: var(--panel); }
"""

DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 2")
MARKS = ("circle", "square", "triangle", "diamond", "ring")
_CORNERS: dict[str, list[tuple[float, float]]] = {
    "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "triangle": [(0, -1.3), (1.2, 1), (-1.2, 1)],
    "diamond": [(0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)],
}


def number(value: float) -> str:
    """Returns a coordinate with as few digits as it needs."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Returns about `count` round numbers within [low, high]."""
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axes:
    """A plot area inside a picture, and the map from values to points.

    Attributes:
        width: of the picture, px of its own coordinates.
        height: of the picture.
        x_range: values at the left and the right edge of the plot area.
        y_range: values at the bottom and the top edge.
        margins: left, top, right, bottom; px between the picture's edge and the plot area.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width: float = 420.0
    height: float = 320.0
    margins: tuple[float, float, float, float] = (64.0, 12.0, 24.0, 44.0)

    @property
    def left(self) -> float:
        """Edges of the plot area."""
        return self.margins[0]

    @property
    def top(self) -> float:
        """Edges of the plot area."""
        return self.margins[1]

    @property
    def right(self) -> float:
        """Edges of the plot area."""
        return self.width - self.margins[2]

    @property
    def bottom(self) -> float:
        """Edges of the plot area."""
        return self.height - self.margins[3]

    def x(self, value: float) -> float:
        """Returns the column of a value."""
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Returns the row of a value."""
        low, high = self.y_range
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def x_axis(self, values: Sequence[float], names: Sequence[str], label: str) -> str:
        """Draws grid lines, numbers and the name of the horizontal axis."""
        parts = [line(self.left, self.bottom, self.right, self.bottom, "axis")]
        for value, name in zip(values, names, strict=True):
            column = self.x(value)
            parts.append(line(column, self.top, column, self.bottom, "grid"))
            parts.append(text(column, self.bottom + 16, name, anchor="middle", muted=True))
        middle = (self.left + self.right) / 2
        return "".join(parts) + text(middle, self.bottom + 36, label, anchor="middle")

    def y_axis(self, values: Sequence[float], names: Sequence[str], label: str) -> str:
        """Draws grid lines, numbers and the name of the vertical axis."""
        parts = [line(self.left, self.top, self.left, self.bottom, "axis")]
        for value, name in zip(values, names, strict=True):
            row = self.y(value)
            parts.append(line(self.left, row, self.right, row, "grid"))
            parts.append(text(self.left - 6, row + 4, name, anchor="end", muted=True))
        middle = (self.top + self.bottom) / 2
        turned = f' transform="rotate(-90 12 {number(middle)})"'
        return "".join(parts) + text(12, middle, label, anchor="middle", attributes=turned)

    def points(self, values: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
        """Returns the points of (x, y) values."""
        return [(self.x(x), self.y(y)) for x, y in values]


def document(body: str, *, width: float, height: float, title: str, description: str) -> str:
    """Returns a picture that says in words what it shows."""
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {number(width)} {number(height)}">'
        f"<title>{html.escape(title)}</title><desc>{html.escape(description)}</desc>{body}</svg>"
    )


def standalone(picture: str) -> str:
    """Returns a picture as a file of its own, with the style inside."""
    head, rest = picture.split(">", 1)
    return f"{head}><style>{STYLE}</style>{rest}\n"


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """Draws a straight line."""
    return (
        f'<line class="{css}" x1="{number(x1)}" y1="{number(y1)}" '
        f'x2="{number(x2)}" y2="{number(y2)}"/>'
    )


def text(
    x: float,
    y: float,
    content: str,
    *,
    anchor: str = "start",
    muted: bool = False,
    attributes: str = "",
) -> str:
    """Draws text; `attributes` is markup."""
    css = ' class="muted"' if muted else ""
    return (
        f'<text{css} x="{number(x)}" y="{number(y)}" text-anchor="{anchor}"{attributes}>'
        f"{html.escape(content)}</text>"
    )


def polyline(points: Sequence[tuple[float, float]], series: int) -> str:
    """Draws a line in the colour and dash of a series."""
    joined = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    dash = DASHES[series % len(DASHES)]
    return (
        f'<polyline class="line" style="stroke: var(--c{series % 5})" '
        f'stroke-dasharray="{dash}" points="{joined}"/>'
    )


def band(points: Sequence[tuple[float, float]], series: int) -> str:
    """Fills an area, faintly."""
    joined = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return (
        f'<polygon style="fill: var(--c{series % 5})" fill-opacity="0.16" stroke="none" '
        f'points="{joined}"/>'
    )


def mark(x: float, y: float, series: int, tooltip: str = "", *, size: float = 4.5) -> str:
    """Draws the mark of a series; the tooltip is shown while the pointer rests on it."""
    colour = f"var(--c{series % 5})"
    shape = MARKS[series % len(MARKS)]
    title = f"<title>{html.escape(tooltip)}</title>" if tooltip else ""
    if shape in ("circle", "ring"):
        fill = colour if shape == "circle" else "var(--panel)"
        return (
            f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(size)}" '
            f'style="fill: {fill}; stroke: {colour}; stroke-width: 2">{title}</circle>'
        )
    corners = _CORNERS[shape]
    joined = " ".join(f"{number(x + a * size)},{number(y + b * size)}" for a, b in corners)
    return f'<polygon style="fill: {colour}" points="{joined}">{title}</polygon>'


def legend(entries: Sequence[tuple[int, str]], x: float, y: float, *, step: float = 18.0) -> str:
    """Draws dash, mark and name of each series, one below the other."""
    parts = []
    for index, (series, name) in enumerate(entries):
        row = y + index * step
        parts.append(polyline([(x, row), (x + 26, row)], series))
        parts.append(mark(x + 13, row, series))
        parts.append(text(x + 34, row + 4, name))
    return "".join(parts)
