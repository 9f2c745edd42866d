"""The fields of a converted record: the contract between the converter and every reader."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.configuration import record_kind, roi_config
from spine_tf.crops import cutting
from tfrecords import example, json_object, manifest, records, schema

DATASET_NAME = "lumbar_spine"


def record_schema(roi: roi_config.RoiConfig) -> schema.Schema:
    """Returns the fields of a record that holds one region of interest.

    - image: resampled stored values, uint16 (roi_px, roi_px, num_slices), not windowed.
    - window: 0.5 and 99.5 percentile of the whole annotated slice (or of the series or the crop,
      as `roi.window` says) without padding, in stored values; a reader maps
      `clip((x - lo) / max(hi - lo, 1), 0, 1)`.
    - label, condition, level: indices into `spine_tf.labels`.
    - center_xy: px (column, row) in the source slice; pixel_spacing: mm (row, column).
    - slice_center_xy, with several slices: px (column, row) of that place in each of them, one
      after the other; that of the annotated slice, in the middle, is center_xy.
    - mirrored: 1 if the crop was flipped left-right.
    - key: `study/series/instance/condition/level`, unique in the directory.
    """
    by_slice = (
        schema.Feature(name="slice_center_xy", dtype="float32", shape=(2 * roi.num_slices,)),
    )
    return schema.Schema(
        features=(
            schema.Feature(
                name="image", dtype="uint16", shape=(roi.roi_px, roi.roi_px, roi.num_slices)
            ),
            schema.Feature(name="window", dtype="float32", shape=(2,)),
            schema.Feature(name="label", dtype="int64", class_names=labels.SEVERITIES),
            schema.Feature(name="condition", dtype="int64", class_names=labels.CONDITIONS),
            schema.Feature(name="level", dtype="int64", class_names=labels.LEVELS),
            schema.Feature(name="study_id", dtype="int64"),
            schema.Feature(name="series_id", dtype="int64"),
            schema.Feature(name="instance_number", dtype="int64"),
            schema.Feature(name="center_xy", dtype="float32", shape=(2,)),
            schema.Feature(name="pixel_spacing", dtype="float32", shape=(2,)),
            schema.Feature(name="mirrored", dtype="int64"),
            schema.Feature(name="key", dtype="bytes"),
            *(by_slice if roi.num_slices > 1 else ()),
        )
    )


def require_conversion(source: records.Records) -> roi_config.RoiConfig:
    """Returns the region of interest of a directory whose manifest says which rows it is of.

    Raises:
        ValueError: it holds another kind of record, or says neither; names the manifest.
    """
    require_regions(source)
    try:
        return check_conversion(source.manifest.config)
    except ValueError as err:
        path = source.directory / manifest.FILE_NAME
        raise ValueError(f"{path}: config: {err}: convert again with --overwrite") from err


def require_regions(source: records.Records) -> None:
    """Raises ValueError where a directory holds another kind of record than regions of interest."""
    record_kind.require(source.manifest.config, record_kind.ROI, str(source.directory))


def check_conversion(config: Mapping[str, Any]) -> roi_config.RoiConfig:
    """Returns the region of interest of a conversion; ValueError where rows or it are no such."""
    for name, known in (("conditions", labels.CONDITIONS), ("levels", labels.LEVELS)):
        said = config.get(name)
        if not isinstance(said, list) or not said or any(each not in known for each in said):
            raise ValueError(
                f"{name} is {json_object.in_words(said)}, expected a list of some of "
                f"{', '.join(known)}"
            )
    return roi_config.from_dict(config)


def serialize(crop: cutting.Crop, fields: schema.Schema) -> bytes:
    """Returns a crop as a record with the fields of `record_schema`."""
    row = crop.annotation
    has_several = len(crop.centers_xy) > 1
    by_slice = {"slice_center_xy": np.array(crop.centers_xy, np.float32).ravel()}
    return example.serialize(
        fields,
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
            **(by_slice if has_several else {}),
        },
    )
