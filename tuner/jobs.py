"""From what an oracle proposes to what a worker is asked to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from spine_tf.configuration import config as config_module
from tuner import budget, objective, pruning, settings as settings_module, space, trial


def make_job(
    settings: settings_module.Settings,
    trial_id: str,
    values: Mapping[str, Any],
    finished: Sequence[trial.Outcome],
) -> trial.Job:
    """Returns the job of a trial.

    Args:
        settings: of the search.
        trial_id: the oracle's name for it.
        values: the active hyperparameters, and Hyperband's own.
        finished: what came of earlier trials, in the order of their names.

    Raises:
        ValueError: the values are no configuration.
    """
    config = space.to_config(values, settings.bases)
    goal = settings.objective
    limits: tuple[float, ...] = ()
    if settings.prune and "tuner/epochs" not in values:
        limits = pruning.reference([_first_curve(outcome, goal) for outcome in finished])
    return trial.Job(
        trial_id=trial_id,
        config=config_module.to_dict(config),
        objective=goal.name,
        last_epoch=values.get("tuner/epochs"),
        continue_from=values.get("tuner/trial_id"),
        reference=limits,
        first_reference_epoch=pruning.first_epoch(config.training.epochs),
        keep_below=_worst_kept(finished, goal),
    )


def _first_curve(outcome: trial.Outcome, goal: objective.Objective) -> list[float]:
    """The first fold's figures, smaller is better."""
    if not outcome.curves:
        return []
    return [goal.sign * figures[goal.monitor] for figures in outcome.curves[0]]


def _worst_kept(finished: Sequence[trial.Outcome], goal: objective.Objective) -> float | None:
    scores = sorted(
        goal.sign * objective.mean_score(outcome.fold_scores).value
        for outcome in finished
        if outcome.status == trial.COMPLETED
    )
    return scores[budget.KEPT_TRIALS - 1] if len(scores) >= budget.KEPT_TRIALS else None
