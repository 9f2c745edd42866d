"""How sure a point is: the columns that a file of points has beside those of coordinates."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from spine_tf.dicom import reasons
from spine_tf.rsna import tables

NUMBERING_COLUMNS = ("numbering_minus1", "numbering_0", "numbering_plus1")
COLUMNS = ("confidence", *NUMBERING_COLUMNS, "flag")
CERTAIN = (0.0, 1.0, 0.0)
"""The numbering of a level that somebody named."""

_ROUNDING = 0.01


class Doubts(NamedTuple):
    """See `annotations.Annotation`, whose fields these are."""

    confidence: float = 1.0
    numbering: tuple[float, float, float] = CERTAIN
    flag: str = ""


def parse(table: tables.Table, row: Sequence[str]) -> Doubts:
    """Returns what a row says; a column that the table lacks leaves no doubt.

    Raises:
        reasons.Rejected: a value is no probability, or the three don't sum to 1.
        ValueError: the table has some of the three columns of the numbering alone.
    """
    found = {name: row[table.index(name)] for name in COLUMNS if name in table.columns}
    there = [name for name in NUMBERING_COLUMNS if name in found]
    if there and len(there) < len(NUMBERING_COLUMNS):
        raise ValueError(
            f"{table.name} has {' and '.join(there)} alone; expected "
            f"{', '.join(NUMBERING_COLUMNS)}, or none of them"
        )
    shares = tuple(_probability(name, found[name]) for name in there)
    if shares and abs(math.fsum(shares) - 1) > _ROUNDING:
        raise _rejected(f"{', '.join(there)} sum to {math.fsum(shares):.3g}, expected 1")
    below, own, above = shares or CERTAIN
    return Doubts(
        confidence=_probability("confidence", found.get("confidence", "1")),
        numbering=(below, own, above),
        flag=found.get("flag", ""),
    )


def _probability(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise _rejected(f"{name} is {tables.shown(text)}, expected a number from 0 to 1")
    return value


def _rejected(detail: str) -> reasons.Rejected:
    return reasons.Rejected(reasons.Reason.BAD_CONFIDENCE, detail)
