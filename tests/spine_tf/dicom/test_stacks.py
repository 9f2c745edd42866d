"""Which slices are neighbours: of one acquisition, on the next planes, up to a gap."""

import dataclasses
import itertools
import random

import pytest
from hypothesis import given, settings, strategies as st

from spine_tf.dicom import header, reasons, stacks

_USUAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_OBLIQUE = (0.98, 0.05, -0.19, 0.0, 0.966, 0.259)


def _header(z=0.0, **changes):
    usual = header.Header(
        rows=64,
        columns=72,
        bits_allocated=16,
        bits_stored=12,
        high_bit=11,
        is_signed=False,
        is_inverted=False,
        slope=1.0,
        intercept=0.0,
        spacing=(0.5, 0.5),
        position=(0.0, 0.0, float(z)),
        orientation=_USUAL,
    )
    return dataclasses.replace(usual, **changes)


def _stack(positions, **changes):
    """Headers by instance number, from 1, along the patient's axis."""
    return {number: _header(z, **changes) for number, z in enumerate(positions, start=1)}


def _of(**values):
    return header.Acquisition(**values)


@pytest.mark.parametrize(
    ("positions", "instance", "num_slices", "expected", "is_cut_short"),
    [
        pytest.param([0, 4, 8, 12, 16], 3, 3, [2, 3, 4], False, id="in order"),
        pytest.param([16, 12, 8, 4, 0], 3, 3, [4, 3, 2], False, id="numbered backwards"),
        pytest.param([4, 16, 8, 0, 12], 3, 5, [4, 1, 3, 5, 2], False, id="numbered at random"),
        pytest.param([0, 4, 8], 1, 5, [1, 1, 1, 2, 3], False, id="lower end"),
        pytest.param([0, 4, 8], 3, 7, [1, 1, 2, 3, 3, 3, 3], False, id="upper end"),
        pytest.param([0], 1, 3, [1, 1, 1], False, id="alone"),
        pytest.param([0, 4, 30, 34], 2, 3, [1, 2, 2], True, id="slabs of two"),
        pytest.param([0, 4, 8, 40, 44, 48], 4, 5, [4, 4, 4, 5, 6], True, id="slabs of three"),
        pytest.param([0, 4, 8, 16, 20], 3, 3, [2, 3, 3], True, id="a slice is missing"),
        pytest.param([0, 4, 8, 12, 40], 5, 3, [5, 5, 5], True, id="a slice far off"),
        pytest.param([0, 4.4, 8, 11.5, 16], 3, 5, [1, 2, 3, 4, 5], False, id="uneven steps"),
        pytest.param([0, 30, 60], 2, 3, [1, 2, 3], False, id="one slice a disc"),
        pytest.param([0, 4, 8], 2, 1, [2], False, id="one slice"),
    ],
)
def test_neighbours_come_by_position_up_to_a_gap(
    positions, instance, num_slices, expected, is_cut_short
):
    found = stacks.neighbours(instance, _stack(positions), num_slices)
    assert (list(found.numbers), found.is_cut_short) == (expected, is_cut_short)


@pytest.mark.parametrize(
    ("changes", "is_cut_short"),
    [
        pytest.param({"rows": 65}, True, id="another shape"),
        pytest.param({"spacing": (0.6, 0.6)}, True, id="another spacing"),
        pytest.param({"orientation": _OBLIQUE}, True, id="another orientation"),
        pytest.param({"position": None}, True, id="nowhere"),
        pytest.param({"acquisition": _of(echo_numbers=(2.0,))}, True, id="another echo"),
    ],
)
def test_slice_of_another_stack_leaves_a_gap(changes, is_cut_short):
    headers = _stack([0, 4, 8, 12])
    headers[3] = dataclasses.replace(headers[3], **changes)
    found = stacks.neighbours(2, headers, 3)
    assert (found.numbers, found.is_cut_short) == ((1, 2, 2), is_cut_short)


@pytest.mark.parametrize(
    ("changes", "is_cut_short"),
    [({"rows": 65}, True), ({"orientation": _OBLIQUE}, False), ({"position": None}, False)],
)
def test_acquisition_that_goes_on_otherwise_is_told_from_its_end(changes, is_cut_short):
    headers = _stack([0, 4, 8])
    headers[3] = dataclasses.replace(headers[3], **changes)
    found = stacks.neighbours(2, headers, 3)
    assert (found.numbers, found.is_cut_short) == ((1, 2, 2), is_cut_short)


_TOLD_APART = [
    {"series_uid": "1.2.3.5"},
    {"echo_time": (98.0,)},
    {"echo_numbers": (2.0,)},
    {"image_type": ("ORIGINAL", "PRIMARY", "P")},
    {"temporal_position": (2.0,)},
    {"b_value": 500.0},
]


@pytest.mark.parametrize("changes", _TOLD_APART, ids=lambda changes: next(iter(changes)))
def test_neighbours_are_of_the_same_acquisition(changes):
    """The others lie at the same places or half a step beside, and are numbered first."""
    own = _of(series_uid="1.2.3.4", echo_time=(12.0,), image_type=("ORIGINAL", "PRIMARY", "M"))
    other = dataclasses.replace(own, **changes)
    headers = {
        **_stack([0, 4, 8, 2, 6, 10], acquisition=other),
        **{10 + n: h for n, h in _stack([0, 4, 8], acquisition=own).items()},
    }
    assert stacks.neighbours(12, headers, 3).numbers == (11, 12, 13)
    assert stacks.neighbours(2, headers, 3).numbers == (4, 2, 5)
    assert not stacks.is_same_acquisition(headers[1], headers[11])


def test_slices_that_say_nothing_are_of_one_acquisition():
    headers = _stack([0, 4, 8])
    assert stacks.is_same_acquisition(headers[1], headers[2])
    headers[3] = dataclasses.replace(headers[3], acquisition=_of(series_uid="1.2"))
    assert stacks.neighbours(2, headers, 3).numbers == (1, 2, 2)


@pytest.mark.parametrize(
    ("positions", "instance", "expected"),
    [
        pytest.param([0, 0, 4, 4, 8, 8], 3, (1, 3, 5), id="place by place"),
        pytest.param([0, 0, 4, 4, 8, 8], 4, (2, 4, 6), id="place by place, the second"),
        pytest.param([0, 4, 8, 0, 4, 8], 2, (1, 2, 3), id="one after the other"),
        pytest.param([0, 4, 8, 0, 4, 8], 5, (4, 5, 6), id="one after the other, the second"),
        pytest.param([0, 4, 8, 0, 4], 5, (4, 5, 3), id="the second is shorter"),
    ],
)
def test_of_two_files_at_one_place_the_one_of_the_same_turn_is_taken(positions, instance, expected):
    assert stacks.neighbours(instance, _stack(positions), 3).numbers == expected


def test_of_two_files_at_one_place_the_one_that_is_more_alike_is_taken():
    """The first of each place by number is another one's: its scale, or its time, is."""
    positions = [0, 0, 4, 4, 8, 8]
    headers = _stack(positions)
    for number, hints in enumerate([b"pm", b"mm", b"mm", b"pm", b"px", b"mx"], start=1):
        headers[number] = dataclasses.replace(
            headers[number], hints=tuple(bytes([hint]) for hint in hints)
        )
    assert stacks.neighbours(3, headers, 3).numbers == (2, 3, 6)


def test_neighbours_of_a_slice_without_a_place_are_unknown():
    for lost in ({"position": None}, {"orientation": None}):
        with pytest.raises(reasons.Rejected, match="neighbours are unknown"):
            stacks.neighbours(1, {1: _header(**lost)}, 3)


@settings(deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=9, unique=True), st.data())
def test_neighbours_ascend_and_are_nearest_within_their_slab(positions, data):
    headers = _stack(positions)
    instance = data.draw(st.integers(1, len(positions)))
    found = [positions[n - 1] for n in stacks.neighbours(instance, headers, 5).numbers]
    ordered = sorted(positions)
    gaps = [b - a for a, b in itertools.pairwise(ordered)]
    allowed = 1.5 * sorted(gaps)[(len(gaps) - 1) // 2] if gaps else 0
    center = ordered.index(positions[instance - 1])
    slab = [center]
    while slab[0] > 0 and gaps[slab[0] - 1] <= allowed:
        slab.insert(0, slab[0] - 1)
    while slab[-1] < len(gaps) and gaps[slab[-1]] <= allowed:
        slab.append(slab[-1] + 1)
    clamped = [min(max(center + step, slab[0]), slab[-1]) for step in range(-2, 3)]
    assert found == [ordered[index] for index in clamped]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 40), st.sampled_from([64, 64, 64, 65]), st.sampled_from([1, 1, 2])
        ),
        min_size=1,
    ),
    st.sampled_from([1, 3, 5, 7]),
    st.integers(0, 99),
)
def test_decisive_slices_decide_the_neighbours(slices, num_slices, seed):
    headers = {
        number: _header(z, rows=rows, acquisition=_of(echo_numbers=(float(echo),)))
        for number, (z, rows, echo) in enumerate(slices, start=1)
    }
    generator = random.Random(seed)
    chosen = {n for n in headers if generator.random() < 0.3} or {1}
    decisive = stacks.decisive(chosen, headers, num_slices)
    fewer = {number: headers[number] for number in sorted(decisive)}
    for count in range(1, num_slices + 1, 2):
        for number in chosen:
            expected = stacks.neighbours(number, headers, count)
            assert stacks.neighbours(number, fewer, count) == expected


def test_decisive_slices_are_few_where_the_stack_is_even():
    headers = _stack(range(0, 120, 4))
    assert stacks.decisive({10}, headers, 3) == {8, 9, 10, 11, 12}
    assert stacks.decisive({10}, headers, 1) == {10}


def test_slice_without_a_place_decides_nothing_else():
    headers = {**_stack([0, 4, 8]), 9: _header(position=None)}
    assert stacks.decisive({9}, headers, 3) == {9}


def test_kinds_of_slices_are_counted():
    headers = [
        _header(),
        _header(rows=65),
        _header(spacing=(0.5, 0.50001)),
        _header(spacing=(0.5, 0.6)),
        _header(orientation=_OBLIQUE),
        _header(orientation=None),
        _header(acquisition=_of(echo_time=(3.0,))),
        _header(acquisition=_of(echo_time=(5.0,))),
    ]
    assert stacks.count_kinds(headers) == {
        "acquisitions": 3,
        "shapes": 2,
        "spacings": 2,
        "orientations": 2,
    }


def test_split_divides_a_folder_into_what_neighbours_are_taken_from():
    sagittal = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    second_slab = {n + 10: h for n, h in _stack([90, 86, 82], orientation=_OBLIQUE).items()}
    beside = {21: _header(orientation=sagittal), 22: _header(position=None)}
    echo = {30: _header(4.0, acquisition=_of(echo_numbers=(2.0,)))}
    found = stacks.split({**_stack([0, 8, 4]), **second_slab, **beside, **echo})
    assert [stack.numbers for stack in found] == [(1, 3, 2), (13, 12, 11), (21,), (30,)]
    assert found[0].offsets == (0.0, 4.0, 8.0)


@given(st.permutations(range(12)), st.integers(1, 3))
@settings(max_examples=30)
def test_split_gives_each_file_of_a_plane_a_stack_of_those_that_go_with_it(order, num_layers):
    headers = {
        number + 1: _header(4.0 * (at % 4), hints=(b"%d" % (at // 4),))
        for number, at in enumerate(order[: 4 * num_layers])
    }
    full = {n: h for n, h in headers.items() if int(h.hints[0]) < num_layers}
    found = stacks.split(full)
    assert sorted(itertools.chain(*(stack.numbers for stack in found))) == sorted(full)
    for stack in found:
        assert len({full[number].position for number in stack.numbers}) == len(stack.numbers)
    if len(full) == 12:
        assert all(len({full[n].hints for n in stack.numbers}) == 1 for stack in found)
