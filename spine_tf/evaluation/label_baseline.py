"""How far one gets without a pixel: a study's other grades, by logistic regression.

Grades of one study go together, so a model that sees a study in training can answer from what it
remembers of it. This baseline says how much that is worth; figures above it on new studies are
needed before pixels can be said to matter.
"""

import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
from sklearn import linear_model

from spine_tf import labels
from spine_tf.evaluation import analysis
from spine_tf.rsna import layout, sources, tables
from spine_tf.scoring import comparison, predictions as predictions_module

NOTE = (
    "logistic regression on the other 24 grades of the study, no pixel; "
    "fitted, for each split, on the training studies outside it"
)

# 25 one-hot columns a study are many for few studies.
_REGULARISATION = 0.1
_UNGRADED = len(labels.SEVERITIES)

Target = tuple[str, str]
TARGETS: tuple[Target, ...] = tuple(
    (condition, level) for condition in labels.CONDITIONS for level in labels.LEVELS
)


def read_grades(data_dir: pathlib.Path) -> dict[int, np.ndarray]:
    """Reads train.csv: study -> severity of each of TARGETS, int64 (25,), 3 where none is given.

    Where rows of one study differ, none is.

    Raises:
        ValueError: the file is missing or has no study_id.
    """
    table = tables.read_table(sources.open_source(data_dir), layout.LABELS_CSV)
    severity = {name: index for index, name in enumerate(labels.SEVERITIES)}
    study_column = table.index("study_id")
    columns = [
        table.columns.index(name) if name in table.columns else None
        for name in (f"{condition}_{level}" for condition, level in TARGETS)
    ]
    grades: dict[int, np.ndarray] = {}
    for row in table.rows:
        study = tables.parse_id(row[study_column]) if table.is_whole(row) else None
        if study is not None:
            texts = ["" if column is None else row[column] for column in columns]
            found = np.array([severity.get(text, _UNGRADED) for text in texts])
            first = grades.setdefault(study, found)
            first[first != found] = _UNGRADED
    return grades


def predict(
    evaluated: analysis.Evaluated,
    grades: Mapping[int, np.ndarray],
    train_studies: Iterable[int],
) -> predictions_module.Predictions:
    """Answers the evaluated examples from their study's other grades.

    Args:
        evaluated: the examples; those of one split are predicted from the studies outside it.
        grades: the grades of all studies, from `read_grades`.
        train_studies: that the run was trained on.

    Raises:
        ValueError: a study has no row in train.csv, none is left to fit on, or the task tells
            halves apart.
    """
    predictions, task = evaluated.predictions, evaluated.task
    if task.has_halves:
        raise ValueError(
            f"the baseline from other labels knows no halves, which task {task.name} has: "
            "leave out --data_dir"
        )
    missing = (set(predictions.study_ids.tolist()) | set(train_studies)) - set(grades)
    if missing:
        raise ValueError(
            f"train.csv has no row for {len(missing)} studies of the run, such as {min(missing)}: "
            "pass the --data_dir that the records were converted from"
        )
    splits = np.array(evaluated.splits)
    targets = np.array([_target_index(key) for key in predictions.keys])
    probabilities = np.empty_like(predictions.probabilities)
    for split in np.unique(splits):
        seen = set(train_studies) - set(predictions.study_ids[splits == split].tolist())
        if not seen:
            raise ValueError(f"no training study is outside {split}")
        table = np.stack([grades[study] for study in sorted(seen)])
        for target in np.unique(targets[splits == split]):
            rows = np.flatnonzero((splits == split) & (targets == target))
            asked = np.stack([grades[int(study)] for study in predictions.study_ids[rows]])
            prior = np.asarray(evaluated.class_prior)
            probabilities[rows] = _fit_and_predict(table, asked, int(target), task, prior)
    found = predictions_module.Predictions(
        keys=predictions.keys, labels=predictions.labels, probabilities=probabilities
    )
    comparison.require_same_examples(found, predictions)
    return found


def _target_index(key: str) -> int:
    condition, level = key.split("/")[3:5]
    return TARGETS.index((condition, level))


def _fit_and_predict(
    table: np.ndarray, asked: np.ndarray, target: int, task: labels.Task, prior: np.ndarray
) -> np.ndarray:
    is_usable = np.isin(table[:, target], task.severities)
    truth = np.array([task.severities.index(grade) for grade in table[is_usable, target]], int)
    classes = np.unique(truth)
    answer = np.tile(prior, (len(asked), 1))
    if len(classes) < 2:
        return answer
    model = linear_model.LogisticRegression(C=_REGULARISATION, max_iter=1000)
    model.fit(_features(table[is_usable], target), truth)
    answer[:] = 0.0
    answer[:, classes] = model.predict_proba(_features(asked, target))
    # A class that this target never had in training keeps a little of its overall share.
    floor = 1e-3 * prior
    return (answer + floor) / (answer + floor).sum(axis=1, keepdims=True)


def _features(table: np.ndarray, target: int) -> np.ndarray:
    """One-hot grades of all targets but the one that is asked for."""
    others = np.delete(table, target, axis=1)
    return np.eye(_UNGRADED + 1)[others].reshape(len(table), -1)
