"""Ensembles and test-time augmentation: nobody answers for a study that it saw."""

import dataclasses
import json
import pathlib
import subprocess
from typing import Any

import keras
import numpy as np
import pytest

from spine_tf.augmentation import copies as copies_module, field_of_view
from spine_tf.configuration import config, data_config, overrides
from spine_tf.evaluation import held_out, unseen
from spine_tf.models import families
from spine_tf.runs import run
from tfrecords import records

_STUDIES = np.array([1, 1, 2, 3, 4, 4])
_STILL = data_config.AugmentationConfig(
    rotation_degrees=0, shift=0, scale=0, contrast=0, brightness=0
)


def _images(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).random((count, 16, 16, 1)).astype(np.float32)


def _view(images: np.ndarray) -> field_of_view.FieldOfView:
    return field_of_view.whole(images.shape[1])


def _member(seed: int, *studies: int) -> run.Member:
    keras.utils.set_random_seed(seed)
    settings = config.default_config("multiclass", "simple")
    model = families.build_model(settings.model, (16, 16, 1), 3)
    return run.Member(model=model, temperature=1.0 + seed / 10, train_studies=frozenset(studies))


def _run(*members: run.Member, name: str = "w", **changes: Any) -> run.Run:
    return run.Run(
        run_dir=pathlib.Path(name),
        config=dataclasses.replace(config.default_config("multiclass", "simple"), **changes),
        members=members,
        provenance={"records": {"config": {}}},
        class_prior=(0.5, 0.3, 0.2),
    )


@pytest.mark.slow
def test_no_model_answers_for_a_study_that_it_saw() -> None:
    one = _run(_member(1, 1, 2), _member(2, 3, 4))
    other = _run(_member(3, 1, 3), _member(4, 2))
    images = _images()

    found = unseen.predict([one, other], images, _STUDIES)

    every = [(member, member.predict(images)) for part in (one, other) for member in part.members]
    for row, study in enumerate(_STUDIES):
        may = [answer[row] for member, answer in every if study not in member.train_studies]
        np.testing.assert_allclose(found.calibrated[row], np.mean(may, axis=0), rtol=1e-6)
        assert found.num_models[row] == len(may) < len(every)


def test_poisoned_model_changes_only_what_it_may_answer() -> None:
    honest, poisoned = _run(_member(1)), _run(_member(2, 1, 2, 3))
    images = _images()
    before = unseen.predict([honest, poisoned], images, _STUDIES).calibrated
    for weight in poisoned.members[0].model.weights:
        weight.assign(weight + 5.0)
    after = unseen.predict([honest, poisoned], images, _STUDIES).calibrated
    np.testing.assert_array_equal(before[_STUDIES != 4], after[_STUDIES != 4])
    assert (before[_STUDIES == 4] != after[_STUDIES == 4]).any()


def test_study_that_every_model_saw_is_refused() -> None:
    with pytest.raises(ValueError, match="study 3 was seen by every model of a, b"):
        unseen.predict(
            [_run(_member(1, 3), name="a"), _run(_member(2, 3, 4), name="b")], _images(), _STUDIES
        )


def test_of_runs_is_what_each_says_alone() -> None:
    one, other = _run(_member(1), _member(2)), _run(_member(3, 4))
    found = unseen.predict([one, other], _images(), _STUDIES)
    np.testing.assert_allclose(found.of_runs[0], one.predict(_images()), rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(found.of_runs[1]).any(axis=1), _STUDIES == 4)


def test_predictor_asks_the_same_models() -> None:
    one = _run(_member(1, 1), _member(2, 4), _member(3, 2))
    images = _images()
    found = unseen.predict([one], images, _STUDIES).calibrated
    answer = unseen.predictor([one], 4)(images[4:])
    np.testing.assert_allclose(answer, found[4:], rtol=1e-5)


@pytest.mark.slow
def test_augmented_answer_is_the_mean_over_the_image_and_its_copies() -> None:
    one = _run(_member(1), _member(2))
    images = _images()
    copies = [np.asarray(copy) for copy in one.copies(images, 3)]
    np.testing.assert_array_equal(copies[0], images)
    assert all((copy != images).any() for copy in copies[1:])
    assert (copies[1] != copies[2]).any()
    expected = np.mean([one.predict(copy) for copy in copies], axis=0)
    found = one.predict(images, num_augmented=3)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(found, one.predict(images, num_augmented=3))
    assert (found != one.predict(images)).any()
    everyone = unseen.predict([one], images, _STUDIES, num_augmented=3)
    np.testing.assert_allclose(everyone.calibrated, expected, rtol=1e-6)
    assert (everyone.num_models == 2).all()


@pytest.mark.slow
def test_copies_change_with_the_runs_seed_and_augmentation() -> None:
    base = _run(_member(1))
    softer = data_config.DataConfig(augmentation=dataclasses.replace(_STILL, brightness=0.01))
    found = [
        np.asarray(list(one.copies(_images(), 2))[1])
        for one in (base, _run(_member(1), seed=7), _run(_member(1), data=softer))
    ]
    assert (found[0] != found[1]).any()
    assert np.abs(found[2] - _images()).max() < 0.011 < np.abs(found[0] - _images()).max()


def test_every_copy_is_changed_though_training_leaves_some_images_alone() -> None:
    settings = dataclasses.replace(_STILL, brightness=0.2, unchanged=0.9)
    images = _images()
    _, copy = copies_module.make_copies(images, settings, _view(images), num=2, seed=0)
    assert (np.asarray(copy) != images).any(axis=(1, 2, 3)).all()
    with pytest.raises(ValueError, match="2 copies of an image would be alike"):
        list(
            copies_module.make_copies(
                images,
                dataclasses.replace(settings, unchanged=1.0),
                _view(images),
                num=2,
                seed=0,
            )
        )


@pytest.mark.parametrize(
    ("num", "message"), [(0, "to be 0 copies .* at least 1"), (2, "2 copies of an image would be")]
)
def test_copies_that_make_no_sense_are_refused(num: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        images = _images()
        list(copies_module.make_copies(images, _STILL, _view(images), num=num, seed=0))


@pytest.fixture(scope="module")
def run_dirs(
    records_dir: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[pathlib.Path, ...]:
    """Two runs over all folds, of other seeds and widths."""
    from spine_tf.training import trainer

    above = tmp_path_factory.mktemp("runs")
    for seed, filters in enumerate((4, 6)):
        settings = [f"model.filters=[{filters}]", "model.units=4", "training.epochs=1"]
        settings.append("model.activation=elu")  # no unit dies, so that a changed image shows
        made = overrides.apply(
            config.default_config("multiclass", "simple"), [*settings, f"seed={seed}"]
        )
        trainer.train_all_folds(
            made, records.open_records(records_dir), above / f"run_{seed}", resume=False
        )
    return tuple(above / f"run_{seed}" for seed in range(2))


def _evaluate(*arguments: str) -> subprocess.CompletedProcess:
    command = ["warm-python", "-m", "spine_tf.evaluate", "--num_resamples=50", "--noevidence"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_ensemble_out_of_fold_never_asks_a_member_that_saw_the_row(
    run_dirs: tuple[pathlib.Path, ...], records_dir: pathlib.Path
) -> None:
    source = records.open_records(records_dir)
    runs = [run.load_run(path) for path in run_dirs]
    found = held_out.load_ensemble(runs, source, "oof")
    studies = found.evaluated.predictions.study_ids
    of_fold = {
        name: set(records.load_examples(source, [name], (0, 1, 2)).columns["study_id"].tolist())
        for name in ("fold_0", "fold_1", "fold_2")
    }
    for one in runs:
        for member in one.members:
            rows = unseen.is_unseen(member, studies)
            assert {*studies[rows].tolist()} == of_fold[member.fold]
    alone = [held_out.load(one, source, "oof").evaluated.predictions for one in runs]
    mean = np.mean([part.probabilities for part in alone], axis=0)
    np.testing.assert_allclose(found.evaluated.predictions.probabilities, mean, atol=1e-6)
    assert (found.answers.num_models == 2).all()


@pytest.mark.slow
def test_runs_with_one_fold_held_out_answer_for_that_fold(
    run_dirs: tuple[pathlib.Path, ...], records_dir: pathlib.Path
) -> None:
    source = records.open_records(records_dir)
    same = [run.load_run(path / "fold_1") for path in run_dirs]
    found = held_out.load_ensemble(same, source, "val")
    assert found.evaluated.split == "fold_1"
    assert (found.answers.num_models == 2).all()
    apart = [run.load_run(run_dirs[0] / "fold_0"), run.load_run(run_dirs[1] / "fold_2")]
    with pytest.raises(ValueError, match="the runs held out fold_0, fold_2, expected one fold"):
        held_out.load_ensemble(apart, source, "val")
    joined = held_out.load_ensemble(apart, source, "oof")
    assert (joined.answers.num_models == 1).all()
    assert set(joined.evaluated.splits) == {"fold_0", "fold_2"}


@pytest.mark.slow
def test_runs_of_other_tasks_are_no_ensemble(
    run_dirs: tuple[pathlib.Path, ...], records_dir: pathlib.Path
) -> None:
    one = run.load_run(run_dirs[0])
    binary = dataclasses.replace(one, config=config.default_config("binary", "simple"))
    with pytest.raises(ValueError, match="an ensemble is of runs of one task"):
        held_out.load_ensemble([one, binary], records.open_records(records_dir), "test")


@pytest.mark.slow
def test_program_evaluates_an_ensemble_with_augmented_copies(
    run_dirs: tuple[pathlib.Path, ...], records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    flags = [f"--run_dir={','.join(map(str, run_dirs))}", f"--records_dir={records_dir}"]
    done = _evaluate(
        *flags, f"--report_dir={tmp_path / 'r'}", "--split=oof", "--ensemble", "--tta=3"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "r/metrics.json").read_text("utf-8"))
    assert found["test_time_copies"] == 3
    assert found["ensemble"]["runs"] == ["run_0", "run_1"]
    assert found["ensemble"]["models_per_example"] == [2, 2]
    assert set(found["ensemble"]["lead_over_runs"]) == {"run_0", "run_1"}
    page = (tmp_path / "r/report.html").read_text("utf-8")
    assert "minus that of run_0 alone" in page
    assert "copies of each image that were averaged" in page


@pytest.mark.slow
def test_augmented_copies_change_the_figures_of_every_split(
    run_dirs: tuple[pathlib.Path, ...], records_dir: pathlib.Path
) -> None:
    source = records.open_records(records_dir)
    whole, one = run.load_run(run_dirs[0]), run.load_run(run_dirs[0] / "fold_0")
    for trained, split in ((whole, "oof"), (whole, "test"), (one, "val")):
        plain, augmented = (
            held_out.load(trained, source, split, num_augmented=num).evaluated for num in (1, 2)
        )
        assert augmented.split == plain.split
        assert augmented.predictions.keys == plain.predictions.keys
        changed = augmented.predictions.probabilities != plain.predictions.probabilities
        assert changed.any(axis=1).mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ensemble"], r"--ensemble is of 1 run, expected --run_dir a,b"),
        (["--ensemble", "--controls"], "have no effect on an ensemble"),
        (["--tta=0"], "num_augmented is 0, expected at least 1"),
    ],
)
def test_flags_that_make_no_sense_are_refused(
    flags: list[str],
    message: str,
    run_dirs: tuple[pathlib.Path, ...],
    records_dir: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    done = _evaluate(
        f"--run_dir={run_dirs[0]}",
        f"--records_dir={records_dir}",
        f"--report_dir={tmp_path / 'r'}",
        *flags,
    )
    assert done.returncode == 1
    assert message in done.stderr
