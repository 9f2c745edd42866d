"""What does a level's context give? Single models, one for all, told and untold, a stack, levels.

Writes phantom studies, converts all 25 targets, and trains over all folds with the same epochs:

    single    a network each for canal, foraminal and subarticular rows
    axial     the canal read from axial crops, halfway between the recesses (a run of the stack)
    untold    one network for all rows
    told      the same, told condition and level (model.condition_input)
    stack     spine_tf.stack over the single runs and the axial one
    levels    family level on records of whole levels

Each is scored out of fold by the competition's metric (answers reweighted to it), paired with the
single models over the same rows, beside what the phantom's true probabilities score, given a row's
own view, all of its level, and all of its study; with seconds of training and parameters.

    python benchmarks/levels.py --work_dir DIR [--num_studies 300] [--epochs 30] [--num_folds 5]
        [--roi_px 96] [--num_slices 3] [--set field=value] [--set level:model.units=128]

What lies in the work_dir already is not made again, so a killed one goes on.
"""

import csv
import pathlib
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import references
from absl import app, flags

from spine_tf import labels
from spine_tf.runs import run, run_directory
from spine_tf.scoring import (
    bootstrap,
    comparison,
    competition,
    figure,
    predictions as predictions_module,
)
from tfrecords import csv_text

_WORK_DIR = flags.DEFINE_string("work_dir", None, "Where all of it lies.", required=True)
_NUM_STUDIES = flags.DEFINE_integer("num_studies", 300, "Synthetic studies.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the studies.")
_EPOCHS = flags.DEFINE_integer("epochs", 30, "Of every training.")
_NUM_FOLDS = flags.DEFINE_integer("num_folds", 5, "Folds.")
_ROI_PX = flags.DEFINE_integer("roi_px", 96, "Side of a crop in pixels.")
_NUM_SLICES = flags.DEFINE_integer("num_slices", 3, "Slices of a crop.")
_FAMILY = flags.DEFINE_string("model", "slices", "Family of the models of single crops.")
_SET = flags.DEFINE_multi_string("set", [], "field=value, or family:field=value, of all trainings.")

_TASK = labels.TASKS["multiclass"]
_GROUPS: Mapping[str, Sequence[str]] = {
    "canal": labels.CONDITIONS[:1],
    "foraminal": labels.CONDITIONS[1:3],
    "subarticular": labels.CONDITIONS[3:],
}
_TERMS = ("mean", "spinal", "foraminal", "subarticular", "any_severe_spinal")


def main(_: list[str]) -> None:
    """Runs what is missing and prints the table."""
    work_dir = pathlib.Path(_WORK_DIR.value)
    studies = work_dir / "studies"
    _once(
        studies,
        # The edition in which a view shows its own grade in part, so that others can help.
        ["phantom", "--edition=2", f"--num_studies={_NUM_STUDIES.value}", f"--seed={_SEED.value}"],
        "output_dir",
    )
    for name, conditions in {**_GROUPS, "all": labels.CONDITIONS}.items():
        _convert(studies, work_dir / f"records_{name}", [f"--conditions={','.join(conditions)}"])
    points = _write_axial_points(studies, work_dir / "axial_points.csv")
    _convert(
        studies,
        work_dir / "records_axial",
        [f"--conditions={labels.CONDITIONS[0]}", f"--points={points}"],
    )
    _convert(studies, work_dir / "records_level", ["--kind=level"])
    for name in (*_GROUPS, "axial"):
        _train(work_dir, name, name, _FAMILY.value)
    _train(work_dir, "untold", "all", _FAMILY.value)
    _train(work_dir, "told", "all", _FAMILY.value, "model.condition_input=true")
    _train(work_dir, "levels", "level", "level")
    members = ",".join(str(work_dir / f"run_{name}") for name in (*_GROUPS, "axial"))
    _once(work_dir / "stack", ["stack", f"--run_dirs={members}"], "output_dir")
    _print_table(work_dir)


def _once(place: pathlib.Path, arguments: Sequence[str], flag: str) -> None:
    """Runs a program unless what it writes lies there."""
    if place.exists():
        return
    program, *rest = arguments
    command = [sys.executable, "-m", f"spine_tf.{program}", *rest, f"--{flag}={place}"]
    subprocess.run(command, check=True)


def _convert(studies: pathlib.Path, place: pathlib.Path, arguments: Sequence[str]) -> None:
    if (place / "manifest.json").exists():
        return
    shared = [
        *(f"--data_dir={studies}", f"--output_dir={place}", "--levels=all", "--test_fraction=0"),
        *(f"--num_folds={_NUM_FOLDS.value}", f"--roi_px={_ROI_PX.value}"),
        f"--num_slices={_NUM_SLICES.value}",
    ]
    subprocess.run([sys.executable, "-m", "spine_tf.convert", *shared, *arguments], check=True)


def _train(work_dir: pathlib.Path, name: str, source: str, family: str, *changes: str) -> None:
    run_dir = work_dir / f"run_{name}"
    if run_directory.is_run(run_dir):
        return
    task = "levels" if family == "level" else _TASK.name
    changed = [f"--set={change}" for change in (*_of_family(family), *changes)]
    command = [
        *(
            sys.executable,
            "-m",
            "spine_tf.train",
            f"--records_dir={work_dir / f'records_{source}'}",
        ),
        *(f"--task={task}", f"--model={family}", f"--epochs={_EPOCHS.value}", "--val_fold=all"),
        *(f"--run_dir={run_dir}", *changed, *(["--resume"] if run_dir.exists() else [])),
    ]
    subprocess.run(command, check=True)


def _of_family(family: str) -> Iterable[str]:
    for setting in _SET.value:
        named, colon, rest = setting.partition(":")
        if not colon or "=" in named:
            yield setting
        elif named == family:
            yield rest


def _write_axial_points(studies: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
    """Writes canal points on axial slices: halfway between recesses that share a slice."""
    recesses: dict[tuple[str, ...], dict[str, tuple[float, float]]] = {}
    source = studies / "train_label_coordinates.csv"
    for _, row in csv_text.read(source, expected="coordinates"):
        if "subarticular" in row["condition"].lower():
            place = (row["study_id"], row["series_id"], row["instance_number"], row["level"])
            side = row["condition"].split()[0].lower()
            recesses.setdefault(place, {})[side] = (float(row["x"]), float(row["y"]))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["study_id", "series_id", "instance_number", "condition", "level", "x", "y"]
        )
        for (study, series, instance, level), sides in recesses.items():
            if len(sides) == 2:
                x, y = np.mean([*sides.values()], axis=0).tolist()
                writer.writerow([study, series, instance, "Spinal Canal Stenosis", level, x, y])
    return path


def _print_table(work_dir: pathlib.Path) -> None:
    said = {
        "single": _join([_read(work_dir / f"run_{name}") for name in _GROUPS]),
        **{name: _read(work_dir / f"run_{name}") for name in ("untold", "told", "levels")},
        "stack": _read(work_dir / "stack"),
    }
    evidence = references.read_truth(work_dir / "studies" / "truth_evidence.csv")
    for name in ("own_view", "of_level"):
        said[name] = _true(evidence, said["single"], f"_{name}")
    said["truth"] = _true(references.read_truth(work_dir / "studies" / "truth.csv"), said["single"])
    shared = set.intersection(*(set(found.keys) for found in said.values()))
    print(f"{len(shared)} rows that all answer, of {len(said['single'])}")
    costs = _costs(work_dir)
    print(f"{'':10}{'terms of the competition, and the difference to single (95 %)':}")
    base = _select(said["single"], shared)
    for name, found in said.items():
        _print_row(name, _select(found, shared), base, costs.get(name, ""))


def _print_row(
    name: str,
    found: predictions_module.Predictions,
    base: predictions_module.Predictions,
    cost: str,
) -> None:
    found = comparison.align(found, base)
    weights = bootstrap.resample_weights(base.study_ids, seed=0, num_resamples=1000)
    one, other = (competition.reweight(each, _TASK) for each in (found, base))
    score = competition.score(one, _TASK, weights)
    paired = competition.differences(one, other, _TASK, weights)
    for term in _TERMS:
        if term in score.terms:
            against = "" if name == "single" else _change(paired[term])
            words = score.terms[term].in_words()
            print(f"{name:10}{term:20}{words:28}{against:32}{cost if term == 'mean' else ''}")


def _change(found: figure.Figure) -> str:
    return found.change_in_words() + (" *" if found.is_clear else "")


def _costs(work_dir: pathlib.Path) -> dict[str, str]:
    """Seconds of training over all folds and parameters of one network, by model."""
    found = {}
    parts = {
        **{name: (name,) for name in ("untold", "told", "levels")},
        "single": tuple(_GROUPS),
        "stack": (*_GROUPS, "axial"),
    }
    for name, runs in parts.items():
        seconds, parameters = 0.0, 0
        for each in runs:
            run_dir = work_dir / f"run_{each}"
            seconds += float(run_directory.read_history(run_dir)["seconds"].sum())
            first = run_directory.fold_dirs(run_dir)[0]
            parameters += run.load_model(first).count_params()
        found[name] = f"{seconds:.0f} s, {parameters} parameters"
    return found


def _read(directory: pathlib.Path) -> predictions_module.Predictions:
    path = directory / run_directory.OUT_OF_FOLD_FILE
    return predictions_module.by_row(predictions_module.read_csv(path, _TASK))


def _join(parts: Sequence[predictions_module.Predictions]) -> predictions_module.Predictions:
    return predictions_module.by_row(predictions_module.join(parts))


def _true(
    truth: pd.DataFrame, rows: predictions_module.Predictions, ending: str = ""
) -> predictions_module.Predictions:
    """What a perfect model says of the rows, by the columns with an ending."""
    named = truth.rename(columns={f"{column}{ending}": column for column in _TASK.columns})
    best = references.best_probabilities(named, _TASK, rows.keys)
    return predictions_module.Predictions(keys=rows.keys, labels=rows.labels, probabilities=best)


def _select(
    found: predictions_module.Predictions, keys: set[str]
) -> predictions_module.Predictions:
    return found.select(np.array([key in keys for key in found.keys]))


if __name__ == "__main__":
    app.run(main)
