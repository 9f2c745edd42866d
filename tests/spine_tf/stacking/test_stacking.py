"""A stack of runs that know parts of a truth, and what it refuses."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
from sklearn import linear_model

from spine_tf import labels
from spine_tf.configuration import config
from spine_tf.scoring import metrics, predictions as predictions_module, summary
from spine_tf.stacking import level_table, members, regression, stack_directory, stacking

MULTICLASS = labels.TASKS["multiclass"]
_FOLDS = ("fold_0", "fold_1", "fold_2")
_STUDIES = 36
_CONVERSION = {"num_folds": 3, "seed": 0, "test_fraction": 0.0, "folds_csv": None}


def _truth(num_studies):
    """A grade of each row; the canal's follows that of the recesses of its level."""
    generator = np.random.default_rng(0)
    grades = generator.choice(3, (num_studies, 5, 5), p=(0.6, 0.25, 0.15))
    grades[:, 0] = np.maximum(grades[:, 3], grades[:, 4])
    return grades


def _write_run(
    directory, conditions, *, skill=1.5, seed=0, num_studies=_STUDIES, series=7, task="multiclass"
):
    """A run of three folds that says of each row its grade in noise."""
    generator = np.random.default_rng([seed, series])
    grades = _truth(num_studies)
    parts: dict[str, list[tuple]] = {fold: [] for fold in _FOLDS}
    for study in range(num_studies):
        for condition in conditions:
            for level in range(5):
                scores = generator.normal(size=3)
                scores[grades[study, condition, level]] += skill
                name, where = labels.CONDITIONS[condition], labels.LEVELS[level]
                key = f"{study + 1}/{series}/3/{name}/{where}"
                said = np.exp(scores) / np.exp(scores).sum()
                parts[_FOLDS[study % 3]].append((key, grades[study, condition, level], said))
    directory.mkdir(parents=True)
    joined = []
    for fold, rows in parts.items():
        (directory / fold).mkdir()
        keys, truth, said = zip(*rows, strict=True)
        joined.append(
            predictions_module.Predictions(
                keys=keys, labels=np.array(truth), probabilities=np.stack(said)
            )
        )
        predictions_module.write_csv(directory / fold / "predictions.csv", joined[-1], MULTICLASS)
    predictions_module.write_csv(directory / "oof.csv", predictions_module.join(joined), MULTICLASS)
    values = config.to_dict(config.default_config(task, "simple"))
    values["provenance"] = {
        "folds": list(_FOLDS),
        "class_prior": [0.6, 0.25, 0.15],
        "records": {"manifest_sha256": "0" * 64, "config": _CONVERSION},
    }
    (directory / "config.json").write_text(json.dumps(values))
    figures = summary.summarize(predictions_module.join(joined), MULTICLASS, "oof", num_resamples=5)
    (directory / "metrics.json").write_text(json.dumps(figures.to_json()))
    return directory


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run of the canal, one of both recesses, from other crops."""
    directory = tmp_path_factory.mktemp("runs")
    return [
        _write_run(directory / "sagittal", [0]),
        _write_run(directory / "axial", [3, 4], skill=3.0, series=8),
    ]


@pytest.fixture(scope="module")
def stacked(runs, tmp_path_factory):
    return stacking.stack(runs, tmp_path_factory.mktemp("stacks") / "s")


@pytest.fixture
def spoiled(runs, tmp_path):
    """A copy of the second run that a test may spoil."""
    return pathlib.Path(shutil.copytree(runs[1], tmp_path / "spoiled"))


def _rewrite(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def _canal(said):
    return said.select(said.conditions == labels.CONDITIONS[0])


def test_canal_is_read_from_the_recesses_of_its_level_too(runs, stacked):
    alone = _canal(members.read(runs)[0].said)
    said = predictions_module.read_csv(stacked.directory / "oof.csv", MULTICLASS)
    assert len(said) == _STUDIES * 5 * 3
    together = _canal(said)

    gain = metrics.example_log_losses(alone).mean() - metrics.example_log_losses(together).mean()

    assert gain > 0.2
    assert stacked.against_members.competition["spinal"].is_below(0.0)
    assert stacked.against_members.differences["weighted_log_loss"].is_below(0.0)


@pytest.mark.slow
def test_answers_to_a_fold_know_nothing_of_its_labels(runs):
    table = level_table.make(members.read(runs))
    inside = table.folds == "fold_1"
    turned = dataclasses.replace(
        table, labels=np.where(inside[:, None], (table.labels + 1) % 3, table.labels)
    )

    before, after = (stacking._fit_group(each, "spinal", MULTICLASS) for each in (table, turned))

    np.testing.assert_array_equal(before.said[0][inside], after.said[0][inside])
    assert (before.said[0][~inside] != after.said[0][~inside]).any()


def test_both_sides_share_their_weights():
    odds = np.random.default_rng(0).normal(size=(4, 2, 5, 2))
    turned = odds[:, :, list(level_table.seen_from(4))]
    levels = np.arange(4)
    np.testing.assert_array_equal(
        level_table.columns_of(odds, levels, 3), level_table.columns_of(turned, levels, 4)
    )


def test_regression_is_scikit_learns_where_nothing_is_missing():
    generator = np.random.default_rng(0)
    columns, truth = generator.normal(size=(300, 4)), generator.integers(0, 3, 300)
    columns[:, 0] += truth

    found = regression.fit(columns, truth, class_weights=(1.0, 1.0, 1.0), strength=1.0)

    standard = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    theirs = linear_model.LogisticRegression(C=1.0, max_iter=2000).fit(standard, truth)
    np.testing.assert_allclose(found.predict(columns), theirs.predict_proba(standard), atol=0.01)


def test_missing_values_and_an_absent_class_leave_finite_answers():
    columns = np.random.default_rng(0).normal(size=(40, 3))
    columns[::2, 1] = np.nan
    columns[:, 2] = np.nan
    truth = np.arange(40) % 2

    found = regression.fit(columns, truth, class_weights=(1.0, 2.0, 4.0), strength=0.1)
    said = found.predict(columns)

    assert np.isfinite(said).all() and (said > 0).all()
    np.testing.assert_allclose(said.sum(axis=1), 1.0)
    assert said[:, 2].max() < 0.1


def test_weighed_fit_answers_with_shares_of_the_classes():
    truth = np.repeat([0, 1, 2], [600, 300, 100])
    found = regression.fit(np.zeros((1000, 1)), truth, class_weights=(1.0, 2.0, 4.0), strength=1.0)
    np.testing.assert_allclose(found.predict(np.zeros((1, 1)))[0], (0.6, 0.3, 0.1), atol=0.01)


def test_stack_is_read_back(runs, stacked):
    found = stack_directory.read(stacked.directory)
    assert found.run_dirs == tuple(path.resolve() for path in runs)
    assert set(found.regressions) == {"spinal", "subarticular"}
    columns = level_table.make(members.read(runs)).columns(0)
    assert np.isfinite(found.regressions["spinal"].predict(columns)).all()


def _without_oof(run_dir):
    (run_dir / "oof.csv").unlink()


def _other_seed(run_dir):
    _rewrite(run_dir / "config.json", lambda v: v["provenance"]["records"]["config"].update(seed=3))


def _make_binary(values):
    values["task"] = "binary"
    values["provenance"]["class_prior"] = [0.7, 0.3]


def _other_task(run_dir):
    shutil.rmtree(run_dir)
    _write_run(run_dir, [3], num_studies=_STUDIES)
    _rewrite(run_dir / "config.json", _make_binary)
    for path in run_dir.rglob("*.csv"):
        lines = [line.split(",") for line in path.read_text().splitlines()]
        kept = [[*row[:2], row[2], str(1 - float(row[2]))] for row in lines[1:] if row[1] != "2"]
        text = "\n".join(map(",".join, [["key", "label", "normal_mild", "severe"], *kept]))
        path.write_text(text + "\n")


def _finds_points(run_dir):
    found = config.to_dict(config.default_config("landmarks", "unet"))
    _rewrite(run_dir / "config.json", lambda values: values.update(found))


def _other_folds(run_dir):
    (run_dir / "fold_0").rename(run_dir / "x")
    (run_dir / "fold_1").rename(run_dir / "fold_0")
    (run_dir / "x").rename(run_dir / "fold_1")


def _other_studies(run_dir):
    shutil.rmtree(run_dir)
    _write_run(run_dir, [3], num_studies=9)


def _other_labels(run_dir):
    shutil.rmtree(run_dir)
    _write_run(run_dir, [0], num_studies=_STUDIES)
    path = run_dir / "oof.csv"
    head, first, *rest = path.read_text().splitlines()
    key, label, *said = first.split(",")
    changed = ",".join([key, str((int(label) + 1) % 3), *said])
    path.write_text("\n".join([head, changed, *rest]) + "\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_oof, "has no oof.csv: a stack learns from out-of-fold"),
        (_other_seed, "have seed 3, those of .* 0: other folds"),
        (_other_task, "of task multiclass, .* of binary: a stack is of runs of one task"),
        (_finds_points, "was trained for task landmarks, so it finds points and grades nothing"),
        (_other_folds, "lies in fold_.* a stack is of runs with the same folds"),
        (_other_studies, "knows 9 of the 36 studies"),
        (_other_labels, "is .* in .*, .* in .*: stack runs of one data set"),
    ],
)
def test_runs_that_do_not_fit_are_refused(runs, spoiled, spoil, message, tmp_path):
    spoil(spoiled)
    with pytest.raises(ValueError, match=message):
        stacking.stack([runs[0], spoiled], tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_one_run_is_no_stack(runs, tmp_path):
    for given in ([runs[0]], [runs[0], runs[0]]):
        with pytest.raises(ValueError, match="expected at least two different runs"):
            stacking.stack(given, tmp_path / "s")


@pytest.mark.slow
def test_member_that_was_trained_again_is_noticed(runs, spoiled, tmp_path):
    made = stacking.stack([runs[0], spoiled], tmp_path / "s")
    path = spoiled / "oof.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(ValueError, match="has been trained again since"):
        stack_directory.read(made.directory)
    shutil.rmtree(spoiled)
    with pytest.raises(ValueError, match="spoiled is not there"):
        stack_directory.read(made.directory)


def _options(**changes):
    from spine_tf.evaluation import evaluation

    return evaluation.Options(num_resamples=20, **changes)


def test_stack_stands_beside_the_mean_of_its_members(stacked, tmp_path):
    from spine_tf.evaluation import row_comparison
    from spine_tf.stacking import member_mean

    named = member_mean.beside(stacked.directory)
    found = row_comparison.compare(named, [stacked.directory], tmp_path / "r", _options())

    (compared,) = found.analysis.comparisons
    assert (compared.run, compared.against) == ("s", "members")
    assert compared.competition["mean"].value == pytest.approx(
        stacked.against_members.competition["mean"].value
    )
    page = found.page.read_text()
    assert "any severe spinal" in page and "Normal/Mild" in page


def test_runs_are_compared_on_the_rows_that_both_answer(runs, stacked, tmp_path):
    from spine_tf.evaluation import row_comparison

    named = [(path.name, row_comparison.read(path)) for path in (stacked.directory, runs[1])]
    found = row_comparison.compare(named, [stacked.directory, runs[1]], tmp_path / "r", _options())
    assert found.analysis.first.num_examples == _STUDIES * 5 * 2

    disjoint = [(path.name, row_comparison.read(path)) for path in runs]
    with pytest.raises(ValueError, match="have no row in common"):
        row_comparison.compare(disjoint, runs, tmp_path / "q", _options())
    with pytest.raises(ValueError, match="--split test needs --records_dir"):
        row_comparison.compare(named, runs, tmp_path / "q", _options(split="test"))
