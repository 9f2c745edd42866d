"""Where a run comes from: what its config.json says beside the configuration."""

import json
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np

import spine_tf
from spine_tf.configuration import config
from spine_tf.training import feeds, folds, task_examples
from tfrecords import manifest, records


def describe(
    run_config: config.Config, source: records.Records, assignment: folds.Assignment
) -> dict[str, Any]:
    """Returns versions, the records' identity, the splits' parts, the class prior and the studies.

    `train_studies` are those that weights, best epoch or temperature saw; `label_review` and
    `mild_split` stand there where the run has such a file.
    """
    seen = [*assignment.train_splits]
    if assignment.monitor_split is not None:
        seen.append(assignment.monitor_split)
    return {
        "versions": {
            "spine_tf": spine_tf.__version__,
            "python": platform.python_version(),
            **{
                package: metadata.version(package)
                for package in ("tensorflow", "keras", "numpy", "pydicom")
            },
        },
        "records": {
            "manifest_sha256": manifest.sha256_of(source.directory),
            "config": source.manifest.config,
            "num_examples": {split: source.num_examples(split) for split in source.splits},
        },
        "train_splits": list(assignment.train_splits),
        "monitor_split": assignment.monitor_split,
        "val_split": assignment.val_split,
        "class_prior": class_prior(run_config, source, assignment.train_splits),
        "train_studies": studies(source, seen),
        **task_examples.describe_files(run_config),
    }


def class_prior(
    run_config: config.Config, source: records.Records, splits: Sequence[str]
) -> list[float]:
    """Returns the share of each class among the examples of the splits."""
    counts = np.array(feeds.count_classes(run_config, source, splits), np.float64)
    return (counts / counts.sum()).tolist()


def studies(source: records.Records, splits: Sequence[str]) -> list[int]:
    """Returns the studies of the splits, sorted."""
    return sorted({values["study_id"] for values in records.iterate(source, splits)})


def config_json(run_config: config.Config, origin: dict[str, Any]) -> dict[str, Any]:
    """Returns the contents of config.json, as JSON types."""
    values = {**config.to_dict(run_config), "provenance": origin}
    return json.loads(json.dumps(values))
