import dataclasses
import functools
import importlib.util
import pathlib
import sys
import types

import numpy as np
import pytest

from spine_tf.studies import canal_contrast, series_kind, weighting_coefficients

_LEARNER = pathlib.Path(__file__).parents[3] / "benchmarks" / "series_weighting.py"


@pytest.fixture(scope="module")
def learner() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("series_weighting", _LEARNER)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def examples(learner):
    """Series of two patients that nothing was learned from."""
    return list(learner.draw_examples(2, 77))


def share_of_t2(example) -> float:
    return canal_contrast.classify(example.slices, example.stack, example.plane)["T2"]


def test_most_series_are_told_by_their_pixels(examples):
    right = [(share_of_t2(example) > 0.5) == example.is_t2 for example in examples]

    assert sum(right) >= len(right) - 1


def test_scale_of_the_signal_changes_nothing(examples):
    for example in examples:
        louder = dataclasses.replace(example, slices=tuple(37 * each for each in example.slices))
        assert share_of_t2(louder) == pytest.approx(share_of_t2(example), abs=0.02)


def test_way_a_slice_is_stored_changes_nothing(examples):
    for example in examples:
        row, column = np.reshape(example.stack.orientation, (2, 3))
        turned = dataclasses.replace(
            example.stack,
            orientation=(*column, *-row),
            pixel_spacing=example.stack.pixel_spacing[::-1],
            rows=example.stack.columns,
            columns=example.stack.rows,
        )
        slices = tuple(each.T[::-1] for each in example.slices)
        share = canal_contrast.classify(slices, turned, example.plane)["T2"]
        assert share == pytest.approx(share_of_t2(example), abs=0.02)


def test_slices_without_anything_on_them_are_no_answer(examples):
    for example in examples[:1] + examples[-1:]:
        empty = [np.zeros_like(example.slices[0])]
        shares = canal_contrast.classify(empty, example.stack, example.plane)
        assert sum(shares.values()) == pytest.approx(1)


def test_pixels_name_a_series_of_which_no_header_says_anything(examples):
    sagittal = [example for example in examples if example.plane == "sagittal"]
    named = [
        series_kind.decide(example.stack, functools.partial(tuple, example.slices))
        for example in sagittal
    ]

    kinds = [decision.kind for decision in named]
    assert {"Sagittal T1", "Sagittal T2/STIR"} <= set(kinds)
    for decision in named:
        assert "the pixels say T1 0." in decision.reason
        assert (decision.kind is None) == (decision.confidence < 0.6)


@pytest.mark.slow
def test_learning_again_gives_the_same_decisions(learner, examples):
    learned = learner.learn(list(learner.draw_examples(learner.NUM_PATIENTS, 0)))

    for plane, (weights, bias) in weighting_coefficients.COEFFICIENTS.items():
        again, again_bias = learned[plane]
        for example in (each for each in examples if each.plane == plane):
            values = np.mean(
                [canal_contrast.features(each, example.stack, plane) for each in example.slices],
                axis=0,
            )
            stored, new = values @ weights + bias, values @ again + again_bias
            assert new == pytest.approx(stored, abs=0.05)
