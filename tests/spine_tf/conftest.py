"""Small data sets in the RSNA layout, built image by image, and records of levels."""

import csv
import dataclasses
import importlib.util
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import FileMetaDataset

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.crops import record
from tfrecords import example, manifest, schema, shard, tfds_files

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def make_dicom(
    pixels: np.ndarray,
    *,
    spacing: tuple[float, float] | None = (0.5, 0.5),
    position: tuple[float, float, float] | None = (0.0, 0.0, 0.0),
    orientation: tuple[float, ...] | None = AXIAL,
    bits_stored: int | None = 12,
    transfer_syntax: str = uid.RLELossless,
    **elements: Any,
) -> pydicom.Dataset:
    """Returns a slice; `elements` are set last, so they can spoil it."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = uid.MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = uid.UID("1.2.3")
    dataset.SOPClassUID = uid.MRImageStorage
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = min(bits_stored or 16, dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    if spacing is not None:
        dataset.PixelSpacing = list(spacing)
    if position is not None:
        dataset.ImagePositionPatient = list(position)
    if orientation is not None:
        dataset.ImageOrientationPatient = list(orientation)
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated == 16 else "OB"
    if transfer_syntax == uid.RLELossless:
        dataset.compress(uid.RLELossless, encoding_plugin="pylibjpeg")
    else:
        dataset.file_meta.TransferSyntaxUID = uid.UID(transfer_syntax)
    for name, value in elements.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


class DataSet:
    """A data set in the RSNA layout that grows by calls; `write` writes its CSVs."""

    def __init__(self, directory: pathlib.Path, side: str = "train") -> None:
        self.directory = directory
        self.side = side
        self.series: dict[tuple[int, int], str] = {}
        self.rows: list[list[Any]] = []
        self.grades: dict[int, dict[str, str]] = {}
        (directory / f"{side}_images").mkdir(parents=True)

    def image_path(self, study: int, series: int, instance: int) -> pathlib.Path:
        return self.directory / f"{self.side}_images/{study}/{series}/{instance}.dcm"

    def add_image(
        self,
        study: int,
        series: int,
        instance: int,
        pixels: np.ndarray | None = None,
        *,
        description: str = "Axial T2",
        **changes: Any,
    ) -> pathlib.Path:
        """Writes an image of noise unless pixels are given; registers its series and study."""
        if pixels is None:
            generator = np.random.default_rng([study, series, instance])
            pixels = generator.integers(0, 1500, (64, 72)).astype(np.uint16)
        path = self.image_path(study, series, instance)
        path.parent.mkdir(parents=True, exist_ok=True)
        make_dicom(pixels, **changes).save_as(path, enforce_file_format=True)
        self.series.setdefault((study, series), description)
        self.grades.setdefault(study, {})
        return path

    def add_row(
        self,
        study: int,
        series: int,
        instance: int,
        condition: str = "left_subarticular_stenosis",
        level: str = "l4_l5",
        *,
        x: float | str = 36.0,
        y: float | str = 32.0,
        severity: str | None = "Normal/Mild",
    ) -> str:
        """Adds a coordinate and, unless None, its label; returns the key."""
        spelled = condition.replace("_", " ").title()
        self.rows.append([study, series, instance, spelled, level.upper().replace("_", "/"), x, y])
        if severity is not None:
            self.grades.setdefault(study, {})[f"{condition}_{level}"] = severity
        return f"{study}/{series}/{instance}/{condition}/{level}"

    def write(self) -> pathlib.Path:
        """Writes the CSVs; returns the data set's folder."""
        targets = [f"{c}_{v}" for c in labels.CONDITIONS for v in labels.LEVELS]
        if self.side == "train":
            grades = [
                [study, *(of_study.get(target, "") for target in targets)]
                for study, of_study in self.grades.items()
            ]
            self._write("train.csv", ["study_id", *targets], grades)
        names = ["study_id", "series_id", "series_description"]
        self._write(
            f"{self.side}_series_descriptions.csv",
            names,
            [[*ids, text] for ids, text in self.series.items()],
        )
        names = ["study_id", "series_id", "instance_number", "condition", "level", "x", "y"]
        self._write(f"{self.side}_label_coordinates.csv", names, self.rows)
        return self.directory

    def _write(self, name: str, header: list[str], rows: list[list[Any]]) -> None:
        with (self.directory / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])


@pytest.fixture
def data_set(tmp_path: pathlib.Path) -> DataSet:
    """An empty data set."""
    return DataSet(tmp_path / "data")


@pytest.fixture(scope="session")
def make_data_set() -> type[DataSet]:
    """The class, for data sets that are shared or many."""
    return DataSet


@pytest.fixture(scope="session")
def make_slice() -> Callable[..., pydicom.Dataset]:
    """`make_dicom`, for a single slice."""
    return make_dicom


@pytest.fixture(scope="session")
def small_data_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """40 studies, an axial series of three slices each; four rows a study, two on one image."""
    data = DataSet(tmp_path_factory.mktemp("small") / "data")
    for study in range(100, 140):
        series = study * 10
        for instance in (1, 2, 3):
            data.add_image(study, series, instance, position=(0.0, 0.0, 4.0 * instance))
        for index, condition in enumerate(labels.CONDITIONS[3:]):
            severity = labels.SEVERITIES[(study + index) % 3]
            x = 22.25 + 28 * index
            data.add_row(study, series, 2, condition, x=x, severity=severity)
            data.add_row(study, series, 1 + 2 * index, condition, "l3_l4", x=x, severity=severity)
    return data.write()


@pytest.fixture(scope="session")
def _squares() -> Any:
    """squares.py, which imports TensorFlow, so when it is needed."""
    path = pathlib.Path(__file__).with_name("squares.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def squares_dir(_squares: Any, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """One study of squares.py, on the train side, with its 25 points."""
    data = DataSet(tmp_path_factory.mktemp("squares") / "data")
    _squares.add_study(data, 1)
    return data.write()


@pytest.fixture(scope="session")
def squares_localizer_dir(_squares: Any, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A localiser that finds them."""
    directory = tmp_path_factory.mktemp("localizer")
    written: pathlib.Path = _squares.write_localizer(directory)
    return written


def write_level_records(
    directory: pathlib.Path, *, num_studies: int = 6, roi_px: int = 16, num_slices: int = 1
) -> pathlib.Path:
    """Writes level records as `convert --kind level` does: a large disc is a mild one.

    Each split has two levels of each study. The canal's own view is noise, its grade the worse of
    the recesses'. Every fifth record lacks a view, every seventh a label.
    """
    directory.mkdir(parents=True)
    shape = (5, roi_px, roi_px, num_slices)
    fields = schema.Schema(
        features=(
            schema.Feature(name="image", dtype="uint16", shape=shape),
            schema.Feature(name="window", dtype="float32", shape=(10,)),
            schema.Feature(name="present", dtype="int64", shape=(5,)),
            schema.Feature(name="label", dtype="int64", shape=(5,)),
            schema.Feature(name="mirrored", dtype="int64", shape=(5,)),
            schema.Feature(name="level", dtype="int64", class_names=labels.LEVELS),
            schema.Feature(name="study_id", dtype="int64"),
            schema.Feature(name="key", dtype="bytes"),
        )
    )
    grid = np.arange(roi_px) - (roi_px - 1) / 2
    distance = np.hypot(*np.meshgrid(grid, grid))
    generator, study, number, shards = np.random.default_rng(roi_px), 500, 0, []
    for split in ("fold_0", "fold_1", "fold_2", "test"):
        name = shard.file_name(record.DATASET_NAME, split, 0, 1)
        with shard.Writer(directory / name, split) as writer:
            for place in range(2 * num_studies):
                study, number, level = study + (place + 1) % 2, number + 1, 2 + place % 2
                grades = np.arange(5) * 2 + number + generator.integers(0, 3, 5)
                grades %= 3
                grades[0] = max(grades[3], grades[4])
                image = 300 + generator.normal(0, 60, shape)
                radii = roi_px * (0.45 - 0.15 * np.array([1, *grades[1:]]))
                image += 500 * (distance < radii[:, None, None])[..., None]
                present = np.ones(5, np.int64)
                truth = grades.copy()
                if number % 5 == 0:
                    present[number % 4 + 1] = 0
                if number % 7 == 0:
                    truth[number % 5] = -1
                image *= present[:, None, None, None]
                values = {
                    "image": np.clip(image, 0, 4095).astype(np.uint16),
                    "window": np.tile(np.array([50, 1100], np.float32), 5),
                    "present": present,
                    "label": truth,
                    "mirrored": np.array([0, 0, 0, 0, 1]),
                    "level": level,
                    "study_id": study,
                    "key": f"{study}/{labels.LEVELS[level]}".encode(),
                }
                writer.write(example.serialize(fields, values))
        shards.append(writer.shard)
    dataset = manifest.Manifest(
        name=record.DATASET_NAME,
        config={
            **dataclasses.asdict(roi_config.RoiConfig(roi_px=roi_px, num_slices=num_slices)),
            "kind": "level",
            "conditions": list(labels.CONDITIONS),
            "levels": list(labels.LEVELS),
            "num_folds": 3,
        },
        shards=tuple(shards),
        class_counts={},
    )
    tfds_files.write_schema(directory, fields)
    tfds_files.write_info(directory, dataset, "Levels in noise.")
    manifest.write_manifest(directory, dataset)
    return directory


@pytest.fixture(scope="session")
def level_records_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """48 level records of 24 studies in fold_0 to fold_2 and test, 16 px, one slice."""
    return write_level_records(tmp_path_factory.mktemp("levels") / "r")
