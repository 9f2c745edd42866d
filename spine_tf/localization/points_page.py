"""localize.html: studies sorted by doubt, with their points on slices, and how good points are."""

import dataclasses
import pathlib
from collections.abc import Sequence

from spine_tf import labels
from spine_tf.crops import slice_reader
from spine_tf.localization import gate, localization, point_controls, point_figures, point_pictures
from spine_tf.pages import charts, picture, template
from spine_tf.rsna import sources
from spine_tf.scoring import figure
from tfrecords import atomic

PAGE_FILE, FIGURES_FILE, MARKUPS_DIR = "localize.html", "point_figures.json", "markups"
STUDIES_WITH_PICTURES = 30

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class _StudyCard:
    """A study on the page."""

    study_id: int
    doubt: float
    num_points: int
    numbering: str
    routes: Sequence[str]
    flags: Sequence[tuple[str, str]]
    missing: Sequence[tuple[str, str]]
    pictures: Sequence[point_pictures.SlicePicture]


def write(
    report_dir: pathlib.Path,
    result: localization.Result,
    compared: point_controls.Comparison,
    source: sources.Source,
    *,
    name: str,
    origin: str = "",
) -> None:
    """Writes the page, and the figures where there are any.

    Args:
        report_dir: where; made where it is missing.
        result: the points.
        compared: how good they are; empty where nobody knows.
        source: gives the pixels of the pictures.
        name: the data set's name, for the heading.
        origin: what `page_origin` says of the page's making; "" leaves it out.
    """
    report_dir.mkdir(parents=True, exist_ok=True)
    page = render(result, compared, source, name=name, origin=origin)
    atomic.write_text(report_dir / PAGE_FILE, page)
    if compared.tables:
        atomic.write_json(report_dir / FIGURES_FILE, compared.to_json())


def render(
    result: localization.Result,
    compared: point_controls.Comparison,
    source: sources.Source,
    *,
    name: str,
    origin: str = "",
) -> str:
    """Returns the page."""
    by_doubt = sorted(result.studies, key=lambda one: (-one.doubt, one.study.study_id))
    reader = slice_reader.SliceReader(source, num_slices=1)
    cards = [
        _card(one, reader if place < STUDIES_WITH_PICTURES else None)
        for place, one in enumerate(by_doubt)
    ]
    return template.load("spine_tf.localization", "points.html.jinja").render(
        name=name,
        origin=origin,
        result=result,
        num_flagged=sum(bool(point.flag) for point in result.points),
        cards=cards,
        num_with_pictures=STUDIES_WITH_PICTURES,
        figure_names=_FIGURE_NAMES,
        tables=_tables(compared),
        tail=compared.errors_in_tail,
        risk=_risk_chart(compared.matches) if compared.matches else None,
    )


def _card(one: localization.StudyResult, reader: slice_reader.SliceReader | None) -> _StudyCard:
    doubts = {doubt for row in one.points for doubt in row.flag.split()}
    return _StudyCard(
        study_id=one.study.study_id,
        doubt=one.doubt,
        num_points=len(one.points),
        numbering=_numbering(one),
        routes=_routes(one),
        flags=[(d.value, d.meaning) for d in gate.Doubt if d.value in doubts],
        missing=_missing(one),
        pictures=point_pictures.draw(one.points, reader) if reader else (),
    )


def _numbering(one: localization.StudyResult) -> str:
    if one.localized is None:
        return "as given"
    above, own, below = one.localized.probabilities
    return (
        f"{charts.percent(own, 0)} as named, {charts.percent(above, 0)} one higher, "
        f"{charts.percent(below, 0)} one lower"
    )


def _routes(one: localization.StudyResult) -> list[str]:
    """The levels whose routes disagree, in standard deviations."""
    if one.localized is None:
        return []
    found = []
    for level, deviations in zip(labels.LEVELS, one.localized.deviations, strict=True):
        for way, deviation in zip(("foramina", "recesses"), deviations, strict=True):
            if deviation is not None and deviation > gate.MAX_DEVIATION:
                shown = level.replace("_", "/").upper()
                found.append(f"{shown}: {way} {deviation:.1f} standard deviations off the canal")
    return found


def _missing(one: localization.StudyResult) -> list[tuple[str, str]]:
    """(rows, why), a line a reason."""
    by_reason: dict[gate.Missing, list[str]] = {}
    for gap in one.gaps:
        row = f"{labels.CONDITIONS[gap.condition]}_{labels.LEVELS[gap.level]}"
        by_reason.setdefault(gap.reason, []).append(row.replace("_", " "))
    return [
        (f"{len(rows)} rows" if len(rows) > 3 else ", ".join(rows), reason.meaning)
        for reason, rows in by_reason.items()
    ]


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
        legend_at="top left",
    )
