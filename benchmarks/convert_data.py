"""Data of real proportions for the converter's benchmark: RLE, 12 of 16 bits, 320-640 px.

Few distinct images under many names (hard links): the converter can't tell, the disk can.
"""

import csv
import os
import pathlib
import sys
from typing import Any

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import FileMetaDataset

from spine_tf import labels

_SIDES = (320, 384, 448, 512, 512, 640)
_NUM_DISTINCT = 96
_FIRST_STUDY = 10_000_000
_SIDED = ("left_subarticular_stenosis", "right_subarticular_stenosis")


def write_data(directory: pathlib.Path, num_rows: int, seed: int = 0) -> pathlib.Path:
    """Writes a data set of `num_rows` rows, two on an image, five images a study."""
    generator = np.random.default_rng(seed)
    pool = directory / "pool"
    pool.mkdir(parents=True)
    for index in range(_NUM_DISTINCT):
        pixels = make_pixels(generator, _side(index))
        make_dicom(pixels).save_as(pool / f"{index}.dcm", enforce_file_format=True)
    for image in range(num_rows // 2):
        study = _FIRST_STUDY + image // 5
        folder = directory / f"train_images/{study}/{study}"
        folder.mkdir(parents=True, exist_ok=True)
        os.link(pool / f"{image % _NUM_DISTINCT}.dcm", folder / f"{image % 5 + 1}.dcm")
    return write_csvs(directory, num_rows, generator)


def write_csvs(
    directory: pathlib.Path, num_rows: int, generator: np.random.Generator
) -> pathlib.Path:
    """Writes the CSVs alone, which is all that a plan needs."""
    (directory / "train_images").mkdir(parents=True, exist_ok=True)
    coordinates: list[list[Any]] = []
    grades: dict[Any, Any] = {}
    for image in range(num_rows // 2):
        study, level = _FIRST_STUDY + image // 5, labels.LEVELS[image % 5]
        side = _side(image % _NUM_DISTINCT)
        for number, condition in enumerate(_SIDED):
            shift = generator.uniform(-5, 5, 2)
            x, y = side * (0.45 + 0.1 * number) + shift[0], side / 2 + shift[1]
            where = [study, study, image % 5 + 1, condition.replace("_", " ").title()]
            coordinates.append([*where, level.upper().replace("_", "/"), f"{x:.6f}", f"{y:.6f}"])
            severity = labels.SEVERITIES[int(generator.integers(3))]
            grades.setdefault(study, {})[f"{condition}_{level}"] = severity
    _write_tables(directory, coordinates, grades)
    return directory


def convert_command(data_dir: pathlib.Path, output_dir: pathlib.Path) -> list[str]:
    """Returns the call of the converter for all rows, with two workers."""
    flags = [f"--data_dir={data_dir}", f"--output_dir={output_dir}", "--levels=all", "--workers=2"]
    return [sys.executable, "-m", "spine_tf.convert", *flags]


def _side(index: int) -> int:
    return _SIDES[index % len(_SIDES)]


def make_pixels(generator: np.random.Generator, side: int) -> np.ndarray:
    """A body of smooth shapes in noise, uint16 (side, side), at most about 1,500."""
    grid = np.linspace(-1, 1, side)
    radius = np.hypot(*np.meshgrid(grid, grid * 1.4))
    image = 700 * (radius < 0.8) + 500 * np.cos(9 * radius) * (radius < 0.6)
    noise = np.hypot(*generator.normal(0, 14, (2, side, side)))
    return np.clip(image + noise, 0, 4095).astype(np.uint16)


def make_dicom(pixels: np.ndarray) -> pydicom.Dataset:
    """An axial slice as the RSNA's are: RLE Lossless, 12 of 16 bits, 256 mm wide."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = uid.MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = uid.UID("1.2.3")
    dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientID, dataset.PatientPosition = "1", "HFS"
    dataset.SliceThickness, dataset.InstanceNumber = "4", "1"
    dataset.ImagePositionPatient = [-128.0, -128.0, 0.0]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelSpacing = [round(256 / pixels.shape[0], 6)] * 2
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope = "0", "1"
    dataset.WindowCenter, dataset.WindowWidth = "500", "1000"
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.compress(uid.RLELossless, encoding_plugin="pylibjpeg")
    return dataset


def _write_tables(
    directory: pathlib.Path, coordinates: list[list], grades: dict[int, dict[str, str]]
) -> None:
    targets = [f"{c}_{v}" for c in labels.CONDITIONS for v in labels.LEVELS]
    rows = [[study, *(of.get(target, "") for target in targets)] for study, of in grades.items()]
    _write(directory / "train.csv", ["study_id", *targets], rows)
    names = ["study_id", "series_id", "instance_number", "condition", "level", "x", "y"]
    _write(directory / "train_label_coordinates.csv", names, coordinates)
    names = ["study_id", "series_id", "series_description"]
    series = [[study, study, "Axial T2"] for study in grades]
    _write(directory / "train_series_descriptions.csv", names, series)


def _write(path: pathlib.Path, header: list[str], rows: list[list]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
