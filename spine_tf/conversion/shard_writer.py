"""Step 2 of a conversion: one shard, from DICOM files to a file of records. No TensorFlow."""

import collections
import functools
import pathlib
import tempfile
from typing import IO, Any

import numpy as np

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.conversion import note as note_module, plan
from spine_tf.crops import cutting, record
from spine_tf.dicom import reasons
from spine_tf.rsna import sources
from tfrecords import example, schema, shard

# Records wait here for their place in the shard: in memory, on disk where crops are large.
_MAX_BYTES_IN_MEMORY = 2**26


def write_shard(
    part: plan.Shard,
    *,
    source: sources.Source,
    roi: roi_config.RoiConfig,
    output_dir: pathlib.Path,
) -> note_module.Note:
    """Writes a shard and its note, or returns the note of a shard that is done.

    Idempotent: whoever writes it, and however often, the bytes are the same.
    """
    done = note_module.read_note(output_dir, part.file)
    if done is not None:
        return done
    with tempfile.SpooledTemporaryFile(_MAX_BYTES_IN_MEMORY, dir=str(output_dir)) as spool:
        rejects = []
        places: dict[str, tuple[int, int]] = {}
        unreadable: set[str] = set()
        # Images come in the order that decodes each once, records go in the order of the plan.
        for crop in cutting.read_crops(source, part.rows, roi, unreadable):
            if isinstance(crop, reasons.Reject):
                rejects.append(crop)
            else:
                data = serialize(crop, _schema(roi))
                places[crop.annotation.key] = spool.tell(), len(data)
                spool.write(data)
        writer = _write_records(part, output_dir, spool, places)
    note = note_module.Note(
        shard=writer.shard,
        class_counts=_class_counts(part, places),
        rejects=tuple(sorted(rejects)),
        unreadable=tuple(sorted(unreadable)),
    )
    note_module.write_note(output_dir, note)
    return note


def serialize(crop: cutting.Crop, record_schema: schema.Schema) -> bytes:
    """Returns a crop as a record."""
    row = crop.annotation
    return example.serialize(
        record_schema,
        {
            "image": crop.image,
            "window": np.array(crop.window, np.float32),
            "label": row.label,
            "condition": row.condition,
            "level": row.level,
            "study_id": row.study_id,
            "series_id": row.series_id,
            "instance_number": row.instance_number,
            "center_xy": np.array(crop.center_xy, np.float32),
            "pixel_spacing": np.array(crop.spacing, np.float32),
            "mirrored": int(crop.is_mirrored),
            "key": row.key.encode(),
        },
    )


@functools.cache
def _schema(roi: roi_config.RoiConfig) -> schema.Schema:
    return record.record_schema(roi)


def _write_records(
    part: plan.Shard,
    output_dir: pathlib.Path,
    spool: IO[Any],
    places: dict[str, tuple[int, int]],
) -> shard.Writer:
    writer = shard.Writer(output_dir / part.file, part.split)
    with writer:
        for row in part.rows:
            if row.key in places:
                offset, length = places[row.key]
                spool.seek(offset)
                writer.write(spool.read(length))
    return writer


def _class_counts(part: plan.Shard, places: dict[str, tuple[int, int]]) -> dict[str, int]:
    counts = collections.Counter(row.label for row in part.rows if row.key in places)
    return {name: counts[index] for index, name in enumerate(labels.SEVERITIES)}
