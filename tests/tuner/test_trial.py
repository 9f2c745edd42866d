"""A trial: its score, how it travels, and the median rule by which it is stopped."""

import math
import pathlib
import pickle

import pytest

from tuner import trial


def test_mean_over_folds_has_its_standard_error() -> None:
    score = trial.mean_score([1.0, 2.0, 3.0])
    assert score.value == pytest.approx(2.0)
    assert score.error == pytest.approx(1.0 / math.sqrt(3))


def test_one_fold_has_no_error() -> None:
    assert trial.mean_score([0.5]) == trial.Score(value=0.5, error=None)


def test_no_fold_is_refused() -> None:
    with pytest.raises(ValueError, match="no score"):
        trial.mean_score([])


def test_outcome_survives_the_disk(tmp_path: pathlib.Path) -> None:
    outcome = trial.Outcome(
        trial_id="7", status=trial.COMPLETED, fold_scores=(0.5,), curves=(({"loss": 1.0},),)
    )
    assert trial.read_outcome(tmp_path, "7") is None
    trial.write_outcome(tmp_path, outcome)
    assert trial.read_outcome(tmp_path, "7") == outcome


def test_job_survives_the_pipe() -> None:
    job = trial.Job(trial_id="1", config={"task": "binary"}, objective="auc", reference=(1.0, 0.5))
    assert pickle.loads(pickle.dumps(job)) == job


def test_reference_is_the_median_of_what_was_reached_by_then() -> None:
    curves = [[1.0, 0.5, 0.7], [0.9, 0.8, 0.6], [0.8, 0.9, 0.9], [1.2], [0.7, 0.4, 0.3]]
    assert trial.median_reached(curves) == pytest.approx((0.9, 0.8, 0.6))


def test_few_trials_give_no_reference() -> None:
    assert trial.median_reached([[1.0]] * (trial.MIN_CURVES - 1) + [[]]) == ()


@pytest.mark.parametrize(
    ("curve", "is_hopeless", "why"),
    [
        ([2.0, 2.0], False, "too early to say"),
        ([2.0, 2.0, 2.0], True, "behind at the first epoch that counts"),
        ([0.1, 2.0, 2.0], False, "its best was good enough"),
        ([2.0, 2.0, 1.0], False, "as good as the median"),
        ([2.0] * 9, True, "beyond the reference its last value counts"),
    ],
)
def test_trial_behind_the_reference_is_hopeless(
    curve: list[float], is_hopeless: bool, why: str
) -> None:
    assert trial.is_hopeless(curve, (1.0, 1.0, 1.0), first=2) == is_hopeless, why


def test_without_a_reference_nothing_is_hopeless() -> None:
    assert not trial.is_hopeless([9.0] * 9, (), first=0)


@pytest.mark.parametrize(("epochs", "first"), [(2, 3), (20, 4), (60, 14)])
def test_first_look_is_a_quarter_of_the_way(epochs: int, first: int) -> None:
    assert trial.first_stop(epochs) == first
