"""What models answer to rows: mixed by the numbering, averaged, or the prior."""

import collections
from collections.abc import Sequence

import numpy as np

from spine_tf.rsna import annotations
from spine_tf.serving import asked_rows, grader as grader_module


class Answers:
    """Collects answers: several for one row are averaged, each as sure as its level is.

    Probabilities are averaged, and weighted for the competition only then: that is best for its
    metric, a mean of weighted ones is not.

    A row is answered by points of its own; those of the levels beside it only have a share. Models
    that grade the same row count alike.
    """

    def __init__(
        self, graders: Sequence[grader_module.Grader], *, is_competition_weighted: bool = False
    ) -> None:
        """Takes the models that will answer, all of the same classes."""
        self._rows = [frozenset(one.rows) for one in graders]
        self._names = [one.label.name for one in graders]
        self._priors = [np.array(one.served.class_prior) for one in graders]
        weights = (one.served.task_spec.class_weights for one in graders if is_competition_weighted)
        self._weights = np.array(next(weights, 1.0))
        self._sums: dict[tuple[asked_rows.Target, int], np.ndarray] = {}
        self._shares: dict[tuple[asked_rows.Target, int], float] = collections.defaultdict(float)
        self._models: dict[asked_rows.Target, set[int]] = collections.defaultdict(set)

    def add(self, model: int, row: annotations.Annotation, probabilities: np.ndarray) -> None:
        """Adds one image's answer, where the numbering doubts its level to those beside it too.

        Args:
            model: whose answer it is, by its place among the graders.
            row: whose image it is.
            probabilities: float (classes,).
        """
        for step, share in zip((-1, 0, 1), row.numbering, strict=True):
            level = row.level + step
            if not share or (row.condition, level) not in self._rows[model]:
                continue
            target = asked_rows.Target(row.study_id, row.condition, level)
            sums = self._sums.setdefault((target, model), np.zeros(len(probabilities)))
            sums += share * probabilities
            self._shares[target, model] += share
            if step == 0:
                self._models[target].add(model)

    def is_covered(self, row: grader_module.Row) -> bool:
        """Returns whether one of the models grades a condition at a level."""
        return any(row in rows for rows in self._rows)

    def models(self, target: asked_rows.Target | None) -> tuple[str, ...]:
        """Returns who answered a row; nobody where it has the prior."""
        found = self._models.get(target, ()) if target is not None else ()
        return tuple(self._names[model] for model in sorted(found))

    def probabilities(self, target: asked_rows.Target | None) -> np.ndarray:
        """Returns the answer to a row, or the prior: float (classes,), of any sum."""
        models = sorted(self._models.get(target, ())) if target is not None else []
        if target is None or not models:
            return self._weights * self._prior(target)
        return self._weights * _mean(
            [self._sums[target, one] / self._shares[target, one] for one in models]
        )

    def _prior(self, target: asked_rows.Target | None) -> np.ndarray:
        """Of the models that grade the row; of all where none does."""
        row = None if target is None else target[1:]
        own = [prior for prior, rows in zip(self._priors, self._rows, strict=True) if row in rows]
        return _mean(own or self._priors)


def _mean(answers: Sequence[np.ndarray]) -> np.ndarray:
    if len(answers) == 1:
        return answers[0]
    return np.mean([answer / answer.sum() for answer in answers], axis=0)
