from spine_tf import labels
from spine_tf.runs import familiarity

_CANAL, _LEFT = (
    labels.CONDITIONS.index(name)
    for name in ("spinal_canal_stenosis", "left_subarticular_stenosis")
)


def test_conditions_and_levels_of_training_are_not_mentioned() -> None:
    assert (
        familiarity.describe(
            [(_LEFT, 3)] * 5, conditions=["left_subarticular_stenosis"], levels=["l4_l5"]
        )
        == []
    )


def test_what_is_new_is_counted_and_named() -> None:
    found = familiarity.describe(
        [(_LEFT, 3), (_CANAL, 3), (_CANAL, 0)],
        conditions=["left_subarticular_stenosis"],
        levels=["l4_l5"],
    )
    assert found == [
        "2 of 3 examples are of condition spinal_canal_stenosis, which the model was not trained "
        "on: it saw left_subarticular_stenosis",
        "1 of 3 examples are of level l1_l2, which the model was not trained on: it saw l4_l5",
    ]
