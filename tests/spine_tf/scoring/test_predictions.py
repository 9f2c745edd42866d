import numpy as np
import pytest

from spine_tf import labels
from spine_tf.scoring import predictions as predictions_module

BINARY = labels.TASKS["binary"]
KEYS = ("11/22/3/spinal_canal_stenosis/l4_l5", "12/22/3/left_subarticular_stenosis/l5_s1")


def _make(**changes):
    values = {
        "keys": KEYS,
        "labels": np.array([0, 1]),
        "probabilities": np.array([[0.1 + 0.2, 0.7], [1 / 3, 2 / 3]]),
    }
    return predictions_module.Predictions(**{**values, **changes})


def test_key_gives_study_condition_and_level():
    predictions = _make()

    assert predictions.study_ids.tolist() == [11, 12]
    assert predictions.conditions.tolist() == [
        "spinal_canal_stenosis",
        "left_subarticular_stenosis",
    ]
    assert predictions.levels.tolist() == ["l4_l5", "l5_s1"]


def test_csv_reads_back_to_the_same_bits(tmp_path):
    predictions = _make()
    path = tmp_path / "predictions.csv"

    predictions_module.write_csv(path, predictions, BINARY)
    again = predictions_module.read_csv(path, BINARY)

    assert path.read_text().splitlines()[0] == "key,label,normal_mild,severe"
    assert again.keys == predictions.keys
    np.testing.assert_array_equal(again.labels, predictions.labels)
    np.testing.assert_array_equal(again.probabilities, predictions.probabilities)


def test_collapse_adds_the_halves_up():
    predictions = _make(
        labels=np.array([2, 3]),
        probabilities=np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]),
    )

    found = predictions_module.collapse(predictions, labels.TASKS["multiclass_split"])

    assert found.labels.tolist() == [1, 2]
    assert found.probabilities == pytest.approx(np.array([[0.1, 0.5, 0.4], [0.4, 0.5, 0.1]]))
    assert found.keys == predictions.keys


def test_collapse_leaves_whole_severities_alone():
    predictions = _make()
    assert predictions_module.collapse(predictions, BINARY) is predictions
    same = predictions_module.collapse_probabilities(predictions.probabilities, BINARY)
    np.testing.assert_array_equal(same, predictions.probabilities)


def test_select_keeps_the_order():
    chosen = _make().select(np.array([False, True]))

    assert chosen.keys == KEYS[1:]
    assert chosen.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([0])}, "2 keys, labels of shape"),
        ({"labels": np.array([0, 2])}, "expected class indices 0 to 1"),
        ({"probabilities": np.array([[0.5, 0.5], [0.9, 0.9]])}, "12/22/3.*sum to 1"),
        ({"probabilities": np.array([[np.nan, 0.5], [0.1, 0.9]])}, "11/22/3.*sum to 1"),
        ({"probabilities": np.array([[-0.5, 1.5], [0.1, 0.9]])}, "11/22/3.*sum to 1"),
        (
            {"keys": (), "labels": np.zeros(0), "probabilities": np.zeros((0, 2))},
            "no predictions",
        ),
    ],
)
def test_predictions_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        _make(**changes)


def test_key_of_another_form_is_refused():
    with pytest.raises(ValueError, match="expected study/series/instance/condition/level"):
        _ = _make(keys=("a", "b")).study_ids


def test_write_refuses_another_task(tmp_path):
    with pytest.raises(ValueError, match="task multiclass has 3"):
        predictions_module.write_csv(tmp_path / "p.csv", _make(), labels.TASKS["multiclass"])


_KEY = "1/2/3/spinal_canal_stenosis/l4_l5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key,label,normal_mild,moderate,severe\n", "of task binary"),
        ("", "of task binary"),
        ("key,label,normal_mild,severe\nk,0,1.0\n", "line 2 has 3 fields, expected 4"),
        ("key,label,normal_mild,severe\nk,0,1.0,0.0\n", "line 2: key is 'k', expected study/"),
        (f"key,label,normal_mild,severe\n{_KEY},one,1.0,0.0\n", "line 2: invalid literal"),
        (
            f"key,label,normal_mild,severe\n{_KEY.replace('spinal', 'cervical')},0,1.0,0.0\n",
            "line 2: key is .*: 'cervical_canal_stenosis' is none of spinal_canal_stenosis, ",
        ),
        (
            f"key,label,normal_mild,severe\n{_KEY.replace('l4_l5', 'l9')},0,1.0,0.0\n",
            "line 2: key is .*: 'l9' is none of l1_l2, ",
        ),
        (f"key,label,normal_mild,severe\n{10**19}/{_KEY},0,1.0,0.0\n", "line 2: key is '1000"),
        ("key,label,normal_mild,severe\n", "p.csv: there are no predictions"),
    ],
)
def test_read_says_what_is_wrong_with_a_file(tmp_path, text, message):
    path = tmp_path / "p.csv"
    path.write_text(text)

    with pytest.raises(ValueError, match=message):
        predictions_module.read_csv(path, BINARY)


def test_read_of_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        predictions_module.read_csv(tmp_path / "none.csv", BINARY)
