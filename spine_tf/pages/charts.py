"""The kinds of chart that the report uses: values with intervals, a matrix, curves."""

import dataclasses
import html
import math
from collections.abc import Callable, Sequence

from spine_tf.pages import svg

# Of a legend below the plot.
_ROW_PX = 18.0
_COLUMNS = 3

_LARGE = ' font-size="20" font-weight="600"'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A figure with its interval in a dot-and-whisker chart.

    Attributes:
        name: at the left of the row.
        value: None draws nothing but the note.
        low, high: the interval's ends, or None.
        series: colour and mark.
        note: text at the right; empty writes the value.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    series: int = 0
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """A line of (x, y) values, with an optional band around it.

    Attributes:
        name: in the legend.
        points: in order of x.
        band: (x, low, high), in order of x.
        series: colour, dash and mark.
        has_marks: draws each point too.
        tooltips: one a point, shown on its mark.
    """

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    series: int = 0
    has_marks: bool = False
    tooltips: Sequence[str] = ()


def percent(value: float, digits: int = 1) -> str:
    """Returns 0.7324 as 73.2 %."""
    return f"{100.0 * value:.{digits}f}\u202f%"


def dot_and_whisker(
    rows: Sequence[Row],
    *,
    title: str,
    label: str,
    x_range: tuple[float, float] = (0.0, 1.0),
    guide: float | None = None,
    is_percent: bool = True,
) -> str:
    """Draws one value with its interval a row.

    Args:
        rows: from top to bottom.
        title: of the picture, for those who don't see it.
        label: of the horizontal axis.
        x_range: of the horizontal axis.
        guide: a value at which a dashed vertical line stands.
        is_percent: numbers are written as percent.
    """

    def written(value: float) -> str:
        return percent(value) if is_percent else f"{value:.3f}"

    name_width = 14.0 + 7.3 * max(len(row.name) for row in rows)
    axes = svg.Axes(
        x_range=x_range,
        y_range=(len(rows), 0.0),
        height=len(rows) * 30.0 + 60.0,
        margins=(min(name_width, 190.0), 6.0, 62.0, 46.0),
    )
    values = svg.ticks(*x_range, count=4)
    names = [f"{100 * v:g}\u202f%" if is_percent else f"{v:g}" for v in values]
    parts = [axes.x_axis(values, names, label)]
    if guide is not None:
        parts.append(svg.line(axes.x(guide), axes.top, axes.x(guide), axes.bottom, "guide"))
    for index, row in enumerate(rows):
        parts.append(_row(axes, row, axes.y(index + 0.5), written))
    said = "; ".join(_in_words(row, written) for row in rows)
    return svg.document(
        "".join(parts), width=axes.width, height=axes.height, title=title, description=said
    )


def _row(axes: svg.Axes, row: Row, height: float, written: Callable[[float], str]) -> str:
    parts = [svg.text(axes.left - 8, height + 4, row.name, anchor="end")]
    colour = f"stroke: var(--c{row.series % 5})"
    if row.low is not None and row.high is not None:
        low, high = (axes.x(_clip(value, axes.x_range)) for value in (row.low, row.high))
        parts.append(
            f'<line style="{colour}" stroke-width="3" stroke-opacity="0.55" '
            f'x1="{svg.number(low)}" x2="{svg.number(high)}" '
            f'y1="{svg.number(height)}" y2="{svg.number(height)}"/>'
        )
    note = row.note
    if row.value is not None:
        at = axes.x(_clip(row.value, axes.x_range))
        words = _in_words(row, written)
        parts.append(svg.mark(at, height, row.series, words, size=5.0))
        note = note or written(row.value)
    parts.append(svg.text(axes.right + 8, height + 4, note, muted=row.value is None))
    return "".join(parts)


def _in_words(row: Row, written: Callable[[float], str]) -> str:
    if row.value is None:
        return f"{row.name}: {row.note or 'undefined'}"
    words = f"{row.name}: {written(row.value)}"
    if row.low is None or row.high is None:
        return words
    return f"{words}, 95 % interval {written(row.low)} to {written(row.high)}"


def _clip(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])


def matrix(counts: Sequence[Sequence[int]], names: Sequence[str], *, title: str) -> str:
    """Draws a confusion matrix: counts, and the share of each true class."""
    cell, left, top = 92.0, 104.0, 44.0
    parts = [
        svg.text(left + cell * len(names) / 2, 12, "predicted", anchor="middle", muted=True),
        svg.text(left - 8, top - 6, "truth", anchor="end", muted=True),
    ]
    said = []
    for i, name in enumerate(names):
        total = sum(counts[i])
        parts.append(svg.text(left + cell * (i + 0.5), top - 6, name, anchor="middle"))
        parts.append(svg.text(left - 8, top + cell * (i + 0.5) + 4, name, anchor="end"))
        for j, count in enumerate(counts[i]):
            share = count / total if total else 0.0
            words = f"{count} of {total} {name} predicted {names[j]}"
            said.append(words)
            parts.append(_cell(left + cell * j, top + cell * i, cell, count, share, i == j, words))
    side = cell * len(names)
    return svg.document(
        "".join(parts),
        width=left + side + 4,
        height=top + side + 4,
        title=title,
        description="; ".join(said),
    )


def _cell(
    x: float, y: float, size: float, count: int, share: float, is_right: bool, words: str
) -> str:
    # At most 0.55, so that text keeps its contrast on every shade.
    fill = f"fill: var(--{'c0' if is_right else 'c2'}); fill-opacity: {0.04 + 0.5 * share:.3f}"
    width = 2 if is_right else 1
    stroke = "var(--ink)" if is_right else "var(--grid)"
    middle = x + size / 2
    return (
        f'<rect x="{svg.number(x + 2)}" y="{svg.number(y + 2)}" rx="4" '
        f'width="{svg.number(size - 4)}" height="{svg.number(size - 4)}" '
        f'style="{fill}; stroke: {stroke}; stroke-width: {width}">'
        f"<title>{html.escape(words)}</title></rect>"
        + svg.text(middle, y + size / 2, str(count), anchor="middle", attributes=_LARGE)
        + svg.text(middle, y + size / 2 + 20, percent(share, 0), anchor="middle", muted=True)
    )


def curves(
    series: Sequence[Curve],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] = (0.0, 1.0),
    y_range: tuple[float, float] = (0.0, 1.0),
    x_is_percent: bool = False,
    y_is_percent: bool = False,
    has_diagonal: bool = False,
    legend_at: str = "bottom right",
) -> str:
    """Draws lines over one pair of axes, with a legend where there are several.

    Args:
        series: the lines.
        title: of the picture, for those who don't see it.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
        x_range: of the horizontal axis.
        y_range: of the vertical axis.
        x_is_percent: numbers are written as percent.
        y_is_percent: numbers are written as percent.
        has_diagonal: draws the line of equal x and y.
        legend_at: "bottom right" or "top left" of the plot area, or "below" it, which suits lines
            that may run anywhere.
    """
    below = _ROW_PX * math.ceil(len(series) / _COLUMNS) + 6.0 if legend_at == "below" else 0.0
    axes = svg.Axes(
        x_range=x_range,
        y_range=y_range,
        height=320.0 + below,
        margins=(64.0, 12.0, 24.0, 44.0 + below),
    )
    parts = [
        _axis(axes.x_axis, x_range, x_label, x_is_percent),
        _axis(axes.y_axis, y_range, y_label, y_is_percent),
    ]
    if has_diagonal:
        ends = axes.points([(0.0, 0.0), (1.0, 1.0)])
        parts.append(svg.line(*ends[0], *ends[1], "guide"))
    parts += [_curve(axes, curve) for curve in series]
    parts.append(_legend(axes, series, legend_at))
    said = "; ".join(curve.name for curve in series)
    return svg.document(
        "".join(parts), width=axes.width, height=axes.height, title=title, description=said
    )


def _axis(
    draw: Callable[[Sequence[float], Sequence[str], str], str],
    limits: tuple[float, float],
    label: str,
    is_percent: bool,
) -> str:
    values = svg.ticks(*limits)
    names = [f"{100 * value:g}\u202f%" if is_percent else f"{value:g}" for value in values]
    return draw(values, names, label)


def _curve(axes: svg.Axes, curve: Curve) -> str:
    parts = []
    if curve.band:
        upper = axes.points((x, _clip(high, axes.y_range)) for x, _, high in curve.band)
        lower = axes.points((x, _clip(low, axes.y_range)) for x, low, _ in curve.band)
        parts.append(svg.band([*upper, *reversed(lower)], curve.series))
    points = axes.points((x, _clip(y, axes.y_range)) for x, y in curve.points)
    parts.append(svg.polyline(points, curve.series))
    tooltips = curve.tooltips or [""] * len(points)
    if curve.has_marks:
        parts += [
            svg.mark(x, y, curve.series, tooltip)
            for (x, y), tooltip in zip(points, tooltips, strict=True)
        ]
    return "".join(parts)


def _legend(axes: svg.Axes, series: Sequence[Curve], legend_at: str) -> str:
    entries = [(curve.series, curve.name) for curve in series if curve.name]
    if not entries:
        return ""
    if legend_at == "below":
        step = (axes.right - axes.left) / _COLUMNS
        return "".join(
            svg.legend(
                entries[column::_COLUMNS],
                axes.left + step * column,
                axes.bottom + 56.0,
                step=_ROW_PX,
            )
            for column in range(_COLUMNS)
        )
    width = 46.0 + 6.6 * max(len(name) for _, name in entries)
    x = axes.left + 10.0 if "left" in legend_at else axes.right - width
    y = axes.top + 12.0 if "top" in legend_at else axes.bottom - 18.0 * len(entries) + 4.0
    return svg.legend(entries, x, y)
