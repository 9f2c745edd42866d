"""Puts the images of a series where the RSNA layout has them: whole series, or none of it."""

import contextlib
import dataclasses
import pathlib
import shutil
from collections.abc import Iterator

from spine_tf.dicom import reasons
from spine_tf.rsna import layout
from spine_tf.studies import identities, inventory, outcome, pile as pile_module, pile_image
from tfrecords import atomic, file_system


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
        failures: files that could not be read, and why.
    """

    task: Task
    failures: tuple[tuple[pile_module.File, outcome.LeftOut], ...]


def place(task: Task, *, pile: pile_module.Pile, output_dir: pathlib.Path) -> Placed:
    """Links, copies or splits the images of a series; what lies there before goes.

    Raises:
        OSError: the output can't be written.
    """
    target = output_dir / task.place.folder
    _remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic.new_directory(target) as part, pile_image.quiet():
        return Placed(task=task, failures=tuple(_fill(part, task, pile)))


def _fill(
    part: pathlib.Path, task: Task, pile: pile_module.Pile
) -> Iterator[tuple[pile_module.File, outcome.LeftOut]]:
    """Puts the images into a folder; yields those that can't be read."""
    copied = {}
    for file, frame, number in task.images:
        source, path = pile.path(file), part / f"{number}.dcm"
        if source is None or frame or not file_system.link(source, path):
            copied[file, frame] = path
    for file, frame, data in pile_image.read_files(pile, copied):
        if isinstance(data, reasons.Rejected):
            yield file, outcome.of_reject(data)
        else:
            copied[file, frame].write_bytes(data)


def remove_leftovers(images_dir: pathlib.Path) -> None:
    """Removes what interrupted runs left in a folder of images."""
    for study in images_dir.iterdir() if images_dir.is_dir() else ():
        atomic.remove_dead(study)


def list_series(output_dir: pathlib.Path) -> set[str]:
    """Returns the folders of a data set that have the names of series, relative to it."""
    folders = (
        folder
        for side in layout.SIDES
        for folder in (output_dir / layout.images_dir(side)).glob("*/*")
        if folder.is_dir() and identities.is_id(folder.name)
    )
    return {folder.relative_to(output_dir).as_posix() for folder in folders}


def remove_series(folder: pathlib.Path) -> None:
    """Removes a series, and its study's folder where that becomes empty."""
    _remove(folder)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _remove(folder: pathlib.Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
