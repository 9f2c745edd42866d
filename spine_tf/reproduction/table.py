"""The report's table, filled in: task, model, accuracy, loss, with intervals, beside its own."""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from spine_tf import labels
from spine_tf.evaluation import report_charts
from spine_tf.pages import charts, picture, template
from spine_tf.scoring import baselines
from tfrecords import atomic

Figure = Mapping[str, Any]

_NONE: Figure = {"value": None, "low": None, "high": None}
_FIGURES = ("accuracy", "log_loss", "balanced_accuracy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line: a model, a baseline, or the report.

    Attributes:
        task: name of the task.
        model: family, "majority", "labels only" or "the report".
        oof: figures of all folds, by name.
        test: figures of the test split, by name.
        seconds: of training, all folds together; None for what is not trained.
        reason: why there are no figures; empty where there are.
        link: the detailed report, relative to the work directory; empty where there is none.
    """

    task: str
    model: str
    oof: Mapping[str, Figure]
    test: Mapping[str, Figure]
    seconds: float | None = None
    reason: str = ""
    link: str = ""


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
    task: str, family: str, found: Mapping[str, Mapping[str, Any]], seconds: float
) -> list[Row]:
    """Returns the line of a run, and those of the baselines that stand beside it.

    Args:
        task: name of the task.
        family: of the model.
        found: metrics.json by split.
        seconds: of training.
    """
    named = {split: analysis["metrics"] for split, analysis in found.items()}
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
        beside = {split: analysis["baselines"].get(name) for split, analysis in found.items()}
        if all(beside.values()):
            rows.append(
                Row(task=task, model=written, oof=beside["oof"], test=beside.get("test") or {})
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
        value = {"value": baselines.REPORT_ACCURACY[task], "low": None, "high": None}
        arranged.append(Row(task=task, model="the report", oof={}, test={"accuracy": value}))
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
    conditions = ", ".join(map(report_charts.group_in_words, conversion["conditions"]))
    levels = ", ".join(map(report_charts.group_in_words, conversion["levels"]))
    return f"{note} These records hold {conditions} at {levels}: not comparable."


def to_csv(rows: Sequence[Row]) -> str:
    """Returns one line a row: value, low and high of each figure, by split."""
    names = [
        f"{split}_{figure}{ending}"
        for split in ("oof", "test")
        for figure in _FIGURES
        for ending in ("", "_low", "_high")
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["task", "model", *names, "seconds", "reason"])
    for row in rows:
        values = [
            found.get(figure, _NONE)[end]
            for found in (row.oof, row.test)
            for figure in _FIGURES
            for end in ("value", "low", "high")
        ]
        seconds = None if row.seconds is None else round(row.seconds, 1)
        writer.writerow([row.task, row.model, *values, seconds, row.reason])
    return text.getvalue()


def to_markdown(rows: Sequence[Row], note: str) -> str:
    """Returns the table as Markdown."""
    lines = [
        "| task | model | accuracy, out of fold | loss, out of fold | accuracy, test | loss, test "
        "| seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            _percent(row.oof.get("accuracy", _NONE)),
            _number(row.oof.get("log_loss", _NONE)),
            _percent(row.test.get("accuracy", _NONE)),
            _number(row.test.get("log_loss", _NONE)),
            "" if row.seconds is None else f"{row.seconds:.0f}",
        ]
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
        conditions=", ".join(map(report_charts.group_in_words, conversion["conditions"])),
        levels=", ".join(map(report_charts.group_in_words, conversion["levels"])),
        pictures=pictures,
        compared=[
            task
            for task in tasks
            if len([row for row in rows if row.task == task and row.link]) > 1
        ],
        nothing=_NONE,
        note=note,
        percent=_percent,
        number=_number,
    )


def _tasks(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.task for row in rows))


def _draw(rows: Sequence[Row]) -> picture.Picture:
    families = _families(rows)
    guide = next((r.oof["accuracy"]["value"] for r in rows if r.model == "majority"), None)
    marks = []
    for row in rows:
        found = row.oof or row.test
        figure = found.get("accuracy", _NONE)
        marks.append(
            charts.Row(
                name=row.model,
                value=figure["value"],
                low=figure["low"],
                high=figure["high"],
                series=0 if row.model in families else 3,
                note="none" if row.reason else "",
            )
        )
    return charts.dot_and_whisker(
        marks, title="Accuracy", label="accuracy out of fold, 95 % interval", guide=guide
    )


def _percent(figure: Figure) -> str:
    if figure["value"] is None:
        return ""
    if figure["low"] is None:
        return f"{100 * figure['value']:.4g} %"
    ends = f"{100 * figure['low']:.1f} to {100 * figure['high']:.1f}"
    return f"{100 * figure['value']:.1f} % ({ends})"


def _number(figure: Figure) -> str:
    if figure["value"] is None:
        return ""
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
