"""The rows that are asked for: what the models grade, or what sample_submission.csv lists."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from spine_tf import labels
from spine_tf.rsna import sources, tables
from spine_tf.serving import grader as grader_module

SAMPLE_CSV = "sample_submission.csv"
_ROWS = {
    f"{condition}_{level}": (c, v)
    for c, condition in enumerate(labels.CONDITIONS)
    for v, level in enumerate(labels.LEVELS)
}


class Target(NamedTuple):
    """What a row is of; condition and level as indices into `spine_tf.labels`."""

    study: int
    condition: int
    level: int


class Asked(NamedTuple):
    """A row of the answer: its name, and what that means; None where it means nothing known."""

    row_id: str
    target: Target | None


def asked_of_models(graders: Sequence[grader_module.Grader], studies: Iterable[int]) -> list[Asked]:
    """Returns every row that one of the models grades, of every study."""
    rows = dict.fromkeys(row for one in graders for row in one.rows)
    if len(graders) > 1:
        rows = dict.fromkeys(sorted(rows))
    return [
        Asked(row_id(study, labels.CONDITIONS[c], labels.LEVELS[v]), Target(study, c, v))
        for study in studies
        for c, v in rows
    ]


def asked_of_sample(source: sources.Source, task: labels.Task) -> list[Asked] | None:
    """Returns the rows of a test side's sample_submission.csv, in its order.

    None where there is none, or where it is of other classes.

    Raises:
        ValueError: it is no CSV with a column row_id.
    """
    if source.side != "test" or not tables.is_there(source, SAMPLE_CSV):
        return None
    table = tables.read_table(source, SAMPLE_CSV)
    column = table.index("row_id")
    if set(task.columns) != set(table.columns) - {"row_id"}:
        return None
    names = [row[column] if column < len(row) else "" for row in table.rows]
    return [Asked(name, _target(name)) for name in names]


def _target(name: str) -> Target | None:
    text, _, row = name.partition("_")
    study = tables.parse_id(text)
    return None if study is None or row not in _ROWS else Target(study, *_ROWS[row])


def row_id(study: int | str, condition: str, level: str) -> str:
    """Returns the competition's name of a row."""
    return f"{study}_{condition}_{level}"
