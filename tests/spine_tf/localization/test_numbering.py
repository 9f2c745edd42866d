"""Which disc is which: whole spines, cut ones, false discs, and how sure that is."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from spine_tf.localization import numbering


def _points(heights):
    return [np.array([0.0, 0.0, -float(height)]) for height in heights]


def _scores(levels, high=0.9, low=0.02):
    """Candidates that look like a level each; None is a false one."""
    scores = np.full((len(levels), 5), low)
    for row, level in enumerate(levels):
        if level is not None:
            scores[row, level] = high
    return scores


@pytest.mark.parametrize(
    ("heights", "looks", "expected"),
    [
        pytest.param([0, 34, 68, 101, 130], [0, 1, 2, 3, 4], (0, 1, 2, 3, 4), id="whole"),
        pytest.param([0, 34, 68], [2, 3, 4], (None, None, 0, 1, 2), id="cut above"),
        pytest.param([0, 34, 68], [0, 1, 2], (0, 1, 2, None, None), id="cut below"),
        pytest.param([0, 34, 101, 130], [0, 1, 3, 4], (0, 1, None, 2, 3), id="one not seen"),
        pytest.param(
            [0, 15, 34, 68, 101, 130], [0, None, 1, 2, 3, 4], (0, 2, 3, 4, 5), id="false one"
        ),
        pytest.param([0], [3], (None, None, None, 0, None), id="alone"),
    ],
)
def test_levels_are_those_that_fit_together(heights, looks, expected):
    found = numbering.number(_points(heights), _scores(looks))
    assert found.candidates == expected
    assert sum(found.probabilities) == pytest.approx(1)


def test_order_outweighs_what_one_disc_looks_like():
    scores = _scores([0, 1, 2, 2, 4])  # the fourth looks like the third
    found = numbering.number(_points([0, 34, 68, 101, 130]), scores)
    assert found.candidates == (0, 1, 2, 3, 4)


def test_nothing_found_names_nothing():
    assert numbering.number([], np.zeros((0, 5))).candidates == (None,) * 5
    assert numbering.number(_points([0]), np.full((1, 5), 0.01)).candidates == (None,) * 5


def test_doubt_goes_to_the_side_that_the_channels_lean_to():
    scores = _scores([0, 1, 2, 3, 4], high=0.55)
    scores[np.arange(4), np.arange(1, 5)] = 0.4  # each looks a little like the one below
    below, own, above = numbering.number(_points([0, 34, 68, 101, 130]), scores).probabilities
    assert own > above > below
    assert own < 0.99


def test_temperature_softens():
    scores = _scores([0, 1, 2, 3, 4], high=0.6, low=0.3)
    points = _points([0, 34, 68, 101, 130])
    sharp, soft = (numbering.number(points, scores, t).confidence for t in (1.0, 8.0))
    assert sharp > soft > 1 / 3


@settings(max_examples=30)
@given(
    first=st.integers(0, 3),
    count=st.integers(2, 5),
    size=st.floats(0.85, 1.15),
    seed=st.integers(0, 1000),
)
def test_any_part_of_any_spine_is_named(first, count, size, seed):
    rng = np.random.default_rng(seed)
    levels = list(range(first, min(first + count, 5)))
    heights = np.cumsum([0, 34, 34, 33, 29])[levels] * size
    scores = rng.uniform(0, 0.25, (len(levels), 5))
    scores[np.arange(len(levels)), levels] = rng.uniform(0.6, 1.0, len(levels))
    found = numbering.number(_points(heights), scores)
    assert [found.candidates[level] for level in levels] == list(range(len(levels)))
    assert found.probabilities[1] == max(found.probabilities)
