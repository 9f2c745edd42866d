"""Several runs as one model: what they have to share, and their mean answer.

A run that tells the halves of a severity apart is served as one that doesn't: they are added up.
"""

from collections.abc import Sequence

import numpy as np

from spine_tf.configuration import roi_config
from spine_tf.runs import run
from spine_tf.scoring import predictions
from spine_tf.serving import spec


def spec_of(runs: Sequence[run.Run]) -> spec.Spec:
    """Returns what the exported model answers and how it wants its pixels.

    Raises:
        ValueError: no run, or runs of another task, region of interest, conditions or levels.
    """
    if not runs:
        raise ValueError("--run_dir names no run, expected at least one")
    specs = [_spec_of_one(one) for one in runs]
    for other, described in zip(runs[1:], specs[1:], strict=True):
        for name in ("task", "roi", "conditions", "levels"):
            first, second = getattr(specs[0], name), getattr(described, name)
            if first != second:
                raise ValueError(
                    f"{other.run_dir} has {name} {second}, {runs[0].run_dir} has {first}: runs "
                    "that are exported together have to share it"
                )
    prior = np.average(
        [described.class_prior for described in specs], axis=0, weights=_weights(runs)
    )
    return spec.Spec(
        task=specs[0].task,
        conditions=specs[0].conditions,
        levels=specs[0].levels,
        class_prior=tuple(prior.tolist()),
        roi=specs[0].roi,
    )


def predict(runs: Sequence[run.Run], images: np.ndarray) -> np.ndarray:
    """Returns the mean over all members of all runs.

    Args:
        runs: at least one.
        images: float32 (n, px, px, slices) in [0, 1].

    Returns:
        float64 (n, classes), calibrated; of whole severities.
    """
    answers = [
        predictions.collapse_probabilities(one.predict(images), one.config.task_spec)
        for one in runs
    ]
    return np.average(answers, axis=0, weights=_weights(runs))


def _weights(runs: Sequence[run.Run]) -> list[int]:
    return [len(one.members) for one in runs]


def _spec_of_one(one: run.Run) -> spec.Spec:
    prior = predictions.collapse_probabilities(np.array(one.class_prior), one.config.task_spec)
    records = one.provenance["records"]["config"]
    return spec.Spec(
        task=one.config.task_spec.collapsed.name,
        conditions=tuple(records["conditions"]),
        levels=tuple(records["levels"]),
        class_prior=tuple(prior.tolist()),
        roi=roi_config.from_dict(records),
    )
