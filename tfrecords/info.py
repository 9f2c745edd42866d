"""TFDS's dataset_info.json: what `tfds.builder_from_directory` needs beside features.json."""

import pathlib
from typing import Any

from tfrecords import atomic, manifest

FILE_NAME = "dataset_info.json"


def write(directory: pathlib.Path, dataset: manifest.Manifest, description: str) -> str:
    """Writes dataset_info.json for the shards of a manifest; returns its name.

    Only splits that have shards are named: TFDS can't read a split without data. No key of our own
    either: TFDS refuses a file with a key that its protobuf doesn't know.
    """
    values = {
        "name": dataset.name,
        "version": f"{dataset.format_version}.0.0",
        "description": description,
        "fileFormat": "tfrecord",
        "splits": [_split(dataset, split) for split in dataset.splits],
    }
    atomic.write_json(directory / FILE_NAME, values)
    return FILE_NAME


def _split(dataset: manifest.Manifest, split: str) -> dict[str, Any]:
    shards = [shard for shard in dataset.shards if shard.split == split]
    return {
        "name": split,
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        "numBytes": str(sum(shard.num_bytes for shard in shards)),
        "shardLengths": [str(shard.num_examples) for shard in shards],
    }
