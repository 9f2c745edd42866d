"""What a report says in sentences, and reports of awkward data: they say what they can't say."""

import dataclasses

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.evaluation import analysis, report, report_charts
from spine_tf.scoring import figure, predictions


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


@pytest.mark.slow
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

    assert found.summary.metrics["accuracy"].low == pytest.approx(0.025 ** (1 / 40))
    assert found.summary.per_class["Severe"]["recall"].low == pytest.approx(0.025 ** (1 / 20))


@pytest.mark.slow
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


def _said(accuracy=(0.8, 0.75, 0.85), lead=(0.1, 0.05, 0.15)):
    """Sentences of a report whose figures are these."""

    def make(value, low, high):
        return figure.Figure(value=value, low=low, high=high)

    analysed = _content("binary", [0, 1] * 20, range(40)).analysis
    summary = dataclasses.replace(
        analysed.summary,
        metrics={**analysed.summary.metrics, "accuracy": make(*accuracy)},
        per_class={
            "Normal/Mild": {"recall": make(0.8, 0.75, 0.85)},
            "Severe": {"recall": make(0.6, 0.55, 0.85)},
        },
    )
    return report.sentences(
        dataclasses.replace(analysed, summary=summary, lead_over_majority={"accuracy": make(*lead)})
    )


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        ((0.1, 0.05, 0.15), "difference to that is +10.0 points (+5.0 to +15.0): it is better"),
        ((0.1, -0.05, 0.2), "these data do not show that it is better"),
        ((-0.1, -0.2, -0.05), "difference to that is -10.0 points (-20.0 to -5.0): it is worse"),
        ((0.1, None, None), "with one study nothing can be said"),
    ],
)
def test_verdict_follows_the_paired_interval(lead, said):
    assert said in _said(lead=lead)[1]


def test_verdict_names_the_weakest_class_and_wide_intervals():
    wide = _said(accuracy=(0.8, 0.6, 0.95))

    assert wide[0].startswith("80.0\u202f% (60.0 to 95.0) of 40 crops from 40 studies")
    assert any("weakest on Severe: 60.0\u202f% (55.0 to 85.0) of 20" in one for one in wide)
    assert any("\u00b118 points" in sentence for sentence in wide)
    assert not any("is wide" in sentence for sentence in _said())


def test_every_split_is_said_in_words_of_its_own():
    words = {report.split_in_words(split) for split in ("test", "oof", "external", "fold_3")}

    assert len(words) == 4
    assert any(sentence.startswith("fold 3, which") for sentence in words)
