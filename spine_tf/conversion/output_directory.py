"""The output directory of a conversion: which files are ours, what may be continued."""

import json
import pathlib
import re
from typing import Any

from spine_tf.configuration import differences, record_kind, roi_config
from spine_tf.conversion import plan, shard_writer
from spine_tf.crops import record
from tfrecords import atomic, json_object, manifest, tfds_files

PLAN_FILE = "plan.json"
REJECTS_FILE = "rejects.csv"
CONTACT_SHEET_FILE = "contact_sheet.png"

_SHARD = re.compile(rf"{record.DATASET_NAME}-[a-z0-9_]+\.tfrecord-\d{{5}}-of-\d{{5}}")
_NAMES = {
    manifest.FILE_NAME,
    CONTACT_SHEET_FILE,
    REJECTS_FILE,
    tfds_files.INFO_FILE,
    tfds_files.FEATURES_FILE,
    PLAN_FILE,
    *(tfds_files.labels_file_name(name) for name in ("label", "condition", "level", "series_kind")),
}


def is_ours(path: pathlib.Path) -> bool:
    """Returns whether the converter writes files of that name."""
    name = atomic.final_name(path)
    return name in _NAMES or bool(_SHARD.fullmatch(name.removesuffix(shard_writer.NOTE_SUFFIX)))


def check(directory: pathlib.Path, wanted: plan.Plan) -> None:
    """Raises ValueError where a directory can't take or continue this conversion."""
    path = directory / PLAN_FILE
    if not path.exists():
        if atomic.contents(directory):
            raise ValueError(
                f"--output_dir {directory} is not empty and holds no conversion: choose a new one"
            )
        return
    found = json_object.read(
        path, expected="the plan of a conversion", mend="convert again with --overwrite"
    )
    if found != wanted.to_json():
        raise ValueError(
            f"{directory} holds another conversion ({_difference(found, wanted.to_json())}): "
            "choose another --output_dir, or --overwrite it"
        )


def _difference(found: Any, wanted: dict[str, Any]) -> str:
    found = found if isinstance(found, dict) else {}
    said = differences.differences(_config_of(found), _config_of(wanted))
    if said:
        return differences.in_words(said)
    if found.get("source") != wanted["source"]:
        return "the CSVs have changed"
    return "another division into shards"


def _config_of(plan_json: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a plan, with what is not written where it is as it always was."""
    config = plan_json.get("config")
    unwritten = {"kind": record_kind.ROI, "window": roi_config.RoiConfig.window}
    return {**unwritten, **(config if isinstance(config, dict) else {})}


def write_plan(directory: pathlib.Path, wanted: plan.Plan) -> None:
    """Writes plan.json unless it is there: the slots of an array job lock that very file."""
    if not (directory / PLAN_FILE).exists():
        data = json.dumps(wanted.to_json(), sort_keys=True, allow_nan=False)
        atomic.create_text(directory / PLAN_FILE, data + "\n")


def is_complete(directory: pathlib.Path) -> bool:
    """Returns whether a conversion has been finished here."""
    return (directory / manifest.FILE_NAME).exists()


def remove_ours(directory: pathlib.Path) -> None:
    """Removes every file of a conversion.

    The manifest goes first and the plan last: whenever this is interrupted, what is left is an
    unfinished conversion. Notes go before shards: a shard that was begun to be removed isn't done.
    """
    ours = [path for path in directory.iterdir() if is_ours(path)]

    def rank(path: pathlib.Path) -> tuple[bool, bool, bool]:
        is_note = path.name.endswith(shard_writer.NOTE_SUFFIX) and ".tfrecord-" in path.name
        return path.name != manifest.FILE_NAME, path.name == PLAN_FILE, not is_note

    for path in sorted(ours, key=rank):
        path.unlink()


def remove_leftovers(directory: pathlib.Path) -> None:
    """Removes what interrupted writes left behind; the caller holds the directory alone."""
    for path in directory.iterdir():
        if atomic.is_temporary(path) and is_ours(path):
            path.unlink()
