"""A localiser on disk: two exported networks and what is needed to use them.

    L/localizer.json                 what it is, and the sha256 of every other file
    L/sagittal/saved_model/1/        takes image uint16 (n, 256, 256, 3) and window float32 (n, 2)
    L/axial/saved_model/1/           as exports of classifiers do; answers heatmaps float32

The signature `serving_default` of each answers `heatmaps`, (n, 256, 256, channels).
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

from spine_tf.configuration import record_kind
from spine_tf.crops import landmark_kinds, windows
from spine_tf.localization import numbering
from tfrecords import atomic, json_object, listed_files

FILE_NAME = "localizer.json"
DEFAULT_DIR = pathlib.Path(__file__).with_name("weights")
"""The localiser that comes with the package, which benchmarks/localizer_weights.py made."""
_DEFAULT_SHA256 = "73c7e6327eaeaf85ddf825a5de58f11f16498a23d43363383149ec068356d16e"
NETWORKS = ("sagittal", "axial")
IN_EXPORT = "localizer"
"""Where an export has its localiser, if it has one."""
_EXPECTED = "a directory with the two networks of a localiser and the file that says so"
_MEND = "export the localiser again"

# What the networks must have been made for.
_GEOMETRY: dict[str, Any] = {
    "format_version": 1,
    "side_px": windows.SIDE_PX,
    "num_slices": windows.NUM_SLICES,
    "sagittal_mm": windows.SAGITTAL_MM,
    "axial_mm": windows.AXIAL_MM,
    "sagittal_channels": list(landmark_kinds.KINDS[record_kind.SAGITTAL].channels),
    "axial_channels": list(landmark_kinds.KINDS[record_kind.AXIAL].channels),
    "amplitudes": list(landmark_kinds.AMPLITUDES),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Localizer:
    """What a directory says of itself.

    Attributes:
        directory: where it is.
        name: which weights these are, for every report.
        temperature: softens the numbering's probabilities; fitted out of fold.
    """

    directory: pathlib.Path
    name: str
    temperature: float

    def saved_model(self, network: str) -> pathlib.Path:
        """Returns where a network is, sagittal or axial."""
        return self.directory / _saved_model(network)


def _saved_model(network: str) -> str:
    return f"{network}/saved_model/1"


def write(
    directory: pathlib.Path, *, name: str, temperature: float = numbering.TEMPERATURE
) -> None:
    """Completes a directory whose two networks have been exported, `localizer.json` last."""
    description = {
        **_GEOMETRY,
        "name": name,
        "numbering_temperature": temperature,
        "sha256": _hashes(directory),
    }
    atomic.write_json(directory / FILE_NAME, description)


def read(directory: pathlib.Path) -> Localizer:
    """Reads and verifies a localiser.

    Raises:
        ValueError: there is none, a file of it is missing or another than it was, or its networks
            look at other windows than this version cuts.
    """
    path = directory / FILE_NAME
    make = functools.partial(_from_json, directory)
    localizer, listed = json_object.read_as(make, path, expected=_EXPECTED, mend=_MEND)
    _verify(directory, listed)
    return localizer


def read_default() -> Localizer:
    """Reads and verifies the localiser that comes with the package.

    Raises:
        ValueError: it is not there, or another than the package was made with.
    """
    path = DEFAULT_DIR / FILE_NAME
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
    if found != _DEFAULT_SHA256:
        raise ValueError(
            f"{path}, the localiser of the package, is {found}, expected the sha256 "
            f"{_DEFAULT_SHA256}: install the package again, or name another by --localizer_dir"
        )
    return read(DEFAULT_DIR)


def _from_json(directory: pathlib.Path, found: dict[str, Any]) -> tuple[Localizer, dict[str, str]]:
    """What it says of itself, and the sha256 of its files by name."""
    for field, value in _GEOMETRY.items():
        if found.get(field) != value:
            said = json_object.in_words(found.get(field))
            raise ValueError(f"it says {field} {said}, this version expects {value!r}")
    name: str = json_object.convert(str, found["name"], "name")
    temperature: float = json_object.convert(
        float, found["numbering_temperature"], "numbering_temperature"
    )
    if not temperature > 0.0:
        raise ValueError(f"numbering_temperature is {temperature}, expected a number above 0")
    listed: dict[str, str] = json_object.convert(dict[str, str], found["sha256"], "sha256")
    return Localizer(directory=directory, name=name, temperature=temperature), listed


def _verify(directory: pathlib.Path, listed: Mapping[str, str]) -> None:
    """Raises ValueError where what TensorFlow would load is not what the list says, and no more."""
    for network in NETWORKS:
        if f"{_saved_model(network)}/saved_model.pb" not in listed:
            raise ValueError(f"{directory / FILE_NAME} lists no {network} network: {_MEND}")
        folder = f"{network}/saved_model/"
        for above in (directory / network, directory / folder):
            if above.is_symlink() or not above.is_dir():
                raise ValueError(f"{above} is a link or no folder, expected a folder: {_MEND}")
        listed_files.require(
            directory / folder,
            {
                name.removeprefix(folder): digest
                for name, digest in listed.items()
                if name.startswith(folder)
            },
            list_name=FILE_NAME,
            mend=_MEND,
            may_be_empty=("1/assets",),
        )


def _hashes(directory: pathlib.Path) -> dict[str, str]:
    """sha256 of the networks' files, by name."""
    files = [
        path
        for network in NETWORKS
        for path in sorted((directory / _saved_model(network)).rglob("*"))
        if path.is_file()
    ]
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
