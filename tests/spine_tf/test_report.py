"""Reports of awkward data: they render, and say what they can't say."""

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.evaluation import analysis, report, report_charts
from spine_tf.scoring import predictions


def _content(task_name, truth, studies, *, is_perfect=False):
    task = labels.TASKS[task_name]
    classes = len(task.classes)
    generator = np.random.default_rng(0)
    truth = np.array(truth)
    scores = (
        generator.normal(size=(len(truth), classes)) + 50.0 * is_perfect * np.eye(classes)[truth]
    )
    evaluated = analysis.Evaluated(
        task=task,
        split="test",
        predictions=predictions.Predictions(
            keys=tuple(
                f"{study}/1/{i}/spinal_canal_stenosis/l4_l5" for i, study in enumerate(studies)
            ),
            labels=truth,
            probabilities=np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True),
        ),
        uncalibrated=None,
        splits=["test"] * len(truth),
        class_prior=tuple(np.full(classes, 1.0 / classes)),
    )
    return report.Content(
        name="awkward",
        evaluated=evaluated,
        analysis=analysis.analyse(evaluated, num_resamples=20),
        images=np.zeros((len(truth), 8, 8, 3), np.float32),
        predict=None,
        histories={},
        details={},
    )


@pytest.mark.parametrize(
    ("task_name", "truth", "studies", "said"),
    [
        ("multiclass", [0, 1, 2, 0], [5, 5, 5, 5], "One study gives no interval"),
        ("multiclass", [0, 1, 0, 1], [1, 2, 3, 4], "no example is Severe"),
        ("binary", [1], [1], "One study gives no interval"),
        ("binary", [0, 0, 0], [1, 2, 3], "no example is Severe"),
    ],
    ids=["one study", "class missing", "one example", "one class"],
)
def test_report_of_awkward_data_renders_and_says_so(tmp_path, task_name, truth, studies, said):
    page = report.write(tmp_path, _content(task_name, truth, studies))

    text = page.read_text()
    assert said in text
    assert ">nan" not in text


def test_perfect_answers_keep_the_doubt_of_few_studies():
    found = _content("binary", [0, 1] * 20, range(40), is_perfect=True).analysis

    assert found["metrics"]["accuracy"]["low"] == pytest.approx(0.025 ** (1 / 40))
    assert found["per_class"]["Severe"]["recall"]["low"] == pytest.approx(0.025 ** (1 / 20))


def test_no_history_means_no_curves_and_no_groups_no_group_charts():
    content = _content("binary", [0, 1, 0, 1], [1, 2, 3, 4])

    pictures = report_charts.draw(content.analysis, content.evaluated, content.histories)

    assert set(pictures) == {
        "accuracy",
        "confusion_matrix",
        "per_class",
        "roc",
        "reliability",
        "abstention",
    }
