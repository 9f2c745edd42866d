"""The names of the RSNA layout: which file of a data set holds what."""

from collections.abc import Iterable

SIDES = ("train", "test")
LABELS_CSV = "train.csv"
EXPECTED = (
    "a folder or a zip file in the RSNA layout: train.csv, train_label_coordinates.csv, "
    "train_series_descriptions.csv and train_images/"
)


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


def instances_among(names: Iterable[str]) -> list[int]:
    """Returns the instance numbers of names such as 17.dcm, sorted; others are left aside."""
    stems = (name.removesuffix(".dcm") for name in names if name.endswith(".dcm"))
    # "017" is no name that a row leads to.
    return sorted(int(stem) for stem in stems if stem.isdecimal() and str(int(stem)) == stem)


TRAIN_CSVS = (LABELS_CSV, coordinates_csv("train"), series_csv("train"))
