"""index.html: studies in the order in which they want to be looked at, and how good points are."""

import dataclasses
from collections.abc import Sequence

from spine_tf import labels
from spine_tf.localization import gate, localization, point_controls, point_figures
from spine_tf.pages import charts, picture, template
from spine_tf.readings import reading
from spine_tf.scoring import figure

_FIGURE_NAMES = {
    "median_mm": "Median, mm",
    "p95_mm": "95th percentile, mm",
    "slice_exact": "Slice exact",
    "slice_within_1": "Within one",
    "slice_within_2": "Within two",
    "level_right": "Level right",
    "side_right": "Side right",
    "rows_filled": "Rows filled",
}
_NOTHING = point_controls.Comparison(tables={}, matches=())


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Line:
    """A study on the page: its grades by severity, what is flagged, why it has no point at all."""

    one: reading.Reading
    severities: Sequence[int]
    num_flagged: int
    missing: Sequence[gate.Missing]


def render(
    readings: Sequence[reading.Reading],
    *,
    name: str,
    origin: str,
    compared: point_controls.Comparison | None = None,
) -> str:
    """Returns the page.

    Args:
        readings: the studies, in any order, at least one.
        name: the data set's name, for the heading.
        origin: what `page_origin` says of the page's making.
        compared: found points beside given ones; None where nobody knows.
    """
    compared = compared or _NOTHING
    return template.load("spine_tf.readings", "index.html.jinja").render(
        name=name,
        origin=origin,
        readers=readings[0].readers,
        points_by=localization.points_by(one.result for one in readings),
        lines=[_line(one) for one in reading.by_doubt(readings)],
        num_points=sum(len(one.result.points) for one in readings),
        num_flagged=sum(bool(row.flag) for one in readings for row in one.result.points),
        num_prior=sum(one.num_prior for one in readings),
        num_missing=sum(len(one.result.gaps) for one in readings),
        severities=labels.SEVERITIES,
        figure_names=_FIGURE_NAMES,
        tables=_tables(compared),
        tail=compared.errors_in_tail,
        risk=_risk_chart(compared.matches) if compared.matches else None,
    )


def _line(one: reading.Reading) -> _Line:
    severities = [0] * len(labels.SEVERITIES)
    task = one.readers.task
    for grade in one.grades if task else ():
        if task and grade.answered_by is not reading.AnsweredBy.PRIOR:
            best = grade.probabilities.index(max(grade.probabilities))
            severities[task.class_severities[best]] += 1
    flagged = sum(grade.answered_by is reading.AnsweredBy.FLAGGED for grade in one.grades)
    points = sum(bool(row.flag) for row in one.result.points)
    reasons = {gap.reason for gap in one.result.gaps if not one.result.points}
    return _Line(
        one=one,
        severities=severities,
        num_flagged=flagged if one.grades else points,
        missing=[reason for reason in gate.Missing if reason in reasons],
    )


def _tables(
    compared: point_controls.Comparison,
) -> list[tuple[str, str, dict[str, str]]]:
    """(whose points, group, figure -> words) of each row of the table."""
    return [
        (name, group, {key: _words(one, name) for key, one in groups[group].items()})
        for group in point_figures.GROUPS
        for name, groups in compared.tables.items()
        if group in groups
    ]


def _words(one: figure.Figure, name: str) -> str:
    if one.value is None:
        return ""
    return (one if name == point_controls.FOUND else one.alone).in_words(2)


def _risk_chart(matches: Sequence[point_figures.Match]) -> picture.Picture | None:
    curve = point_figures.risk_coverage(matches)
    if not curve:
        return None
    points = [(one.coverage, one.risk) for one in curve]
    top = max(0.05, *(risk for _, risk in points))
    return charts.curves(
        [charts.Curve(name="wrong levels", points=points)],
        title="Level errors among the surest points",
        x_label="share of the found points that is kept, the surest first",
        y_label="share with a wrong level",
        y_range=(0.0, top),
        x_is_percent=True,
        y_is_percent=True,
    )
