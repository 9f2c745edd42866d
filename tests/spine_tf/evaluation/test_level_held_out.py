"""Runs of levels, evaluated row by row."""

import json
import pathlib

import keras
import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import config, overrides
from spine_tf.evaluation import evaluation, held_out, level_held_out
from spine_tf.runs import run
from spine_tf.scoring import predictions as predictions_module
from spine_tf.training import level_examples, tasks
from tfrecords import manifest, records

_SETTINGS = overrides.apply(
    config.default_config("levels", "level"),
    ["model.filters=[4]", "model.units=8", "model.num_heads=2"],
)
_FOLDS = ("fold_0", "fold_1", "fold_2")


@pytest.fixture(scope="module")
def source(level_records_dir):
    return records.open_records(level_records_dir)


@pytest.fixture(scope="module")
def trained(source, tmp_path_factory):
    """A run of three folds whose networks have learnt nothing, and what it said out of fold."""
    run_dir = tmp_path_factory.mktemp("levels") / "w"
    run_dir.mkdir()
    members, parts = [], []
    for seed, fold in enumerate(_FOLDS):
        keras.utils.set_random_seed(seed)
        model = tasks.make_task(_SETTINGS, source).build_network(source)
        member = run.Member(model=model, temperature=1.3, fold=fold)
        examples = level_examples.load(source, [fold])
        said = member.calibrated(level_examples.predict(model, examples))
        parts.append(examples.predictions(said))
        members.append(member)
    predictions_module.write_csv(
        run_dir / "oof.csv", predictions_module.join(parts), _SETTINGS.task_spec
    )
    values = {**config.to_dict(_SETTINGS), "provenance": {"folds": list(_FOLDS)}}
    (run_dir / "config.json").write_text(json.dumps(values))
    for fold in _FOLDS:
        (run_dir / fold).mkdir()
        (run_dir / fold / "history.csv").write_text("epoch,val_log_loss\n1,\n")
    return run.Run(
        run_dir=run_dir,
        config=_SETTINGS,
        members=tuple(members),
        provenance={
            "folds": list(_FOLDS),
            "train_splits": list(_FOLDS),
            "train_studies": source.index(_FOLDS).columns["study_id"].tolist(),
            "versions": {"tensorflow": "2.21.0"},
            "records": {"manifest_sha256": manifest.sha256_of(source.directory), "config": {}},
        },
        class_prior=(0.4, 0.3, 0.3),
    )


def test_out_of_fold_rows_are_those_with_a_label(trained, source):
    found = level_held_out.load(trained, source, "oof")
    said = found.evaluated.predictions
    truth = source.index(_FOLDS).columns["label"]
    assert len(said) == (truth >= 0).sum() == len(found.images)
    assert set(said.conditions) == set(labels.CONDITIONS)
    assert set(found.evaluated.splits) == set(_FOLDS)


def test_picture_of_a_row_is_its_own_view_and_answers_as_the_row(trained, source):
    found = level_held_out.load(trained, source, "oof")
    said = found.evaluated.predictions
    row = int(np.flatnonzero(said.conditions == labels.CONDITIONS[4])[3])
    pictures = np.repeat(found.images[row : row + 1], 2, axis=0)

    again = found.predict(row)(pictures)

    np.testing.assert_allclose(again, said.probabilities[[row, row]], atol=1e-6)
    assert np.abs(found.predict(row)(1 - pictures) - again).max() > 1e-6


@pytest.mark.slow
def test_test_split_is_answered_by_all_members(trained, source):
    found = level_held_out.load(trained, source, None)
    examples = level_examples.load(source, ["test"])
    answers = [
        each.calibrated(level_examples.predict(each.model, examples)) for each in trained.members
    ]
    np.testing.assert_allclose(
        found.evaluated.predictions.probabilities,
        examples.predictions(np.mean(answers, axis=0)).probabilities,
    )


def test_study_that_was_trained_on_is_refused(trained, level_records_dir, tmp_path):
    import shutil

    copy = pathlib.Path(shutil.copytree(level_records_dir, tmp_path / "r"))
    values = json.loads((copy / "manifest.json").read_text())
    values["config"]["seed"] = 5
    (copy / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="were in the training data"):
        level_held_out.load(trained, records.open_records(copy), None)


@pytest.mark.slow
def test_report_has_every_condition_and_the_competitions_score(trained, source, tmp_path):
    options = evaluation.Options(split="oof", num_resamples=10, has_evidence=False)
    found = evaluation.evaluate_run(trained, source, tmp_path / "p", options)
    values = json.loads((tmp_path / "p" / "metrics.json").read_text())
    assert set(values["groups"]["condition"]) == set(labels.CONDITIONS)
    assert set(values["groups"]["level"]) == {"l3_l4", "l4_l5"}
    assert "weighted_log_loss" in values["groups"]["condition"]["spinal_canal_stenosis"]
    terms = values["competition"]["reweighted"]
    assert {"spinal", "foraminal", "subarticular", "any_severe_spinal", "mean"} <= set(terms)
    assert found.page.is_file()


def test_what_grades_no_crops_is_refused_where_crops_are_asked_for(trained, source, tmp_path):
    with pytest.raises(ValueError, match="is of task levels, which grades no single crops"):
        held_out.load(trained, source, "oof")
    options = evaluation.Options(split="oof", num_augmented=2)
    with pytest.raises(ValueError, match="--controls and --tta have no effect"):
        evaluation.evaluate_run(trained, source, tmp_path / "q", options)
