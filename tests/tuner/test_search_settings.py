"""What a search is asked to do: bases for every family, contradictions refused."""

import dataclasses
import math
import pathlib
import shutil
from typing import Any

import pytest

from spine_tf.configuration import config, model_configs, overrides
from tfrecords import manifest, records, tfds_files
from tuner import search_settings


def test_setting_goes_to_every_family_that_has_the_field() -> None:
    bases, fixed = search_settings.make_bases(
        "binary", ["dense", "resnet50"], settings=["model.weights=none", "training.batch_size=8"]
    )
    assert {base.model.weights for base in bases.values()} == {"none"}
    assert {base.training.batch_size for base in bases.values()} == {8}
    assert fixed == {"model.weights", "training.batch_size"}


def test_setting_of_one_family_leaves_the_others_alone_and_searched() -> None:
    bases, fixed = search_settings.make_bases(
        "binary", ["dense", "simple"], settings=["dense:model.dropout=0.1"]
    )
    assert (bases["dense"].model.dropout, bases["simple"].model.dropout) == (0.1, 0.3)
    assert search_settings.is_fixed("dense", "model.dropout", fixed)
    assert not search_settings.is_fixed("simple", "model.dropout", fixed)


def test_start_configuration_gives_its_model_to_its_family_and_the_rest_to_all() -> None:
    start = overrides.apply(
        config.default_config("multiclass", "dense"), ["model.grid_px=2", "training.patience=3"]
    )
    bases, _ = search_settings.make_bases(
        None, ["dense", "simple"], start=start, seed=7, max_epochs=4
    )
    assert bases["dense"].model == start.model
    assert bases["simple"].model == model_configs.SimpleConfig()
    assert {(b.task, b.training.patience, b.seed) for b in bases.values()} == {("multiclass", 3, 7)}
    assert {base.training.epochs for base in bases.values()} == {4}


def test_models_may_be_left_out_beside_a_configuration() -> None:
    bases, _ = search_settings.make_bases(None, [], start=config.default_config("binary", "dense"))
    assert list(bases) == ["dense"]


def test_monitor_follows_the_objective_unless_it_is_set() -> None:
    bases, _ = search_settings.make_bases("binary", ["simple"], monitor="val_auc")
    assert bases["simple"].training.monitor == "val_auc"
    bases, _ = search_settings.make_bases(
        "binary", ["simple"], monitor="val_auc", settings=["training.monitor=val_brier"]
    )
    assert bases["simple"].training.monitor == "val_brier"


_DENSE = config.default_config("binary", "dense")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": None, "families": ["dense"]}, "--task is missing"),
        ({"task": "binary", "families": []}, "--models is missing"),
        ({"task": "ternary", "families": ["dense"]}, "task is 'ternary'"),
        ({"task": "binary", "families": ["vit"]}, "model is 'vit'"),
        ({"task": "binary", "families": ["dense", "dense"]}, "dense twice"),
        ({"task": "multiclass", "families": ["dense"], "start": _DENSE}, "is for binary"),
        ({"task": "binary", "families": ["simple"], "start": _DENSE}, "--models has no dense"),
        ({"task": "binary", "families": ["dense"], "settings": ["model.blocks=[1]"]}, "no field"),
        ({"task": "binary", "families": ["dense"], "settings": ["seed"]}, "has no '='"),
        ({"task": "binary", "families": ["dense"], "max_epochs": 0}, "--max_epochs is 0"),
        (
            {"task": "binary", "families": ["dense"], "max_epochs": 2}
            | {"settings": ["training.epochs=3"]},
            "give one",
        ),
        (
            {"task": "binary", "families": ["dense"], "max_epochs": 2}
            | {"settings": ["dense:training.epochs=3"]},
            "give one",
        ),
        (
            {"task": "binary", "families": ["dense"], "settings": ["simple:seed=3"]},
            "no chosen model has that field",
        ),
    ],
)
def test_contradiction_is_refused(arguments: dict, message: str) -> None:
    task, families = arguments.pop("task"), arguments.pop("families")
    with pytest.raises(ValueError, match=message):
        search_settings.make_bases(task, families, **arguments)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 0) for name in ("folds", "workers", "max_trials", "max_minutes", "max_disk_mb")),
        ("max_minutes", math.nan),
        ("max_disk_mb", math.nan),
    ],
)
def test_budget_of_nothing_is_refused(name: str, value: float) -> None:
    possible = search_settings.Settings(
        search_dir=pathlib.Path("s"),
        records_dir=pathlib.Path("r"),
        task="binary",
        bases={"dense": _DENSE},
    )
    nothing: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"--{name} is {value}"):
        dataclasses.replace(possible, **nothing)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("log_loss", "min"),
        ("weighted_log_loss", "min"),
        ("balanced_accuracy", "max"),
        ("auc", "max"),
        ("level_right", "max"),
    ],
)
def test_direction_is_that_of_the_figure(name: str, direction: str) -> None:
    goal = search_settings.Objective(name=name)
    assert (goal.direction, goal.monitor) == (direction, f"val_{name}")
    assert goal.sign * 1.0 == (1 if direction == "min" else -1)


@pytest.mark.parametrize(
    ("task", "family", "name"), [("landmarks", "unet", "auc"), ("binary", "dense", "level_right")]
)
def test_objective_of_another_task_is_refused(task: str, family: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"--objective is {name}, .* of task {task} are chosen by"):
        search_settings.Settings(
            search_dir=pathlib.Path("s"),
            records_dir=pathlib.Path("r"),
            task=task,
            bases={family: config.default_config(task, family)},
            objective=search_settings.Objective(name=name),
        )


def test_unknown_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="objective is 'f2', expected one of log_loss"):
        search_settings.Objective(name="f2")


@pytest.mark.parametrize(("max_minutes", "is_over"), [(None, False), (1e-9, True), (60.0, False)])
def test_clock_is_over_at_its_limit(max_minutes: float | None, is_over: bool) -> None:
    clock = search_settings.Clock(max_minutes=max_minutes)
    assert clock.is_over == is_over
    assert (clock.seconds_left is None) == (max_minutes is None)


@pytest.mark.parametrize(
    ("num_folds", "set_values", "inner_fold", "said"),
    [
        (3, (), "next", ""),
        (2, (), "none", "has 2 folds, and a trial needs three"),
        (2, ("data.inner_fold=none",), "none", ""),
    ],
)
def test_few_folds_are_said_and_choose_no_epoch(
    records_dir: pathlib.Path,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    num_folds: int,
    set_values: tuple[str, ...],
    inner_fold: str,
    said: str,
) -> None:
    copy = shutil.copytree(records_dir, tmp_path / "records")
    dataset = manifest.read_manifest(copy)
    gone = ("fold_1", "fold_2")[num_folds - 1 :]
    parts = tuple(part for part in dataset.shards if part.split not in gone)
    manifest.write_manifest(copy, dataclasses.replace(dataset, shards=parts))
    tfds_files.write_info(copy, manifest.read_manifest(copy), "x")
    bases, fixed = search_settings.make_bases("binary", ["simple"], settings=set_values)
    settings = search_settings.Settings(
        search_dir=tmp_path, records_dir=copy, task="binary", bases=bases, fixed=fixed
    )
    made = search_settings.of_folds(settings, records.open_records(copy))
    assert made.bases["simple"].data.inner_fold == inner_fold
    assert said in caplog.text
    assert bool(caplog.records) == bool(said)
