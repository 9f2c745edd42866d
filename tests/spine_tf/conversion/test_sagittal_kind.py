"""What the other side of a single foramen is, on slices that are turned."""

import math

import pytest

from spine_tf import labels
from spine_tf.configuration import record_kind, roi_config
from spine_tf.conversion import job, plan
from spine_tf.rsna import sources
from tfrecords import records

_CANAL, _LEFT = labels.CONDITIONS[:2]
_FORAMEN = 8  # channel of L4/L5


@pytest.mark.parametrize("turn", [-0.3, 0.0, 0.3])
def test_other_side_of_a_single_foramen_is_told_where_the_foramen_lies(
    make_data_set, tmp_path, turn
):
    """The slices are turned about the head's axis: their corners lie far aside of the spine."""
    data = make_data_set(tmp_path / "data")
    back, normal = (-math.sin(turn), math.cos(turn), 0.0), (math.cos(turn), math.sin(turn), 0.0)
    for step in range(-6, 7):
        middle = [4.0 * step * part for part in normal]
        position = [at - 64 * part for at, part in zip(middle, back, strict=True)]
        data.add_image(
            1,
            2,
            step + 7,
            description="Sagittal T1",
            shape=(64, 64),
            spacing=(2.0, 2.0),
            position=(position[0], position[1], position[2] + 64.0),
            orientation=(*back, 0.0, 0.0, -1.0),
        )
    data.image_path(1, 2, 4).unlink()
    data.add_row(1, 2, 11, _LEFT, x=32, y=32)
    for level, number in zip(labels.LEVELS, (2, 5, 8), strict=False):
        data.add_row(1, 2, number, _CANAL, level, x=32, y=32)
    settings = plan.Settings(
        conditions=(_CANAL, _LEFT),
        levels=labels.LEVELS,
        roi=roi_config.RoiConfig(),
        kind=record_kind.SAGITTAL,
        num_folds=2,
        test_fraction=0.0,
    )
    source = sources.open_source(data.write())
    dataset = job.convert(source, tmp_path / "r", settings, num_workers=1)
    opened = records.open_records(tmp_path / "r")
    known = {
        values["instance_number"]: values["point_known"][_FORAMEN] == 1
        for values in records.iterate(opened, opened.splits)
    }
    assert {1, 6, 7, 11} <= known.keys()
    assert known == {number: number >= 7 for number in known}
    # Slice 4 is missing, so slice 5 repeats on that side, and 3, where there is a record of it.
    assert dataset.details["stacks_cut_short"] == len({3, 5} & known.keys()) > 0
