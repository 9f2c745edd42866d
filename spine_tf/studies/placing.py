"""Puts the images of a series where the RSNA layout has them: whole series, or none of it."""

import contextlib
import dataclasses
import os
import pathlib
import shutil

from spine_tf.dicom import reasons
from spine_tf.studies import inventory, outcome, pile as pile_module, pile_image

_MARK = ".part-"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A series to be placed.

    Attributes:
        place: where.
        images: file, frame and instance number of each.
    """

    place: inventory.Place
    images: tuple[tuple[pile_module.File, int, int], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placed:
    """What became of it.

    Attributes:
        task: what was asked.
        num_linked: images that are hard links.
        failures: file, frame and why, of images that could not be read.
    """

    task: Task
    num_linked: int
    failures: tuple[tuple[str, int, outcome.LeftOut], ...]


def place(task: Task, *, pile: pile_module.Pile, output_dir: pathlib.Path) -> Placed:
    """Links, copies or splits the images of a series; what lies there before goes.

    Raises:
        OSError: the output can't be written.
    """
    target = output_dir / task.place.folder
    part = target.with_name(f"{target.name}{_MARK}{os.getpid()}")
    _remove(part)
    part.mkdir(parents=True)
    num_linked, failures, numbers = 0, [], {}
    for file, frame, number in task.images:
        path = part / f"{number}.dcm"
        if frame == 0 and _is_linked(pile.path(file), path):
            num_linked += 1
        else:
            numbers[file, frame] = path
    for file, frame, data in pile_image.read_files(pile, numbers):
        if isinstance(data, reasons.Rejected):
            failures.append((file.name, frame, outcome.of_reject(data)))
        else:
            _write(numbers[file, frame], data)
    _remove(target)
    part.rename(target)
    return Placed(task=task, num_linked=num_linked, failures=tuple(failures))


def _is_linked(source: pathlib.Path | None, path: pathlib.Path) -> bool:
    """Links a file; what has no path, and where links are refused, is to be copied."""
    if source is None:
        return False
    try:
        os.link(source, path, follow_symlinks=False)
    except OSError:
        return False
    return True


def _write(path: pathlib.Path, data: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())


def remove_leftovers(images_dir: pathlib.Path) -> None:
    """Removes what interrupted runs left in a folder of images."""
    for path in images_dir.glob(f"*/*{_MARK}*"):
        _remove(path)


def remove_series(folder: pathlib.Path) -> None:
    """Removes a series, and its study's folder where that becomes empty."""
    _remove(folder)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _remove(folder: pathlib.Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
