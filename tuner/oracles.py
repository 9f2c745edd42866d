"""Keras Tuner's oracles, made safe to kill and honest about their seed.

What is different from Keras Tuner 1.4.8: state is written atomically; a trial whose start was not
recorded is forgotten on reload; the first trial of each family is its base configuration; the
Bayesian oracle's candidates and the grid's next point follow from what was started, so a resumed
search goes on as an undisturbed one; Hyperband begins with a bracket that fits the trial budget.
"""

import json
import pathlib
import warnings
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine import trial as trial_module
from sklearn import exceptions
from sklearn.gaussian_process import kernels

from tfrecords import atomic
from tuner import directory, objective as objective_module, space

NAMES = ("bayesian", "random", "hyperband", "grid")

_TRIAL_FILE = "trial.json"

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
    objective: objective_module.Objective,
    max_trials: int,
    max_epochs: int,
    seed: int,
) -> keras_tuner.Oracle:
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
    if not isinstance(oracle, HyperbandOracle):
        return []
    return [entry["id"] for entry in oracle.open_entries()]


def state_path(oracle: keras_tuner.Oracle) -> pathlib.Path:
    """Returns where an oracle keeps its state."""
    return pathlib.Path(oracle._get_oracle_fname())


def read_values(search_dir: pathlib.Path, trial_id: str) -> dict[str, Any]:
    """Reads the hyperparameters of a trial that an oracle on another machine has started."""
    path = directory.trial_dir(search_dir, trial_id) / _TRIAL_FILE
    return json.loads(path.read_text("utf-8"))["hyperparameters"]["values"]


class _DurableOracle(keras_tuner.Oracle):
    """What all oracles here have in common."""

    def save(self) -> None:
        """Writes the state whole or not at all."""
        atomic.write_json(state_path(self), self.get_state(), indent=None)

    def _save_trial(self, trial: trial_module.Trial) -> None:
        path = pathlib.Path(self._get_trial_dir(trial.trial_id)) / _TRIAL_FILE
        atomic.write_json(path, trial.get_state(), indent=None)

    def reload(self) -> None:
        """Reads the state, and forgets a trial that was written but not yet started."""
        super().reload()
        for trial_id in set(self.trials) - set(self.start_order):
            del self.trials[trial_id]

    def _random_values(self) -> dict[str, Any] | None:
        for family in space.families_of(self.hyperparameters):
            values = space.default_values(self.hyperparameters, family)
            if not self._duplicate(values):
                return values
        return super()._random_values()


class RandomOracle(_DurableOracle, keras_tuner.oracles.RandomSearchOracle):
    """Random search, after each family's base configuration."""


class GridOracle(_DurableOracle, keras_tuner.oracles.GridSearchOracle):
    """Every combination, the families in turn."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the combination after the family's last one; Keras Tuner's queue dies with it."""
        started = [self.trials[trial_id].hyperparameters.values for trial_id in self.start_order]
        families = space.families_of(self.hyperparameters)
        counts = {family: sum(v[space.FAMILY] == family for v in started) for family in families}
        for family in sorted(families, key=counts.__getitem__):
            values = self._next_of(family, started)
            if values is not None:
                return {"status": trial_module.TrialStatus.RUNNING, "values": values}
        return {"status": trial_module.TrialStatus.STOPPED, "values": None}

    def _next_of(self, family: str, started: list[dict[str, Any]]) -> dict[str, Any] | None:
        previous = [values for values in started if values[space.FAMILY] == family]
        if not previous:
            return space.default_values(self.hyperparameters, family)
        values = self._get_next_combination(previous[-1])
        return values if values and values[space.FAMILY] == family else None


class HyperbandOracle(_DurableOracle, keras_tuner.oracles.HyperbandOracle):
    """Hyperband whose brackets fit into the budget of trials."""

    def __init__(self, *, max_trials: int, max_epochs: int, **kwargs: Any):
        super().__init__(max_epochs=max_epochs, hyperband_iterations=1_000, **kwargs)
        self.max_trials = max_trials
        # A bracket that the budget cuts off in its first round is a random search of models that
        # were hardly trained: 30 trials of 60 epochs would end with 30 trials of 3 epochs.
        while self._current_bracket and self._bracket_size(self._current_bracket) > max_trials:
            self._current_bracket -= 1
        self._brackets: list[dict[str, Any]] = []
        self._start_new_bracket()

    def open_entries(self) -> list[dict[str, str]]:
        """Returns the trials of brackets that are not through."""
        return [
            entry
            for bracket in self._brackets
            for entries in bracket["rounds"]
            for entry in entries
        ]

    def _bracket_size(self, bracket: int) -> int:
        rounds = range(self._get_num_rounds(bracket))
        return sum(self._get_size(bracket, round_num) for round_num in rounds)


class BayesianOracle(_DurableOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """A Gaussian process, asked about points of the space as it is: discrete and conditional."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the candidate with the best confidence bound that was not tried yet.

        Keras Tuner descends by gradient in the unit cube, where choices are plateaus and inactive
        hyperparameters count, repeats points, and takes seconds in a space of several families.
        """
        completed = [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        if len(completed) < self.num_initial_points:
            return self._random_populate_space()
        vectors, scores = self._vectorize_completed(completed)
        with warnings.catch_warnings():
            # At a bound of the length scale sklearn warns; the bounds are meant as bounds.
            warnings.simplefilter("ignore", category=exceptions.ConvergenceWarning)
            self.gpr.fit(vectors, scores)
        generator = np.random.default_rng([self.seed, len(self.start_order)])
        candidates = self._candidates(generator, vectors[np.argsort(scores)[:3]])
        encoded = np.array([self._vectorize(values) for values in candidates])
        mean, deviation = self.gpr.predict(encoded, return_std=True)
        for index in np.argsort(mean - self.beta * deviation, kind="stable"):
            if not self._duplicate(candidates[index]):
                values = candidates[index]
                return {"status": trial_module.TrialStatus.RUNNING, "values": values}
        return self._random_populate_space()

    def _make_gpr(self) -> Any:
        gpr = super()._make_gpr()
        # Scores of small folds are noisy: with Keras Tuner's 1e-4 the length scale vanishes.
        kernel = kernels.Matern(nu=2.5, length_scale=1.0, length_scale_bounds=(0.1, 10.0))
        gpr.set_params(kernel=kernel, alpha=0.01, n_restarts_optimizer=3)
        return gpr

    def _vectorize_completed(self, completed: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        sign = -1.0 if self.objective.direction == "max" else 1.0
        trials = sorted(completed, key=lambda trial: trial.trial_id)
        vectors = [self._vectorize(trial.hyperparameters.values) for trial in trials]
        return np.array(vectors), np.array([sign * trial.score for trial in trials])

    def _candidates(self, generator: np.random.Generator, best: np.ndarray) -> list[dict[str, Any]]:
        uniform = generator.uniform(size=(_NUM_CANDIDATES, best.shape[1]))
        neighbours = np.repeat(best, _NUM_NEIGHBOURS, axis=0)
        neighbours = neighbours + generator.normal(scale=0.15, size=neighbours.shape)
        points = np.concatenate([uniform, np.clip(neighbours, 0.0, 1.0 - 1e-9)])
        return [self._values_at(point) for point in points]

    def _values_at(self, point: np.ndarray) -> dict[str, Any]:
        """Keras Tuner's `_vector_to_values` without copying every hyperparameter: 2 s a trial."""
        values: dict[str, Any] = {}
        for hp, probability in zip(self._nonfixed_space(), point, strict=True):
            if all(condition.is_active(values) for condition in hp.conditions):
                values[hp.name] = hp.prob_to_value(float(probability))
        return values

    def _vectorize(self, values: dict[str, Any]) -> list[float]:
        return [hp.value_to_prob(values.get(hp.name, hp.default)) for hp in self._nonfixed_space()]
