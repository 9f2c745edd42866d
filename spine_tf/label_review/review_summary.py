"""label_review.json: a review in numbers.

    {
      "task": "multiclass", "run": "W", "manifest_sha256": "...",
      "num_rows": 160, "num_flagged": 12, "num_studies": 32,
      "classes": [{"name": "Moderate", "num_rows", "num_flagged", "agreement"}, ...],
      "true_given_label": [[share of labels 0 that are truly 0, 1, ...], ...],
      "studies": [{"name": "1001", "num_rows", "num_flagged", "agreement"}, ...]
    }

`agreement` is the share of rows whose label is what the models answer; studies come in its order,
the lowest first. `true_given_label` is confident learning's estimate; like every flag it takes the
model for right where it is confident.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.label_review import quality
from spine_tf.training import reviewed_labels

FILE_NAME = "label_review.json"


def summarize(
    review: reviewed_labels.Review, task: labels.Task, *, origin: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns what label_review.json holds, as JSON types; see the module's docstring.

    Args:
        review: the review.
        task: whose classes the labels are.
        origin: `run` and `manifest_sha256`.
    """
    found = review.predictions
    named = ((study, study) for study in np.unique(found.study_ids))
    studies = _groups(review, found.study_ids, named)
    return {
        "task": task.name,
        **origin,
        "num_rows": len(review),
        "num_flagged": int(review.is_flagged.sum()),
        "num_studies": len(studies),
        "classes": _groups(review, found.labels, enumerate(task.classes)),
        "true_given_label": quality.true_given_label(found).tolist(),
        "studies": sorted(studies, key=lambda study: study["agreement"]),
    }


def _groups(
    review: reviewed_labels.Review, values: np.ndarray, named: Iterable[tuple[Any, Any]]
) -> list[dict[str, Any]]:
    agrees = review.predictions.predicted == review.predictions.labels
    return [
        {
            "name": str(name),
            "num_rows": int((values == value).sum()),
            "num_flagged": int(review.is_flagged[values == value].sum()),
            "agreement": float(agrees[values == value].mean()),
        }
        for value, name in named
    ]
