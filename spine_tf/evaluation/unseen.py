"""Answers of several models, each example's by those alone that did not see its study."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from spine_tf.runs import run
from spine_tf.scoring import calibration
from tfrecords import stored_images


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What models say of examples.

    Attributes:
        calibrated: float64 (n, classes), the mean over the models that may answer.
        uncalibrated: the same before their temperatures.
        num_models: int64 (n,), how many those are; at least 1.
        of_runs: one array a run like `calibrated`, of its own models only; NaN where it has none.
    """

    calibrated: np.ndarray
    uncalibrated: np.ndarray
    num_models: np.ndarray
    of_runs: tuple[np.ndarray, ...]


def predict(
    runs: Sequence[run.Run],
    images: stored_images.Images,
    study_ids: np.ndarray,
    *,
    num_augmented: int = 1,
) -> Answers:
    """Returns the mean of the models that saw an example's study in no way.

    Args:
        runs: whose members may answer.
        images: float32 (n, side, side, slices) in [0, 1].
        study_ids: int64 (n,).
        num_augmented: copies of each image that are averaged over.

    Raises:
        ValueError: every model saw some study.
    """
    num_classes = len(runs[0].config.task_spec.classes)
    found = [_Sum(len(images), num_classes) for _ in runs]
    for one, total in zip(runs, found, strict=True):
        for copy in one.copies(images, num_augmented):
            for member in one.members:
                total.add(member, copy, is_unseen(member, study_ids))
    counts = np.sum([total.counts for total in found], axis=0)
    if not counts.all():
        raise ValueError(
            f"study {study_ids[counts == 0][0]} was seen by every model of "
            f"{', '.join(str(one.run_dir) for one in runs)}: no figure on it would say anything"
        )
    share = counts[:, np.newaxis]
    return Answers(
        calibrated=np.sum([total.calibrated for total in found], axis=0) / share,
        uncalibrated=np.sum([total.uncalibrated for total in found], axis=0) / share,
        num_models=counts // num_augmented,
        of_runs=tuple(total.mean() for total in found),
    )


def is_unseen(member: run.Member, study_ids: np.ndarray) -> np.ndarray:
    """Says of each study whether weights, best epoch and temperature did without it, bool (n,)."""
    return ~np.isin(study_ids, sorted(member.train_studies))


def predictor(
    runs: Sequence[run.Run], study_id: int
) -> Callable[[stored_images.Images], np.ndarray]:
    """Returns the call that answers for images of a study, by the models that did not see it."""
    members = [
        member
        for one in runs
        for member in one.members
        if is_unseen(member, np.array([study_id])).all()
    ]
    return lambda images: np.mean([member.predict(images) for member in members], axis=0)


class _Sum:
    """Answers of one run's models, added up."""

    def __init__(self, num_examples: int, num_classes: int) -> None:
        self.calibrated = np.zeros((num_examples, num_classes))
        self.uncalibrated = np.zeros((num_examples, num_classes))
        self.counts = np.zeros(num_examples, np.int64)

    def add(self, member: run.Member, images: run.Images, rows: np.ndarray) -> None:
        """Takes in what a model says of the chosen rows."""
        if not rows.any():
            return
        raw = run.predict_probabilities(member.model, images, rows=np.flatnonzero(rows))
        self.uncalibrated[rows] += raw
        self.calibrated[rows] += calibration.apply_temperature(raw, member.temperature)
        self.counts[rows] += 1

    def mean(self) -> np.ndarray:
        """The calibrated mean, NaN where no model may answer."""
        with np.errstate(invalid="ignore"):
            return self.calibrated / self.counts[:, np.newaxis]
