"""Judging labels, the review's file, what training makes of it, and the halves of Moderate."""

import dataclasses
import hashlib

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import config, overrides
from spine_tf.label_review import quality, review_page
from spine_tf.scoring import predictions as predictions_module
from spine_tf.training import mild_split, reviewed_labels, task_examples
from tfrecords import records

MULTICLASS = labels.TASKS["multiclass"]
SPLIT = labels.TASKS["multiclass_split"]
FOLDS = ("fold_0", "fold_1", "fold_2")


def _predictions(keys, truth, *, seed=0, skill=3.0):
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(len(truth), 3)) + skill * np.eye(3)[truth]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return predictions_module.Predictions(
        keys=tuple(keys), labels=np.asarray(truth), probabilities=probabilities
    )


def _key(index):
    return f"{index // 2}/1/{index}/spinal_canal_stenosis/l4_l5"


def _review(predictions, folds, confirmed=None):
    judged = quality.assess(predictions)
    order = judged.order.tolist()
    confirmed = confirmed or {}
    return reviewed_labels.Review(
        predictions=predictions_module.Predictions(
            keys=tuple(predictions.keys[row] for row in order),
            labels=predictions.labels[order],
            probabilities=predictions.probabilities[order],
        ),
        folds=tuple(folds[row] for row in order),
        quality=judged.scores[order],
        is_flagged=judged.is_flagged[order],
        confirmed=tuple(confirmed.get(predictions.keys[row], "") for row in order),
    )


@pytest.fixture(scope="module")
def source(records_dir):
    return records.open_records(records_dir)


@pytest.fixture
def review_of(source, tmp_path):
    """Writes a review of the records' folds; returns its path."""

    def write(confirmed=None, change=None):
        found, folds = [], []
        for fold in FOLDS:
            found.append(records.load_examples(source, [fold], MULTICLASS.severities))
            folds += [fold] * len(found[-1])
        keys = [key for examples in found for key in examples.keys]
        truth = np.concatenate([examples.labels for examples in found])
        made = _review(_predictions(keys, truth), folds, confirmed)
        path = tmp_path / reviewed_labels.FILE_NAME
        reviewed_labels.write_csv(path, change(made) if change else made, MULTICLASS)
        return path

    return write


def _config(path, *settings):
    return overrides.apply(
        config.default_config("multiclass", "simple"),
        [f"data.label_review.path={path}", "data.label_review.action=drop", *settings],
    )


def _cured(source, path, *settings, splits=FOLDS[:2]):
    examples = records.load_examples(source, splits, MULTICLASS.severities)
    return examples, reviewed_labels.cure(_config(path, *settings), examples, splits)


def test_planted_errors_come_before_other_rows():
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 3, 600)
    is_wrong = generator.random(600) < 0.1
    given = np.where(is_wrong, (truth + 1) % 3, truth)
    found = dataclasses.replace(
        _predictions([_key(i) for i in range(600)], truth, skill=3.0), labels=given
    )

    judged = quality.assess(found)

    first = judged.order[: is_wrong.sum()]
    assert is_wrong[first].mean() > 0.6
    assert is_wrong[judged.is_flagged].mean() > 0.6
    assert is_wrong[judged.is_flagged].sum() > 0.6 * is_wrong.sum()
    shares = quality.true_given_label(found)
    assert shares.sum(axis=1) == pytest.approx(1.0)
    assert np.diag(shares) == pytest.approx(0.9, abs=0.08)


def test_class_without_a_label_can_not_be_judged():
    found = _predictions([_key(i) for i in range(9)], np.arange(9) % 2)
    with pytest.raises(ValueError, match="class 2 has no label"):
        quality.assess(found)


def test_review_comes_back_to_the_same_bits_in_any_order_of_lines(review_of):
    path = review_of()
    before = reviewed_labels.read_csv(path, MULTICLASS)
    header, *lines = path.read_text().splitlines()
    path.write_text("\ufeff" + "\n".join([header, *reversed(lines)]) + "\n")

    after = reviewed_labels.read_csv(path, MULTICLASS)

    assert after.predictions.keys == before.predictions.keys
    assert np.array_equal(after.predictions.probabilities, before.predictions.probabilities)
    assert np.array_equal(after.quality, before.quality)
    assert np.array_equal(after.is_flagged, before.is_flagged)
    assert after.folds == before.folds
    assert reviewed_labels.sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        (
            "confirmed",
            "maybe",
            "is 'maybe', expected empty, right, wrong or one of normal_mild,",
        ),
        ("quality", "low", "line 2: could not convert"),
        ("label", "", "line 2: invalid literal"),
        ("label", "3", "line 2: label is 3, expected 0 to 2"),
        ("severe", "9", "expected numbers from 0 to 1"),
        ("label", "9" * 30, "line 2: label is 9{30}, expected 0 to 2"),
        ("label", "-1", "line 2: label is -1, expected 0 to 2"),
    ],
)
def test_line_that_does_not_fit_says_why(review_of, column, text, message):
    path = review_of()
    header, first, *lines = path.read_text().splitlines()
    fields = first.split(",")
    fields[header.split(",").index(column)] = text
    path.write_text("\n".join([header, ",".join(fields), *lines]) + "\n")
    with pytest.raises(ValueError, match=message):
        reviewed_labels.read_csv(path, MULTICLASS)


def test_review_of_another_task_is_refused(review_of):
    with pytest.raises(ValueError, match=r"spine_tf\.clean wrote of a run of task binary"):
        reviewed_labels.read_csv(review_of(), labels.TASKS["binary"])


def test_missing_review_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no\.csv does not exist; expected a label_review\.csv"):
        reviewed_labels.read_csv(tmp_path / "no.csv", MULTICLASS)
    with pytest.raises(ValueError, match="can't be read"):
        reviewed_labels.sha256_of(tmp_path / "no.csv")


def test_review_with_a_key_twice_is_refused(review_of):
    path = review_of()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n")
    with pytest.raises(ValueError, match="a key stands there twice"):
        reviewed_labels.read_csv(path, MULTICLASS)


@pytest.mark.parametrize("budget", [0.0, 0.1, 0.25])
def test_drop_leaves_out_the_share_that_is_most_suspicious(source, review_of, budget):
    path = review_of()

    examples, cured = _cured(source, path, f"data.label_review.budget={budget}")

    count = round(budget * len(examples))
    gone = [key for key in examples.keys if key not in cured.examples.keys]
    in_order = [
        k for k in reviewed_labels.read_csv(path, MULTICLASS).predictions.keys if k in examples.keys
    ]
    assert set(gone) == set(in_order[:count])
    assert not cured.extra
    kept = [examples.keys.index(key) for key in cured.examples.keys]
    assert np.array_equal(cured.examples.images, examples.images[kept])
    assert np.array_equal(cured.examples.labels, examples.labels[kept])
    assert np.array_equal(cured.examples.columns["study_id"], examples.columns["study_id"][kept])


def test_down_weight_keeps_every_row(source, review_of):
    examples, cured = _cured(source, review_of(), "data.label_review.action=down_weight")

    assert cured.examples.keys == examples.keys
    assert set(cured.extra) == {"weight"}
    assert cured.extra["weight"].dtype == np.float32
    count = round(0.1 * len(examples))
    assert sorted(cured.extra["weight"])[: count + 1] == [reviewed_labels.DOWN_WEIGHT] * count + [
        1.0
    ]


def test_soften_mixes_the_label_with_what_other_rows_say(source, review_of):
    path = review_of()
    examples, cured = _cured(source, path, "data.label_review.action=soften")

    target = cured.extra["target"]
    found = reviewed_labels.read_csv(path, MULTICLASS)
    given = np.eye(3)[examples.labels]
    is_soft = (target != given).any(axis=1)
    assert is_soft.sum() == round(0.1 * len(examples))
    rows = [found.row_of[key] for key in examples.keys]
    expected = 0.5 * given + 0.5 * found.predictions.probabilities[rows]
    assert target[is_soft] == pytest.approx(expected[is_soft], abs=1e-6)
    assert target.sum(axis=1) == pytest.approx(1.0)


def test_reader_overrules_budget_and_suspicion(source, review_of):
    first = reviewed_labels.read_csv(review_of(), MULTICLASS).predictions.keys
    examples = records.load_examples(source, FOLDS[:2], MULTICLASS.severities)
    training = [key for key in first if key in examples.keys]
    confirmed = {training[0]: "right", training[-1]: "wrong", training[-2]: "wrong"}
    path = review_of(confirmed)

    _, none = _cured(source, path, "data.label_review.budget=0")
    _, some = _cured(source, path, f"data.label_review.budget={4 / len(examples)}")

    assert set(examples.keys) - set(none.examples.keys) == set(training[-2:])
    assert set(examples.keys) - set(some.examples.keys) == {*training[1:3], *training[-2:]}


@pytest.mark.parametrize("action", ["drop", "down_weight", "soften"])
def test_class_that_a_reader_wrote_is_the_label(source, review_of, action):
    first = reviewed_labels.read_csv(review_of(), MULTICLASS).predictions.keys
    examples = records.load_examples(source, FOLDS[:2], MULTICLASS.severities)
    training = [key for key in first if key in examples.keys]
    confirmed = dict(zip(training[:3], MULTICLASS.columns, strict=True))

    settings = (f"data.label_review.action={action}", f"data.label_review.budget={4 / 32}")
    _, cured = _cured(source, review_of(confirmed), *settings)

    kept = cured.examples
    for key in examples.keys:
        if key in kept.keys:
            given = examples.labels[examples.keys.index(key)]
            expected = MULTICLASS.columns.index(confirmed[key]) if key in confirmed else given
            assert kept.labels[kept.keys.index(key)] == expected
    # the reader's word is not doubted, so the budget goes to the next most suspicious
    if action == "drop":
        count = round(4 / 32 * len(examples))
        assert set(examples.keys) - set(kept.keys) == set(training[3 : 3 + count])
    if action == "soften":
        rows = [kept.keys.index(key) for key in training[:3]]
        assert cured.extra["target"][rows].tolist() == np.eye(3).tolist()


def test_review_that_drops_a_whole_class_is_refused(source, review_of):
    examples = records.load_examples(source, FOLDS[:2], MULTICLASS.severities)
    severe = [key for key, label in zip(examples.keys, examples.labels, strict=True) if label == 2]
    path = review_of(dict.fromkeys(severe, "wrong"))
    with pytest.raises(ValueError, match="drops every training row of class 'Severe'"):
        _cured(source, path)


def test_review_of_other_rows_labels_or_folds_is_refused(source, review_of):
    def without_last(made):
        keep = np.arange(len(made)) < len(made) - 1
        return dataclasses.replace(
            made,
            predictions=made.predictions.select(keep),
            folds=made.folds[:-1],
            quality=made.quality[:-1],
            is_flagged=made.is_flagged[:-1],
            confirmed=made.confirmed[:-1],
        )

    def other_labels(made):
        changed = dataclasses.replace(made.predictions, labels=(made.predictions.labels + 1) % 3)
        return dataclasses.replace(made, predictions=changed)

    def other_folds(made):
        return dataclasses.replace(made, folds=("fold_2",) * len(made))

    for change, splits, message in (
        (without_last, FOLDS, "has no line for 1 training rows"),
        (other_labels, FOLDS, "make the review anew"),
        (other_folds, FOLDS[:2], "rows that train here lie in fold_2 there"),
    ):
        path = review_of(change=change)
        with pytest.raises(ValueError, match=message):
            _cured(source, path, splits=splits)


def test_without_a_review_examples_stay_as_they_are(source):
    examples = records.load_examples(source, FOLDS, MULTICLASS.severities)
    cured = reviewed_labels.cure(config.default_config("multiclass", "simple"), examples, FOLDS)
    assert cured.examples is examples
    assert not cured.extra


def test_halves_lie_on_both_sides_of_the_median_of_their_fold():
    truth = np.arange(90) % 3
    found = _predictions([_key(i) for i in range(90)], truth)
    folds = [f"fold_{index % 2}" for index in range(90)]

    rows = mild_split.split(found, folds, MULTICLASS)

    assert {row.key for row in rows} == {_key(i) for i in range(90) if truth[i] == 1}
    for fold in ("fold_0", "fold_1"):
        scores = {
            half: [r.score for r in rows if (r.fold, r.half) == (fold, half)] for half in (0, 1)
        }
        assert max(scores[0]) < min(scores[1])
        assert abs(len(scores[0]) - len(scores[1])) <= 1
    row = found.keys.index(rows[0].key)
    normal, _, severe = found.probabilities[row]
    assert rows[0].score == pytest.approx(severe / (severe + normal))


def test_equal_scores_are_halved_all_the_same():
    found = dataclasses.replace(
        _predictions([_key(i) for i in range(9)], np.ones(9, int)),
        probabilities=np.full((9, 3), 1 / 3),
    )
    rows = mild_split.split(found, ["fold_0"] * 9, MULTICLASS)
    assert [row.half for row in rows] == [0] * 5 + [1] * 4


def test_half_does_not_depend_on_the_rows_of_other_folds():
    truth = np.arange(60) % 3
    keys = [_key(i) for i in range(60)]
    folds = [f"fold_{index // 30}" for index in range(60)]
    one = _predictions(keys, truth)
    changed = one.probabilities.copy()
    changed[30:] = changed[30:, ::-1]

    before = mild_split.split(one, folds, MULTICLASS)
    after = mild_split.split(dataclasses.replace(one, probabilities=changed), folds, MULTICLASS)

    assert [row for row in before if row.fold == "fold_0"] == [
        row for row in after if row.fold == "fold_0"
    ]


@pytest.fixture
def halves_of(source, tmp_path):
    """Writes the halves of the records' Moderate rows; returns the path."""

    def write(change=lambda rows: rows):
        rows = []
        for split in source.splits:
            examples = records.load_examples(source, [split], MULTICLASS.severities)
            found = _predictions(examples.keys, examples.labels, seed=3)
            rows += mild_split.split(found, [split] * len(examples), MULTICLASS)
        path = tmp_path / mild_split.FILE_NAME
        mild_split.write_csv(path, change(rows))
        return path

    return write


def _split_config(path):
    return overrides.apply(
        config.default_config("multiclass_split", "simple"), [f"data.mild_split={path}"]
    )


def test_examples_of_a_run_with_halves_have_four_classes(source, halves_of):
    path = halves_of()
    rows = {row.key: row for row in mild_split.read_csv(path)}
    plain = records.load_examples(source, ["fold_0", "test"], (0, 1, 2))

    examples = task_examples.load_examples(_split_config(path), source, ["fold_0", "test"])

    assert examples.keys == plain.keys
    for key, label, severity in zip(examples.keys, examples.labels, plain.labels, strict=True):
        expected = {0: 0, 2: 3}.get(severity)
        assert label == (1 + rows[key].half if expected is None else expected)
    counts = task_examples.count_classes(_split_config(path), source, ["fold_0", "test"])
    assert counts.tolist() == np.bincount(examples.labels, minlength=4).tolist()


def test_halves_that_miss_a_row_or_are_of_other_folds_are_refused(source, halves_of):
    path = halves_of(lambda rows: rows[1:])
    with pytest.raises(ValueError, match="has no line for the Moderate row"):
        task_examples.load_examples(_split_config(path), source, source.splits)
    path = halves_of(lambda rows: [dataclasses.replace(row, fold="fold_2") for row in rows])
    with pytest.raises(ValueError, match="lies in fold_2, in these records it lies in fold_0"):
        task_examples.load_examples(_split_config(path), source, ["fold_0"])


def test_halves_by_models_that_saw_no_row_of_a_fold_fit_it(source, halves_of):
    path = halves_of(lambda rows: [dataclasses.replace(row, fold="test") for row in rows])
    examples = task_examples.load_examples(_split_config(path), source, ["fold_0"])
    assert set(examples.labels.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("key,fold", "name,fold", "expected key,fold,score,half"),
        ("mild_severe", "severe", "half is 'severe', expected mild_normal or mild_severe"),
        (",0.", ",a.", "could not convert"),
    ],
)
def test_halves_that_do_not_fit_say_where(halves_of, old, new, message):
    path = halves_of()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        mild_split.read_csv(path)


def test_task_and_halves_belong_together(source, tmp_path):
    with pytest.raises(ValueError, match="task multiclass_split needs the mild_split"):
        task_examples.load_examples(
            config.default_config("multiclass_split", "simple"), source, ["fold_0"]
        )
    plain = overrides.apply(
        config.default_config("multiclass", "simple"), ["data.mild_split=x.csv"]
    )
    with pytest.raises(ValueError, match="task multiclass has no halves"):
        task_examples.load_examples(plain, source, ["fold_0"])
    with pytest.raises(ValueError, match="does not exist; expected a mild_split"):
        task_examples.load_examples(_split_config(tmp_path / "no.csv"), source, ["fold_0"])


def test_neighbours_are_near_trusted_and_of_other_studies_of_the_fold():
    space = quality.Space(
        features=np.arange(8.0)[:, None],
        folds=np.array(["a"] * 7 + ["b"]),
        studies=np.array([1, 1, 2, 3, 4, 5, 6, 7]),
        labels=np.array([0, 1, 1, 1, 0, 1, 1, 1]),
        is_trusted=np.array([True, True, True, False, True, True, True, True]),
    )

    # Row 1 is of the same study, row 3 not trusted, row 4 of another class, row 7 of fold b.
    assert space.nearest(0, 1, 3) == [2, 5, 6]
    assert space.nearest(0, 1, 9) == [2, 5, 6]
    assert space.nearest(0, 2, 3) == []


def test_standardized_features_have_unit_variance():
    values = np.stack([np.arange(5.0), np.full(5, 3.0)], axis=1)
    found = quality.standardize(values)
    assert found.mean(axis=0) == pytest.approx(0.0)
    assert found.std(axis=0) == pytest.approx([1.0, 0.0])


def test_summary_counts_by_class_and_study():
    truth = np.arange(60) % 3
    made = _review(_predictions([_key(i) for i in range(60)], truth, skill=1.5), ["fold_0"] * 60)

    found = review_page.count(made, MULTICLASS, run="w", manifest_sha256="5e")

    assert found.run == "w"
    assert [row.name for row in found.classes] == list(labels.SEVERITIES)
    assert sum(row.num_rows for row in found.classes) == found.num_rows == 60
    assert sum(row.num_flagged for row in found.studies) == found.num_flagged
    assert found.num_flagged == made.is_flagged.sum() > 0
    agreements = [row.agreement for row in found.studies]
    assert agreements == sorted(agreements)
    assert len(agreements) == found.num_studies == 30


def test_models_that_know_only_which_class_is_frequent_judge_no_label():
    truth = np.repeat([0, 1, 2], [12, 5, 3])
    keys = [_key(index) for index in range(len(truth))]
    constant = predictions_module.Predictions(
        keys=tuple(keys), labels=truth, probabilities=np.tile([0.6, 0.25, 0.15], (len(truth), 1))
    )
    with pytest.raises(
        ValueError,
        match=r"runs/w can judge no label: out of fold they are right on 60.0% \(balanced 33.3%\)",
    ):
        quality.require_skill(constant, "runs/w")
    quality.require_skill(_predictions(keys, truth), "runs/w")
    # One Severe by luck is no skill.
    lucky = constant.probabilities.copy()
    lucky[-1] = [0.1, 0.1, 0.8]
    lucky[:2] = [0.1, 0.8, 0.1]
    with pytest.raises(ValueError, match="can judge no label"):
        quality.require_skill(dataclasses.replace(constant, probabilities=lucky), "runs/w")
