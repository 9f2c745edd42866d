from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from spine_tf.studies import series_kind, series_words, stack as stack_module
from spine_tf.synthesis import scan_header, scan_kinds, wording

_SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
_AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def _stack(orientation: tuple[float, ...] = _SAGITTAL, **values: Any) -> stack_module.Stack:
    given: dict[str, Any] = {
        "files": tuple(f"{number}" for number in range(9)),
        "positions": tuple((4.0 * number, 0.0, 0.0) for number in range(9)),
        "orientation": orientation,
        "pixel_spacing": (0.6, 0.6),
        "rows": 96,
        "columns": 96,
    }
    return stack_module.Stack(**(given | values))


def _no_pixels() -> list[np.ndarray]:
    return []


def _must_not_read() -> list[np.ndarray]:
    raise AssertionError("headers are enough here")


def _tilted(degrees: float) -> tuple[float, ...]:
    angle = np.radians(degrees)
    return (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle)))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"echo_time": 10.0, "repetition_time": 600.0}, "Sagittal T1"),
        ({"echo_time": 10.0}, "Sagittal T1"),  # no TR
        ({"echo_time": 29.9, "repetition_time": 1200.0}, "Sagittal T1"),
        ({"echo_time": 24.0, "repetition_time": 2200.0, "inversion_time": 800.0}, "Sagittal T1"),
        ({"echo_time": 24.0, "repetition_time": 2200.0}, None),  # proton density
        ({"echo_time": 60.0, "repetition_time": 900.0}, "Sagittal T2/STIR"),  # 3-D: TR says nothing
        ({"echo_time": 104.0, "repetition_time": 3500.0}, "Sagittal T2/STIR"),
        ({"echo_time": 35.0, "inversion_time": 160.0}, "Sagittal T2/STIR"),  # STIR between the TEs
        ({"echo_time": 14.0, "inversion_time": 150.0}, "Sagittal T2/STIR"),
        ({"orientation": _AXIAL, "echo_time": 104.0}, "Axial T2"),
        ({"orientation": _AXIAL, "echo_time": 10.0}, None),  # axial T1 is not graded
        ({"orientation": _tilted(58), "echo_time": 104.0}, "Axial T2"),  # along L5/S1
        ({"orientation": _tilted(75), "echo_time": 104.0}, None),  # coronal
        ({"orientation": (0.8, 0.6, 0.0, 0.0, 0.0, -1.0), "echo_time": 104.0}, None),  # oblique
    ],
)
def test_times_and_plane_decide_without_a_look_at_the_pixels(values, kind):
    decision = series_kind.decide(_stack(**values), _must_not_read)

    assert decision.kind == kind
    assert decision.confidence > 0.99


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t1_tse_sag_LWS", "T1"),
        ("sT1W_TSE sag", "T1"),
        ("SAG T1 FLAIR", "T1"),
        ("\u04221 \u0441\u0430\u0433", "T1"),  # Cyrillic letters
        ("\uff34\uff12 \u77e2\u72b6\u65ad", "T2"),  # full-width ones
        ("T2W_TSE_sag", "T2"),
        ("AX T2 FS", "T2"),
        ("t2_tirm_sag", "STIR"),
        ("SAG STIR", "STIR"),
        ("pd_tse_sag_fs", "PD"),
        ("SAG DP", "PD"),
        ("PDW SPAIR", "PD"),
        ("pd+t2_tse", None),  # two: one echo is asked for by its TE
        ("sag T1 and T2", None),
        ("SAG T12-S1", None),  # a vertebra
        ("C7-T1", None),
        ("T2-T9 sag", None),
        ("", None),
        (None, None),
        ("update", None),
    ],
)
def test_weighting_is_read_from_descriptions_of_many_spellings(text, expected):
    assert series_words.weighting(_stack(series_description=text)) == expected


def test_protocol_counts_where_the_description_is_silent():
    stack = _stack(series_description="LWS", protocol_name="t2_tse", sequence_name="*tir2d1")

    assert series_words.weighting(stack) == "T2"
    assert series_words.weighting(_stack(sequence_name="*tir2d1_15")) == "STIR"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"contrast_agent": "GADOTERATE"}, True),
        ({"series_description": "T1 SAG +C"}, True),
        ({"series_description": "t1_tse_sag_KM"}, True),
        ({"series_description": "T1 sag Gd"}, True),
        ({"series_description": "T1 SAG ohne KM"}, False),
        ({"series_description": "T1 SAG W/O CONTRAST"}, False),
        ({"series_description": "T1 SAG"}, False),
    ],
)
def test_contrast_agent_is_seen_in_the_header_or_the_description(values, expected):
    assert series_words.has_agent(_stack(**values)) is expected


def test_description_decides_where_te_is_absent_or_between():
    for echo_time in (None, 0.0, 45.0):
        stack = _stack(echo_time=echo_time, series_description="SAG T2")
        decision = series_kind.decide(stack, _must_not_read)
        assert decision.kind == "Sagittal T2/STIR"
        assert 0.9 < decision.confidence < 0.99


def test_nothing_is_named_where_nothing_says_what_it_is():
    decision = series_kind.decide(_stack(), _no_pixels)

    assert decision.kind is None
    assert decision.confidence <= 0.5
    assert "no slice can be decoded" in decision.reason


def test_contradiction_is_said_and_costs_confidence():
    stack = _stack(echo_time=100.0, series_description="SAG T1 Muster^Erika")

    decision = series_kind.decide(stack, _no_pixels)

    assert decision.kind == "Sagittal T2/STIR"
    assert decision.confidence < 0.9
    assert "against the description says T1" in decision.reason
    assert "Muster" not in decision.reason


def test_best_of_several_comes_first():
    few = _stack(files=("a",), positions=((0.0, 0.0, 0.0),))
    stacks = {
        "after contrast": _stack(contrast_agent="GD", pixel_spacing=(0.3, 0.3)),
        "fewer images": few,
        "coarser": _stack(pixel_spacing=(0.9, 0.9)),
        "stir": _stack(inversion_time=160.0),
        "best": _stack(),
    }
    t1 = series_kind.Decision(kind="Sagittal T1", confidence=1.0, reason="")

    ranked = sorted(stacks, key=lambda name: series_kind.rank(stacks[name], t1))

    assert ranked == ["best", "stir", "coarser", "fewer images", "after contrast"]
    whole = series_kind.rank(few, t1, num_images=30)
    assert whole < series_kind.rank(stacks["best"], t1)


_GRADED = {*series_kind.KINDS.values()}
_SCANS = [
    kind
    for kind in (*sum(scan_kinds.CORE.values(), ()), *scan_kinds.EXTRAS.values())
    if kind.truth in (*_GRADED, "proton_density", "other_weighting")
]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(wording.VENDORS),
    st.sampled_from((*wording.LANGUAGES, None)),
)
def test_every_scan_of_any_vendor_is_named_and_none_invented(seed, vendor, language):
    """With all of a header, without its times, and without its description."""
    rng = np.random.default_rng(seed)
    for kind in _SCANS:
        times = scan_header.draw_settings(kind, rng)
        said: dict[str, Any] = {
            "series_description": wording.describe(kind, vendor, language) or None
        }
        timed: dict[str, Any] = {
            "echo_time": times.echo_ms,
            "repetition_time": times.repetition_ms,
            "inversion_time": times.inversion_ms,
            "scanning_sequence": kind.scanning,
        }
        orientation = _AXIAL if kind.plane_word == "axial" else _SAGITTAL
        expected = kind.truth if kind.truth in _GRADED else None
        for shown in (said | timed, timed, said):
            decision = series_kind.decide(_stack(orientation, **shown), _no_pixels)
            is_silent = shown is said and (language is None or kind.has_second_echo)
            assert decision.kind == (None if is_silent else expected), decision.reason
