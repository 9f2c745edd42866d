"""Phantom studies and the subarticular crops of all their levels, for benchmarks that train."""

import csv
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.configuration import config, roi_config
from spine_tf.conversion import job, plan
from spine_tf.rsna import sources
from spine_tf.scoring import predictions
from spine_tf.synthesis import phantom as phantom_module, phantom_config
from tfrecords import records

CONDITIONS = ("left_subarticular_stenosis", "right_subarticular_stenosis")
TEST_SPLIT = "test"
ROI_PX = 64


def write_studies(
    directory: pathlib.Path, *, num_studies: int, seed: int, axial_px: tuple[int, ...] = (256,)
) -> pathlib.Path:
    """Writes studies once: two axial slices a disc; sagittal ones, which nobody reads, tiny."""
    if not (directory / "train.csv").exists():
        phantom = phantom_config.PhantomConfig(
            num_studies=num_studies,
            seed=seed,
            num_test_studies=0,
            axial_px=axial_px,
            axial_slices_per_level=2,
            sagittal_px=(64,),
            sagittal_slices=3,
        )
        phantom_module.write_studies(phantom, directory, num_workers=2)
    return directory


def convert(
    studies_dir: pathlib.Path,
    records_dir: pathlib.Path,
    *,
    levels: Sequence[str] = labels.LEVELS,
    test_fraction: float = 0.33,
    roi: roi_config.RoiConfig | None = None,
) -> records.Records:
    """Converts the subarticular crops of some levels, a share of the studies to test."""
    wanted = plan.Settings(
        conditions=CONDITIONS,
        levels=tuple(levels),
        roi=roi or roi_config.RoiConfig(roi_px=ROI_PX),
        test_fraction=test_fraction,
    )
    job.convert(sources.open_source(studies_dir), records_dir, wanted, num_workers=2)
    return records.open_records(records_dir)


def load_train(source: records.Records, task: labels.Task) -> records.Examples:
    """Returns the task's rows of all folds."""
    return records.load_examples(source, train_splits(source), task.severities)


def load_test(source: records.Records, task: labels.Task) -> records.Examples:
    """Returns the task's rows of the test split."""
    return records.load_examples(source, [TEST_SPLIT], task.severities)


def train_splits(source: records.Records) -> list[str]:
    """The folds."""
    return [split for split in source.splits if split != TEST_SPLIT]


def fit_and_answer(run_config: config.Config, source: records.Records) -> predictions.Predictions:
    """Fits a model as `fit_model` does and answers the test split."""
    test = load_test(source, run_config.task_spec)
    return answer(fit_model(run_config, source), test, test.windowed)


def fit_model(run_config: config.Config, source: records.Records) -> Any:
    """Fits all folds for a fixed number of epochs, of which the last counts.

    A fold of 80 rows to choose the epoch by is too few: with a reader's lapses in it, it takes one
    of the first.
    """
    from spine_tf.training import fit

    splits = train_splits(source)
    return fit.fit(run_config, source, train_splits=splits, monitor_split=None).model


def answer(model: Any, examples: records.Examples, images: Any) -> predictions.Predictions:
    """Returns what a model says of images of the examples, as they are or changed."""
    from spine_tf.runs import run

    return predictions.Predictions(
        keys=tuple(examples.keys),
        labels=examples.labels,
        probabilities=run.predict_probabilities(model, images),
    )


def with_labels(
    studies_dir: pathlib.Path, output_dir: pathlib.Path, changes: Mapping[tuple[int, str], int]
) -> None:
    """Writes the same studies once more with some labels changed.

    Args:
        studies_dir: what `write_studies` wrote.
        output_dir: where; its images are the same files.
        changes: (study, target) -> severity.
    """

    def change(targets: list[str], rows: list[list[str]]) -> Iterator[list[str]]:
        for study, *grades in rows:
            changed = [changes.get((int(study), target)) for target in targets]
            yield [
                study,
                *(
                    grade if severity is None else labels.SEVERITIES[severity]
                    for grade, severity in zip(grades, changed, strict=True)
                ),
            ]

    _copy_studies(studies_dir, output_dir, change)


def with_shuffled_labels(studies_dir: pathlib.Path, output_dir: pathlib.Path, *, seed: int) -> None:
    """Writes the same studies once more with whole rows of labels given to other studies."""

    def change(targets: list[str], rows: list[list[str]]) -> Iterator[list[str]]:
        order = np.random.default_rng(seed).permutation(len(rows))
        for row, other in zip(rows, order, strict=True):
            yield [row[0], *rows[other][1:]]

    _copy_studies(studies_dir, output_dir, change)


def _copy_studies(
    studies_dir: pathlib.Path,
    output_dir: pathlib.Path,
    change: Callable[[list[str], list[list[str]]], Iterable[list[str]]],
) -> None:
    output_dir.mkdir(parents=True)
    for name in ("train_label_coordinates.csv", "train_series_descriptions.csv"):
        (output_dir / name).write_bytes((studies_dir / name).read_bytes())
    (output_dir / "train_images").symlink_to((studies_dir / "train_images").resolve())
    header, *rows = csv.reader((studies_dir / "train.csv").read_text().splitlines())
    with (output_dir / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(change(header[1:], rows))


def target_of(key: str) -> tuple[int, str]:
    """(study, column of train.csv) of a row."""
    study, _, _, condition, level = key.split("/")
    return int(study), f"{condition}_{level}"
