"""Where a run comes from, as its config.json says it: written, and checked when it is read."""

import math
import pathlib
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import spine_tf
from spine_tf.crops import record
from tfrecords import json_object, manifest, records

# What whoever uses a finished run asks for.
REQUIRED = (
    *("versions", "records", "train_splits", "monitor_split", "val_split", "train_studies"),
    "class_prior",
)


def describe(
    source: records.Records,
    *,
    train_splits: Sequence[str],
    monitor_split: str | None,
    val_split: str | None,
) -> dict[str, Any]:
    """Returns versions, the records' identity, the splits' parts and the studies, as JSON types.

    `train_studies` are those that weights, best epoch or calibration saw.
    """
    packages = ("tensorflow", "keras", "numpy", "pydicom")
    seen = [*train_splits] if monitor_split is None else [*train_splits, monitor_split]
    return {
        "versions": {
            "spine_tf": spine_tf.__version__,
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in packages},
        },
        "records": {
            "manifest_sha256": manifest.sha256_of(source.directory),
            "config": source.manifest.config,
            "num_examples": {split: source.num_examples(split) for split in source.splits},
        },
        "train_splits": list(train_splits),
        "monitor_split": monitor_split,
        "val_split": val_split,
        "train_studies": sorted(set(source.index(seen).columns["study_id"].tolist())),
    }


def read(path: pathlib.Path) -> dict[str, Any]:
    """Returns the provenance in a config.json; none is empty.

    Raises:
        ValueError: the file is no JSON object, or a field is not what training writes.
    """
    return json_object.read_as(
        _from_json, path, expected="the configuration of a run", mend="train the run again"
    )


def _from_json(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json_object.convert(
        dict[str, Any], values.get("provenance", {}), "provenance"
    )
    for name, (is_right, expected) in _FIELDS.items():
        if name in found and not is_right(found[name]):
            said = json_object.in_words(found[name])
            raise ValueError(f"provenance.{name} is {said}, expected {expected}")
    return found


def require(path: pathlib.Path, provenance: Mapping[str, Any]) -> None:
    """Raises ValueError where a finished run's provenance lacks what it is asked for."""
    for name in REQUIRED:
        if name not in provenance:
            raise ValueError(f"{path} has no provenance.{name}: train the run again")
    try:
        record.check_conversion(provenance["records"]["config"])
    except ValueError as err:
        raise ValueError(f"{path}: provenance.records.config: {err}: train the run again") from err


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(_is_name(each) for each in value)


def _is_name(value: Any) -> bool:
    """Names of splits become names of directories."""
    return isinstance(value, str) and bool(value) and pathlib.PurePath(value).name == value


def _is_name_or_none(value: Any) -> bool:
    return value is None or _is_name(value)


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)


def _is_prior(value: Any) -> bool:
    """Shares that a mean can be taken of."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(type(each) in (int, float) and 0.0 <= each <= 1.0 for each in value)
        and math.isclose(sum(value), 1.0, abs_tol=1e-3)
    )


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _is_records(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("manifest_sha256"), str)
        and isinstance(value.get("config"), dict)
    )


_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "versions": (_is_texts, "the version of each package"),
    "records": (_is_records, "manifest_sha256 and config of the records"),
    "train_splits": (_is_names, "names of splits"),
    "monitor_split": (_is_name_or_none, "the name of a split or null"),
    "val_split": (_is_name_or_none, "the name of a split or null"),
    "train_studies": (_is_ids, "study ids"),
    "start_studies": (_is_ids, "study ids"),
    "class_prior": (_is_prior, "shares of the classes that sum to 1"),
    "folds": (_is_names, "names of splits"),
    "seeds": (_is_ids, "seeds"),
}
