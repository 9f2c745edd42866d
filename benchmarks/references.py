"""What models are measured against: a linear model on small crops, and the phantom's ceiling."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn import linear_model, model_selection, pipeline, preprocessing

from spine_tf import labels
from spine_tf.scoring import predictions
from tfrecords import records

_SIDE = 16


def fit_regression(examples: records.Examples) -> model_selection.GridSearchCV:
    """Fits a logistic regression on crops of 16 x 16 pixels.

    Its strength is chosen by cross-validation over studies within the examples.
    """
    model = pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear_model.LogisticRegression(max_iter=2000)
    )
    search = model_selection.GridSearchCV(
        model,
        {"logisticregression__C": [1e-3, 1e-2, 1e-1, 1.0]},
        scoring="neg_log_loss",
        cv=model_selection.GroupKFold(4),
    )
    return search.fit(small(examples), examples.labels, groups=examples.columns["study_id"])


def small(examples: records.Examples) -> np.ndarray:
    """Returns block means of the windowed crops, float32 (n, 256 * slices)."""
    images = examples.normalized()
    block = images.shape[1] // _SIDE
    blocks = images.reshape(len(images), _SIDE, block, _SIDE, block, images.shape[3])
    return blocks.mean(axis=(2, 4)).reshape(len(images), -1)


def out_of_fold_regression(
    source: records.Records, folds: Sequence[str], task: labels.Task
) -> predictions.Predictions:
    """Returns the regression's answers for each fold, fitted on all others."""
    parts = []
    for fold in folds:
        others = [other for other in folds if other != fold]
        model = fit_regression(records.load_examples(source, others, task.severities))
        held_out = records.load_examples(source, [fold], task.severities)
        parts.append((held_out, model.predict_proba(small(held_out))))
    return predictions.Predictions(
        keys=tuple(key for examples, _ in parts for key in examples.keys),
        labels=np.concatenate([examples.labels for examples, _ in parts]),
        probabilities=np.concatenate([answers for _, answers in parts]),
    )


def read_truth(path: pathlib.Path) -> pd.DataFrame:
    """Returns a phantom's truth.csv by study, condition and level."""
    return pd.read_csv(path).set_index(["study_id", "condition", "level"])


def latents(truth: pd.DataFrame, keys: Sequence[str]) -> np.ndarray:
    """Returns the true severity of these rows, float64 (n,)."""
    return truth.loc[_rows(keys), "latent"].to_numpy()


def best_probabilities(truth: pd.DataFrame, task: labels.Task, keys: Sequence[str]) -> np.ndarray:
    """Returns what a perfect model says of these rows, float64 (n, classes)."""
    best = truth.loc[_rows(keys), list(task.columns)].to_numpy()
    return best / best.sum(axis=1, keepdims=True)


def _rows(keys: Sequence[str]) -> list[tuple[int, str, str]]:
    parts = (key.split("/") for key in keys)
    return [(int(study), condition, level) for study, _, _, condition, level in parts]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The expected figures of a perfect model; `error` is the standard error of its accuracy."""

    accuracy: float
    error: float
    log_loss: float


def ceiling(best: np.ndarray) -> Ceiling:
    """Returns the figures of a model that answers with these probabilities, and is right."""
    highest = best.max(axis=1)
    return Ceiling(
        accuracy=highest.mean(),
        error=np.sqrt((highest * (1 - highest)).sum()) / len(highest),
        log_loss=-(best * np.log(best)).sum(axis=1).mean(),
    )
