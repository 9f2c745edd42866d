"""What runs gain by answering together: their mean beside each of them alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf.evaluation import held_out
from spine_tf.scoring import bootstrap, comparison, predictions


def analyse(
    names: Sequence[str], found: held_out.HeldOut, *, seed: int = 0, num_resamples: int = 1000
) -> dict[str, Any]:
    """Returns what metrics.json says of an ensemble.

    Args:
        names: of the runs.
        found: their answers.
        seed: of the bootstrap.
        num_resamples: of the bootstrap.

    Returns:
        `runs`; `models_per_example`, the least and the most; and `lead_over_runs`: name -> figure
        -> {value, low, high}, paired differences to each run that answers every example alone.
    """
    answers, together = found.answers, found.evaluated.predictions
    if answers is None:
        raise ValueError("these are predictions of a single run, expected those of an ensemble")
    weights = bootstrap.resample_weights(together.study_ids, seed=seed, num_resamples=num_resamples)
    leads = {}
    for name, alone in zip(names, answers.of_runs, strict=True):
        if np.isfinite(alone).all():
            single = predictions.Predictions(
                keys=together.keys, labels=together.labels, probabilities=alone
            )
            leads[name] = comparison.differences(together, single, found.evaluated.task, weights)
    return {
        "runs": list(names),
        "models_per_example": [int(answers.num_models.min()), int(answers.num_models.max())],
        "lead_over_runs": leads,
    }


def details(analysed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the same as a section of the report."""
    least, most = analysed["models_per_example"]
    return {
        "Ensemble": {
            "runs": ", ".join(analysed["runs"]),
            "models that answer for an example": least if least == most else f"{least} to {most}",
            **{
                f"{figure.replace('_', ' ')}, minus that of {name} alone": _in_words(lead[figure])
                for name, lead in analysed["lead_over_runs"].items()
                for figure in ("accuracy", "balanced_accuracy", "log_loss")
            },
        }
    }


def _in_words(figure: Mapping[str, float | None]) -> str:
    if figure["value"] is None:
        return "undefined"
    if figure["low"] is None:
        return f"{figure['value']:+.3f}"
    return f"{figure['value']:+.3f} (95 % {figure['low']:+.3f} to {figure['high']:+.3f})"
