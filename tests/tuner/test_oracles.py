"""Oracles: repeatable from a seed, and the same sequence after being killed."""

import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras_tuner
import pytest

from spine_tf.configuration import config as config_module
from tuner import adapter, oracles, search_settings, space, space_presets

_FAMILIES = ("simple", "dense", "residual")


def _make_oracle(name: str, directory: pathlib.Path, **kwargs: Any) -> adapter.DurableOracle:
    declare = kwargs.pop("declare", space_presets.PRESETS[kwargs.pop("preset", "small")])
    hyperparameters = space.make_space(declare, _bases(kwargs.pop("families", _FAMILIES)))
    defaults: dict[str, Any] = {"max_trials": 16, "max_epochs": 9, "seed": 0}
    oracle = oracles.make_oracle(
        name,
        hyperparameters=hyperparameters,
        objective=search_settings.Objective(name="log_loss"),
        **{**defaults, **kwargs},
    )
    oracle.open(directory / "trials")
    return oracle


def _bases(families: Sequence[str] = _FAMILIES) -> dict[str, Any]:
    return search_settings.make_bases("multiclass", families)[0]


def _run(
    oracle: keras_tuner.Oracle,
    num_trials: int | None = None,
    score: Callable[[dict[str, Any]], float] | None = None,
) -> list[dict[str, Any]]:
    """Runs trials to their end; with a number, is "killed" in the middle of the next one."""
    started: list[Any] = []
    while True:
        trial = oracle.create_trial("tuner0")
        if trial.status == "STOPPED":
            return started
        started.append(dict(trial.hyperparameters.values))
        if len(started) - 1 == num_trials:
            return started
        reached = (score or _score)(trial.hyperparameters.values)
        oracle.update_trial(trial.trial_id, {"log_loss": reached})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)


def _score(values: dict[str, Any]) -> float:
    made = space.to_config(values, _bases())
    distance = abs(math.log10(made.training.learning_rate) + 2.5)
    return distance + made.model.dropout + (made.model.family != "residual")


@pytest.mark.slow
@pytest.mark.parametrize("name", oracles.NAMES)
def test_sequence_is_a_function_of_the_seed(name: str, tmp_path: pathlib.Path) -> None:
    first, second, other = (
        _run(_make_oracle(name, tmp_path / str(run), seed=seed))
        for run, seed in enumerate((0, 0, 1))
    )
    assert first == second
    assert (first == other) == (name == "grid")  # a grid has no chance in it


@pytest.mark.slow
@pytest.mark.parametrize("name", oracles.NAMES)
def test_killed_oracle_goes_on_with_the_same_sequence(name: str, tmp_path: pathlib.Path) -> None:
    undisturbed = _run(_make_oracle(name, tmp_path / "a"))
    killed = _run(_make_oracle(name, tmp_path / "b [1]*?%s"), num_trials=13)
    resumed = _run(_make_oracle(name, tmp_path / "b [1]*?%s"))
    assert killed[:-1] + resumed == undisturbed


@pytest.mark.parametrize("is_ended", [True, False])
def test_only_what_had_not_ended_is_run_again(is_ended: bool, tmp_path: pathlib.Path) -> None:
    """Keras Tuner's own state says of the trial that ended last that it still runs."""
    oracle = _make_oracle("random", tmp_path)
    trial = oracle.create_trial("tuner0")
    oracle.update_trial(trial.trial_id, {"log_loss": 0.5})
    trial.status = "COMPLETED"
    if is_ended:
        oracle.end_trial(trial)
    opened = _make_oracle("random", tmp_path)
    again = opened.create_trial("tuner0")
    assert (again.trial_id == trial.trial_id) == (not is_ended)
    assert again.metrics.exists("log_loss") is False


def test_trial_that_begins_again_has_told_nothing_and_ended_never(tmp_path: pathlib.Path) -> None:
    oracle = _make_oracle("random", tmp_path)
    assert len(_run(oracle, num_trials=1)) == 2
    oracle.begin_again(oracle.end_order[0])
    again = oracle.create_trial("tuner1")
    oracle.update_trial(again.trial_id, {"log_loss": 0.25})
    again.status = "COMPLETED"
    oracle.end_trial(again)
    assert oracle.end_order == [again.trial_id]
    assert again.trial_id == oracle.start_order[0]
    (history,) = again.metrics.get_history("log_loss")
    assert history.value == [0.25]


def test_trial_that_was_written_but_not_started_is_forgotten(tmp_path: pathlib.Path) -> None:
    _run(_make_oracle("random", tmp_path), num_trials=2)
    state = (tmp_path / "trials" / "oracle.json").read_bytes()
    undisturbed = _run(_make_oracle("random", tmp_path), num_trials=2)
    (tmp_path / "trials" / "oracle.json").write_bytes(state)  # as if killed before it was replaced
    assert _run(_make_oracle("random", tmp_path), num_trials=2) == undisturbed


@pytest.mark.parametrize("name", ["random", "bayesian", "hyperband", "grid"])
def test_base_configuration_of_each_family_comes_first(name: str, tmp_path: pathlib.Path) -> None:
    oracle = _make_oracle(name, tmp_path)
    expected = [space.default_values(oracle.hyperparameters, family) for family in _FAMILIES]
    started = _run(oracle, num_trials=3)[:3]
    own = [{k: v for k, v in values.items() if "tuner/" not in k} for values in started]
    assert own == expected


@pytest.mark.slow
def test_bayesian_oracle_repeats_no_trial(tmp_path: pathlib.Path) -> None:
    started = _run(_make_oracle("bayesian", tmp_path, max_trials=24))
    assert len({str(sorted(values.items())) for values in started}) == 24


def test_bayesian_oracle_knows_of_the_trials_that_run(tmp_path: pathlib.Path) -> None:
    oracle = _make_oracle("bayesian", tmp_path, declare=_declare_line, families=["simple"])
    _run(oracle, num_trials=10, score=_line_score)
    (first,) = oracle.ongoing_trials.values()
    second = oracle.create_trial("tuner1")
    places = [_line_place(trial.hyperparameters.values) for trial in (first, second)]
    # Neither is far from the best place, 0.4; if it did not know of the first, the second would be
    # sent within 0.001 of it.
    assert places == pytest.approx([0.4, 0.4], abs=0.05)
    assert abs(places[0] - places[1]) > 0.02


def _declare_line(hp: keras_tuner.HyperParameters, config: config_module.Config) -> None:
    hp.Float("model.dropout", 0.0, 0.6)


def _line_place(values: dict[str, Any]) -> float:
    return values["simple/model.dropout"]


def _line_score(values: dict[str, Any]) -> float:
    return (_line_place(values) - 0.4) ** 2


@pytest.mark.slow
def test_bayesian_oracle_finds_more_than_chance(tmp_path: pathlib.Path) -> None:
    best = {
        name: min(map(_score, _run(_make_oracle(name, tmp_path / name, preset="full"))[12:]))
        for name in ("random", "bayesian")
    }
    assert best["bayesian"] < best["random"]


def test_hyperband_finishes_a_bracket_within_the_trials_it_has(tmp_path: pathlib.Path) -> None:
    started = _run(_make_oracle("hyperband", tmp_path, max_trials=25, max_epochs=60))
    assert max(values["tuner/epochs"] for values in started) == 60
    assert any("tuner/trial_id" in values for values in started)


def test_hyperband_names_the_trials_that_may_go_on(tmp_path: pathlib.Path) -> None:
    oracle = _make_oracle("hyperband", tmp_path)
    _run(oracle, num_trials=4)
    assert oracles.continuable(oracle) == oracle.start_order
    assert oracles.continuable(_make_oracle("random", tmp_path / "random")) == []


def test_unknown_oracle_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="oracle is 'delphi', expected one of bayesian"):
        _make_oracle("delphi", tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("oracle.json", "{", "oracle.json is not JSON"),
        ("oracle.json", "[]", "not an object"),
        ("oracle.json", "{}", "oracle.json, or a trial beside it, can't be used"),
        ("trial_0/trial.json", "{", "trial.json is not JSON"),
        ("trial_0/trial.json", '{"trial_id": 3}', "or a trial beside it, can't be used"),
    ],
)
def test_damaged_state_is_named(tmp_path: pathlib.Path, file: str, text: str, message: str) -> None:
    _make_oracle("random", tmp_path).create_trial("tuner0")
    (path,) = tmp_path.rglob(file.replace("trial_0", "trial_*"))
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{message}.*: begin the search anew with --overwrite"):
        _make_oracle("random", tmp_path)
