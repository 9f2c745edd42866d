"""A search directory: what lies where, who may write into it, and how much of it is kept."""

import contextlib
import hashlib
import json
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spine_tf.configuration import differences
from spine_tf.processes import lock
from tfrecords import atomic, json_object, output_place
from tuner import admission

SEARCH_FILE = "search.json"
TRIALS_DIR = "trials"
LOGS_DIR = "logs"
WORKERS_DIR = "workers"
TENSORBOARD_DIR = "tensorboard"
BEST_FILE = "best.json"
BEST_DIR = "best"
LEADERBOARD_FILE = "leaderboard.csv"
PAGE_FILE = "search.html"
RETRAINED_DIR = "retrained"

# Weights are kept of so many trials, fewer if the disk budget says so.
KEPT_TRIALS = 3

_FORMAT_VERSION = 1
_OWN_NAMES = (
    *(SEARCH_FILE, TRIALS_DIR, LOGS_DIR, WORKERS_DIR, TENSORBOARD_DIR, BEST_FILE, BEST_DIR),
    *(LEADERBOARD_FILE, PAGE_FILE, RETRAINED_DIR, admission.SECRET_FILE),
)
# What a log flag or a worker may have put there before the search.
_NO_SEARCH = (LOGS_DIR,)


@contextlib.contextmanager
def hold(directory: pathlib.Path) -> Iterator[None]:
    """Makes the directory and holds it for one search; the kernel lets go of it at death.

    Raises:
        ValueError: another search holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with lock.lock_directory(directory, owner="search", flag="--search_dir"):
        yield


def prepare(
    directory: pathlib.Path, identity: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> None:
    """Begins a search in a directory, or checks that the one there may go on.

    Raises:
        ValueError: neither `resume` nor `overwrite` where a search exists; another search there;
            files there that no search wrote.
    """
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other: give one of them")
    _refuse_foreign_files(directory)
    present = [
        name for name in _OWN_NAMES if name not in _NO_SEARCH and (directory / name).exists()
    ]
    if overwrite:
        _remove(directory)
    elif present and SEARCH_FILE not in present:
        raise ValueError(
            f"{directory} has no {SEARCH_FILE}, an --overwrite was cut short: give --overwrite"
        )
    elif present and not resume:
        raise ValueError(
            f"{directory} holds a search: continue it with --resume or begin anew with --overwrite"
        )
    elif present:
        check(directory, identity)
        files = BEST_FILE, LEADERBOARD_FILE, PAGE_FILE
        output_place.require_inside(directory, "--search_dir", files=files)
        return
    _write(directory, identity)


def read_identity(directory: pathlib.Path) -> dict[str, Any]:
    """Reads what decides the search of a directory.

    Raises:
        ValueError: there is no search, or one of another format.
    """
    path = directory / SEARCH_FILE
    if not path.exists():
        raise ValueError(f"{path} does not exist: {directory} holds no search")
    return json_object.read_as(
        _identity, path, expected="what is searched", mend="begin anew with --overwrite"
    )


def _identity(values: dict[str, Any]) -> dict[str, Any]:
    if values.get("format_version") != _FORMAT_VERSION:
        raise ValueError(f"it has another format than version {_FORMAT_VERSION}")
    found: dict[str, Any] = json_object.convert(dict[str, Any], values["identity"], "identity")
    digest(found)  # what is no JSON, such as Infinity, has none
    return found


def read_digest(directory: pathlib.Path) -> str:
    """Reads what stands for a directory's search in a few letters; ValueError as above."""
    return digest(read_identity(directory))


def digest(identity: Mapping[str, Any]) -> str:
    """Returns what stands for an identity: the same for one that was written and read."""
    text = json.dumps(identity, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def check(directory: pathlib.Path, identity: Mapping[str, Any]) -> None:
    """Raises ValueError, with the difference, if a directory holds another search."""
    found = differences.differences(read_identity(directory), identity)
    if found:
        raise ValueError(
            f"{directory} holds another search: {differences.in_words(found)}. Repeat its "
            "settings, choose another --search_dir, or begin anew with --overwrite"
        )


def trial_dir(directory: pathlib.Path, trial_id: str) -> pathlib.Path:
    """Returns where a trial's files lie.

    Raises:
        ValueError: the id is none that an oracle gives; it could lead out of the directory.
    """
    if not re.fullmatch("[A-Za-z0-9_-]{1,100}", trial_id):
        raise ValueError(f"trial id is {trial_id!r}, expected letters and digits")
    return directory / TRIALS_DIR / f"trial_{trial_id}"


def state_dir(directory: pathlib.Path, trial_id: str, fold: int) -> pathlib.Path:
    """Returns where a trial that may be continued leaves its training state."""
    return trial_dir(directory, trial_id) / f"state_fold_{fold}"


def keep_best_weights(
    search_dir: pathlib.Path, ranked: Sequence[str], *, max_disk_mb: float | None
) -> bool:
    """Removes all weights but those of the best trials, and of these as many as the disk allows.

    Args:
        search_dir: the search's directory.
        ranked: trial ids, the best first.
        max_disk_mb: megabytes that the whole directory may take; None is no limit.

    Returns:
        Whether the directory is within its limit.
    """
    kept = list(ranked[:KEPT_TRIALS])
    # Only of ranked trials: a worker may be writing the weights of a trial that is not yet ranked.
    for trial_id in ranked[KEPT_TRIALS:]:
        _remove_weights(search_dir, trial_id)
    if max_disk_mb is None:
        return True
    while not _is_within(search_dir, max_disk_mb) and len(kept) > 1:
        _remove_weights(search_dir, kept.pop())
    return _is_within(search_dir, max_disk_mb)


def remove_states(search_dir: pathlib.Path, needed: Sequence[str]) -> None:
    """Removes the training states of trials that will not be continued."""
    for path in (search_dir / TRIALS_DIR).glob("trial_*/state_fold_*"):
        if path.parent.name.removeprefix("trial_") not in needed:
            shutil.rmtree(path)


def _remove_weights(search_dir: pathlib.Path, trial_id: str) -> None:
    for path in trial_dir(search_dir, trial_id).glob("*.keras"):
        path.unlink()


def _is_within(search_dir: pathlib.Path, max_disk_mb: float) -> bool:
    return _size_bytes(search_dir) <= max_disk_mb * 2**20


def _size_bytes(directory: pathlib.Path) -> int:
    """What all files below a directory take; files that vanish meanwhile count nothing."""
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _write(directory: pathlib.Path, identity: Mapping[str, Any]) -> None:
    values = {
        "format_version": _FORMAT_VERSION,
        "sha256": digest(identity),
        "identity": identity,
    }
    atomic.write_json(directory / SEARCH_FILE, values)


def _refuse_foreign_files(directory: pathlib.Path) -> None:
    for path in sorted(directory.iterdir()):
        if path.name not in _OWN_NAMES and not atomic.is_temporary(path):
            raise ValueError(
                f"{directory} holds {path.name}, which no search wrote: choose another --search_dir"
            )


def _remove(directory: pathlib.Path) -> None:
    """Removes a search, first the file that says that it is one."""
    for name in _OWN_NAMES:
        path = directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
