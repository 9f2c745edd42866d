"""A stack on disk: stack.json, oof.csv and metrics.json; its members stay where they lie."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from spine_tf import labels
from spine_tf.configuration import directory_kind
from spine_tf.runs import run_directory
from spine_tf.stacking import level_table, members as members_module, regression
from tfrecords import atomic, json_object, regular_file

FILE_NAME = "stack.json"
FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Stack:
    """What a stack consists of.

    Attributes:
        task: of whole severities.
        run_dirs: of its members, in the order of the regressions' columns.
        regressions: by group of `level_table.GROUPS`, those that the members grade; fitted on all
            folds, for studies that no member saw.
        class_prior: share of each class in the training examples, over all members.
    """

    task: labels.Task
    run_dirs: tuple[pathlib.Path, ...]
    regressions: Mapping[str, regression.Regression]
    class_prior: tuple[float, ...]


def write(
    directory: pathlib.Path,
    stack: Stack,
    members: Sequence[members_module.Member],
    *,
    beside: pathlib.Path,
    more: Mapping[str, Any],
) -> None:
    """Writes stack.json.

    Args:
        directory: into which it is written.
        stack: what.
        members: of it.
        beside: where the directory will lie, from which the runs are named.
        more: what else the file tells.
    """
    runs = [
        {
            "run_dir": os.path.relpath(member.run_dir.resolve(), beside.resolve()),
            "oof_sha256": _sha256(member.run_dir),
            "conditions": list(member.conditions),
        }
        for member in members
    ]
    values = {
        "format_version": FORMAT_VERSION,
        "task": stack.task.name,
        "class_prior": list(stack.class_prior),
        "runs": runs,
        "regressions": {name: found.to_json() for name, found in stack.regressions.items()},
        **more,
    }
    atomic.write_json(directory / FILE_NAME, values)


def read(directory: pathlib.Path) -> Stack:
    """Reads a stack, and says where one of its members is not what it learned from.

    Raises:
        ValueError: there is no stack, it is damaged, or a run has moved or was trained again.
    """
    directory_kind.require(directory, directory_kind.Kind.STACK, "--run_dir")
    return json_object.read_as(
        lambda found: _from_json(directory, found),
        directory / FILE_NAME,
        expected="a stack that spine_tf.stack wrote",
        mend="stack again",
    )


def _from_json(directory: pathlib.Path, values: dict[str, Any]) -> Stack:
    if values.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"it has format version {values.get('format_version')!r}, this program reads "
            f"{FORMAT_VERSION}"
        )
    run_dirs = []
    for each in values["runs"]:
        run_dir = pathlib.Path(os.path.normpath(directory.resolve() / each["run_dir"]))
        if not (run_dir / run_directory.OUT_OF_FOLD_FILE).is_file():
            raise ValueError(f"its run {run_dir} is not there")
        if _sha256(run_dir) != each["oof_sha256"]:
            raise ValueError(f"its run {run_dir} has been trained again since")
        run_dirs.append(run_dir)
    regressions = {
        name: regression.Regression.from_json(found)
        for name, found in values["regressions"].items()
    }
    unknown = set(regressions) - set(level_table.GROUPS)
    if unknown or not regressions:
        raise ValueError(f"regressions are {sorted(regressions)}, expected {[*level_table.GROUPS]}")
    return Stack(
        task=labels.get_task(values["task"]),
        run_dirs=tuple(run_dirs),
        regressions=regressions,
        class_prior=tuple(values["class_prior"]),
    )


def _sha256(run_dir: pathlib.Path) -> str:
    path = run_dir / run_directory.OUT_OF_FOLD_FILE
    return hashlib.sha256(regular_file.read_bytes(path)).hexdigest()
