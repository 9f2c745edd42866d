"""ablation.html: the table and the differences as forest plots, in one file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf.ablation import scores, table
from spine_tf.evaluation import report_charts
from spine_tf.pages import charts, picture, template

# Series of a chart: a dot, a ring and a triangle, told apart without colour.
_UNCLEAR, _BETTER, _WORSE = 0, 4, 2
_NAME_LENGTH = 24
_LEAST_REACH = 0.05


def render(rows: Sequence[table.Row], *, about: Mapping[str, Any]) -> str:
    """Returns the page.

    Args:
        rows: the base first.
        about: `task`, `classes`, `conditions`, `levels`, `family`, `num_seeds`, and `details`:
            what the base is made of, section -> name -> value.
    """
    return template.load("spine_tf.ablation", "ablation.html.jinja").render(
        rows=rows,
        about=about,
        conditions=", ".join(map(report_charts.group_in_words, about["conditions"])),
        levels=", ".join(map(report_charts.group_in_words, about["levels"])),
        figure_names=tuple(scores.FIGURES),
        more_is_better=scores.FIGURES,
        pictures=draw(rows),
        sentences=sentences(rows),
        footnote=table.FOOTNOTE,
        in_words=table.in_words,
        change_in_words=table.change_in_words,
    )


def draw(rows: Sequence[table.Row]) -> dict[str, picture.Picture]:
    """Returns a forest plot of the differences a figure; none without a variant."""
    variants = [row for row in rows if not row.is_base]
    return {name: _forest(variants, name) for name in scores.FIGURES} if variants else {}


def sentences(rows: Sequence[table.Row]) -> list[str]:
    """Returns what was found, in words."""
    base, *variants = rows
    finished = [row for row in variants if row.status == table.FINISHED]
    said = []
    if base.score is not None:
        said.append(
            f"The base reaches an accuracy of {table.in_words(base.figure('accuracy'))} and a log "
            f"loss of {table.in_words(base.figure('log_loss'))} out of fold, on "
            f"{base.score.num_examples} crops of {base.score.num_studies} studies."
        )
    for kind, is_wanted in (("better", True), ("worse", False)):
        found = [
            f"{row.name} ({name.replace('_', ' ')} {row.difference(name)['value']:+.3f})"
            for row in finished
            for name in scores.FIGURES
            if scores.is_clear(row.difference(name))
            and scores.is_better(name, row.difference(name)) == is_wanted
        ]
        if found:
            said.append(f"Clearly {kind} than the base: {'; '.join(found)}.")
    if finished and len(said) == 1:
        said.append(f"None of {len(finished)} variants differs clearly from the base.")
    for status in (table.FAILED, table.NOT_RUN):
        count = sum(row.status == status for row in rows)
        if count:
            said.append(f"{count} {status}: the table says why.")
    return said


def _forest(variants: Sequence[table.Row], name: str) -> picture.Picture:
    found = [row.difference(name) for row in variants]
    ends = [abs(end) for figure in found for end in figure.values() if end is not None]
    reach = float(np.ceil(max([_LEAST_REACH, *ends]) * 20) / 20)
    words = name.replace("_", " ")
    return charts.dot_and_whisker(
        [
            charts.Row(
                name=_short(row.name),
                value=figure["value"],
                low=figure["low"],
                high=figure["high"],
                series=_series(name, figure),
                note=row.status if figure["value"] is None else f"{figure['value']:+.3f}",
            )
            for row, figure in zip(variants, found, strict=True)
        ],
        title=f"Difference of {words}",
        label=f"{words} minus the base's, paired 95 % interval",
        x_range=(-reach, reach),
        guide=0.0,
        is_percent=False,
    )


def _series(name: str, figure: scores.Figure) -> int:
    if not scores.is_clear(figure):
        return _UNCLEAR
    return _BETTER if scores.is_better(name, figure) else _WORSE


def _short(name: str) -> str:
    """The name without the path of its field, cut off where it would leave the picture."""
    field, equals, value = name.partition("=")
    short = f"{field.rpartition('.')[2]}{equals}{value}"
    return short if len(short) <= _NAME_LENGTH else f"{short[: _NAME_LENGTH - 1]}\u2026"
