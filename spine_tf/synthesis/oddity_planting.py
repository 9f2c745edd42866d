"""Plants oddities of scanners, archives and hospitals in written studies, and says where.

Nothing of the anatomy, the labels and the places of the points changes: what is converted from an
odd study equals what is converted from the clean one, or is rejected with a reason.
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pydicom
from pydicom import uid

from spine_tf.synthesis import annotation

_LARGEST = 4095
_BITS = 12
_BORDER_PX = 16
_SHIFT_PX = (3, -5)
_TILT_DEGREES = 35.0
_GAP_STEPS = 4.0
_BESIDE_MM = 1.0

Marks = tuple[annotation.Annotation, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlantedOddity:
    """One oddity of one series.

    Attributes:
        kind: one of KINDS.
        study_id: as it is spelled in the CSVs and as a folder.
        series_id: which.
        instances: images that were added, changed, moved away or, for `gap`, the two that it is
            between; none where all are concerned.
    """

    kind: str
    study_id: str
    series_id: int
    instances: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planted:
    """A study with an oddity in it.

    Attributes:
        study_id: as it is spelled from now on.
        annotations: the points, on the same places of the patient.
        oddities: one a series.
    """

    study_id: str
    annotations: Marks
    oddities: tuple[PlantedOddity, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Series:
    """A series on disk.

    Attributes:
        directory: where its images lie.
        late_dir: where images go that are to come later.
        marked: instances that have a point.
    """

    directory: pathlib.Path
    late_dir: pathlib.Path
    marked: frozenset[int]

    def read(self) -> dict[int, pydicom.Dataset]:
        """Returns the images by instance number."""
        paths = sorted(self.directory.glob("*.dcm"), key=lambda path: int(path.stem))
        return {int(path.stem): pydicom.dcmread(path) for path in paths}

    def write(self, number: int, image: pydicom.Dataset) -> None:
        """Writes an image, new or changed."""
        image.save_as(self.directory / f"{number}.dcm", enforce_file_format=True)


def plant(index: int, study_dir: pathlib.Path, late_dir: pathlib.Path, marks: Marks) -> Planted:
    """Plants the oddity of the study with this index; one in len(KINDS) + 1 studies has none.

    Args:
        index: the study's number, from 0, which is clean.
        study_dir: its images; renamed where the oddity is its id.
        late_dir: the folder beside that of all images for those that come late.
        marks: the study's points.
    """
    study_id = study_dir.name
    position = index % (len(KINDS) + 1)
    if position == 0:
        return Planted(study_id=study_id, annotations=marks, oddities=())
    kind = KINDS[position - 1]
    if kind == _ZERO_ID:
        study_id = f"0{study_id}"
        study_dir = study_dir.rename(study_dir.with_name(study_id))
    oddities = []
    for directory in sorted(study_dir.iterdir(), key=lambda path: int(path.name)):
        series = _Series(
            directory=directory,
            late_dir=late_dir / study_id / directory.name,
            marked=frozenset(
                mark.instance_number for mark in marks if mark.series_id == int(directory.name)
            ),
        )
        instances = _PLANTERS[kind](series)
        oddities.append(
            PlantedOddity(
                kind=kind,
                study_id=study_id,
                series_id=int(directory.name),
                instances=tuple(instances),
            )
        )
    if kind == _PADDING:
        marks = tuple(
            dataclasses.replace(mark, x=mark.x + _BORDER_PX, y=mark.y + _BORDER_PX)
            for mark in marks
        )
    return Planted(study_id=study_id, annotations=marks, oddities=tuple(oddities))


def remove_leftovers(study_dir: pathlib.Path, late_dir: pathlib.Path) -> None:
    """Removes what a worker that died has left of a study: planted files would be odd twice."""
    for path in (study_dir, study_dir.with_name(f"0{study_dir.name}"), late_dir / study_dir.name):
        shutil.rmtree(path, ignore_errors=True)


def _second_echo(series: _Series) -> Iterator[int]:
    """Adds each slice once more, later in the decay of the signal and a little beside it."""
    images = series.read()
    for number, image in images.items():
        image.EchoTime, image.EchoNumbers = 20.0, 1
        series.write(number, image)
        added = len(images) + number
        later = _LARGEST - image.pixel_array // 2
        image.EchoTime, image.EchoNumbers = 100.0, 2
        _move(image, _BESIDE_MM * _normal(image))
        series.write(added, _renumbered(_with_pixels(image, later), added))
        yield added


def _phase_images(series: _Series) -> Iterator[int]:
    """Adds the phase of each slice, between the numbers of the magnitudes and after them."""
    images = series.read()
    for number, image in images.items():
        image.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
        series.write(number, image)
        added = len(images) + number
        phase = (np.arange(image.Columns) * 37 % (_LARGEST + 1)).astype(np.uint16)
        image.ImageType = ["ORIGINAL", "PRIMARY", "P", "ND"]
        pixels = np.broadcast_to(phase, image.pixel_array.shape)
        series.write(added, _renumbered(_with_pixels(image, pixels), added))
        yield added


def _renumbered(image: pydicom.Dataset, number: int) -> pydicom.Dataset:
    image.InstanceNumber = number
    image.SOPInstanceUID = uid.UID(f"{image.StudyInstanceUID}.1.{number}")
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return image


def _gap(series: _Series) -> Iterator[int]:
    """Moves all slices beyond one that has a point away: what lies behind is a second slab."""
    images = series.read()
    for number in sorted(series.marked & images.keys()):
        slab = _parallel(images, number)
        place = slab.index(number)
        if len(slab) < 2:
            continue
        # At the end of the slab the other side is moved.
        beyond = slab[place + 1 :] or slab[:place][::-1]
        step = _position(images[beyond[0]]) - _position(images[number])
        for other in beyond:
            _move(images[other], _GAP_STEPS * step)
            series.write(other, images[other])
        yield from (number, beyond[0])
        return


def _parallel(images: Mapping[int, pydicom.Dataset], number: int) -> list[int]:
    """The instances with the orientation of one, in order along the normal."""
    orientation, normal = images[number].ImageOrientationPatient, _normal(images[number])
    alike = [n for n, other in images.items() if other.ImageOrientationPatient == orientation]
    return sorted(alike, key=lambda n: float(_position(images[n]) @ normal))


def _staggered(series: _Series) -> Iterator[int]:
    """Gives every slice without a point another origin in its plane; its pixels move along."""
    down, right = _SHIFT_PX
    for number, image in series.read().items():
        if number in series.marked:
            continue
        old = image.pixel_array
        moved = np.zeros_like(old)
        moved[down:, :right] = old[:-down, -right:]
        _move(image, -_in_plane(image, down, right))
        series.write(number, _with_pixels(image, moved))
        yield number


def _steep_tilt(series: _Series) -> Iterator[int]:
    """Turns an axial series about the patient's left-right axis, further from the horizontal."""
    images = series.read()
    if any(abs(image.ImageOrientationPatient[0]) < 0.9 for image in images.values()):
        return
    steepest = max((image.ImageOrientationPatient[5] for image in images.values()), key=abs)
    angle = np.radians(_TILT_DEGREES if steepest >= 0 else -_TILT_DEGREES)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    for number, image in images.items():
        row, column = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
        image.ImageOrientationPatient = _rounded([*(turn @ row), *(turn @ column)])
        image.ImagePositionPatient = _rounded(turn @ _position(image))
        series.write(number, image)
        yield number


def _padding_value(series: _Series) -> Iterator[int]:
    """Puts a border of padding, brighter than all tissue, around every slice."""
    for number, image in series.read().items():
        padded = np.pad(image.pixel_array, _BORDER_PX, constant_values=_LARGEST)
        _move(image, -_in_plane(image, _BORDER_PX, _BORDER_PX))
        image.add_new("PixelPaddingValue", "US", _LARGEST)
        series.write(number, _with_pixels(image, padded))
        yield number


def _signed(series: _Series) -> Iterator[int]:
    """Stores the pixels as signed numbers, the darkest as the lowest."""
    for number, image in series.read().items():
        shifted = image.pixel_array.astype(np.int16) - 2 ** (_BITS - 1)
        image.PixelRepresentation = 1
        series.write(number, _with_pixels(image, shifted))
        yield number


def _left_aligned(series: _Series) -> Iterator[int]:
    """Stores the pixels in the upper bits, as HighBit says."""
    for number, image in series.read().items():
        image.HighBit = 15
        series.write(number, _with_pixels(image, image.pixel_array << (16 - _BITS)))
        yield number


def _zero_id(series: _Series) -> Iterator[int]:
    """The study's id has a leading zero, in all files: nothing is left to do for its series."""
    return iter(())


def _late_files(series: _Series) -> Iterator[int]:
    """Moves the first half of the images away; of the last of them a part is there already."""
    numbers = sorted(series.read())
    late = numbers[: len(numbers) // 2]
    series.late_dir.mkdir(parents=True)
    for number in late:
        name = f"{number}.dcm"
        (series.directory / name).rename(series.late_dir / name)
        yield number
    last = f"{late[-1]}.dcm"
    content = (series.late_dir / last).read_bytes()
    (series.directory / last).write_bytes(content[: len(content) // 2])


_ZERO_ID, _PADDING = "zero_id", "padding"
_PLANTERS: Mapping[str, Callable[[_Series], Iterator[int]]] = {
    "second_echo": _second_echo,
    "phase_images": _phase_images,
    "gap": _gap,
    "staggered": _staggered,
    "steep_tilt": _steep_tilt,
    _PADDING: _padding_value,
    "signed": _signed,
    "left_aligned": _left_aligned,
    _ZERO_ID: _zero_id,
    "late_files": _late_files,
}
KINDS = tuple(_PLANTERS)


def _position(image: pydicom.Dataset) -> np.ndarray:
    return np.array(image.ImagePositionPatient, float)


def _normal(image: pydicom.Dataset) -> np.ndarray:
    row, column = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
    return np.cross(row, column)


def _in_plane(image: pydicom.Dataset, down: int, right: int) -> np.ndarray:
    """Millimetres in the patient from a pixel to the one so many rows and columns on."""
    row, column = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
    row_spacing, column_spacing = map(float, image.PixelSpacing)
    return down * row_spacing * column + right * column_spacing * row


def _move(image: pydicom.Dataset, by: np.ndarray) -> None:
    image.ImagePositionPatient = _rounded(_position(image) + by)


def _rounded(values: Sequence[float] | np.ndarray) -> list[float]:
    return [round(float(value), 6) + 0.0 for value in values]


def _with_pixels(image: pydicom.Dataset, pixels: np.ndarray) -> pydicom.Dataset:
    """Returns the image with other pixels, 16 bits each, not compressed."""
    image.Rows, image.Columns = pixels.shape
    image.PixelData = np.ascontiguousarray(pixels).astype(f"<{pixels.dtype.kind}2").tobytes()
    image["PixelData"].VR = "OW"
    image["PixelData"].is_undefined_length = False
    image.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return image
