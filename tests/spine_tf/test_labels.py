import pytest

from spine_tf import labels


def test_binary_leaves_out_moderate() -> None:
    task = labels.get_task("binary")
    assert task.classes == ("Normal/Mild", "Severe")
    assert task.columns == ("normal_mild", "severe")
    assert task.class_weights == (1.0, 4.0)


def test_multiclass_has_every_severity_in_order() -> None:
    assert labels.get_task("multiclass").classes == labels.SEVERITIES


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
