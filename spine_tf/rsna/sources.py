"""Where a data set's files are: one side (train or test) of a folder in the RSNA layout."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable
from typing import Protocol

SIDES = ("train", "test")


class Source(Protocol):
    """Reads the files of one side of a data set; small and picklable, for workers."""

    @property
    def side(self) -> str:
        """Returns "train" or "test"."""

    def has(self, name: str) -> bool:
        """Returns whether there is a file of that name, relative to the data set."""

    def read(self, name: str, limit: int = -1) -> bytes:
        """Returns a file's bytes, the first `limit` of them; OSError where it can't be read."""

    def instances(self, study_id: int, series_id: int) -> list[int]:
        """Returns the instance numbers that a series has files for, sorted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """A data set as a folder; symbolic links inside it are followed."""

    directory: pathlib.Path
    side: str

    def has(self, name: str) -> bool:
        """Returns whether there is a file of that name."""
        return (self.directory / name).is_file()

    def read(self, name: str, limit: int = -1) -> bytes:
        """Returns a file's bytes, the first `limit` of them."""
        with open(f"{self.directory}/{name}", "rb", buffering=0) as file:  # noqa: PTH123
            # A read with a size allocates that size, a read without one what the file has.
            is_whole = limit < 0 or os.fstat(file.fileno()).st_size <= limit
            return file.read() if is_whole else file.read(limit)

    def instances(self, study_id: int, series_id: int) -> list[int]:
        """Returns the instance numbers that a series has files for, sorted."""
        folder = self.directory / images_dir(self.side) / str(study_id) / str(series_id)
        if not folder.is_dir():
            return []
        return sorted(instances_among(path.name for path in folder.iterdir()))


def open_source(data_dir: pathlib.Path, side: str = "train") -> Source:
    """Opens one side of a data set.

    Raises:
        ValueError: there is no such folder, or it lacks what that side consists of.
    """
    if side not in SIDES:
        raise ValueError(f"side is {side!r}, expected one of {', '.join(SIDES)}")
    if not data_dir.exists():
        raise ValueError(f"--data_dir {data_dir} does not exist; expected {_EXPECTED}")
    if not data_dir.is_dir():
        raise ValueError(f"--data_dir {data_dir} is not a folder; expected {_EXPECTED}")
    if not (data_dir / images_dir(side)).is_dir():
        raise ValueError(f"{data_dir} has no folder {images_dir(side)}; expected {_EXPECTED}")
    return Folder(directory=data_dir, side=side)


def open_for_prediction(data_dir: pathlib.Path) -> Source:
    """Opens the test side where it has coordinates and images, else the train side."""
    if (data_dir / coordinates_csv("test")).is_file() and (data_dir / images_dir("test")).is_dir():
        return open_source(data_dir, "test")
    return open_source(data_dir, "train")


def images_dir(side: str) -> str:
    """Returns the folder of a side's images."""
    return f"{side}_images"


def coordinates_csv(side: str) -> str:
    """Returns the file of a side's coordinates."""
    return f"{side}_label_coordinates.csv"


def series_csv(side: str) -> str:
    """Returns the file of a side's series."""
    return f"{side}_series_descriptions.csv"


LABELS_CSV = "train.csv"


def image_name(side: str, study_id: int, series_id: int, instance_number: int) -> str:
    """Returns an image's file, relative to the data set."""
    return f"{images_dir(side)}/{study_id}/{series_id}/{instance_number}.dcm"


def instances_among(names: Iterable[str]) -> list[int]:
    """Returns the instance numbers of the names of the form 17.dcm; others are left aside."""
    stems = [name[: -len(".dcm")] for name in names if name.endswith(".dcm")]
    return [int(stem) for stem in stems if stem.isascii() and stem.isdigit()]


_EXPECTED = (
    "a folder in the RSNA layout: train.csv, train_label_coordinates.csv, "
    "train_series_descriptions.csv and train_images/"
)
