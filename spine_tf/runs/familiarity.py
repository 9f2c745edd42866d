"""What a model is asked about, beside what it was trained on: in words, where it is new to it."""

import collections
from collections.abc import Collection, Iterable

from spine_tf import labels


def describe(
    asked: Iterable[tuple[int, int]],
    *,
    conditions: Collection[str],
    levels: Collection[str],
) -> list[str]:
    """Returns a sentence for each condition and level that the model was not trained on.

    Args:
        asked: (condition, level) of each example, by number.
        conditions: names of those that it was trained on.
        levels: likewise.
    """
    counts = collections.Counter(asked)
    return [
        *_unknown("condition", counts, 0, labels.CONDITIONS, conditions),
        *_unknown("level", counts, 1, labels.LEVELS, levels),
    ]


def _unknown(
    kind: str,
    counts: collections.Counter[tuple[int, int]],
    part: int,
    names: Collection[str],
    trained: Collection[str],
) -> list[str]:
    return [
        f"{number} of {counts.total()} examples are of {kind} {name}, which the model was not "
        f"trained on: it saw {', '.join(trained)}"
        for index, name in enumerate(names)
        if name not in trained
        and (number := sum(count for pair, count in counts.items() if pair[part] == index))
    ]
