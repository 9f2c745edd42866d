"""Phantom studies and the subarticular crops of all their levels, for benchmarks that train."""

import csv
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.conversion import job, plan
from spine_tf.rsna import sources
from spine_tf.synthesis import dataset, phantom_config
from tfrecords import records

CONDITIONS = ("left_subarticular_stenosis", "right_subarticular_stenosis")
TEST_SPLIT = "test"
_ROI_PX = 64


def write_studies(directory: pathlib.Path, *, num_studies: int, seed: int) -> pathlib.Path:
    """Writes studies once: two axial slices a disc, sagittal ones as small as can be."""
    if not (directory / "train.csv").exists():
        phantom = phantom_config.PhantomConfig(
            num_studies=num_studies,
            seed=seed,
            num_test_studies=0,
            axial_px=(256,),
            axial_slices_per_level=2,
            sagittal_px=(64,),
            sagittal_slices=3,
        )
        dataset.write_studies(phantom, directory, num_workers=2)
    return directory


def convert(studies_dir: pathlib.Path, records_dir: pathlib.Path) -> records.Records:
    """Converts the subarticular crops of all levels, a third of the studies to test."""
    wanted = plan.Settings(
        conditions=CONDITIONS,
        levels=labels.LEVELS,
        roi=roi_config.RoiConfig(roi_px=_ROI_PX),
        test_fraction=0.33,
    )
    job.convert(sources.open_source(studies_dir), records_dir, wanted, num_workers=2)
    return records.open_records(records_dir)


def train_splits(source: records.Records) -> list[str]:
    """The folds."""
    return [split for split in source.splits if split != TEST_SPLIT]


def with_labels(
    studies_dir: pathlib.Path, output_dir: pathlib.Path, changes: Mapping[tuple[int, str], int]
) -> pathlib.Path:
    """Writes the same studies once more with some labels changed.

    Args:
        studies_dir: what `write_studies` wrote.
        output_dir: where; its images are the same files.
        changes: (study, target) -> severity.
    """
    output_dir.mkdir(parents=True)
    for name in ("train_label_coordinates.csv", "train_series_descriptions.csv"):
        (output_dir / name).write_bytes((studies_dir / name).read_bytes())
    (output_dir / "train_images").symlink_to((studies_dir / "train_images").resolve())
    header, *rows = csv.reader((studies_dir / "train.csv").read_text().splitlines())
    with (output_dir / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for study, *grades in rows:
            changed = [
                labels.SEVERITIES[changes[int(study), target]]
                if (int(study), target) in changes
                else grade
                for target, grade in zip(header[1:], grades, strict=True)
            ]
            writer.writerow([study, *changed])
    return output_dir


def target_of(key: str) -> tuple[int, str]:
    """(study, column of train.csv) of a row."""
    study, _, _, condition, level = key.split("/")
    return int(study), f"{condition}_{level}"


def truth_of(studies_dir: pathlib.Path, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns each row's latent, float64 (n,), and its grades' true probabilities (n, 3)."""
    table = pd.read_csv(studies_dir / "truth.csv").set_index(["study_id", "condition", "level"])
    rows = [
        (int(study), condition, level)
        for study, _, _, condition, level in (key.split("/") for key in keys)
    ]
    found = table.loc[rows]
    return found["latent"].to_numpy(), found[list(labels.SEVERITY_COLUMNS)].to_numpy()
