"""One evaluation from end to end: a run, its records, a report."""

import csv
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import logging

from spine_tf import run
from spine_tf.evaluation import analysis, figures, held_out, report
from tfrecords import records

_REPORT_FILES = ("report.html", "comparison.html")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How an evaluation is done.

    Attributes:
        split: "test", "val" or "oof"; None is "test", or all of an external directory.
        seed: of the bootstrap.
        num_resamples: of the bootstrap.
        has_evidence: draws evidence maps beside the crops.
    """

    split: str | None = None
    seed: int = 0
    num_resamples: int = 1000
    has_evidence: bool = True

    def __post_init__(self) -> None:
        if self.split is not None and self.split not in held_out.SPLITS:
            raise ValueError(
                f"split is {self.split!r}, expected one of {', '.join(held_out.SPLITS)}"
            )
        if self.num_resamples < 1:
            raise ValueError(f"num_resamples is {self.num_resamples}, expected at least 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What an evaluation found and where it lies.

    Attributes:
        page: the report.
        analysis: the contents of metrics.json.
    """

    page: pathlib.Path
    analysis: Mapping[str, Any]


def evaluate(
    run_dir: pathlib.Path, source: records.Records, report_dir: pathlib.Path, options: Options
) -> Result:
    """Evaluates a run and writes its report.

    Args:
        run_dir: a finished run.
        source: records that it was trained on, or others for an external validation.
        report_dir: written; a report that lies there is replaced file by file.
        options: how.

    Raises:
        ValueError: there is no finished run, the records do not fit it, or `report_dir` holds
            something else.
    """
    require_report_dir(report_dir)
    trained = run.load_run(run_dir)
    found = held_out.load(trained, source, options.split)
    logging.info(
        "%d predictions of %s by %d model(s)",
        len(found.evaluated.predictions),
        found.evaluated.split,
        len(trained.members),
    )
    analysed = analysis.analyse(
        found.evaluated, seed=options.seed, num_resamples=options.num_resamples
    )
    content = report.Content(
        name=run_dir.resolve().name,
        evaluated=found.evaluated,
        analysis=analysed,
        images=found.images,
        predict=found.predict if options.has_evidence else None,
        histories=_read_histories(run_dir),
        details=_details(trained, source),
    )
    return Result(page=report.write(report_dir, content), analysis=analysed)


def require_report_dir(report_dir: pathlib.Path) -> None:
    """Makes the directory; ValueError where it holds anything but a report."""
    report_dir.mkdir(parents=True, exist_ok=True)
    is_report = any((report_dir / name).is_file() for name in (*_REPORT_FILES, "metrics.json"))
    if not is_report and any(path.name != "figures" for path in report_dir.iterdir()):
        raise ValueError(f"{report_dir} holds other files: choose another --report_dir")


def _read_histories(run_dir: pathlib.Path) -> dict[str, figures.History]:
    """The inner fold's figures by epoch; runs that trained without an inner fold have none."""
    found: dict[str, figures.History] = {}
    for name, path in held_out.histories(run_dir).items():
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if rows and rows[0].get("val_log_loss"):
            found[name] = [
                {column: float(row[column]) for column in ("val_log_loss", "val_accuracy")}
                for row in rows
            ]
    return found


def _details(trained: run.Run, source: records.Records) -> dict[str, dict[str, Any]]:
    values = dataclasses.asdict(trained.config)
    origin = trained.provenance
    return {
        "What was evaluated": {
            "run": trained.run_dir.resolve().name,
            "models": len(trained.members),
            "weights saw": ", ".join(origin["train_splits"]),
            "best epoch and temperature chosen on": _chosen_on(trained),
            "temperatures": ", ".join(f"{member.temperature:.2f}" for member in trained.members),
            "class shares in training": ", ".join(f"{share:.3f}" for share in trained.class_prior),
        },
        "Records": {
            **{name: _joined(value) for name, value in source.manifest.config.items()},
            **{f"examples in {split}": source.num_examples(split) for split in source.splits},
        },
        "Model": {"family": trained.config.model.family, **values["model"]},
        "Training": {**values["training"], "seed": values["seed"]},
        "Augmentation": values["data"]["augmentation"],
        "Versions": {**origin["versions"], "manifest": origin["records"]["manifest_sha256"]},
    }


def _chosen_on(trained: run.Run) -> str:
    if len(trained.members) > 1:
        return "an inner fold of each member, never the one it is judged on"
    return trained.provenance["monitor_split"] or "nothing: the last epoch counts"


def _joined(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
