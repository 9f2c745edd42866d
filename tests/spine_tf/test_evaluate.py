"""The program from end to end, on a run that was really trained, for an epoch."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import config, overrides
from spine_tf.evaluation import controls
from spine_tf.scoring import figure, predictions as predictions_module
from tfrecords import records, shard

MULTICLASS = labels.TASKS["multiclass"]


@pytest.fixture(scope="module")
def run_dir(records_dir, tmp_path_factory):
    """A run with each fold held out in turn; its fold_0 is a run with one held out."""
    from spine_tf.training import trainer

    directory = tmp_path_factory.mktemp("runs") / "all"
    run_config = overrides.apply(
        config.default_config("multiclass", "simple"),
        ["model.filters=[4]", "model.units=4", "training.epochs=1"],
    )
    trainer.train_all_folds(run_config, records.open_records(records_dir), directory, resume=False)
    return directory


def _program(*arguments):
    command = ["warm-python", "-m", "spine_tf.evaluate", "--num_resamples=50", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def _evaluate(run_dir, source_dir, report_dir, split=None):
    from spine_tf.evaluation import evaluation

    options = evaluation.Options(split=split, num_resamples=50, has_evidence=False)
    return evaluation.evaluate(run_dir, records.open_records(source_dir), report_dir, options)


@pytest.mark.slow
def test_program_writes_a_report_that_repeats_what_training_wrote(run_dir, records_dir, tmp_path):
    report_dir = tmp_path / "report"

    done = _program(
        f"--run_dir={run_dir}",
        f"--records_dir={records_dir}",
        f"--report_dir={report_dir}",
        "--split=oof",
    )

    assert done.returncode == 0, done.stderr
    page, last = done.stdout.splitlines()
    assert page == str(report_dir / "report.html")
    assert last.startswith("next: python -m spine_tf.export --run_dir=")
    found = json.loads((report_dir / "metrics.json").read_text())
    stored = json.loads((run_dir / "metrics.json").read_text())
    assert (found["split"], found["num_examples"]) == ("oof", 72)
    assert found["metrics"]["log_loss"]["value"] == pytest.approx(
        stored["metrics"]["log_loss"]["value"]
    )
    assert set(found["groups"]["fold"]) == {"fold_0", "fold_1", "fold_2"}
    assert found["reliability"]["uncalibrated"]
    predictions = predictions_module.read_csv(report_dir / "predictions.csv", MULTICLASS)
    assert len(predictions) == 72
    assert (report_dir / "figures" / "confusion_matrix.svg").is_file()
    page = (report_dir / "report.html").read_text()
    assert "Not a medical device" in page
    assert len(page) < 5 * 2**20


@pytest.mark.slow
def test_test_split_gets_the_mean_of_all_members(run_dir, records_dir, tmp_path):
    from spine_tf.runs import run

    result = _evaluate(run_dir, records_dir, tmp_path / "p")

    found = predictions_module.read_csv(tmp_path / "p" / "predictions.csv", MULTICLASS)
    examples = records.load_examples(records.open_records(records_dir), ["test"], (0, 1, 2))
    expected = run.load_run(run_dir).predict(examples.normalized())
    assert result.analysis.summary.split == "test"
    assert list(found.keys) == examples.keys
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)


@pytest.mark.slow
def test_validation_fold_of_a_single_run_and_a_report_that_is_replaced(
    run_dir, records_dir, tmp_path
):
    first = _evaluate(run_dir / "fold_0", records_dir, tmp_path / "p", "val")
    second = _evaluate(run_dir / "fold_0", records_dir, tmp_path / "p", "val")

    assert (first.analysis.summary.split, first.analysis.summary.num_examples) == ("fold_0", 24)
    assert json.dumps(first.analysis.to_json()) == json.dumps(second.analysis.to_json())


@pytest.mark.slow
def test_other_records_are_an_external_validation(run_dir, make_records, tmp_path):
    other = make_records(tmp_path / "other", first_study=50_000, per_class=2)

    result = _evaluate(run_dir, other, tmp_path / "p")

    assert (result.analysis.summary.split, result.analysis.summary.num_examples) == ("external", 24)
    assert "external validation" in result.page.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "split", "message"),
    [
        ({"first_study": 1000, "per_class": 2}, None, "were in the training data"),
        ({"first_study": 50_000, "per_class": 2, "roi_px": 48}, None, "roi_px 48, the run was"),
        ({"first_study": 50_000, "per_class": 2}, "oof", "leave out --split for an external"),
    ],
)
def test_external_records_that_do_not_fit_are_refused(
    run_dir, make_records, tmp_path, changes, split, message
):
    other = make_records(tmp_path / "other", **changes)

    with pytest.raises(ValueError, match=message):
        _evaluate(run_dir, other, tmp_path / "p", split)
    assert not (tmp_path / "p").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "split", "message"),
    [("fold_0", "oof", "evaluate it with --split val"), (".", "val", "with --split oof")],
)
def test_split_that_a_run_has_not_is_refused(run_dir, records_dir, tmp_path, name, split, message):
    with pytest.raises(ValueError, match=message):
        _evaluate(run_dir / name, records_dir, tmp_path / "p", split)
    assert not (tmp_path / "p").exists()


def test_directory_with_other_files_is_not_written_to(tmp_path):
    from spine_tf.evaluation import evaluation

    (tmp_path / "thesis.txt").write_text("precious")

    with pytest.raises(ValueError, match="holds other files"):
        evaluation.require_report_dir(tmp_path, [tmp_path / "run"])


@pytest.mark.slow
def test_report_of_another_run_is_not_replaced(run_dir, records_dir, tmp_path):
    from spine_tf.evaluation import evaluation

    source, options = records.open_records(records_dir), evaluation.Options(has_evidence=False)
    _evaluate(run_dir / "fold_0", records_dir, tmp_path / "p", "val")
    before = {path: path.read_bytes() for path in (tmp_path / "p").rglob("*") if path.is_file()}

    with pytest.raises(ValueError, match=r"report\.html is of fold_0 \(.*, not of fold_1 \("):
        _evaluate(run_dir / "fold_1", records_dir, tmp_path / "p", "val")
    for evaluate in (evaluation.compare, evaluation.evaluate_ensemble):
        with pytest.raises(ValueError, match=r"is of fold_0 \(.*, not of fold_0 .*, fold_1"):
            evaluate([run_dir / "fold_0", run_dir / "fold_1"], source, tmp_path / "p", options)

    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_run_is_no_place_for_a_report(run_dir, records_dir):
    before = (run_dir / "metrics.json").read_bytes()
    with pytest.raises(ValueError, match="holds other files"):
        _evaluate(run_dir, records_dir, run_dir)
    assert (run_dir / "metrics.json").read_bytes() == before


def test_missing_flag_is_one_sentence(tmp_path):
    done = _program(f"--report_dir={tmp_path / 'p'}")

    assert done.returncode == 1
    assert done.stderr == "error: --run_dir is missing; see --help\n"


def test_missing_run_is_refused(records_dir, tmp_path):
    with pytest.raises(ValueError, match=r"has no config\.json"):
        _evaluate(tmp_path / "none", records_dir, tmp_path / "p")


@pytest.mark.slow
def test_several_runs_are_compared_in_pairs(run_dir, records_dir, tmp_path):
    from spine_tf.evaluation import evaluation

    twin = shutil.copytree(run_dir, tmp_path / "twin")
    options = evaluation.Options(split="oof", num_resamples=50)
    source = records.open_records(records_dir)

    result = evaluation.compare([run_dir, twin], source, tmp_path / "p", options)

    found = json.loads((tmp_path / "p" / "metrics.json").read_text())
    assert list(found["runs"]) == ["all", "twin"]
    assert found["comparisons"][0]["differences"]["log_loss"] == {
        "value": 0.0,
        "low": 0.0,
        "high": 0.0,
    }
    assert "do not tell them apart" in result.page.read_text()
    with pytest.raises(ValueError, match="names a run twice"):
        evaluation.compare([run_dir, run_dir], source, tmp_path / "p", options)
    with pytest.raises(ValueError, match="have no effect on a comparison"):
        options = evaluation.Options(split="oof", has_controls=True)
        evaluation.compare([run_dir, twin], source, tmp_path / "p", options)


@pytest.mark.slow
def test_controls_stand_in_the_report(run_dir, records_dir, tmp_path):
    from spine_tf.evaluation import evaluation

    source = records.open_records(records_dir)
    options = evaluation.Options(
        split="oof", num_resamples=50, has_evidence=False, has_controls=True
    )
    shuffled = controls.Shuffled(
        balanced_accuracy=figure.Figure(value=0.6, low=0.5, high=0.7),
        chance=1 / 3,
        split="fold_0",
        num_examples=24,
        epochs=4,
    )

    result = evaluation.evaluate(run_dir, source, tmp_path / "p", options, shuffled)

    found = json.loads((tmp_path / "p" / "metrics.json").read_text())["controls"]
    assert found["studies"]["test"] == 24
    assert found["nearest"]["num_examples"] == 96
    assert found["shuffled"] == {
        "balanced_accuracy": {"value": 0.6, "low": 0.5, "high": 0.7},
        "chance": 1 / 3,
        "is_passed": False,
        "split": "fold_0",
        "num_examples": 24,
        "epochs": 4,
    }
    page = result.page.read_text()
    assert "most alike crops" in page
    assert "0.600 (0.500 to 0.700); chance is 0.333" in page
    with pytest.raises(ValueError, match="set has_controls, or leave it out"):
        options = evaluation.Options(split="oof", num_resamples=50, has_evidence=False)
        evaluation.evaluate(run_dir, source, tmp_path / "p", options, shuffled)


@pytest.mark.slow
def test_evaluation_with_controls_reads_each_shard_once(
    run_dir, records_dir, tmp_path, monkeypatch
):
    from spine_tf.evaluation import evaluation

    read, read_records = [], shard.read_records

    def noted(path, digest):
        read.append(path.name)
        return read_records(path, digest)

    monkeypatch.setattr(shard, "read_records", noted)
    options = evaluation.Options(split="oof", num_resamples=50, has_controls=True)
    source = records.open_records(records_dir)

    evaluation.evaluate(run_dir, source, tmp_path / "p", options)

    assert sorted(read) == sorted(part.file for part in source.manifest.shards)
