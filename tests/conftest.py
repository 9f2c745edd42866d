"""What the tests of several packages stand on: a records directory of synthetic crops."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spine_tf import config, labels
from spine_tf.rsna import record
from tfrecords import example, features_json, manifest, shard

_SPLITS = ("fold_0", "fold_1", "fold_2", "test")
_CONDITION = labels.CONDITIONS.index("left_subarticular_stenosis")
_LEVEL = labels.LEVELS.index("l4_l5")


def write_records(
    directory: pathlib.Path,
    *,
    per_class: int = 8,
    roi_px: int = 32,
    num_slices: int = 1,
    first_study: int = 1000,
    severities: tuple[int, ...] = (0, 1, 2),
) -> pathlib.Path:
    """Writes a finished directory: a disc whose brightness falls with the severity, in noise.

    Each of fold_0, fold_1, fold_2 and test has `per_class` examples a severity, one a study.
    """
    directory.mkdir(parents=True)
    roi = config.RoiConfig(roi_px=roi_px, num_slices=num_slices)
    schema = record.record_schema(roi)
    generator = np.random.default_rng([per_class, roi_px, num_slices])
    studies = iter(range(first_study, first_study + 10_000))
    shards = []
    for split in _SPLITS:
        name = shard.file_name(record.DATASET_NAME, split, 0, 1)
        with shard.Writer(directory / name, split) as writer:
            for severity in severities * per_class:
                values = _example(generator, roi, next(studies), severity)
                writer.write(example.serialize(schema, values))
        shards.append(writer.shard)
    counts = {
        name: per_class * (index in severities) for index, name in enumerate(labels.SEVERITIES)
    }
    features_json.write(directory, schema)
    manifest.write_manifest(
        directory,
        manifest.Manifest(
            name=record.DATASET_NAME,
            config={
                **dataclasses.asdict(roi),
                "conditions": [labels.CONDITIONS[_CONDITION]],
                "levels": [labels.LEVELS[_LEVEL]],
                "num_folds": 3,
            },
            shards=tuple(shards),
            class_counts={split: counts for split in _SPLITS},
        ),
    )
    return directory


def _example(
    generator: np.random.Generator, roi: config.RoiConfig, study: int, severity: int
) -> dict[str, Any]:
    grid = np.arange(roi.roi_px) - roi.roi_px / 2
    is_disc = np.hypot(*np.meshgrid(grid, grid)) < roi.roi_px / 4
    image = 300 + is_disc * (600 - 250 * severity)
    noise = generator.normal(0, 60, (roi.roi_px, roi.roi_px, roi.num_slices))
    return {
        "image": np.clip(image[..., np.newaxis] + noise, 0, 4095).astype(np.uint16),
        "window": np.array([50, 1100], np.float32),
        "label": severity,
        "condition": _CONDITION,
        "level": _LEVEL,
        "study_id": study,
        "series_id": 7,
        "instance_number": 3,
        "center_xy": np.array([64, 64], np.float32),
        "pixel_spacing": np.array([0.5, 0.5], np.float32),
        "mirrored": 0,
        "key": f"{study}/7/3/{labels.CONDITIONS[_CONDITION]}/{labels.LEVELS[_LEVEL]}".encode(),
    }


@pytest.fixture(scope="session")
def records_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """24 examples a split, 32 px, one slice, three severities, fold_0 to fold_2 and test."""
    return write_records(tmp_path_factory.mktemp("records") / "r")


@pytest.fixture(scope="session")
def make_records() -> Callable[..., pathlib.Path]:
    """`write_records`, for a directory of another kind."""
    return write_records
