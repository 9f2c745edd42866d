"""The median rule."""

import pytest

from tuner import pruning


def test_reference_is_the_median_of_what_was_reached_by_then() -> None:
    curves = [[1.0, 0.5, 0.7], [0.9, 0.8, 0.6], [0.8, 0.9, 0.9], [1.2], [0.7, 0.4, 0.3]]
    assert pruning.reference(curves) == pytest.approx((0.9, 0.8, 0.6))


def test_few_trials_give_no_reference() -> None:
    assert pruning.reference([[1.0]] * (pruning.MIN_TRIALS - 1) + [[]]) == ()


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
    assert pruning.is_hopeless(curve, (1.0, 1.0, 1.0), first=2) == is_hopeless, why


def test_without_a_reference_nothing_is_hopeless() -> None:
    assert not pruning.is_hopeless([9.0] * 9, (), first=0)


@pytest.mark.parametrize(("epochs", "first"), [(2, 3), (20, 4), (60, 14)])
def test_first_look_is_a_quarter_of_the_way(epochs: int, first: int) -> None:
    assert pruning.first_epoch(epochs) == first
