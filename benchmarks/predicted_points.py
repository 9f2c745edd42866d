"""What finding the points costs: one model's competition score at given and at found points.

    python benchmarks/predicted_points.py --work_dir W [--num_studies 120] [--num_test 60]
        [--localizer_dir L] [--phantom=--randomize] [--set field=value]

Trains one model of all 25 rows on phantom studies and exports it, then answers other phantom
studies twice: at the points that are given, and as a test side without any, whose points the
package's own localiser finds, or L. Prints the metric and its terms both ways, paired over the
studies, beside the prior's; the share of the rows that the model answers; and the seconds of a
study by phase. What lies in W already is not made again, so a killed one goes on.
"""

import collections
import pathlib
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
from absl import app, flags

from spine_tf import labels
from spine_tf.rsna import annotations, layout, sources
from spine_tf.runs import run_directory
from spine_tf.scoring import bootstrap, competition, predictions
from spine_tf.serving import asked_rows, spec, submission
from tfrecords import csv_text

_WORK_DIR = flags.DEFINE_string("work_dir", None, "Where all of it lies.", required=True)
_NUM_STUDIES = flags.DEFINE_integer("num_studies", 120, "Studies that the model learns from.")
_NUM_TEST = flags.DEFINE_integer("num_test", 60, "Studies that are answered.")
_SEED = flags.DEFINE_integer("seed", 700, "Of the first studies; the others have the next.")
_PHANTOM = flags.DEFINE_multi_string(
    "phantom", [], "Flag of both phantoms, as --phantom=--edition=2."
)
_MODEL = flags.DEFINE_string("model", "residual", "Family.")
_EPOCHS = flags.DEFINE_integer("epochs", 20, "Of the training.")
_SET = flags.DEFINE_multi_string("set", [], "field=value of the training.")
_LOCALIZER_DIR = flags.DEFINE_string("localizer_dir", None, "Instead of the package's own.")

_TASK = labels.TASKS["multiclass"]


def main(_: list[str]) -> None:
    """Makes what is missing and prints the figures."""
    work_dir = pathlib.Path(_WORK_DIR.value)
    export_dir = _train(work_dir)
    marked = _phantom(work_dir / "others", _NUM_TEST.value, _SEED.value + 1)
    unmarked = _without_points(marked, work_dir / "unmarked")
    found_csv, given_csv = work_dir / "found.csv", work_dir / "given.csv"
    shared = {"model_dir": export_dir, "competition_weighted": True}
    _run("predict", data_dir=marked, side="train", output=given_csv, **shared)
    finder = {"localizer_dir": _LOCALIZER_DIR.value} if _LOCALIZER_DIR.value else {}
    _run("predict", data_dir=unmarked, output=found_csv, **shared, **finder)
    truth = annotations.read_annotations(sources.open_source(marked)).severities
    given, found = (_read(path, truth) for path in (given_csv, found_csv))
    _print_scores(given, found, _prior(export_dir, given))
    _print_answered(found_csv)
    studies = pathlib.Path(__file__).with_name("studies.py")
    options = [f"--{name}={value}" for name, value in finder.items()]
    command = [sys.executable, str(studies), f"--model_dir={export_dir}", f"--data_dir={unmarked}"]
    subprocess.run([*command, *options], check=True)


def _train(work_dir: pathlib.Path) -> pathlib.Path:
    """Returns the export of a model of all rows."""
    studies, records_dir = work_dir / "studies", work_dir / "records"
    run_dir, export_dir = work_dir / "run", work_dir / "export"
    if export_dir.exists():
        return export_dir
    _phantom(studies, _NUM_STUDIES.value, _SEED.value)
    rows = {"conditions": "all", "levels": "all", "roi_px": 64, "test_fraction": 0}
    _run("convert", data_dir=studies, output_dir=records_dir, **rows)
    if not run_directory.is_run(run_dir):
        _run(
            "train",
            *(f"--set={setting}" for setting in ("model.condition_input=true", *_SET.value)),
            *(["--resume"] if run_dir.exists() else []),
            **{"records_dir": records_dir, "run_dir": run_dir, "task": _TASK.name},
            **{"model": _MODEL.value, "epochs": _EPOCHS.value},
        )
    _run("export", run_dir=run_dir, export_dir=export_dir)
    return export_dir


def _phantom(place: pathlib.Path, num_studies: int, seed: int) -> pathlib.Path:
    if not (place / layout.LABELS_CSV).exists():
        _run("phantom", *_PHANTOM.value, output_dir=place, num_studies=num_studies, seed=seed)
    return place


def _run(program: str, *switches: str, **values: object) -> None:
    given = [*(f"--{name}={value}" for name, value in values.items()), *switches]
    subprocess.run([sys.executable, "-m", f"spine_tf.{program}", *given], check=True)


def _without_points(marked: pathlib.Path, place: pathlib.Path) -> pathlib.Path:
    """Returns a test side of the same studies: images, their series, and no more."""
    place.mkdir(exist_ok=True)
    for name in (layout.images_dir, layout.series_csv):
        if not (place / name("test")).exists():
            (place / name("test")).symlink_to((marked / name("train")).resolve())
    return place


def _read(path: pathlib.Path, truth: Mapping[tuple[int, int, int], int]) -> predictions.Predictions:
    """The rows of a submission whose grade is known."""
    said = {row["row_id"]: row for _, row in csv_text.read(path, expected="a submission")}
    keys, values, known = [], [], []
    for (study, condition, level), severity in sorted(truth.items()):
        names = labels.CONDITIONS[condition], labels.LEVELS[level]
        row = said[asked_rows.row_id(study, *names)]
        keys.append("/".join([str(study), "0", "0", *names]))
        values.append([float(row[column]) for column in _TASK.columns])
        known.append(severity)
    return predictions.Predictions(
        keys=tuple(keys), labels=np.array(known), probabilities=np.array(values)
    )


def _prior(export_dir: pathlib.Path, rows: predictions.Predictions) -> predictions.Predictions:
    prior = np.tile(spec.read(export_dir).class_prior, (len(rows), 1))
    constant = predictions.Predictions(keys=rows.keys, labels=rows.labels, probabilities=prior)
    return competition.reweight(constant, _TASK)


def _print_scores(
    given: predictions.Predictions,
    found: predictions.Predictions,
    prior: predictions.Predictions,
) -> None:
    weights = bootstrap.resample_weights(given.study_ids, seed=0, num_resamples=1000)
    scores = [competition.score(each, _TASK, weights).terms for each in (given, found, prior)]
    change = competition.differences(found, given, _TASK, weights)
    print(f"{len(given)} rows with a grade: weighted log loss, 95 % over studies")
    print(f"{'':20}{'given points':26}{'found points':26}{'found - given':28}prior")
    for term in scores[0]:
        words = [score[term].in_words() for score in scores]
        print(f"{term:20}{words[0]:26}{words[1]:26}{change[term].change_in_words():28}{words[2]}")


def _print_answered(output: pathlib.Path) -> None:
    """By what the rows were answered, each once."""
    report = csv_text.read(submission.report_path(output), expected="a report")
    rows = {row["row_id"]: (row["answered_by"], row["reason"]) for _, row in report}
    num_prior = sum(by == "prior" for by, _ in rows.values())
    print(f"answered by the model: {1 - num_prior / len(rows):.4f} of {len(rows)} rows")
    for (by, reason), count in collections.Counter(rows.values()).most_common():
        print(f"{count:8} {by} {reason}")


if __name__ == "__main__":
    app.run(main)
