"""One trial: its scores, why it is stopped or failed, what it keeps."""

import dataclasses
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import config
from spine_tf.runs import run
from spine_tf.training import trainer
from tfrecords import example, manifest, records, shard, tfds_files
from tuner import runner, search_directory, search_settings, trial

pytestmark = pytest.mark.slow


def _config(*set_values: str, epochs: int = 2) -> config.Config:
    set_values = ("model.filters=[4, 8]", "training.warmup_epochs=0", *set_values)
    bases, _ = search_settings.make_bases(
        "binary", ["simple"], settings=set_values, max_epochs=epochs
    )
    return bases["simple"]


def _job(trial_id: str = "0", **fields: Any) -> trial.Job:
    made = {"training": {"epochs": 3}}
    return trial.Job(trial_id=trial_id, config=made, objective="log_loss", **fields)


@pytest.fixture
def make_runner(records_dir: pathlib.Path, tmp_path: pathlib.Path) -> Callable[..., runner.Runner]:
    def make(**fields: Any) -> runner.Runner:
        defaults: dict[str, Any] = {
            "search_dir": tmp_path / "search",
            "records_dir": records_dir,
            "folds": 1,
            "max_parameters": None,
            "is_stopping": lambda: False,
            "on_epoch": lambda **figures: None,
        }
        return runner.Runner(**{**defaults, **fields})

    return make


@pytest.mark.slow
def test_each_fold_gives_a_score_and_the_test_split_is_never_opened(
    make_runner: Callable[..., runner.Runner], records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    copy = tmp_path / "records"
    shutil.copytree(records_dir, copy)
    for path in copy.glob("*-test.tfrecord*"):
        path.write_bytes(b"\xff" * path.stat().st_size)
    epochs: list[tuple[int, int]] = []
    trials = make_runner(
        records_dir=copy,
        folds=2,
        on_epoch=lambda fold, epoch, **_: epochs.append((fold, epoch)),
    )
    outcome = trials.run(_job(), _config())
    assert (outcome.status, len(outcome.fold_scores), outcome.num_epochs) == ("completed", 2, 2)
    assert epochs == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert outcome.num_parameters > 0
    with pytest.raises(ValueError, match="test"):
        list(records.iterate(records.open_records(copy), ["test"]))


def test_trial_is_what_train_does_and_its_score_is_of_a_fold_that_chose_nothing(
    make_runner: Callable[..., runner.Runner], records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    trials = make_runner()
    outcome = trials.run(_job(), _config())
    source = records.open_records(records_dir)
    trainer.train(_config(), source, tmp_path / "run", resume=False)
    trained = run.load_model(tmp_path / "run")
    kept = search_directory.trial_dir(trials.search_dir, "0") / "fold_0.keras"
    for here, there in zip(
        keras.models.load_model(kept).get_weights(), trained.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(here, there)
    examples = records.load_examples(source, ["fold_0"], labels.get_task("binary").severities)
    answers = trained.predict(examples.normalized(), verbose=0)
    said = answers[np.arange(len(examples)), examples.labels]
    assert outcome.fold_scores == pytest.approx([-np.log(said).mean()], rel=1e-4)
    assert outcome.fold_scores[0] not in [row["val_log_loss"] for row in outcome.curves[0]]


def test_last_epoch_counts_where_no_fold_is_kept_to_stop_on(
    make_runner: Callable[..., runner.Runner],
) -> None:
    # Such steps that the first epoch is the best.
    chosen = ("data.inner_fold=none", "training.learning_rate=0.1", "training.patience=1")
    outcome = make_runner().run(_job(), _config(*chosen, epochs=3))
    losses = [figures["val_log_loss"] for figures in outcome.curves[0]]
    assert outcome.fold_scores == pytest.approx([losses[2]])
    assert losses[2] > min(losses)


def test_folds_are_held_out_by_name_where_one_is_empty(
    make_runner: Callable[..., runner.Runner], records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    copy = tmp_path / "records"
    shutil.copytree(records_dir, copy)
    dataset = manifest.read_manifest(copy)
    parts = tuple(part for part in dataset.shards if part.split != "fold_0")
    manifest.write_manifest(copy, dataclasses.replace(dataset, shards=parts))
    tfds_files.write_info(copy, manifest.read_manifest(copy), "x")
    with pytest.raises(ValueError, match=r"--folds is 1, but .* has no example in fold_0; its"):
        search_settings.check_folds(records.open_records(copy), 1, "multiclass")
    with pytest.raises(ValueError, match=r"val_fold is 0, but .* has no example in fold_0; its"):
        make_runner(records_dir=copy).run(_job(), _config("data.inner_fold=none"))


@pytest.mark.slow
def test_trial_behind_the_others_is_stopped_with_the_score_it_has(
    make_runner: Callable[..., runner.Runner],
) -> None:
    job = _job(reference=(0.0,) * 9, first_reference_epoch=1)
    outcome = make_runner(folds=2).run(job, _config(epochs=9))
    assert (outcome.status, outcome.num_epochs, len(outcome.fold_scores)) == ("stopped", 2, 1)
    assert outcome.reason == "worse than the median of the finished trials at epoch 2"


@pytest.mark.slow
def test_trial_ends_after_its_epoch_when_the_search_does(
    make_runner: Callable[..., runner.Runner],
) -> None:
    outcome = make_runner(is_stopping=lambda: True).run(_job(), _config(epochs=9))
    assert (outcome.status, outcome.num_epochs) == ("stopped", 1)
    assert outcome.reason == "the search's time was over"


@pytest.mark.slow
def test_round_of_hyperband_goes_on_where_the_last_one_paused(
    make_runner: Callable[..., runner.Runner],
) -> None:
    trials = make_runner()
    first = trials.run(_job("0", last_epoch=1), _config(epochs=3))
    second = trials.run(_job("1", last_epoch=3, continue_from="0"), _config(epochs=3))
    undisturbed = trials.run(_job("2"), _config(epochs=3))
    assert (first.num_epochs, second.num_epochs) == (1, 3)
    for here, there in zip(second.curves[0], undisturbed.curves[0], strict=True):
        assert here["val_log_loss"] == there["val_log_loss"]
    shutil.rmtree(search_directory.state_dir(trials.search_dir, "0", 0))
    with pytest.raises(ValueError, match="from which it goes on, is gone"):
        trials.run(_job("3", last_epoch=3, continue_from="0"), _config(epochs=3))


@pytest.mark.slow
def test_weights_are_written_if_the_trial_may_be_among_the_best(
    make_runner: Callable[..., runner.Runner],
) -> None:
    trials = make_runner()
    trials.run(_job("0", keep_below=9.0), _config(epochs=1))
    trials.run(_job("1", keep_below=0.0), _config(epochs=1))
    kept = [path.parent.name for path in trials.search_dir.glob("trials/*/fold_0.keras")]
    assert kept == ["trial_0"]


def test_larger_model_than_allowed_is_refused(make_runner: Callable[..., runner.Runner]) -> None:
    with pytest.raises(runner.TrialFailedError, match="parameters, --max_parameters is 100"):
        make_runner(max_parameters=100).run(_job(), _config())


def test_records_that_can_not_be_fail_the_trial(
    make_runner: Callable[..., runner.Runner], records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    broken = _with_broken_windows(records_dir, tmp_path / "records")
    with pytest.raises(ValueError, match=r"record 0: window is \[nan, nan\], expected finite"):
        make_runner(records_dir=broken).run(_job(), _config())


def test_objective_that_the_fold_leaves_undefined_fails_the_trial(
    make_runner: Callable[..., runner.Runner],
    records_dir: pathlib.Path,
    make_records: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
) -> None:
    # Unlike the loss, AUC needs both classes in the fold.
    of_one_class = make_records(tmp_path / "one", severities=(0, 0, 0), first_study=5000)
    copy = shutil.copytree(records_dir, tmp_path / "records")
    whole, other = manifest.read_manifest(copy), manifest.read_manifest(of_one_class)
    parts = {part.file: part for part in (*whole.shards, *other.shards_of("fold_0"))}
    for part in other.shards_of("fold_0"):
        shutil.copy(of_one_class / part.file, copy / part.file)
    counts = {**whole.class_counts, "fold_0": other.class_counts["fold_0"]}
    dataset = dataclasses.replace(whole, shards=tuple(parts.values()), class_counts=counts)
    manifest.write_manifest(copy, dataset)
    job = dataclasses.replace(_job(), objective="auc")
    with pytest.raises(runner.TrialFailedError, match=r"^auc is nan on fold_0"):
        make_runner(records_dir=copy).run(job, _config())


def _with_broken_windows(records_dir: pathlib.Path, copy: pathlib.Path) -> pathlib.Path:
    shutil.copytree(records_dir, copy)
    source = records.open_records(records_dir)
    parts = []
    for part in source.manifest.shards:
        with shard.Writer(copy / part.file, part.split) as writer:
            for serialized in shard.read_records(records_dir / part.file):
                values = example.parse(source.schema, serialized)
                values["window"] = np.array([np.nan, np.nan], np.float32)
                writer.write(example.serialize(source.schema, values))
        parts.append(writer.shard)
    manifest.write_manifest(copy, dataclasses.replace(source.manifest, shards=tuple(parts)))
    return copy
