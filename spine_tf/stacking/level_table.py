"""What runs said of levels as one table, and its columns as a target of a side sees them."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from spine_tf import labels
from spine_tf.scoring import predictions as predictions_module
from spine_tf.stacking import members as members_module

_NUM_CONDITIONS = len(labels.CONDITIONS)
_NUM_LEVELS = len(labels.LEVELS)
# A float32 softmax underflows to 0, as in scoring.calibration.
_SMALLEST = 1.2e-38

# Conditions that share their weights: both sides of one kind.
GROUPS: Mapping[str, tuple[int, ...]] = {
    "spinal": (0,),
    "foraminal": (1, 2),
    "subarticular": (3, 4),
}

# As a target of the right side sees the conditions: its own side where the left one's was.
_SEEN_FROM = {"left": (0, 1, 2, 3, 4), "right": (0, 2, 1, 4, 3)}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LevelTable:
    """One line a study and level.

    Attributes:
        study_ids: int64 (n,).
        levels: int64 (n,), index into labels.LEVELS.
        folds: str (n,).
        labels: int64 (n, conditions), -1 where there is none.
        odds: float64 (n, members, conditions, classes - 1), log odds against the first class; NaN
            where a member said nothing.
    """

    study_ids: np.ndarray
    levels: np.ndarray
    folds: np.ndarray
    labels: np.ndarray
    odds: np.ndarray

    def columns(self, condition: int) -> np.ndarray:
        """Returns what tells of a condition, `columns_of`, float64 (n, columns)."""
        return columns_of(self.odds, self.levels, condition)


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Returns log odds against the first class: (..., classes) -> float64 (..., classes - 1)."""
    logs = np.log(np.maximum(np.asarray(probabilities, np.float64), _SMALLEST))
    return logs[..., 1:] - logs[..., :1]


def seen_from(condition: int) -> tuple[int, ...]:
    """Returns the conditions in the order in which a target sees them: its own side first."""
    return _SEEN_FROM[labels.side_of(labels.CONDITIONS[condition]) or "left"]


def columns_of(odds: np.ndarray, levels: np.ndarray, condition: int) -> np.ndarray:
    """Returns the columns that a regression takes.

    Args:
        odds: as of `LevelTable`.
        levels: int64 (n,).
        condition: the target.

    Returns:
        float64 (n, members * conditions * (classes - 1) + levels): log odds, NaN where there are
        none, the target's own side before the other, then one column a level.
    """
    turned = odds[:, :, list(seen_from(condition))].reshape(len(odds), -1)
    return np.concatenate([turned, np.eye(_NUM_LEVELS)[levels]], axis=1)


def make(members: Sequence[members_module.Member]) -> LevelTable:
    """Returns what the members said of every level that any of them knows."""
    places = sorted({place for member in members for place in _places(member.said)})
    line = {place: index for index, place in enumerate(places)}
    num_classes = members[0].said.num_classes
    odds = np.full((len(places), len(members), _NUM_CONDITIONS, num_classes - 1), np.nan)
    truth = np.full((len(places), _NUM_CONDITIONS), -1, np.int64)
    fold_of = {study: fold for member in members for study, fold in member.fold_of.items()}
    for number, member in enumerate(members):
        lines = np.array([line[place] for place in _places(member.said)])
        conditions = np.array([labels.CONDITIONS.index(each) for each in member.said.conditions])
        odds[lines, number, conditions] = log_odds(member.said.probabilities)
        truth[lines, conditions] = member.said.labels
    return LevelTable(
        study_ids=np.array([study for study, _ in places], np.int64),
        levels=np.array([level for _, level in places], np.int64),
        folds=np.array([fold_of[study] for study, _ in places]),
        labels=truth,
        odds=odds,
    )


def _places(said: predictions_module.Predictions) -> list[tuple[int, int]]:
    levels = [labels.LEVELS.index(level) for level in said.levels]
    return list(zip(said.study_ids.tolist(), levels, strict=True))
