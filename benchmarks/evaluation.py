"""The study bootstrap against a loop over scikit-learn: `python benchmarks/evaluation.py`.

The reference resamples studies by concatenating their rows and calls scikit-learn for each figure,
for 20 resamples; its time is scaled to the 1000 that `summary.summarize` does.
"""

import time

import numpy as np
from sklearn import metrics as sklearn_metrics

from spine_tf import labels
from spine_tf.scoring import predictions as predictions_module, summary

NUM_EXAMPLES = 5000
NUM_RESAMPLES = 1000
NUM_REFERENCE = 20
TASK = labels.TASKS["multiclass"]


def main() -> None:
    """Prints seconds and their ratio."""
    predictions = _make_predictions()
    started = time.perf_counter()
    summary.summarize(predictions, TASK, "oof", num_resamples=NUM_RESAMPLES)
    ours = time.perf_counter() - started
    started = time.perf_counter()
    _loop(predictions)
    reference = (time.perf_counter() - started) * NUM_RESAMPLES / NUM_REFERENCE
    print(f"{NUM_EXAMPLES} predictions, {NUM_RESAMPLES} resamples of studies")
    print(f"summary.summarize      {ours:8.2f} s")
    print(f"loop over scikit-learn {reference:8.2f} s (from {NUM_REFERENCE} resamples)")
    print(f"ratio                  {reference / ours:8.1f}")


def _make_predictions() -> predictions_module.Predictions:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, NUM_EXAMPLES)
    scores = generator.normal(size=(NUM_EXAMPLES, 3)) + np.eye(3)[truth]
    return predictions_module.Predictions(
        keys=tuple(f"{i // 4}/1/{i}/spinal_canal_stenosis/l4_l5" for i in range(NUM_EXAMPLES)),
        labels=truth,
        probabilities=np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True),
    )


def _loop(predictions: predictions_module.Predictions) -> None:
    generator = np.random.default_rng(0)
    studies = np.unique(predictions.study_ids)
    rows_of = [np.flatnonzero(predictions.study_ids == study) for study in studies]
    for _ in range(NUM_REFERENCE):
        drawn = generator.integers(0, len(studies), len(studies))
        rows = np.concatenate([rows_of[index] for index in drawn])
        truth, predicted = predictions.labels[rows], predictions.predicted[rows]
        probabilities = predictions.probabilities[rows]
        sklearn_metrics.accuracy_score(truth, predicted)
        sklearn_metrics.balanced_accuracy_score(truth, predicted)
        sklearn_metrics.log_loss(truth, probabilities)
        sklearn_metrics.cohen_kappa_score(truth, predicted, weights="quadratic")
        sklearn_metrics.roc_auc_score(truth, probabilities, multi_class="ovr")
        sklearn_metrics.precision_recall_fscore_support(truth, predicted)


if __name__ == "__main__":
    main()
