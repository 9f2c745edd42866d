"""spine_tf.clean on runs that were really trained, and training on what it wrote."""

import dataclasses
import json
import shutil
import subprocess

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import config, overrides
from spine_tf.label_review import cleaning
from spine_tf.runs import run, run_directory
from spine_tf.scoring import predictions
from spine_tf.training import fit, mild_split, reviewed_labels, trainer
from tfrecords import records

pytestmark = pytest.mark.slow

MULTICLASS = labels.TASKS["multiclass"]
SPLIT = labels.TASKS["multiclass_split"]
FOLDS = ("fold_0", "fold_1", "fold_2")
_FAST = ("model.filters=[4]", "model.units=4", "training.epochs=1", "training.batch_size=8")


def _config(*settings, task="multiclass"):
    return overrides.apply(config.default_config(task, "simple"), [*_FAST, *settings])


@pytest.fixture(scope="module")
def source(records_dir):
    return records.open_records(records_dir)


@pytest.fixture(scope="module")
def run_dir(source, tmp_path_factory):
    """A run with each fold held out in turn."""
    directory = tmp_path_factory.mktemp("runs") / "all"
    trainer.train_all_folds(_config(), source, directory, resume=False)
    return directory


@pytest.fixture(scope="module")
def cleaned_dir(run_dir, records_dir, tmp_path_factory):
    """What the program wrote of it."""
    directory = tmp_path_factory.mktemp("cleaned") / "c"
    done = _program(run_dir, records_dir, directory)
    assert done.returncode == 0, done.stderr
    assert f"page: {directory / 'label_review.html'}" in done.stdout
    return directory


def _program(run_dir, records_dir, output_dir):
    command = [
        "warm-python",
        "-m",
        "spine_tf.clean",
        f"--run_dir={run_dir}",
        f"--records_dir={records_dir}",
        f"--output_dir={output_dir}",
        "--allow_unskilled",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_review_has_a_line_for_every_row_of_the_folds(cleaned_dir, run_dir, source):
    found = reviewed_labels.read_csv(cleaned_dir / reviewed_labels.FILE_NAME, MULTICLASS)

    stored = predictions.read_csv(run_dir / "oof.csv", MULTICLASS)
    assert set(found.predictions.keys) == set(stored.keys)
    for fold in FOLDS:
        for key, label in zip(*_keys_and_labels(source, fold), strict=True):
            row = found.row_of[key]
            assert found.folds[row] == fold
            assert found.predictions.labels[row] == label
            same = found.predictions.probabilities[row]
            assert same == pytest.approx(stored.probabilities[stored.keys.index(key)])
    summarized = json.loads((cleaned_dir / "label_review.json").read_text())
    assert summarized["num_rows"] == 72
    assert summarized["num_flagged"] == found.is_flagged.sum()


def _keys_and_labels(source, split):
    examples = records.load_examples(source, [split], MULTICLASS.severities)
    return examples.keys, examples.labels.tolist()


def test_halves_are_written_of_every_moderate_row_test_split_included(cleaned_dir, source):
    rows = mild_split.read_csv(cleaned_dir / mild_split.FILE_NAME)

    for split in source.splits:
        keys, grades = _keys_and_labels(source, split)
        of_split = [row for row in rows if row.fold == split]
        moderate = {key for key, grade in zip(keys, grades, strict=True) if grade == 1}
        assert {row.key for row in of_split} == moderate
        assert sum(row.half for row in of_split) == 4


def test_review_that_a_reader_may_have_filled_in_is_never_replaced(cleaned_dir, run_dir, source):
    with pytest.raises(ValueError, match="a reader may have written into it"):
        cleaning.clean(run_dir, source, cleaned_dir)


def test_run_with_one_fold_held_out_is_refused(run_dir, source, tmp_path):
    with pytest.raises(ValueError, match=r"has no oof\.csv: .* train with --val_fold all"):
        cleaning.clean(run_dir / "fold_0", source, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_other_records_are_refused(run_dir, make_records, tmp_path):
    other = records.open_records(make_records(tmp_path / "other", per_class=2, first_study=9000))
    with pytest.raises(ValueError, match=r"is not what .* was trained on"):
        cleaning.clean(run_dir, other, tmp_path / "c")


def _weights(fitted):
    return np.concatenate([weight.ravel() for weight in fitted.model.get_weights()])


def _fit(source, *settings):
    return fit.fit(
        _config(*settings), source, train_splits=["fold_1", "fold_2"], monitor_split="fold_0"
    )


def test_every_action_changes_what_is_learned(cleaned_dir, source):
    path = f"data.label_review.path={cleaned_dir / reviewed_labels.FILE_NAME}"
    fitted = [_fit(source)]
    for action in ("drop", "down_weight", "soften"):
        action = f"data.label_review.action={action}"
        fitted.append(_fit(source, path, action, "data.label_review.budget=0.25"))

    assert [one.num_examples for one in fitted] == [48, 36, 48, 48]
    found = [_weights(one) for one in fitted]
    for index, one in enumerate(found):
        assert all(not np.array_equal(one, other) for other in found[:index])


def test_held_out_and_inner_fold_keep_their_labels_and_weights(cleaned_dir, source, tmp_path):
    """Whatever the review says of rows that don't train, nothing of it reaches the run."""
    made = reviewed_labels.read_csv(cleaned_dir / reviewed_labels.FILE_NAME, MULTICLASS)
    is_other = np.array([fold != "fold_2" for fold in made.folds])
    wild = np.where(is_other[:, None], np.array([[0.0, 0.0, 1.0]]), made.predictions.probabilities)
    spoilt = dataclasses.replace(
        made,
        predictions=dataclasses.replace(made.predictions, probabilities=wild),
        quality=np.where(is_other, 0.0, made.quality),
        is_flagged=made.is_flagged | is_other,
        confirmed=tuple("wrong" if other else "" for other in is_other),
    )
    runs = []
    for name, one in (("given", made), ("spoilt", spoilt)):
        path = tmp_path / f"{name}.csv"
        reviewed_labels.write_csv(path, one, MULTICLASS)
        run_config = _config(
            "data.val_fold=0",
            f"data.label_review.path={path}",
            "data.label_review.action=soften",
            "data.label_review.budget=0.25",
        )
        trainer.train(run_config, source, tmp_path / name, resume=False)
        provenance = run_directory.read_provenance(tmp_path / name)
        assert provenance["label_review"] == {"sha256": reviewed_labels.sha256_of(path)}
        assert (provenance["monitor_split"], provenance["train_splits"]) == ("fold_1", ["fold_2"])
        runs.append(tmp_path / name)

    given, other = runs
    for name in ("predictions.csv", "calibration.json", "metrics.json"):
        assert (given / name).read_bytes() == (other / name).read_bytes()
    held_out = predictions.read_csv(given / "predictions.csv", MULTICLASS)
    assert (list(held_out.keys), held_out.labels.tolist()) == _keys_and_labels(source, "fold_0")
    assert json.loads((given / "calibration.json").read_text())["num_examples"] == 24


def test_a_stream_is_refused_with_how_to_mend_it(cleaned_dir, source):
    path = f"data.label_review.path={cleaned_dir / reviewed_labels.FILE_NAME}"
    with pytest.raises(ValueError, match="label_review is set, which needs the crops in memory"):
        _fit(source, path, "data.feed=stream")


@pytest.fixture(scope="module")
def split_dir(cleaned_dir, source, tmp_path_factory):
    """A run that tells the halves of Moderate apart."""
    directory = tmp_path_factory.mktemp("split") / "all"
    run_config = _config(
        f"data.mild_split={cleaned_dir / mild_split.FILE_NAME}", task="multiclass_split"
    )
    trainer.train_all_folds(run_config, source, directory, resume=False)
    return directory


def test_four_classes_are_reported_and_collapsed_to_three(split_dir, cleaned_dir):
    found = json.loads((split_dir / "metrics.json").read_text())
    stored = predictions.read_csv(split_dir / "oof.csv", SPLIT)

    assert (
        (split_dir / "oof.csv")
        .read_text()
        .startswith("key,label,normal_mild,mild_normal,mild_severe,severe\n")
    )
    assert found["classes"] == ["Normal/Mild", "Mild-Normal", "Mild-Severe", "Severe"]
    assert found["collapsed"]["classes"] == list(labels.SEVERITIES)
    assert set(found) == {*found["collapsed"], "collapsed"}
    assert [found["class_counts"][name] for name in SPLIT.classes] == [24, 12, 12, 24]
    assert set(found["collapsed"]["class_counts"].values()) == {24}
    whole = predictions.collapse(stored, SPLIT)
    accuracy = (whole.predicted == whole.labels).mean()
    assert found["collapsed"]["metrics"]["accuracy"]["value"] == pytest.approx(accuracy)
    provenance = run_directory.read_provenance(split_dir)
    sha256 = reviewed_labels.sha256_of(cleaned_dir / mild_split.FILE_NAME)
    assert provenance["mild_split"] == {"sha256": sha256}


def test_report_of_a_run_with_halves_shows_both(split_dir, run_dir, source, tmp_path):
    from spine_tf.evaluation import evaluation

    options = evaluation.Options(split="test", num_resamples=20, has_evidence=False)
    result = evaluation.evaluate(split_dir, source, tmp_path / "test", options)
    assert result.analysis.summary.num_examples == 24
    assert result.analysis.competition.as_is.num_terms == 1
    assert "Read as Normal/Mild, Moderate, Severe" in result.page.read_text()
    assert predictions.read_csv(
        tmp_path / "test" / "predictions_competition.csv", MULTICLASS
    ).probabilities.sum(axis=1) == pytest.approx(1.0)

    options = evaluation.Options(split="oof", num_resamples=20)
    compared = evaluation.compare([run_dir, split_dir], source, tmp_path / "both", options)
    assert compared.analysis.task == "multiclass"
    assert len(compared.analysis.comparisons) == 1


def test_review_of_a_run_with_halves_is_of_four_classes(split_dir, source, tmp_path):
    result = cleaning.clean(split_dir, source, tmp_path / "c", allows_unskilled=True)
    assert result.mild_split is None
    assert len(reviewed_labels.read_csv(result.review, SPLIT)) == 72


def test_export_of_a_run_with_halves_answers_in_three_severities(split_dir, source, tmp_path):
    from spine_tf.serving import bundle, saved_model, spec

    trained = run.load_run(split_dir)
    bundle.export([trained], tmp_path / "e")

    assert spec.read(tmp_path / "e").task == "multiclass"
    examples = records.load_examples(source, ["test"], MULTICLASS.severities)
    answer = saved_model.SavedModel(tmp_path / "e").ask(
        "serving_default", image=examples.images, window=examples.windows
    )
    four = trained.predict(examples.normalized())
    expected = np.stack([four[:, 0], four[:, 1] + four[:, 2], four[:, 3]], axis=1)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert "the halves are added up" in (tmp_path / "e" / "model_card.md").read_text()


def test_changed_halves_are_noticed_on_resume(split_dir, cleaned_dir, source, tmp_path):
    directory = tmp_path / "all"
    shutil.copytree(split_dir, directory)
    path = tmp_path / mild_split.FILE_NAME
    rows = mild_split.read_csv(cleaned_dir / mild_split.FILE_NAME)
    mild_split.write_csv(path, [dataclasses.replace(row, half=1 - row.half) for row in rows])
    run_config = _config(f"data.mild_split={path}", task="multiclass_split")
    with pytest.raises(ValueError, match="resume with the same"):
        trainer.train_all_folds(run_config, source, directory, resume=True)
