"""The names of the RSNA layout: which file of a data set holds what."""

import re
from collections.abc import Iterable

SIDES = ("train", "test")
LABELS_CSV = "train.csv"
EXPECTED = (
    "a folder or a zip file in the RSNA layout: train.csv, train_label_coordinates.csv, "
    "train_series_descriptions.csv and train_images/"
)


def other_side(side: str) -> str:
    """Returns the side that a side is not."""
    return "test" if side == "train" else "train"


def images_dir(side: str) -> str:
    """Returns the folder of a side's images."""
    return f"{side}_images"


def coordinates_csv(side: str) -> str:
    """Returns the file of a side's coordinates."""
    return f"{side}_label_coordinates.csv"


def series_csv(side: str) -> str:
    """Returns the file of a side's series."""
    return f"{side}_series_descriptions.csv"


def series_dir(side: str, study_id: int, series_id: int) -> str:
    """Returns the folder of a series."""
    return f"{images_dir(side)}/{study_id}/{series_id}"


def image_name(side: str, study_id: int, series_id: int, instance_number: int) -> str:
    """Returns an image's file."""
    return f"{series_dir(side, study_id, series_id)}/{instance_number}.dcm"


def series_of(name: str) -> tuple[int, int]:
    """Returns study and series of an image's file, as `image_name` writes it."""
    _, study, series, _ = name.split("/")
    return int(study), int(series)


def instance_number(name: str) -> int | None:
    """Returns the instance number of a file such as 17.dcm or 17.DCM; None of any other."""
    stem, dot, suffix = name.rpartition(".")
    # "017" is no name that a row leads to.
    is_number = stem.isdecimal() and stem.isascii() and str(int(stem)) == stem
    return int(stem) if is_number and dot + suffix.lower() == ".dcm" else None


def instances_among(names: Iterable[str]) -> list[int]:
    """Returns the instance numbers of files, sorted; other files are left aside."""
    return sorted({number for name in names if (number := instance_number(name)) is not None})


def similar(name: str, names: Iterable[str]) -> list[str]:
    """Returns the names that a reader takes for another: 001.dcm, 1 or 1.DICOM for 1.dcm."""
    return sorted(other for other in names if _bare(other) == _bare(name))


def _bare(name: str) -> str:
    number = re.fullmatch(r"0*([0-9]+)(?:\.[A-Za-z]{1,8})?", name)
    return number[1] if number else name.casefold()


TRAIN_CSVS = (LABELS_CSV, coordinates_csv("train"), series_csv("train"))
