"""The table of an ablation: as CSV, as Markdown, and as a page with its differences drawn.

Columns of ablation.csv, one line a variant, the base first:

    variant, group      its name, and the factor that it is a value of
    settings            what it changes, as field=value;field=value
    status              finished, failed or not run
    reason              why it has no figures
    seeds               trainings of all folds whose figures are averaged
    num_examples, num_studies, num_shared    out-of-fold predictions, and how many the base has too
    accuracy, balanced_accuracy, log_loss    out of fold, each with _low and _high, 95 %
    *_difference        the figure minus the base's on the shared examples, paired, with
                        _difference_low and _difference_high
    seconds             of training, all folds and seeds
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from spine_tf import labels
from spine_tf.ablation import scores, variant
from spine_tf.evaluation import report_charts
from spine_tf.pages import picture, template
from spine_tf.scoring import figure as figure_module
from tfrecords import csv_text, words

FINISHED = "finished"
FAILED = "failed"
NOT_RUN = "not run"

FOOTNOTE = (
    "Out of fold, 95 % intervals by bootstrap over studies; changes are paired, on the examples "
    "that variant and base share. An asterisk marks an interval that leaves 0 out: of 20 variants "
    "that change nothing, about one gets it by chance. The best of many looks better than it is; "
    "the test split was not opened."
)

# Series of a chart: a dot, a ring and a triangle, told apart without colour.
_UNCLEAR, _BETTER, _WORSE = 0, 4, 2
_NAME_LENGTH = 24


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line.

    Attributes:
        name, group, settings: what the variant is called, and what it changes; the base has no
            settings.
        status: FINISHED, FAILED or NOT_RUN.
        reason: why it has no score.
        num_seeds: trainings.
        score: its figures; None unless finished.
        seconds: how long training took.
    """

    name: str
    group: str
    settings: tuple[str, ...] = ()
    status: str = NOT_RUN
    reason: str = ""
    num_seeds: int = 1
    score: scores.Score | None = None
    seconds: float | None = None

    @property
    def is_base(self) -> bool:
        """Whether it is what the others are compared with."""
        return self.name == variant.BASE

    def figure(self, name: str) -> figure_module.Figure | None:
        """Returns a figure out of fold, None where there is none."""
        return self.score.figures[name] if self.score else None

    def difference(self, name: str) -> figure_module.Figure | None:
        """Returns the paired difference to the base likewise."""
        return self.score.differences.get(name) if self.score else None

    def figure_in_words(self, name: str) -> str:
        """Returns 0.713 (0.619 to 0.800), empty where there is none."""
        found = self.figure(name)
        return found.in_words() if found else ""

    def change_in_words(self, name: str) -> str:
        """Returns +0.013 (-0.020 to +0.044), with an asterisk where the interval leaves 0 out."""
        return mark_clear(found) if (found := self.difference(name)) else ""


def mark_clear(difference: figure_module.Figure) -> str:
    """Returns a difference in words, with an asterisk where its interval leaves 0 out."""
    return f"{difference.change_in_words()}{' *' if difference.is_clear else ''}"


def to_csv(rows: Sequence[Row]) -> str:
    """Returns the lines; the module's docstring says the columns."""
    names = [
        f"{figure}{kind}{ending}"
        for figure in scores.FIGURES
        for kind in ("", "_difference")
        for ending in ("", "_low", "_high")
    ]
    counts = ("num_examples", "num_studies", "num_shared")
    head = ["variant", "group", "settings", "status", "reason", "seeds", *counts, *names, "seconds"]
    lines: list[list[object]] = []
    for row in rows:
        values = [
            value
            for figure in scores.FIGURES
            for found in (row.figure(figure), row.difference(figure))
            for value in figure_module.columns(found)
        ]
        numbers = [getattr(row.score, count) if row.score else None for count in counts]
        seconds = None if row.seconds is None else round(row.seconds, 1)
        said = [row.name, row.group, ";".join(row.settings), row.status, row.reason, row.num_seeds]
        lines.append([*said, *numbers, *values, seconds])
    return csv_text.to_text(head, lines)


def to_markdown(rows: Sequence[Row]) -> str:
    """Returns the table; a difference whose interval leaves 0 out is marked."""
    lines = [
        "| variant | accuracy | change | balanced accuracy | change | log loss | change "
        "| seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            cell
            for figure in scores.FIGURES
            for cell in (row.figure_in_words(figure), row.change_in_words(figure))
        ]
        if row.status != FINISHED:
            cells = [f"{row.status}: {row.reason}", *[""] * 5]
        cells.append("" if row.seconds is None else f"{row.seconds:.0f}")
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", FOOTNOTE, ""])


def render(
    rows: Sequence[Row], pictures: Mapping[str, picture.Picture], *, about: Mapping[str, Any]
) -> str:
    """Returns the page.

    Args:
        rows: the base first.
        pictures: what `draw` returns for them.
        about: `task`, `classes`, `conditions`, `levels`, `family`, `num_seeds`, and `details`:
            what the base is made of, section -> name -> value.
    """
    return template.load("spine_tf.ablation", "ablation.html.jinja").render(
        rows=rows,
        about=about,
        graded=labels.graded_in_words(about["conditions"], about["levels"]),
        figure_names=tuple(scores.FIGURES),
        more_is_better=scores.FIGURES,
        pictures=pictures,
        sentences=sentences(rows),
        footnote=FOOTNOTE,
    )


def draw(rows: Sequence[Row]) -> dict[str, picture.Picture]:
    """Returns a forest plot of the differences a figure; none without a variant."""
    variants = [row for row in rows if not row.is_base]
    return {name: _forest(variants, name) for name in scores.FIGURES} if variants else {}


def sentences(rows: Sequence[Row]) -> list[str]:
    """Returns what was found, in words."""
    base, *variants = rows
    finished = [row for row in variants if row.status == FINISHED]
    said = []
    if base.score is not None:
        said.append(
            f"The base reaches an accuracy of {base.figure_in_words('accuracy')} and a log "
            f"loss of {base.figure_in_words('log_loss')} out of fold, on "
            f"{words.counted(base.score.num_examples, 'crop')} of "
            f"{words.counted(base.score.num_studies, 'study')}."
        )
    for kind, is_wanted in (("better", True), ("worse", False)):
        found = [
            f"{row.name} ({', '.join(changes)})"
            for row in finished
            if (changes := _clear_changes(row, is_wanted=is_wanted))
        ]
        if found:
            said.append(f"Clearly {kind} than the base: {'; '.join(found)}.")
    if finished and len(said) == 1:
        said.append(
            f"None of {len(finished)} variants differs clearly from the base."
            if len(finished) > 1
            else "The one variant does not differ clearly from the base."
        )
    for status in (FAILED, NOT_RUN):
        count = sum(row.status == status for row in rows)
        if count:
            said.append(f"{count} {status}: the table says why.")
    return said


def _clear_changes(row: Row, *, is_wanted: bool) -> list[str]:
    """The figures that differ clearly from the base's, to the better or the worse."""
    return [
        f"{name.replace('_', ' ')} {difference.alone.change_in_words()}"
        for name in scores.FIGURES
        if (difference := row.difference(name)) is not None
        and difference.is_clear
        and scores.is_better(name, difference) == is_wanted
    ]


def _forest(variants: Sequence[Row], name: str) -> picture.Picture:
    rows = []
    for variant_row in variants:
        difference = variant_row.difference(name) or figure_module.Figure()
        is_drawn = difference.value is not None
        rows.append(
            report_charts.row(
                _short(variant_row.name),
                difference,
                series=_series(name, difference),
                note=difference.alone.change_in_words() if is_drawn else variant_row.status,
            )
        )
    return report_charts.differences(rows, words=name.replace("_", " "), against="the base's")


def _series(name: str, difference: figure_module.Figure) -> int:
    if not difference.is_clear:
        return _UNCLEAR
    return _BETTER if scores.is_better(name, difference) else _WORSE


def _short(name: str) -> str:
    """The name without the path of its field, cut off where it would leave the picture."""
    field, equals, value = name.partition("=")
    short = f"{field.rpartition('.')[2]}{equals}{value}"
    return short if len(short) <= _NAME_LENGTH else f"{short[: _NAME_LENGTH - 1]}\u2026"
