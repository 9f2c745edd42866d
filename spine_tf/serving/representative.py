"""Real crops whose values set the ranges of an int8 model; none of them is exported."""

import pathlib
from collections.abc import Sequence

import numpy as np

from spine_tf.runs import run
from spine_tf.serving import spec
from tfrecords import records

_NUM_CROPS = 200


def load_crops(
    runs: Sequence[run.Run], records_dir: pathlib.Path | None, served: spec.Spec
) -> tuple[np.ndarray, np.ndarray]:
    """Returns training crops, uint16 (n, px, px, slices), and their windows, float32 (n, 2).

    Args:
        runs: the runs that are exported; the first one's training splits are read.
        records_dir: the records that they were trained on.
        served: names the crop.

    Raises:
        ValueError: no directory is given, or its crops are not the model's.
    """
    if records_dir is None:
        raise ValueError(
            "format litert_int8 needs --records_dir: crops from there set its value ranges"
        )
    opened = records.open_records(records_dir)
    if opened.image_shape != served.image_shape:
        raise ValueError(
            f"{records_dir} has crops of {opened.image_shape}, the model takes "
            f"{served.image_shape}: give the records that it was trained on"
        )
    splits = [split for split in opened.splits if split in runs[0].provenance["train_splits"]]
    examples = records.load_examples(opened, splits, served.task_spec.severities)
    if not len(examples):
        raise ValueError(f"{records_dir} has no example of the splits that the run trained on")
    count = min(_NUM_CROPS, len(examples))
    chosen = np.random.default_rng(0).choice(len(examples), count, replace=False)
    return examples.images[chosen], examples.windows[chosen]
