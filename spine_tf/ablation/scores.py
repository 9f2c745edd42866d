"""Figures of a variant, and their paired differences to the base on the examples of both."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from spine_tf import labels
from spine_tf.scoring import (
    bootstrap,
    comparison,
    figure,
    metrics,
    predictions as predictions_module,
)

# Name -> whether more is better.
FIGURES: Mapping[str, bool] = {"accuracy": True, "balanced_accuracy": True, "log_loss": False}

NUM_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """What a variant reaches out of fold.

    Attributes:
        num_examples, num_studies: that it has predictions of.
        num_shared: examples that the base has too; the differences are of these.
        figures: by name, means over the seeds.
        differences: the same figures minus the base's, paired; empty for the base itself.
    """

    num_examples: int
    num_studies: int
    num_shared: int
    figures: Mapping[str, figure.Figure]
    differences: Mapping[str, figure.Figure]


def score(
    seeds: Sequence[predictions_module.Predictions],
    base: Sequence[predictions_module.Predictions] | None,
    task: labels.Task,
    *,
    seed: int,
    num_resamples: int = NUM_RESAMPLES,
) -> Score:
    """Returns the figures of a variant.

    A figure of several trainings is the mean of theirs, in each resample anew: the interval speaks
    of other studies, and a training's luck is averaged out as far as the seeds go.

    Args:
        seeds: out-of-fold predictions of each training, of the same examples.
        base: those of the base; None for the base itself.
        task: whose classes they are.
        seed: seed of the bootstrap's draws.
        num_resamples: how often the bootstrap draws, at least 1.

    Raises:
        ValueError: the variant shares no example with the base.
    """
    first = seeds[0]
    own = _figures(seeds, first, task, seed, num_resamples)
    num_studies = len(np.unique(first.study_ids))
    shared, differences = first, {}
    if base is not None:
        shared = _shared(base[0], first)
        ours = _figures(seeds, shared, task, seed, num_resamples)
        theirs = _figures(base, shared, task, seed, num_resamples)
        shared_studies = len(np.unique(shared.study_ids))
        differences = {
            name: bootstrap.figure(ours[name] - theirs[name], shared_studies) for name in FIGURES
        }
    return Score(
        num_examples=len(first),
        num_studies=num_studies,
        num_shared=len(shared),
        figures={
            name: bootstrap.figure(own[name], num_studies, is_share=name == "accuracy")
            for name in FIGURES
        },
        differences=differences,
    )


def _shared(
    base: predictions_module.Predictions, other: predictions_module.Predictions
) -> predictions_module.Predictions:
    """The base's examples that the other has too: the region of interest may cost a few."""
    keys = set(other.keys)
    is_shared = np.array([key in keys for key in base.keys])
    if not is_shared.any():
        raise ValueError("it shares no example with the base")
    return base.select(is_shared)


def _figures(
    seeds: Sequence[predictions_module.Predictions],
    like: predictions_module.Predictions,
    task: labels.Task,
    seed: int,
    num_resamples: int,
) -> dict[str, np.ndarray]:
    """Name -> float64 (1 + num_resamples,), the figure of the examples of `like` and resampled."""
    weights = bootstrap.resample_weights(like.study_ids, seed=seed, num_resamples=num_resamples)
    every = np.vstack([np.ones((1, len(like))), weights])
    keys = set(like.keys)
    found = []
    for predictions in seeds:
        part = predictions.select(np.array([key in keys for key in predictions.keys]))
        found.append(metrics.compute(comparison.align(part, like), task, every).overall)
    return {name: np.mean([figures[name] for figures in found], axis=0) for name in FIGURES}


def is_better(name: str, difference: figure.Figure) -> bool:
    """Returns whether a difference is to the better."""
    value = difference.value or 0.0
    return value > 0.0 if FIGURES[name] else value < 0.0
