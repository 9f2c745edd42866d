"""A schema as TFDS's features.json and labels files, and back."""

import json
import pathlib
from typing import Any

from tfrecords import atomic, schema

FILE_NAME = "features.json"

_TFDS = "tensorflow_datasets.core.features"
_FEATURES_DICT = f"{_TFDS}.features_dict.FeaturesDict"
_CLASS_LABEL = f"{_TFDS}.class_label_feature.ClassLabel"
_TEXT = f"{_TFDS}.text_feature.Text"
_SCALAR = f"{_TFDS}.scalar.Scalar"
_TENSOR = f"{_TFDS}.tensor_feature.Tensor"


def write(directory: pathlib.Path, record_schema: schema.Schema) -> list[str]:
    """Writes features.json and one `<feature>.labels.txt` a classed feature; returns the names."""
    written = []
    for feature in record_schema.features:
        if feature.class_names is not None:
            name = labels_file_name(feature.name)
            atomic.write_text(directory / name, "\n".join(feature.class_names) + "\n")
            written.append(name)
    features = {feature.name: _to_json(feature) for feature in record_schema.features}
    atomic.write_json(
        directory / FILE_NAME,
        {"pythonClassName": _FEATURES_DICT, "featuresDict": {"features": features}},
        indent=4,
    )
    return [*written, FILE_NAME]


def read(directory: pathlib.Path) -> schema.Schema:
    """Reads the schema of a records directory.

    Raises:
        ValueError: features.json or a labels file is missing or not what `write` makes.
    """
    path = directory / FILE_NAME
    try:
        features = json.loads(path.read_bytes())["featuresDict"]["features"]
        return schema.Schema(
            features=tuple(_from_json(directory, name, values) for name, values in features.items())
        )
    except FileNotFoundError as err:
        raise ValueError(f"{err.filename} does not exist: convert again with --overwrite") from err
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise ValueError(
            f"{path} describes no records ({err}): convert again with --overwrite"
        ) from err


def labels_file_name(feature_name: str) -> str:
    """Returns the name of the file that holds a feature's class names."""
    return f"{feature_name}.labels.txt"


def _to_json(feature: schema.Feature) -> dict[str, Any]:
    if feature.class_names is not None:
        num_classes = str(len(feature.class_names))
        return {"pythonClassName": _CLASS_LABEL, "classLabel": {"numClasses": num_classes}}
    if feature.dtype == "bytes":
        return {"pythonClassName": _TEXT, "text": {}}
    dimensions = {"dimensions": [str(size) for size in feature.shape]} if feature.shape else {}
    encoding = "bytes" if feature.dtype == "uint16" else "none"
    return {
        "pythonClassName": _TENSOR if feature.shape else _SCALAR,
        "tensor": {"shape": dimensions, "dtype": feature.dtype, "encoding": encoding},
    }


def _from_json(directory: pathlib.Path, name: str, values: dict[str, Any]) -> schema.Feature:
    kind = values["pythonClassName"]
    if kind == _CLASS_LABEL:
        lines = (directory / labels_file_name(name)).read_text("utf-8").splitlines()
        return schema.Feature(name=name, dtype="int64", class_names=tuple(lines))
    if kind == _TEXT:
        return schema.Feature(name=name, dtype="bytes")
    tensor = values["tensor"]
    shape = tuple(int(size) for size in tensor["shape"].get("dimensions", ()))
    return schema.Feature(name=name, dtype=tensor["dtype"], shape=shape)
