"""Keras Tuner's oracles, made safe to kill and honest about their seed.

What is different from Keras Tuner 1.4.8: state is written atomically; a trial whose start was not
recorded is forgotten on reload; the first trial of each family is its base configuration; the
Bayesian oracle's candidates and the grid's next point follow from what was started, so a resumed
search goes on as an undisturbed one; Hyperband begins with a bracket that fits the trial budget.
"""

import warnings
from collections.abc import Iterable
from typing import Any

import keras_tuner
import numpy as np
from sklearn import exceptions, gaussian_process
from sklearn.gaussian_process import kernels

from tuner import adapter, search_settings, space

NAMES = ("bayesian", "random", "hyperband", "grid")

# Random points before the Gaussian process is asked: Keras Tuner's own rule, three times the
# number of hyperparameters of all families together, would make a search of 30 trials random.
_INITIAL_POINTS_PER_FAMILY = 4
_MIN_INITIAL_POINTS = 8
_NUM_CANDIDATES = 2048
_NUM_NEIGHBOURS = 64


def make_oracle(
    name: str,
    *,
    hyperparameters: keras_tuner.HyperParameters,
    objective: search_settings.Objective,
    max_trials: int,
    max_epochs: int,
    seed: int,
) -> adapter.DurableOracle:
    """Makes an oracle.

    Args:
        name: one of NAMES.
        hyperparameters: the whole space; nothing is added to it later.
        objective: what is optimised.
        max_trials: trials after which the oracle stops.
        max_epochs: epochs of a whole training, which Hyperband divides.
        seed: any number from 0.
    """
    common: dict[str, Any] = {
        "objective": keras_tuner.Objective(objective.name, objective.direction),
        "hyperparameters": hyperparameters,
        "allow_new_entries": False,
        "tune_new_entries": True,
        "seed": seed + 1,  # Keras Tuner takes 0 for "no seed"
        "max_retries_per_trial": 0,
        "max_consecutive_failed_trials": 2**31,  # a failed trial never ends a search
    }
    if name == "random":
        return RandomOracle(max_trials=max_trials, **common)
    if name == "grid":
        return GridOracle(max_trials=max_trials, **common)
    if name == "hyperband":
        return HyperbandOracle(max_trials=max_trials, max_epochs=max_epochs, **common)
    if name == "bayesian":
        num_families = len(space.families_of(hyperparameters))
        num_points = max(_MIN_INITIAL_POINTS, _INITIAL_POINTS_PER_FAMILY * num_families)
        return BayesianOracle(max_trials=max_trials, num_initial_points=num_points, **common)
    raise ValueError(f"oracle is {name!r}, expected one of {', '.join(NAMES)}")


def continuable(oracle: keras_tuner.Oracle) -> list[str]:
    """Returns the trials that a later one may continue: those of Hyperband's open brackets."""
    return oracle.open_trials() if isinstance(oracle, HyperbandOracle) else []


class _FamiliesFirst(adapter.DurableOracle):
    """Each family's base configuration comes before anything by chance."""

    def first_values(self) -> Iterable[dict[str, Any]]:
        for family in space.families_of(self.hyperparameters):
            yield space.default_values(self.hyperparameters, family)


class RandomOracle(_FamiliesFirst, keras_tuner.oracles.RandomSearchOracle):
    """Random search, after each family's base configuration."""


class GridOracle(_FamiliesFirst, adapter.GridOracle):
    """Every combination, the families in turn."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the combination after the family's last one; Keras Tuner's queue dies with it."""
        started = [self.trials[trial_id].hyperparameters.values for trial_id in self.start_order]
        families = space.families_of(self.hyperparameters)
        counts = {family: sum(v[space.FAMILY] == family for v in started) for family in families}
        for family in sorted(families, key=counts.__getitem__):
            values = self._next_of(family, started)
            if values is not None:
                return {"status": adapter.TrialStatus.RUNNING, "values": values}
        return {"status": adapter.TrialStatus.STOPPED, "values": None}

    def _next_of(self, family: str, started: list[dict[str, Any]]) -> dict[str, Any] | None:
        previous = [values for values in started if values[space.FAMILY] == family]
        if not previous:
            return space.default_values(self.hyperparameters, family)
        values = self.combination_after(previous[-1])
        return values if values and values[space.FAMILY] == family else None


class HyperbandOracle(_FamiliesFirst, adapter.HyperbandOracle):
    """Hyperband whose brackets fit into the budget of trials."""

    def __init__(self, *, max_trials: int, max_epochs: int, **kwargs: Any) -> None:
        super().__init__(max_epochs=max_epochs, hyperband_iterations=1_000, **kwargs)
        self.max_trials = max_trials
        # A bracket that the budget cuts off in its first round is a random search of models that
        # were hardly trained: 30 trials of 60 epochs would end with 30 trials of 3 epochs.
        self.begin_with_bracket_of(max_trials)


class BayesianOracle(_FamiliesFirst, adapter.BayesianOracle):
    """A Gaussian process, asked about points of the space as it is: discrete and conditional."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the candidate with the best confidence bound that was not tried yet.

        Keras Tuner descends by gradient in the unit cube, where choices are plateaus and inactive
        hyperparameters count, repeats points, and takes seconds in a space of several families.
        """
        completed = self._trials_that_are(adapter.TrialStatus.COMPLETED)
        if len(completed) < self.num_initial_points:
            return self.propose_at_random()
        sign = -1.0 if self.objective.direction == "max" else 1.0
        vectors = self._vectorize_all(completed)
        scores = np.array([sign * trial.score for trial in completed])
        process = self._fit(vectors, scores)
        generator = np.random.default_rng([self.seed, len(self.start_order)])
        candidates = self._candidates(generator, vectors[np.argsort(scores)[:3]])
        encoded = np.array([self._vectorize(values) for values in candidates])
        mean, deviation = process.predict(encoded, return_std=True)
        for index in np.argsort(mean - self.beta * deviation, kind="stable"):
            if not self.is_tried(candidates[index]):
                values = candidates[index]
                return {"status": adapter.TrialStatus.RUNNING, "values": values}
        return self.propose_at_random()

    def _trials_that_are(self, status: str) -> list[adapter.Trial]:
        trials = [trial for trial in self.trials.values() if trial.status == status]
        return sorted(trials, key=lambda trial: trial.trial_id)

    def _fit(
        self, vectors: np.ndarray, scores: np.ndarray
    ) -> gaussian_process.GaussianProcessRegressor:
        """Fits completed trials; running ones then count with what is expected of them, a bit less.

        Keras Tuner's fantasies: where a trial runs there is little left to find out, so another
        worker is not sent to the same place.
        """
        process = gaussian_process.GaussianProcessRegressor(
            # Scores of small folds are noisy: with Keras Tuner's alpha, 1e-4, the length scale
            # vanishes.
            kernel=kernels.Matern(nu=2.5, length_scale=1.0, length_scale_bounds=(0.1, 10.0)),
            alpha=0.01,
            n_restarts_optimizer=3,
            normalize_y=True,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            # At a bound of the length scale sklearn warns; the bounds are meant as bounds.
            warnings.simplefilter("ignore", category=exceptions.ConvergenceWarning)
            process.fit(vectors, scores)
        running = self._vectorize_all(self._trials_that_are(adapter.TrialStatus.RUNNING))
        if not len(running):
            return process
        mean, deviation = process.predict(running, return_std=True)
        # A fantasy says nothing about the length scale.
        process.set_params(kernel=process.kernel_, optimizer=None)
        return process.fit(
            np.concatenate([vectors, running]), np.concatenate([scores, mean + deviation])
        )

    def _candidates(self, generator: np.random.Generator, best: np.ndarray) -> list[dict[str, Any]]:
        uniform = generator.uniform(size=(_NUM_CANDIDATES, best.shape[1]))
        neighbours = np.repeat(best, _NUM_NEIGHBOURS, axis=0)
        neighbours = neighbours + generator.normal(scale=0.15, size=neighbours.shape)
        points = np.concatenate([uniform, np.clip(neighbours, 0.0, 1.0 - 1e-9)])
        return [self._values_at(point) for point in points]

    def _values_at(self, point: np.ndarray) -> dict[str, Any]:
        """Keras Tuner's own way copies every hyperparameter: 2 s a trial."""
        values: dict[str, Any] = {}
        for hp, probability in zip(self.dimensions(), point, strict=True):
            if all(condition.is_active(values) for condition in hp.conditions):
                values[hp.name] = hp.prob_to_value(float(probability))
        return values

    def _vectorize_all(self, trials: Iterable[adapter.Trial]) -> np.ndarray:
        """Returns float64 (trials, dimensions), in [0, 1]."""
        return np.array([self._vectorize(trial.hyperparameters.values) for trial in trials])

    def _vectorize(self, values: dict[str, Any]) -> list[float]:
        return [hp.value_to_prob(values.get(hp.name, hp.default)) for hp in self.dimensions()]
