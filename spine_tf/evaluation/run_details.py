"""What a report says of a run beside its figures: settings, records, versions, the training."""

import dataclasses
import pathlib
from typing import Any

from spine_tf.evaluation import analysis, held_out, report_charts
from spine_tf.runs import run
from tfrecords import csv_text, records


def of_run(
    trained: run.Run, source: records.Records, num_augmented: int
) -> dict[str, dict[str, Any]]:
    """Sections of the report, each with its lines, by name.

    Args:
        trained: the run that was evaluated.
        source: the records that it was evaluated on.
        num_augmented: copies of each image whose answers were averaged.
    """
    values = dataclasses.asdict(trained.config)
    origin = trained.provenance
    return {
        "What was evaluated": {
            "run": trained.run_dir.resolve().name,
            "models": len(trained.members),
            "weights saw": _seen(trained),
            "best epoch and temperature chosen on": _chosen_on(trained),
            "temperatures": ", ".join(f"{member.temperature:.2f}" for member in trained.members),
            "copies of each image that were averaged": num_augmented,
            "class shares in training": ", ".join(f"{share:.3f}" for share in trained.class_prior),
        },
        "Records": {
            **source.manifest.config,
            **{f"examples in {split}": source.num_examples(split) for split in source.splits},
        },
        "Model": {"family": trained.config.model.family, **values["model"]},
        "Training": {**values["training"], "seed": values["seed"]},
        "Augmentation": values["data"]["augmentation"],
        "Versions": {**origin["versions"], "manifest": origin["records"]["manifest_sha256"]},
    }


def _seen(trained: run.Run) -> str:
    splits = ", ".join(trained.provenance["train_splits"])
    if len(trained.members) == 1:
        return splits
    is_inner = trained.config.data.inner_fold == "next"
    left_out = "its own and its inner fold" if is_inner else "its own fold"
    return f"{splits}; each model all but {left_out}"


def _chosen_on(trained: run.Run) -> str:
    if len(trained.members) > 1:
        return "an inner fold of each member, never the one it is judged on"
    return trained.provenance["monitor_split"] or "nothing: the last epoch counts"


def of_ensemble(found: analysis.Ensemble | None) -> dict[str, dict[str, Any]]:
    """The section of runs that answer together, which a run alone hasn't."""
    if found is None:
        return {}
    least, most = found.models_per_example
    leads = {
        f"{name.replace('_', ' ')}, minus that of {run_name} alone": lead[name].change_in_words()
        for run_name, lead in found.lead_over_runs.items()
        for name in ("accuracy", "balanced_accuracy", "log_loss")
    }
    return {
        "Ensemble": {
            "runs": ", ".join(found.runs),
            "models that answer for an example": least if least == most else f"{least} to {most}",
            **leads,
        }
    }


def read_histories(run_dir: pathlib.Path) -> dict[str, report_charts.History]:
    """The inner fold's figures by epoch, by fold, or of its one model.

    Runs that trained without an inner fold have none.
    """
    found: dict[str, report_charts.History] = {}
    for name, path in held_out.histories(run_dir).items():
        try:
            rows = [row for _, row in csv_text.read(path, expected="the history of a training")]
            if rows and rows[0].get("val_log_loss"):
                found[name] = [
                    {column: float(row[column]) for column in ("val_log_loss", "val_accuracy")}
                    for row in rows
                ]
        except (ValueError, KeyError) as err:
            raise ValueError(f"{path} is no history of a training ({err!r})") from err
    return found
