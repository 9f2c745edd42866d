"""The charts of a search: objective over the trials, learning curves, and each hyperparameter."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from spine_tf.pages import charts, picture
from tuner import leaderboard, search_settings, trial

# A value this much worse than the median of all is cut off: one diverged trial would flatten the
# chart of all others.
_CUT_OFF = 4.0
_LOG_SPAN = 30.0
_WIDE_PX = 880.0


def progress(
    entries: Sequence[leaderboard.Entry], goal: search_settings.Objective
) -> picture.Picture | None:
    """Draws the objective of each trial in the order of their start, and the best so far.

    Args:
        entries: in the order of their start.
        goal: what was optimised.

    Returns:
        None where no trial has a score.
    """
    scored = [(number(e), e) for e in entries if e.score is not None]
    if not scored:
        return None
    best = charts.Curve(name="best so far", points=_best_so_far(scored, goal), series=None)
    return charts.curves(
        [best, *_marks(scored, entries, goal)],
        title="Objective over the trials",
        description=f"{goal.name} of {len(scored)} trials, best so far in grey",
        x_label="trial",
        x_range=None,
        x_scale="whole",
        y_label=_in_words(goal),
        y_range=_range([_value(entry) for _, entry in scored], goal),
        legend_at="right",
        width=_WIDE_PX,
    )


def number(entry: leaderboard.Entry) -> float:
    """Returns the number of a trial, by which page, table and log call it."""
    return float(entry.trial_id)


def learning_curves(
    entries: Sequence[leaderboard.Entry], goal: search_settings.Objective
) -> picture.Picture | None:
    """Draws the objective on the first fold, epoch by epoch, one line a trial.

    Args:
        entries: the best first.
        goal: what was optimised.

    Returns:
        None where no trial has an epoch.
    """
    curves = [(entry, _curve(entry, goal)) for entry in entries]
    curves = [(entry, curve) for entry, curve in curves if curve]
    if not curves:
        return None
    families, named = _families(entries), set[str]()
    lines = []
    for entry, points in curves:
        line = charts.Curve(
            name="" if entry.family in named else entry.family,
            points=points,
            series=families.index(entry.family),
            is_faint=entry is not curves[0][0],
        )
        named.add(entry.family)
        lines.append(line)
        if entry.status == trial.STOPPED:
            lines.append(_mark_of_the_end(line, _tooltip(entry, goal)))
    return charts.curves(
        lines,
        title="Learning curves",
        description=f"{goal.name} of {len(curves)} trials, fold_0 held out; the best drawn strong",
        x_label="epoch",
        x_range=None,
        x_scale="whole",
        y_label=_in_words(goal),
        y_range=_range([value for _, points in curves for _, value in points], goal),
        legend_at="right",
        width=_WIDE_PX,
    )


def _mark_of_the_end(line: charts.Curve, tooltip: str) -> charts.Curve:
    return dataclasses.replace(
        line,
        name="",
        points=line.points[-1:],
        has_line=False,
        has_marks=True,
        tooltips=[tooltip],
    )


def hyperparameters(
    entries: Sequence[leaderboard.Entry], goal: search_settings.Objective
) -> dict[str, picture.Picture]:
    """Draws each hyperparameter that took more than one value against the objective."""
    scored = [entry for entry in entries if entry.score is not None]
    fields = sorted({field for entry in scored for field in entry.settings})
    pictures = {}
    for field in fields:
        having = [entry for entry in scored if field in entry.settings]
        if len({str(entry.settings[field]) for entry in having}) > 1:
            pictures[field] = _hyperparameter(field, having, entries, goal)
    return pictures


def _hyperparameter(
    field: str,
    having: Sequence[leaderboard.Entry],
    entries: Sequence[leaderboard.Entry],
    goal: search_settings.Objective,
) -> picture.Picture:
    values = [entry.settings[field] for entry in having]
    names = _categories(values)
    places = [float(names.index(_short(v))) if names else float(v) for v in values]
    is_log = not names and min(places) > 0.0 and max(places) / min(places) > _LOG_SPAN
    return charts.curves(
        [
            dataclasses.replace(marks, name="")
            for marks in _marks(list(zip(places, having, strict=True)), entries, goal)
        ],
        title=f"{field} against {goal.name}",
        description=f"{goal.name} of {len(having)} trials by {field}",
        x_label=field,
        x_range=None,
        x_scale="log" if is_log else "linear",
        x_names=names,
        y_label=_in_words(goal),
        y_range=_range([_value(entry) for entry in having], goal),
    )


def _categories(values: Sequence[Any]) -> list[str]:
    """The names of values that stand side by side; none where they are drawn to scale."""
    distinct = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if any(isinstance(value, str | bool) for value in distinct) or len(distinct) <= 4:
        return list(dict.fromkeys(map(_short, distinct)))
    return []


def _marks(
    placed: Sequence[tuple[float, leaderboard.Entry]],
    entries: Sequence[leaderboard.Entry],
    goal: search_settings.Objective,
) -> list[charts.Curve]:
    """One mark a trial, in the colour and shape of its family."""
    return [
        charts.Curve(
            name=family,
            points=[(place, _value(entry)) for place, entry in placed if entry.family == family],
            series=series,
            has_line=False,
            has_marks=True,
            tooltips=[_tooltip(entry, goal) for _, entry in placed if entry.family == family],
        )
        for series, family in enumerate(_families(entries))
        if any(entry.family == family for _, entry in placed)
    ]


def _range(values: Sequence[float], goal: search_settings.Objective) -> tuple[float, float]:
    ordered = sorted(goal.sign * value for value in values)
    best, median = ordered[0], ordered[len(ordered) // 2]
    spread = max(median - best, 1e-3)
    worst = min(ordered[-1], median + _CUT_OFF * spread)
    margin = 0.06 * max(worst - best, 1e-3)
    ends = (goal.sign * (best - margin), goal.sign * (worst + margin))
    return min(ends), max(ends)


def _best_so_far(
    scored: Sequence[tuple[float, leaderboard.Entry]], goal: search_settings.Objective
) -> list[tuple[float, float]]:
    steps: list[tuple[float, float]] = []
    for position, entry in scored:
        value = _value(entry)
        if not steps or goal.sign * value < goal.sign * steps[-1][1]:
            steps += [(position, steps[-1][1])] if steps else []
            steps.append((position, value))
    return [*steps, (scored[-1][0], steps[-1][1])]


def _curve(entry: leaderboard.Entry, goal: search_settings.Objective) -> list[tuple[float, float]]:
    if entry.outcome is None or not entry.outcome.curves:
        return []
    figures = entry.outcome.curves[0]
    return [(epoch + 1.0, found[goal.monitor]) for epoch, found in enumerate(figures)]


def _value(entry: leaderboard.Entry) -> float:
    if entry.score is None:
        raise ValueError(f"trial {entry.trial_id} has no score")
    return entry.score.value


def _in_words(goal: search_settings.Objective) -> str:
    return goal.name.replace("_", " ")


def _families(entries: Sequence[leaderboard.Entry]) -> list[str]:
    return sorted({entry.family for entry in entries})


def _tooltip(entry: leaderboard.Entry, goal: search_settings.Objective) -> str:
    return f"trial {entry.trial_id}, {entry.family}, {goal.name} {_value(entry):.4g}" + (
        f", {entry.status}" if entry.status != trial.COMPLETED else ""
    )


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 18 else text[:17] + "\u2026"
