"""The report's table, filled in: task, model, accuracy, loss, with intervals, beside its own."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from spine_tf import labels
from spine_tf.evaluation import report_charts
from spine_tf.pages import charts, picture, template
from spine_tf.scoring import figure as figure_module, summary
from tfrecords import atomic, csv_text

Figures = Mapping[str, figure_module.Figure]

_FIGURES = ("accuracy", "log_loss", "balanced_accuracy")


FILES = "table.csv", "table.md", "report.html"
"""What `write` writes beside figures/."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line: a model, a baseline, or the report.

    Attributes:
        task: name of the task.
        model: family, "majority", "labels only" or "the report".
        oof: figures of all folds, by name.
        test: figures of the test split, by name.
        seconds: how long training took, all folds together; None for what is not trained.
        reason: why there are no figures; empty where there are.
        link: the detailed report, relative to the work directory; empty where there is none.
    """

    task: str
    model: str
    oof: Figures
    test: Figures
    seconds: float | None = None
    reason: str = ""
    link: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """Accuracy and loss, out of fold and on the test split, in words; empty where unknown."""
        return tuple(
            cell
            for found in (self.oof, self.test)
            for cell in (
                found["accuracy"].in_percent() if "accuracy" in found else "",
                found["log_loss"].in_words() if "log_loss" in found else "",
            )
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """The lines and where they were written.

    Attributes:
        rows: trained models, and under those of each task the baselines and the report.
        page: report.html.
        text: the table as Markdown.
    """

    rows: tuple[Row, ...]
    page: pathlib.Path
    text: str

    @property
    def failed(self) -> tuple[Row, ...]:
        """The models that have no figures."""
        return tuple(row for row in self.rows if row.reason)


def make_row(
    task: str, family: str, found: Mapping[str, summary.Summary], seconds: float
) -> list[Row]:
    """Returns the line of a run, and those of the baselines that stand beside it.

    Args:
        task: name of the task.
        family: name of the model's family.
        found: what metrics.json holds, by split.
        seconds: how long training took.
    """
    named = {split: summarized.metrics for split, summarized in found.items()}
    rows = [
        Row(
            task=task,
            model=family,
            oof=named.get("oof", {}),
            test=named.get("test", {}),
            seconds=seconds,
            link=f"reports/{task}/{family}/oof/report.html",
        )
    ]
    for name, written in (("labels", "labels only"), ("majority", "majority")):
        if all(name in summarized.baselines for summarized in found.values()):
            beside = {split: each.baselines[name].metrics for split, each in found.items()}
            rows.append(
                Row(task=task, model=written, oof=beside["oof"], test=beside.get("test", {}))
            )
    return rows


def failed_row(task: str, family: str, reason: str) -> list[Row]:
    """Returns the line of a run that could not be trained."""
    return [Row(task=task, model=family, oof={}, test={}, reason=reason)]


def write(
    work_dir: pathlib.Path, groups: Sequence[Sequence[Row]], conversion: Mapping[str, Any]
) -> Table:
    """Writes table.csv, table.md, figures/ and report.html.

    Args:
        work_dir: where to.
        groups: what `make_row` and `failed_row` gave.
        conversion: the records' configuration: says what the report can be compared with.
    """
    rows = tuple(_arrange([row for group in groups for row in group]))
    note = comparability(conversion)
    text = to_markdown(rows, note)
    atomic.write_text(work_dir / "table.csv", to_csv(rows))
    atomic.write_text(work_dir / "table.md", text)
    pictures = {task: _draw([row for row in rows if row.task == task]) for task in _tasks(rows)}
    picture.write(
        work_dir / "figures", {f"accuracy_{task}": drawn for task, drawn in pictures.items()}
    )
    page = work_dir / "report.html"
    atomic.write_text(page, render(rows, note, conversion, pictures))
    return Table(rows=rows, page=page, text=text)


def _arrange(rows: Sequence[Row]) -> list[Row]:
    """Each task's models, then each baseline once, then the report."""
    arranged = []
    for task in dict.fromkeys(row.task for row in rows):
        inside = [row for row in rows if row.task == task]
        arranged += [row for row in inside if row.model in _families(inside)]
        for name in ("labels only", "majority"):
            arranged += [row for row in inside if row.model == name][:1]
        accuracy = summary.REPORT_ACCURACY[task]
        arranged.append(Row(task=task, model="the report", oof={}, test={"accuracy": accuracy}))
    return arranged


def _families(rows: Sequence[Row]) -> list[str]:
    return [row.model for row in rows if row.seconds is not None or row.reason]


def comparability(conversion: Mapping[str, Any]) -> str:
    """Says what the report's figures can be compared with."""
    note = (
        "The report's figures are for subarticular stenosis at L4/L5 of the RSNA 2024 data, on a "
        "split of its own that is not known to keep studies whole, and without intervals."
    )
    is_subarticular = all("subarticular" in name for name in conversion["conditions"])
    if is_subarticular and list(conversion["levels"]) == ["l4_l5"]:
        return f"{note} These records hold the same region: if they are the same data, a landmark."
    graded = labels.graded_in_words(conversion["conditions"], conversion["levels"])
    return f"{note} These records hold {graded}: not comparable."


def to_csv(rows: Sequence[Row]) -> str:
    """Returns one line a row: value, low and high of each figure, by split."""
    names = [
        f"{split}_{figure}{ending}"
        for split in ("oof", "test")
        for figure in _FIGURES
        for ending in ("", "_low", "_high")
    ]
    lines: list[list[object]] = []
    for row in rows:
        values = [
            value
            for found in (row.oof, row.test)
            for name in _FIGURES
            for value in figure_module.columns(found.get(name))
        ]
        seconds = None if row.seconds is None else round(row.seconds, 1)
        lines.append([row.task, row.model, *values, seconds, row.reason])
    return csv_text.to_text(["task", "model", *names, "seconds", "reason"], lines)


def to_markdown(rows: Sequence[Row], note: str) -> str:
    """Returns the table as Markdown."""
    lines = [
        "| task | model | accuracy, out of fold | loss, out of fold | accuracy, test | loss, test "
        "| seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [*row.cells, "" if row.seconds is None else f"{row.seconds:.0f}"]
        if row.reason:
            cells = [f"not trained: {row.reason}", "", "", "", ""]
        lines.append(f"| {row.task} | {row.model} | {' | '.join(cells)} |")
    footnote = (
        "95 % intervals by bootstrap over studies. Loss: natural logarithm. Choosing the best of "
        "several models by its out-of-fold figure flatters that figure; the test split chose "
        "nothing."
    )
    return "\n".join([*lines, "", footnote, "", note, ""])


def render(
    rows: Sequence[Row],
    note: str,
    conversion: Mapping[str, Any],
    pictures: Mapping[str, picture.Picture],
) -> str:
    """Returns the page."""
    tasks = _tasks(rows)
    return template.load("spine_tf.reproduction", "reproduction.html.jinja").render(
        tasks=tasks,
        rows=rows,
        classes={task: ", ".join(labels.get_task(task).classes) for task in tasks},
        graded=labels.graded_in_words(conversion["conditions"], conversion["levels"]),
        pictures=pictures,
        compared=[
            task
            for task in tasks
            if len([row for row in rows if row.task == task and row.link]) > 1
        ],
        note=note,
    )


def _tasks(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.task for row in rows))


def _draw(rows: Sequence[Row]) -> picture.Picture:
    families = _families(rows)
    guide = next((row.oof["accuracy"].value for row in rows if row.model == "majority"), None)
    marks = [
        report_charts.row(
            row.model,
            row.oof.get("accuracy", figure_module.Figure()),
            series=0 if row.model in families else 3,
            note="" if row.oof else "not trained",
        )
        for row in rows
        # The report measured on a split of its own: its figure has no place on this axis.
        if row.oof or row.model in families
    ]
    return charts.dot_and_whisker(
        marks, title="Accuracy", label="accuracy out of fold, 95 % interval", guide=guide
    )
