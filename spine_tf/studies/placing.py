"""Puts the images of a series where the RSNA layout has them: whole series, or none of it."""

import collections
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
    frames: dict[pile_module.File, dict[int, int]] = collections.defaultdict(dict)
    for file, frame, number in task.images:
        frames[file][frame] = number
    num_linked, failures = 0, []
    for file, numbers in frames.items():
        try:
            num_linked += _place_file(pile, file, numbers, part)
        except reasons.Rejected as rejected:
            failures += [(file.name, frame, outcome.of_reject(rejected)) for frame in numbers]
    _remove(target)
    part.rename(target)
    return Placed(task=task, num_linked=num_linked, failures=tuple(failures))


def _place_file(
    pile: pile_module.Pile, file: pile_module.File, numbers: dict[int, int], part: pathlib.Path
) -> int:
    """Places the images of a file by frame; returns how many are links."""
    path = pile.path(file)
    if path is not None and list(numbers) == [0]:
        # File systems without links, and those that refuse them, are copied to.
        with contextlib.suppress(OSError):
            os.link(path, part / f"{numbers[0]}.dcm", follow_symlinks=False)
            return 1
    try:
        images = pile_image.read_file(pile, file, list(numbers))
    except OSError as err:
        detail = err.strerror or type(err).__name__
        raise reasons.Rejected(reasons.Reason.UNREADABLE_FILE, detail) from err
    for frame, data in images.items():
        _write(part / f"{numbers[frame]}.dcm", data)
    return 0


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
