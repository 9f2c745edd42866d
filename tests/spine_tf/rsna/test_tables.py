"""CSVs of a data set, sound and damaged."""

import random

import hypothesis
import pytest
from hypothesis import strategies

from spine_tf.rsna import tables
from tfrecords import csv_text

_CSV = (
    "study_id,series_id,instance_number,condition,level,x,y\r\n"
    '1,2,3,"Spinal Canal Stenosis",L4/L5,31.5,31.5\r\n'
    "1,2,4,Left Subarticular Stenosis,L5/S1,1e1,\r\n"
)


@hypothesis.settings(max_examples=30, deadline=None, derandomize=True)
@hypothesis.given(
    seed=strategies.integers(0, 2**32), encoding=strategies.sampled_from(("utf-8", "utf-16"))
)
def test_damaged_table_is_read_or_refused_by_its_name(seed, encoding):
    chance = random.Random(seed)
    data = bytearray(_CSV.encode(encoding))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        junk = chance.choice((b"", b'"', b"\0", b"\xff\xfe", b"\r", b",,,", b"\n" * 9, b"'=1"))
        data[at : at + chance.choice((0, 1, 3))] = junk
    data = data[: chance.choice((len(data), chance.randrange(len(data) + 1)))]
    try:
        table = tables.parse_table("x.csv", bytes(data))
    except ValueError as err:
        assert str(err).startswith("x.csv")
        return
    assert len(table.rows) == len(table.lines) <= len(data)
    assert all(any(row) for row in table.rows)


def test_table_of_more_rows_than_there_can_be_is_refused(monkeypatch):
    monkeypatch.setattr(csv_text, "MAX_ROWS", 1000)
    assert len(tables.parse_table("x.csv", b"a\n" * 1000).rows) == 999
    with pytest.raises(ValueError, match=r"^x.csv has more than 1000 lines"):
        tables.parse_table("x.csv", b"a\n" * 1002)
    with pytest.raises(ValueError, match=r"^x.csv has more than 1000 lines"):
        tables.parse_table("x.csv", b"\n" * 1002)
