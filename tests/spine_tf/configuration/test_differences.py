import pytest

from spine_tf.configuration import differences


@pytest.mark.parametrize(
    ("stored", "asked", "expected"),
    [
        ({"a": 1, "b": {"c": [2]}}, {"b": {"c": [2]}, "a": 1}, []),
        (
            {"a": {"b": 60, "c": "x"}},
            {"a": {"b": 20, "c": "y"}},
            ["a.b is 60, now 20", "a.c is 'x', now 'y'"],
        ),
        ({"a": 1}, {"b": 2}, ["a is 1, now not set", "b is not set, now 2"]),
        ({"a": None}, {}, []),
        ({"a": {"b": 1}}, {}, ["a.b is 1, now not set"]),
        ({"a": {"b": 1}}, {"a": 1}, ["a is {'b': 1}, now 1"]),
        (None, {"a": 1}, ["a is not set, now 1"]),
    ],
    ids=["equal in another order", "nested", "absent", "null", "absent part", "part", "nothing"],
)
def test_difference_names_the_field_and_both_values(stored, asked, expected):
    assert differences.differences(stored, asked) == expected


def test_differences_of_a_part_have_its_name():
    assert differences.differences({"a": 1}, {"a": 2}, "part") == ["part.a is 1, now 2"]


def test_many_differences_are_said_as_five_and_a_number():
    found = differences.differences(dict.fromkeys("abcdefg", 0), dict.fromkeys("abcdefg", 1))
    assert differences.in_words(found[:2]) == "a is 0, now 1; b is 0, now 1"
    assert differences.in_words(found).endswith("e is 0, now 1; and 2 more")
