"""Where a data set's files are: one side (train or test) of a folder or of a zip file."""

import dataclasses
import os
import pathlib
from collections.abc import Collection, Iterator
from typing import Protocol

from spine_tf.rsna import archive, layout


class Source(Protocol):
    """Reads the files of one side of a data set; picklable, for workers."""

    @property
    def side(self) -> str:
        """Returns "train" or "test"."""

    def read(self, name: str, limit: int = -1) -> bytes:
        """Returns a file's bytes, the first `limit` of them; OSError where it can't be read."""

    def instances(self, study_id: int, series_id: int) -> list[int]:
        """Returns the instance numbers that a series has files for, sorted."""

    def image_names(self) -> Iterator[str]:
        """Yields the files in the folder of images, whether images or not, in any order."""

    def narrowed(self, series: Collection[tuple[int, int]]) -> "Source":
        """Returns a source for the images of these (study, series) alone, cheap to hand on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """A data set as a folder; symbolic links inside it are followed."""

    directory: pathlib.Path
    side: str

    def read(self, name: str, limit: int = -1) -> bytes:
        """Returns a file's bytes, the first `limit` of them."""
        with open(f"{self.directory}/{name}", "rb", buffering=0) as file:  # noqa: PTH123
            # A read with a size allocates that size, a read without one what the file has.
            is_whole = limit < 0 or os.fstat(file.fileno()).st_size <= limit
            return file.read() if is_whole else file.read(limit)

    def instances(self, study_id: int, series_id: int) -> list[int]:
        """Returns the instance numbers that a series has files for, sorted."""
        try:
            folder = self.directory / layout.series_dir(self.side, study_id, series_id)
            return layout.instances_among(path.name for path in folder.iterdir())
        except FileNotFoundError:
            return []

    def image_names(self) -> Iterator[str]:
        """Yields the files in the folder of images and the two levels of folders below it."""
        root = self.directory / layout.images_dir(self.side)
        for folder, folders, files in os.walk(root, followlinks=True):
            relative = pathlib.Path(folder).relative_to(self.directory)
            if len(relative.parts) > 2:
                folders.clear()  # nothing is looked for there, and a link may lead in a circle
            yield from (f"{relative.as_posix()}/{name}" for name in files)

    def narrowed(self, series: Collection[tuple[int, int]]) -> "Folder":
        """Returns itself: a path is cheap to hand on."""
        return self


def open_source(data_dir: pathlib.Path, side: str = "train") -> Source:
    """Opens one side of a data set.

    Raises:
        ValueError: there is no such data set, or it lacks the images of that side.
    """
    if side not in layout.SIDES:
        raise ValueError(f"side is {side!r}, expected one of {', '.join(layout.SIDES)}")
    if not data_dir.exists():
        raise ValueError(f"--data_dir {data_dir} does not exist; expected {layout.EXPECTED}")
    if data_dir.is_file():
        return archive.open_archive(data_dir, side)
    if not (data_dir / layout.images_dir(side)).is_dir():
        raise ValueError(
            f"{data_dir} has no folder {layout.images_dir(side)}; expected {layout.EXPECTED}"
        )
    return Folder(directory=data_dir, side=side)


def open_for_prediction(data_dir: pathlib.Path) -> Source:
    """Opens the test side where it has coordinates and images, else the train side."""
    if data_dir.is_file():
        return archive.open_for_prediction(data_dir)
    has_coordinates = (data_dir / layout.coordinates_csv("test")).is_file()
    has_images = (data_dir / layout.images_dir("test")).is_dir()
    return open_source(data_dir, "test" if has_coordinates and has_images else "train")
