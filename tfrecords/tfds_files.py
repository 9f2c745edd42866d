"""The files by which TFDS opens a records directory, the first of which holds its schema.

`tfds.builder_from_directory` needs features.json, a labels file for each classed feature, and
dataset_info.json, and refuses a key of our own in any of them.
"""

import pathlib
from typing import Any

from tfrecords import atomic, json_object, manifest, regular_file, schema

FEATURES_FILE = "features.json"
INFO_FILE = "dataset_info.json"

_TFDS = "tensorflow_datasets.core.features"
_FEATURES_DICT = f"{_TFDS}.features_dict.FeaturesDict"
_CLASS_LABEL = f"{_TFDS}.class_label_feature.ClassLabel"
_TEXT = f"{_TFDS}.text_feature.Text"
_SCALAR = f"{_TFDS}.scalar.Scalar"
_TENSOR = f"{_TFDS}.tensor_feature.Tensor"


def write_schema(directory: pathlib.Path, record_schema: schema.Schema) -> list[str]:
    """Writes features.json and one `<feature>.labels.txt` a classed feature; returns the names."""
    written = []
    for feature in record_schema.features:
        if feature.class_names is not None:
            name = labels_file_name(feature.name)
            atomic.write_text(directory / name, "\n".join(feature.class_names) + "\n")
            written.append(name)
    features = {feature.name: _to_json(feature) for feature in record_schema.features}
    atomic.write_json(
        directory / FEATURES_FILE,
        {"pythonClassName": _FEATURES_DICT, "featuresDict": {"features": features}},
        indent=4,
    )
    return [*written, FEATURES_FILE]


def read_schema(directory: pathlib.Path) -> schema.Schema:
    """Reads the schema of a records directory.

    Raises:
        ValueError: features.json or a labels file is missing or not what `write_schema` makes.
    """
    path = directory / FEATURES_FILE

    def make(values: dict[str, Any]) -> schema.Schema:
        features = values["featuresDict"]["features"]
        return schema.Schema(
            features=tuple(_from_json(directory, name, each) for name, each in features.items())
        )

    return json_object.read_as(
        make, path, expected="the fields of the records", mend="convert again with --overwrite"
    )


def labels_file_name(feature_name: str) -> str:
    """Returns the name of the file that holds a feature's class names."""
    return f"{feature_name}.labels.txt"


def write_info(directory: pathlib.Path, dataset: manifest.Manifest, description: str) -> str:
    """Writes dataset_info.json for the shards of a manifest; returns its name.

    Only splits that have shards are named: TFDS can't read a split without data.
    """
    values = {
        "name": dataset.name,
        "version": f"{dataset.format_version}.0.0",
        "description": description,
        "fileFormat": "tfrecord",
        "splits": [_split_to_json(dataset, split) for split in dataset.splits],
    }
    atomic.write_json(directory / INFO_FILE, values)
    return INFO_FILE


def read_shard_lengths(directory: pathlib.Path) -> dict[str, list[int]]:
    """Reads from dataset_info.json how many records each shard of each split has.

    Raises:
        ValueError: the file is missing or says nothing of that.
    """
    path = directory / INFO_FILE

    def make(values: dict[str, Any]) -> dict[str, list[int]]:
        return {
            split["name"]: [int(number) for number in split["shardLengths"]]
            for split in values["splits"]
        }

    return json_object.read_as(
        make,
        path,
        expected="the lengths of the shards",
        mend="copy the directory again or convert again with --overwrite",
    )


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
    schema.require_name(name)
    if kind == _CLASS_LABEL:
        lines = _read_class_names(directory / labels_file_name(name))
        return schema.Feature(name=name, dtype="int64", class_names=tuple(lines))
    if kind == _TEXT:
        return schema.Feature(name=name, dtype="bytes")
    tensor = values["tensor"]
    shape = tuple(int(size) for size in tensor["shape"].get("dimensions", ()))
    return schema.Feature(name=name, dtype=tensor["dtype"], shape=shape)


def _read_class_names(path: pathlib.Path) -> list[str]:
    try:
        return regular_file.read_text(path).splitlines()
    except FileNotFoundError as err:
        raise ValueError(f"{path} does not exist") from err


def _split_to_json(dataset: manifest.Manifest, split: str) -> dict[str, Any]:
    shards = dataset.shards_of(split)
    return {
        "name": split,
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        "numBytes": str(sum(shard.num_bytes for shard in shards)),
        "shardLengths": [str(shard.num_examples) for shard in shards],
    }
