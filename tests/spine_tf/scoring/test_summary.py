import json

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.scoring import bootstrap, predictions as predictions_module, summary

MULTICLASS = labels.TASKS["multiclass"]


def _random(*, num_studies=40, seed=0, condition="spinal_canal_stenosis", level="l4_l5"):
    generator = np.random.default_rng(seed)
    n = 3 * num_studies
    truth = generator.integers(0, 3, n)
    scores = generator.normal(size=(n, 3)) + np.eye(3)[truth]
    return predictions_module.Predictions(
        keys=tuple(f"{i // 3}/1/{i}/{condition}/{level}" for i in range(n)),
        labels=truth,
        probabilities=np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True),
    )


def test_summary_is_json_and_repeats_with_the_seed():
    predictions = _random()

    first = summary.summarize(predictions, MULTICLASS, "oof", num_resamples=200)
    second = summary.summarize(predictions, MULTICLASS, "oof", num_resamples=200)
    other = summary.summarize(predictions, MULTICLASS, "oof", num_resamples=200, seed=1)

    assert json.dumps(first.to_json(), allow_nan=False) == json.dumps(
        second.to_json(), allow_nan=False
    )
    assert first.metrics["accuracy"].low != other.metrics["accuracy"].low
    assert first.metrics["accuracy"].value == other.metrics["accuracy"].value


def test_task_with_halves_has_the_figures_of_whole_severities_besides():
    generator = np.random.default_rng(0)
    four = predictions_module.Predictions(
        keys=_random(condition="left_subarticular_stenosis").keys,
        labels=generator.integers(0, 4, 120),
        probabilities=generator.dirichlet((1.0,) * 4, 120),
    )
    task, prior = labels.TASKS["multiclass_split"], (0.4, 0.3, 0.2, 0.1)

    found = summary.summarize(four, task, "oof", class_prior=prior, num_resamples=50)

    three = predictions_module.collapse(four, task)
    assert found.collapsed == summary.summarize(
        three, MULTICLASS, "oof", class_prior=[0.4, 0.5, 0.1], num_resamples=50
    )
    assert "collapsed" not in found.collapsed.to_json()
    # The report knows no halves.
    assert found.baselines.keys() == {"majority", "prior"}
    assert "report" in found.collapsed.baselines


def test_summary_reads_back_what_it_wrote(tmp_path):
    halves = labels.TASKS["multiclass_split"]
    four = predictions_module.Predictions(
        keys=_random(condition="left_subarticular_stenosis").keys,
        labels=np.random.default_rng(0).integers(0, 3, 120),
        probabilities=np.random.default_rng(0).dirichlet((1.0,) * 4, 120),
    )
    found = summary.summarize(four, halves, "oof", num_resamples=20)
    path = tmp_path / "metrics.json"
    # As files are written, with sorted keys, and as a report adds to them.
    path.write_text(json.dumps({**found.to_json(), "thresholds": []}, sort_keys=True))

    read = summary.read(path)

    assert read.to_json() == found.to_json()
    assert list(read.per_class) == list(read.class_counts) == list(halves.classes)
    assert read.collapsed.baselines["report"].note == summary.REPORT_NOTE


def test_file_that_holds_no_figures_is_refused(tmp_path):
    path = tmp_path / "metrics.json"
    with pytest.raises(ValueError, match=r"metrics.json does not exist"):
        summary.read(path)
    for text in ("[]", "{}", "nothing", '{"classes": []}'):
        path.write_text(text)
        with pytest.raises(
            ValueError, match=r"json.*; expected the figures of a run: make it again"
        ):
            summary.read(path)


def test_interval_holds_the_value_and_counts_are_right():
    predictions = _random()

    found = summary.summarize(predictions, MULTICLASS, "oof", num_resamples=200)

    assert (found.num_examples, found.num_studies) == (120, 40)
    assert sum(found.class_counts.values()) == np.sum(found.confusion_matrix) == 120
    for name in ("accuracy", "log_loss", "balanced_accuracy", "auc", "quadratic_kappa", "brier"):
        figure = found.metrics[name]
        assert figure.low < figure.value < figure.high, name


def test_majority_and_prior_are_those_of_the_training_data():
    predictions = _random()

    found = summary.summarize(
        predictions, MULTICLASS, "oof", class_prior=(0.2, 0.5, 0.3), num_resamples=50
    )

    share = np.mean(predictions.labels == 1)
    prior_loss = -np.log(np.array([0.2, 0.5, 0.3]))[predictions.labels].mean()
    assert found.class_prior_from == "training"
    assert found.baselines["majority"].metrics["accuracy"].value == pytest.approx(share)
    assert found.baselines["majority"].metrics["balanced_accuracy"].value == pytest.approx(1 / 3)
    assert found.baselines["prior"].metrics["log_loss"].value == pytest.approx(prior_loss)


@pytest.mark.parametrize(
    ("condition", "level", "has_report"),
    [
        ("left_subarticular_stenosis", "l4_l5", True),
        ("left_subarticular_stenosis", "l5_s1", False),
        ("spinal_canal_stenosis", "l4_l5", False),
    ],
)
def test_report_stands_beside_what_it_looked_at_only(condition, level, has_report):
    predictions = _random(condition=condition, level=level)

    found = summary.summarize(predictions, MULTICLASS, "oof", num_resamples=50).baselines

    assert ("report" in found) == has_report
    if has_report:
        assert found["report"].metrics["accuracy"].value == 0.7324


def test_missing_class_gives_null_with_the_reason():
    predictions = _random()
    predictions = predictions.select(predictions.labels != 2)

    found = summary.summarize(predictions, MULTICLASS, "test", num_resamples=50)

    assert found.metrics["balanced_accuracy"].to_json() == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "no example is Severe",
    }
    assert found.per_class["Severe"]["recall"].reason == "no example is Severe"
    assert found.metrics["accuracy"].value is not None


def test_one_study_has_values_and_no_interval():
    predictions = _random(num_studies=1)

    figure = summary.summarize(predictions, MULTICLASS, "test", num_resamples=50).metrics

    assert figure["accuracy"].value is not None
    assert figure["accuracy"].low is None
    assert "two studies" in figure["accuracy"].reason


def test_summary_refuses_another_task():
    with pytest.raises(ValueError, match="task binary has 2"):
        summary.summarize(_random(), labels.TASKS["binary"], "oof")


def test_resampling_keeps_a_study_whole():
    study_ids = np.array([7, 7, 9, 9, 9, 4])

    weights = bootstrap.resample_weights(study_ids, seed=0, num_resamples=20)

    assert weights.shape == (20, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 2] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 5]].sum(axis=1) == 3).all()


def test_resampling_needs_a_resample():
    with pytest.raises(ValueError, match="num_resamples is 0"):
        bootstrap.resample_weights(np.array([1, 2]), seed=0, num_resamples=0)


def test_interval_leaves_undefined_resamples_out():
    values = np.concatenate([np.linspace(0.0, 1.0, 1001), [np.nan] * 50])

    low, high = bootstrap.interval(values, num_studies=10**6)

    assert (low, high) == (pytest.approx(0.025, abs=1e-3), pytest.approx(0.975, abs=1e-3))
    assert bootstrap.interval(np.array([np.nan]), num_studies=5) is None


def test_draws_of_a_seed_are_the_same_in_every_version():
    # Golden: figures and paired comparisons of old reports repeat only as long as this holds.
    weights = bootstrap.resample_weights(np.arange(8) // 2, seed=0, num_resamples=4)

    assert weights[:, ::2].tolist() == [[1, 0, 0, 3], [0, 2, 2, 0], [1, 1, 1, 1], [2, 1, 0, 1]]
