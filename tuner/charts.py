"""The charts of a search: objective over the trials, learning curves, and each hyperparameter."""

import math
from collections.abc import Sequence
from typing import Any

from spine_tf.pages import svg
from tuner import leaderboard, objective, trial

# A value this much worse than the median of all is cut off: one diverged trial would flatten the
# chart of all others.
_CUT_OFF = 4.0
_LOG_SPAN = 30.0


def progress(entries: Sequence[leaderboard.Entry], goal: objective.Objective) -> str:
    """Draws the objective of each trial in the order of their start, and the best so far.

    Args:
        entries: in the order of their start.
        goal: what was optimised.
    """
    scored = [(i, e) for i, e in enumerate(entries, start=1) if e.score is not None]
    if not scored:
        return ""
    axes = svg.Axes(
        x_range=(0.0, float(len(entries) + 1)),
        y_range=_range([_value(entry) for _, entry in scored], goal),
        width=880.0,
        margins=(64.0, 12.0, 150.0, 44.0),
    )
    families = _families(entries)
    best = _best_so_far(scored, goal)
    points = [axes.points([(x, _clip(axes, y))])[0] for x, y in best]
    parts = [
        _axes(axes, _whole_ticks(len(entries)), "trial", goal.name),
        _grey_line(points),
        *(
            svg.mark(
                axes.x(position),
                axes.y(_clip(axes, _value(entry))),
                families.index(entry.family),
                _tooltip(entry, goal),
            )
            for position, entry in scored
        ),
        svg.legend(list(enumerate(families)), axes.right + 16, axes.top + 12),
    ]
    return _picture(axes, parts, "Objective over the trials", f"{goal.name}, best so far in grey")


def learning_curves(entries: Sequence[leaderboard.Entry], goal: objective.Objective) -> str:
    """Draws the objective on the first fold, epoch by epoch, one line a trial."""
    curves = [(entry, _curve(entry, goal)) for entry in entries]
    curves = [(entry, curve) for entry, curve in curves if curve]
    if not curves:
        return ""
    longest = max(len(curve) for _, curve in curves)
    axes = svg.Axes(
        x_range=(0.0, float(longest + 1)),
        y_range=_range([value for _, curve in curves for value in curve], goal),
        width=880.0,
        margins=(64.0, 12.0, 150.0, 44.0),
    )
    families = _families(entries)
    parts = [_axes(axes, _whole_ticks(longest), "epoch", goal.name)]
    for entry, curve in curves:
        points = axes.points(
            (epoch, _clip(axes, value)) for epoch, value in enumerate(curve, start=1)
        )
        series = families.index(entry.family)
        opacity = 1.0 if entry is curves[0][0] else 0.35
        parts.append(f'<g opacity="{opacity}">{svg.polyline(points, series)}</g>')
        if entry.status == trial.STOPPED:
            parts.append(svg.mark(*points[-1], series, _tooltip(entry, goal), size=3.0))
    parts.append(svg.legend(list(enumerate(families)), axes.right + 16, axes.top + 12))
    return _picture(axes, parts, "Learning curves", f"{goal.name} on fold_0; the best trial solid")


def hyperparameters(
    entries: Sequence[leaderboard.Entry], goal: objective.Objective
) -> dict[str, str]:
    """Draws each hyperparameter that took more than one value against the objective."""
    scored = [entry for entry in entries if entry.score is not None]
    fields = sorted({field for entry in scored for field in entry.settings})
    pictures = {}
    for field in fields:
        having = [entry for entry in scored if field in entry.settings]
        if len({str(entry.settings[field]) for entry in having}) > 1:
            pictures[field] = _hyperparameter(field, having, _families(entries), goal)
    return pictures


def _hyperparameter(
    field: str,
    entries: Sequence[leaderboard.Entry],
    families: Sequence[str],
    goal: objective.Objective,
) -> str:
    places, ticks, label = _places([entry.settings[field] for entry in entries], field)
    low, high = min(places), max(places)
    margin = 0.08 * (high - low)
    axes = svg.Axes(
        x_range=(low - margin, high + margin),
        y_range=_range([_value(entry) for entry in entries], goal),
        margins=(58.0, 12.0, 14.0, 44.0),
    )
    parts = [_axes(axes, ticks, label, goal.name)]
    for place, entry in zip(places, entries, strict=True):
        series = families.index(entry.family)
        row = axes.y(_clip(axes, _value(entry)))
        parts.append(svg.mark(axes.x(place), row, series, _tooltip(entry, goal), size=3.5))
    return _picture(axes, parts, f"{field} against {goal.name}", f"{len(entries)} trials")


def _places(values: Sequence[Any], field: str) -> tuple[list[float], list[tuple[float, str]], str]:
    """Where values stand on an axis: to scale, on a logarithmic scale, or side by side."""
    distinct = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if any(isinstance(value, str | bool) for value in distinct) or len(distinct) <= 4:
        order = {str(value): float(i) for i, value in enumerate(distinct)}
        names = [(order[str(value)], _short(value)) for value in distinct]
        return [order[str(value)] for value in values], names, field
    low, high = float(min(values)), float(max(values))
    if low > 0.0 and high / low > _LOG_SPAN:
        exponents = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        ticks = [(float(exponent), f"1e{exponent}") for exponent in exponents]
        return [math.log10(value) for value in values], ticks, field
    return [float(value) for value in values], [(t, f"{t:g}") for t in svg.ticks(low, high)], field


def _axes(axes: svg.Axes, x_ticks: Sequence[tuple[float, str]], x_label: str, y_label: str) -> str:
    y_ticks = svg.ticks(*axes.y_range)
    columns, names = [tick for tick, _ in x_ticks], [name for _, name in x_ticks]
    return axes.x_axis(columns, names, x_label) + axes.y_axis(
        y_ticks, [f"{tick:g}" for tick in y_ticks], y_label.replace("_", " ")
    )


def _range(values: Sequence[float], goal: objective.Objective) -> tuple[float, float]:
    ordered = sorted(goal.sign * value for value in values)
    best, median = ordered[0], ordered[len(ordered) // 2]
    spread = max(median - best, 1e-3)
    worst = min(ordered[-1], median + _CUT_OFF * spread)
    margin = 0.06 * max(worst - best, 1e-3)
    ends = (goal.sign * (best - margin), goal.sign * (worst + margin))
    return min(ends), max(ends)


def _clip(axes: svg.Axes, value: float) -> float:
    low, high = axes.y_range
    return min(max(value, low), high)


def _best_so_far(
    scored: Sequence[tuple[int, leaderboard.Entry]], goal: objective.Objective
) -> list[tuple[float, float]]:
    steps: list[tuple[float, float]] = []
    for position, entry in scored:
        value = _value(entry)
        if not steps or goal.sign * value < goal.sign * steps[-1][1]:
            steps += [(position, steps[-1][1])] if steps else []
            steps.append((position, value))
    return [*steps, (scored[-1][0], steps[-1][1])]


def _grey_line(points: Sequence[tuple[float, float]]) -> str:
    joined = " ".join(f"{svg.number(x)},{svg.number(y)}" for x, y in points)
    return f'<polyline class="line" style="stroke: var(--muted)" points="{joined}"/>'


def _curve(entry: leaderboard.Entry, goal: objective.Objective) -> list[float]:
    if entry.outcome is None or not entry.outcome.curves:
        return []
    return [figures[goal.monitor] for figures in entry.outcome.curves[0]]


def _value(entry: leaderboard.Entry) -> float:
    if entry.score is None:
        raise ValueError(f"trial {entry.trial_id} has no score")
    return entry.score.value


def _families(entries: Sequence[leaderboard.Entry]) -> list[str]:
    return sorted({entry.family for entry in entries})


def _tooltip(entry: leaderboard.Entry, goal: objective.Objective) -> str:
    return f"trial {entry.trial_id}, {entry.family}, {goal.name} {_value(entry):.4g}" + (
        f", {entry.status}" if entry.status != trial.COMPLETED else ""
    )


def _whole_ticks(count: int) -> list[tuple[float, str]]:
    ticks = [tick for tick in svg.ticks(0, max(count, 1)) if tick == int(tick) and tick > 0]
    return [(tick, f"{tick:g}") for tick in ticks]


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 18 else text[:17] + "\u2026"


def _picture(axes: svg.Axes, parts: Sequence[str], title: str, description: str) -> str:
    return svg.document(
        "".join(parts), width=axes.width, height=axes.height, title=title, description=description
    )
