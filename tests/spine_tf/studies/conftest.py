"""Piles of files: those of a hospital, and small ones written image by image."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from spine_tf.studies import identities, organizing, output_tables

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
_KEY = "5a" * 32


@pytest.fixture(scope="session")
def put_key() -> Callable[[pathlib.Path], None]:
    """Gives a data set a key that is always the same, unless it has one already."""

    def put_key(output_dir: pathlib.Path) -> None:
        key = organizing.private_dir(output_dir) / identities.KEY_FILE
        if not key.exists():
            key.parent.mkdir(parents=True)
            key.write_text(f"{_KEY}\n")

    return put_key


@pytest.fixture(scope="session")
def organize(put_key: Callable[[pathlib.Path], None]) -> Callable[..., output_tables.Summary]:
    """Organizes with a key that is always the same."""

    def organize(
        dicom_dir: pathlib.Path, output_dir: pathlib.Path, num_workers: int = 1, **settings: Any
    ) -> output_tables.Summary:
        put_key(output_dir)
        made = organizing.Settings(**settings)
        return organizing.organize(dicom_dir, output_dir, made, num_workers=num_workers)

    return organize


@pytest.fixture(scope="session")
def bytes_of() -> Callable[[pathlib.Path], dict[str, bytes]]:
    """Returns all files of a data set and of what is private beside it, but for the inventory."""

    def bytes_of(output_dir: pathlib.Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(output_dir.parent)).removeprefix(
                output_dir.name
            ): path.read_bytes()
            for root in (output_dir, organizing.private_dir(output_dir))
            for path in sorted(root.rglob("*"))
            if path.is_file() and not path.name.startswith("inventory.sqlite")
        }

    return bytes_of


@pytest.fixture
def add_series(make_slice) -> Callable[..., list[pathlib.Path]]:
    """Writes a sagittal T2 series, six slices unless `changes` say otherwise."""

    def add_series(
        directory: pathlib.Path,
        study: str = "1.2.1",
        series: str = "1.2.1.1",
        num_slices: int = 6,
        **changes: Any,
    ) -> list[pathlib.Path]:
        directory.mkdir(parents=True, exist_ok=True)
        paths = []
        for number in range(num_slices):
            usual: Mapping[str, Any] = {
                "orientation": SAGITTAL,
                "position": (4.0 * number, -10.0, 20.0),
                "Modality": "MR",
                "PatientID": f"P{study}",
                "PatientName": "Doe^Jane",
                "AccessionNumber": f"A{study}",
                "StudyInstanceUID": study,
                "SeriesInstanceUID": series,
                "SOPInstanceUID": f"{series}.{number + 1}",
                "InstanceNumber": number + 1,
                "EchoTime": 100.0,
                "RepetitionTime": 3000.0,
            }
            seeds = [number, *map(int, series.split("."))]
            pixels = np.random.default_rng(seeds).integers(0, 900, (24, 20)).astype(np.uint16)
            path = directory / f"{series}.{number + 1}"
            make_slice(pixels, **{**usual, **changes}).save_as(path, enforce_file_format=True)
            paths.append(path)
        return paths

    return add_series
