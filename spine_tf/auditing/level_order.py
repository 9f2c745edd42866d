"""Points that don't follow the spine from head to feet."""

import collections
from collections.abc import Iterable, Iterator, Sequence

from spine_tf import labels
from spine_tf.auditing import finding, point


def find(points: Iterable[point.Point]) -> Iterator[finding.Observation]:
    """Yields the points that are out of order in their series.

    A point is out of order if some longest run of levels that does follow the spine is without it:
    of two exchanged points both are, of one that went astray only that one.

    Args:
        points: one a study, condition and level.
    """
    groups = collections.defaultdict(list)
    for item in points:
        groups[item.row.study_id, item.row.series_id, item.row.condition].append(item)
    for group in groups.values():
        in_order = sorted(group, key=lambda item: item.row.level)
        heights = [item.head for item in in_order]
        for index in out_of_order(heights):
            detail = _describe(in_order, index)
            yield finding.Kind.LEVEL_ORDER, in_order[index].row, detail


def out_of_order(heights: Sequence[float]) -> list[int]:
    """Returns the indices that some longest falling subsequence is without."""
    before = _run_lengths(heights)
    after = _run_lengths([-height for height in reversed(heights)])[::-1]
    longest = max(before, default=0)
    # At each place of a longest run stands an index; where only one can, every longest run has it.
    candidates = collections.Counter(
        a for a, b in zip(before, after, strict=True) if a + b - 1 == longest
    )
    return [
        index
        for index, (a, b) in enumerate(zip(before, after, strict=True))
        if a + b - 1 != longest or candidates[a] > 1
    ]


def _run_lengths(heights: Sequence[float]) -> list[int]:
    """The length of the longest falling subsequence that ends at each index."""
    lengths: list[int] = []
    for index, height in enumerate(heights):
        shorter = [lengths[i] for i in range(index) if heights[i] > height]
        lengths.append(1 + max(shorter, default=0))
    return lengths


def _describe(in_order: Sequence[point.Point], index: int) -> str:
    head = in_order[index].head
    above = [item for item in in_order[index + 1 :] if item.head >= head]
    below = [item for item in in_order[:index] if item.head <= head]
    parts = [f"{item.head - head:.1f} mm below {_level(item)}" for item in above]
    parts += [f"{head - item.head:.1f} mm above {_level(item)}" for item in below]
    return f"{_level(in_order[index])} lies {' and '.join(parts)}"


def _level(item: point.Point) -> str:
    return labels.LEVELS[item.row.level].replace("_", "/").upper()
