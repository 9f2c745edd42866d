import pytest

from spine_tf import labels


def test_binary_leaves_out_moderate() -> None:
    task = labels.get_task("binary")
    assert task.classes == ("Normal/Mild", "Severe")
    assert task.columns == ("normal_mild", "severe")
    assert task.class_weights == (1.0, 4.0)


def test_multiclass_has_every_severity_in_order() -> None:
    assert labels.get_task("multiclass").classes == labels.SEVERITIES


def test_split_tells_the_halves_of_moderate_apart() -> None:
    task = labels.get_task("multiclass_split")
    assert task.classes == ("Normal/Mild", "Mild-Normal", "Mild-Severe", "Severe")
    assert task.columns == ("normal_mild", "mild_normal", "mild_severe", "severe")
    assert task.class_weights == (1.0, 2.0, 2.0, 4.0)
    assert task.severities == (0, 1, 2)
    assert task.collapsed is labels.get_task("multiclass")
    assert task.collapsed_classes == (0, 1, 1, 2)


def test_tasks_of_whole_severities_are_their_own_collapse() -> None:
    assert labels.WHOLE_TASKS == ("binary", "multiclass")
    for name in labels.WHOLE_TASKS:
        task = labels.get_task(name)
        assert task.collapsed is task
        assert task.collapsed_classes == tuple(range(len(task.classes)))


def test_unknown_task_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="'ternary', expected one of binary, multiclass"):
        labels.get_task("ternary")


@pytest.mark.parametrize(
    ("condition", "side"),
    [
        ("left_subarticular_stenosis", "left"),
        ("right_neural_foraminal_narrowing", "right"),
        ("spinal_canal_stenosis", None),
    ],
)
def test_side_of_a_condition_is_in_its_name(condition: str, side: str | None) -> None:
    assert labels.side_of(condition) == side


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        (labels.CONDITIONS, "all conditions"),
        (labels.CONDITIONS[3:], "left and right subarticular"),
        (labels.CONDITIONS[:4:3], "spinal canal, left subarticular"),
        (labels.CONDITIONS[4:2:-1], "left and right subarticular"),
        (labels.CONDITIONS[1:], "left and right neural foraminal, left and right subarticular"),
    ],
)
def test_both_sides_are_said_as_one(conditions: tuple[str, ...], said: str) -> None:
    assert labels.graded_in_words(conditions, ["l4_l5"]) == f"{said} at L4/L5"
