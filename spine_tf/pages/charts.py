"""The kinds of chart that pages use: values with intervals, a matrix, curves and points."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from spine_tf.pages import picture

if TYPE_CHECKING:
    from matplotlib import axes as mpl_axes, axis as mpl_axis

# Of a legend below the plot.
_ROW_PX, _SAMPLE_PX, _LETTER_PX = 18.0, 52.0, 7.6
_MAX_COLUMNS = 3

# What the numbers and the name of a vertical axis take.
_AXIS_PX = 70.0

_LEGENDS: Mapping[str, Any] = {
    "below": "outside lower left",
    "right": "outside right upper",
}

# A line of more points is drawn without a mark at each.
MOST_MARKS = 30

_FAINT = 0.35
_MARK_PX, _LONE_MARK_PX = 9.0, 7.0
_PLAIN: Mapping[str, Any] = {"linestyle": "-", "marker": "none"}
_GREY: Mapping[str, Any] = {**_PLAIN, "color": picture.colour("muted")}
_GUIDE = {**_GREY, "linewidth": 1.0, "linestyle": (0, (2, 4)), "zorder": 1.5}


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
    """(x, y) values as a line, as marks or both, with an optional band around them.

    Attributes:
        name: in the legend; one without is not in it.
        points: in order of x.
        band: (x, low, high), in order of x.
        series: colour, dash and mark; None is a plain grey line.
        has_line: joins the points.
        has_marks: draws each point too.
        tooltips: one a point, shown on its mark.
        is_faint: stands back behind others.
    """

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    series: int | None = 0
    has_line: bool = True
    has_marks: bool = False
    tooltips: Sequence[str] = ()
    is_faint: bool = False


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
) -> picture.Picture:
    """Draws one value with its interval a row.

    Args:
        rows: from top to bottom.
        title: what the picture shows, for those who don't see it.
        label: what the horizontal axis measures.
        x_range: where the horizontal axis begins and ends; what lies outside is drawn at its end.
        guide: a value at which a dashed vertical line stands.
        is_percent: numbers are written as percent.
    """

    def written(value: float) -> str:
        return percent(value) if is_percent else f"{value:.3f}"

    with picture.canvas(height=len(rows) * 30.0 + 60.0) as canvas:
        axes = canvas.axes
        axes.set(xlim=x_range, ylim=(len(rows) - 0.5, -0.5))
        # Under the whole picture: beside long names the axis is shorter than its label.
        axes.figure.supxlabel(label, fontsize=axes.xaxis.label.get_fontsize())
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.tick_params("y", labelcolor=picture.colour("ink"))
        axes.grid(visible=False, axis="y")
        axes.spines.left.set_visible(False)
        _set_ticks(axes.xaxis, is_percent, count=4)
        if guide is not None:
            axes.axvline(guide, **_GUIDE)
        for place, row in enumerate(rows):
            _draw_row(canvas, row, place, written)
        said = "; ".join(_in_words(row, written) for row in rows)
        return canvas.finish(title=title, description=said)


def _draw_row(
    canvas: picture.Canvas, row: Row, place: int, written: Callable[[float], str]
) -> None:
    axes, limits = canvas.axes, canvas.axes.get_xlim()
    style = canvas.series[row.series % len(canvas.series)]
    if row.low is not None and row.high is not None:
        ends = [_clip(row.low, limits), _clip(row.high, limits)]
        axes.plot(ends, [place, place], **_PLAIN, color=style["color"], linewidth=3.0, alpha=0.55)
    note = row.note
    if row.value is not None:
        mark = axes.plot(_clip(row.value, limits), place, **style, clip_on=False)
        canvas.set_tooltips(mark[0], [_in_words(row, written)])
        note = note or written(row.value)
    axes.annotate(
        note,
        xy=(1.0, place),
        xycoords=("axes fraction", "data"),
        xytext=(8.0, 0.0),
        textcoords="offset points",
        verticalalignment="center_baseline",
        color=picture.colour("muted" if row.value is None else "ink"),
    )


def _in_words(row: Row, written: Callable[[float], str]) -> str:
    if row.value is None:
        return f"{row.name}: {row.note or 'undefined'}"
    words = f"{row.name}: {written(row.value)}"
    if row.low is None or row.high is None:
        return words
    return f"{words}, 95 % interval {written(row.low)} to {written(row.high)}"


def _clip(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])


def _set_ticks(
    axis: "mpl_axis.Axis", is_percent: bool, *, count: int = 5, is_whole: bool = False
) -> None:
    """About `count` round numbers."""
    from matplotlib import ticker

    def written(value: float, _: object) -> str:
        value = round(value, 10) + 0.0  # A tick may be 1e-17 or -0.
        return f"{100 * value:g}\u202f%" if is_percent else f"{value:g}"

    steps = [1, 2, 2.5, 5, 10]
    axis.set_major_locator(ticker.MaxNLocator(count, steps=steps, integer=is_whole))
    axis.set_major_formatter(ticker.FuncFormatter(written))


def matrix(counts: Sequence[Sequence[int]], names: Sequence[str], *, title: str) -> picture.Picture:
    """Draws a confusion matrix: counts, and the share of each true class."""
    side = 92.0 * len(names)
    with picture.canvas(width=104.0 + side + 4.0, height=44.0 + side + 4.0) as canvas:
        axes, places = canvas.axes, range(len(names))
        axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
        axes.set_xticks(places, names)
        axes.set_yticks(places, names)
        axes.tick_params(labelcolor=picture.colour("ink"), labeltop=True, labelbottom=False)
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("predicted", labelpad=8.0, color=picture.colour("muted"))
        axes.set_ylabel("truth", color=picture.colour("muted"))
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        said = []
        for i, name in enumerate(names):
            total = sum(counts[i])
            for j, count in enumerate(counts[i]):
                words = f"{count} of {total} {name} predicted {names[j]}"
                _draw_cell(canvas, i, j, count, count / total if total else 0.0, words)
                said.append(words)
        return canvas.finish(title=title, description="; ".join(said))


def _draw_cell(
    canvas: picture.Canvas, row: int, column: int, count: int, share: float, words: str
) -> None:
    from matplotlib import colors, patches

    is_right = row == column
    colour = picture.colour("c0" if is_right else "c2")
    cell = patches.FancyBboxPatch(
        (column - 0.46, row - 0.46),
        0.92,
        0.92,
        boxstyle="round,pad=0,rounding_size=0.04",
        # At most 0.54, so that text keeps its contrast on every shade.
        facecolor=colors.to_rgba(colour, 0.04 + 0.5 * share),
        edgecolor=picture.colour("ink" if is_right else "grid"),
        linewidth=2.0 if is_right else 1.0,
    )
    canvas.set_tooltips(canvas.axes.add_patch(cell), [words])
    style: dict[str, Any] = {"horizontalalignment": "center", "verticalalignment": "center"}
    canvas.axes.text(column, row - 0.05, str(count), **style, fontsize=20, fontweight="bold")
    canvas.axes.text(column, row + 0.2, percent(share, 0), **style)


def curves(
    series: Sequence[Curve],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = (0.0, 1.0),
    y_range: tuple[float, float] | None = (0.0, 1.0),
    x_is_percent: bool = False,
    y_is_percent: bool = False,
    x_scale: Literal["linear", "whole", "log"] = "linear",
    x_names: Sequence[str] = (),
    has_diagonal: bool = False,
    guide: float | None = None,
    legend_at: str = "below",
    description: str = "",
    width: float = picture.WIDTH,
) -> picture.Picture:
    """Draws lines and points over one pair of axes, with a legend where there are several.

    Args:
        series: the lines.
        title: what the picture shows, for those who don't see it.
        x_label: what the horizontal axis measures.
        y_label: what the vertical axis measures.
        x_range: where the horizontal axis begins and ends; None is a little more than the values
            need.
        y_range: likewise of the vertical axis; a y outside it is drawn at its end.
        x_is_percent: numbers are written as percent.
        y_is_percent: numbers are written as percent.
        x_scale: "whole" has ticks at whole numbers alone.
        x_names: what stands at 0, 1, 2, ... of the horizontal axis instead of numbers.
        has_diagonal: draws the line of equal x and y.
        guide: an x at which a dashed vertical line stands.
        legend_at: "below" the plot area or at its "right".
        description: what the picture shows in words; by default the curves' names.
        width: in CSS pixels.
    """
    named = [curve.name for curve in series if curve.name]
    columns = _legend_columns(named, width) if legend_at == "below" else 1
    has_row = bool(named) and legend_at == "below"
    below = _ROW_PX * math.ceil(len(named) / columns) + 6.0 if has_row else 0.0
    with picture.canvas(width=width, height=320.0 + below) as canvas:
        axes = canvas.axes
        axes.set(xlabel=x_label, ylabel=y_label)
        for limits, set_limits in ((x_range, axes.set_xlim), (y_range, axes.set_ylim)):
            if limits is not None:
                set_limits(*limits)
        _set_ticks(axes.yaxis, y_is_percent)
        if x_names:
            axes.set_xticks(range(len(x_names)), _in_rows(x_names, width))
        elif x_scale == "log":
            _set_log_ticks(axes)
        else:
            _set_ticks(axes.xaxis, x_is_percent, is_whole=x_scale == "whole")
        if has_diagonal:
            axes.plot([0.0, 1.0], [0.0, 1.0], **_GUIDE)
        if guide is not None:
            axes.axvline(guide, **_GUIDE)
        for curve in series:
            _draw_curve(canvas, curve, y_range or (-math.inf, math.inf))
        if named:
            _draw_legend(axes, legend_at, columns)
        return canvas.finish(title=title, description=description or "; ".join(named))


def _in_rows(names: Sequence[str], width: float) -> list[str]:
    """Puts neighbours below each other where they would run into one another."""
    longest = max(map(len, names))
    rows = math.ceil(_LETTER_PX * (longest + 1) * len(names) / (width - _AXIS_PX))
    return ["\n" * (index % rows) + name for index, name in enumerate(names)]


def _set_log_ticks(axes: "mpl_axes.Axes") -> None:
    from matplotlib import ticker

    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(
        ticker.FuncFormatter(lambda value, _: f"1e{round(math.log10(value))}")
    )
    axes.xaxis.set_minor_locator(ticker.NullLocator())


def _draw_curve(canvas: picture.Canvas, curve: Curve, limits: tuple[float, float]) -> None:
    axes = canvas.axes
    style = _GREY
    if curve.series is not None:
        style = canvas.series[curve.series % len(canvas.series)]
    if curve.band:
        x, low, high = zip(*curve.band, strict=True)
        lower, upper = ([_clip(value, limits) for value in values] for values in (low, high))
        axes.fill_between(x, lower, upper, color=style["color"], alpha=0.16, linewidth=0.0)
    hidden = {"linestyle": curve.has_line, "marker": curve.has_marks}
    (line,) = axes.plot(
        [x for x, _ in curve.points],
        [_clip(y, limits) for _, y in curve.points],
        **{**style, **{name: "none" for name, is_shown in hidden.items() if not is_shown}},
        markersize=_MARK_PX if curve.has_line else _LONE_MARK_PX,
        label=curve.name or None,
        alpha=_FAINT if curve.is_faint else None,
        zorder=2.0 if curve.is_faint else 2.1,
        clip_on=False,
    )
    # Matplotlib draws no mark for a value that is not a number.
    tooltips = [
        words
        for (_, y), words in zip(curve.points, curve.tooltips, strict=bool(curve.tooltips))
        if math.isfinite(y)
    ]
    if tooltips:
        canvas.set_tooltips(line, tooltips)


def _legend_columns(names: Sequence[str], width: float) -> int:
    """As many as the longest name leaves room for."""
    longest = max((len(name) for name in names), default=0)
    return max(1, min(_MAX_COLUMNS, int(width // (_SAMPLE_PX + _LETTER_PX * longest))))


def _draw_legend(axes: "mpl_axes.Axes", legend_at: str, columns: int) -> None:
    legend = axes.figure.legend(loc=_LEGENDS[legend_at], ncols=columns)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(None)
