"""Objectives and their standard error."""

import math

import pytest

from tuner import objective


def test_mean_over_folds_has_its_standard_error() -> None:
    score = objective.mean_score([1.0, 2.0, 3.0])
    assert score.value == pytest.approx(2.0)
    assert score.error == pytest.approx(1.0 / math.sqrt(3))


def test_one_fold_has_no_error() -> None:
    assert objective.mean_score([0.5]) == objective.Score(value=0.5, error=None)


def test_no_fold_is_refused() -> None:
    with pytest.raises(ValueError, match="no score"):
        objective.mean_score([])


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("log_loss", "min"),
        ("weighted_log_loss", "min"),
        ("balanced_accuracy", "max"),
        ("auc", "max"),
    ],
)
def test_direction_is_that_of_the_figure(name: str, direction: str) -> None:
    goal = objective.Objective(name=name)
    assert (goal.direction, goal.monitor) == (direction, f"val_{name}")
    assert goal.sign * 1.0 == (1 if direction == "min" else -1)


def test_unknown_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="objective is 'f2', expected one of log_loss"):
        objective.Objective(name="f2")
