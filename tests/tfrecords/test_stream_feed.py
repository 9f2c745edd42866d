import pathlib

import numpy as np

from tfrecords import records, stream_feed


def test_stream_without_label_values_gives_every_record_and_the_fields_asked_for(
    records_dir: pathlib.Path,
) -> None:
    opened = records.open_records(records_dir)
    fields = ("window", "study_id")
    stream = stream_feed.StreamFeed(
        source=opened, splits=("fold_0",), label_values=None, fields=fields
    )

    assert stream.num_examples == 24
    batches = [*stream.ordered(batch_size=5)]
    assert set(batches[0]) == {"window", "study_id", "seed"}
    expected = [values["study_id"] for values in records.iterate(opened, ["fold_0"])]
    assert np.concatenate([batch["study_id"] for batch in batches]).tolist() == expected
