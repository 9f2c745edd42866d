"""Event files: what TensorBoard reads of them, and what nobody does."""

import pathlib
import re

from tensorboard.backend.event_processing import event_accumulator

from tfrecords import event_file


def test_tensorboard_reads_what_was_added_also_of_an_open_file(tmp_path: pathlib.Path) -> None:
    first = event_file.EventFile(tmp_path / "logs")
    first.add_scalars(0, {"loss": 0.5, "accuracy": 0.25})
    with event_file.EventFile(tmp_path / "logs") as second:  # as a run that goes on
        second.add_scalars(1, {"loss": 0.125})

    events = event_accumulator.EventAccumulator(str(tmp_path / "logs")).Reload()

    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(0, 0.5), (1, 0.125)]
    assert [e.value for e in events.Scalars("accuracy")] == [0.25]
    first.close()


def test_no_file_says_where_it_was_written(tmp_path: pathlib.Path) -> None:
    with event_file.EventFile(tmp_path) as events:
        events.add_scalars(0, {"loss": 0.5})

    (path,) = tmp_path.iterdir()

    assert re.fullmatch(r"events\.out\.tfevents\.[\d.]+", path.name)
