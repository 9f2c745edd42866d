"""The table of an ablation, as CSV and as Markdown.

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

import csv
import dataclasses
import io
from collections.abc import Sequence

from spine_tf.ablation import scores, variant

FINISHED = "finished"
FAILED = "failed"
NOT_RUN = "not run"

_NONE: scores.Figure = {"value": None, "low": None, "high": None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line.

    Attributes:
        name, group, settings: of the variant; the base has no settings.
        status: FINISHED, FAILED or NOT_RUN.
        reason: why it has no score.
        num_seeds: trainings.
        score: its figures; None unless finished.
        seconds: of training.
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

    def figure(self, name: str) -> scores.Figure:
        """Returns {value, low, high} out of fold, None where there is none."""
        return self.score.figures[name] if self.score else _NONE

    def difference(self, name: str) -> scores.Figure:
        """Returns the paired difference to the base likewise."""
        return self.score.differences.get(name, _NONE) if self.score else _NONE


def to_csv(rows: Sequence[Row]) -> str:
    """Returns the lines; the module's docstring says the columns."""
    ends = ("value", "low", "high")
    names = [
        f"{figure}{kind}{ending}"
        for figure in scores.FIGURES
        for kind in ("", "_difference")
        for ending in ("", "_low", "_high")
    ]
    counts = ("num_examples", "num_studies", "num_shared")
    head = ["variant", "group", "settings", "status", "reason", "seeds", *counts, *names, "seconds"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        values = [
            found[end]
            for figure in scores.FIGURES
            for found in (row.figure(figure), row.difference(figure))
            for end in ends
        ]
        numbers = [getattr(row.score, count) if row.score else None for count in counts]
        seconds = None if row.seconds is None else round(row.seconds, 1)
        said = [row.name, row.group, ";".join(row.settings), row.status, row.reason, row.num_seeds]
        writer.writerow([*said, *numbers, *values, seconds])
    return text.getvalue()


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
            for cell in (in_words(row.figure(figure)), change_in_words(row.difference(figure)))
        ]
        if row.status != FINISHED:
            cells = [f"{row.status}: {row.reason}", *[""] * 5]
        cells.append("" if row.seconds is None else f"{row.seconds:.0f}")
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", FOOTNOTE, ""])


FOOTNOTE = (
    "Out of fold, 95 % intervals by bootstrap over studies; changes are paired, on the examples "
    "that variant and base share. An asterisk marks an interval that leaves 0 out: of 20 variants "
    "that change nothing, about one gets it by chance. The best of many looks better than it is; "
    "the test split was not opened."
)


def in_words(found: scores.Figure) -> str:
    """Returns 0.713 (0.619 to 0.800)."""
    if found["value"] is None:
        return ""
    if found["low"] is None:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def change_in_words(found: scores.Figure) -> str:
    """Returns +0.013 (-0.020 to +0.044), with an asterisk where 0 is left out."""
    if found["value"] is None:
        return ""
    if found["low"] is None:
        return f"{found['value']:+.3f}"
    mark = " *" if scores.is_clear(found) else ""
    return f"{found['value']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f}){mark}"
