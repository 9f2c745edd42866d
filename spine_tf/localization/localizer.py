"""A localiser on disk: two exported networks and what is needed to use them.

    L/localizer.json                 what it is, and the sha256 of every other file
    L/sagittal/saved_model/1/        takes image uint16 (n, 256, 256, 3) and window float32 (n, 2)
    L/axial/saved_model/1/           as exports of classifiers do; answers heatmaps float32

The signature `serving_default` of each answers `heatmaps`, (n, 256, 256, channels).
"""

import dataclasses
import hashlib
import pathlib
from typing import Any

from spine_tf import labels
from spine_tf.localization import heatmaps, numbering, windows
from tfrecords import atomic, json_object, listed_files

FILE_NAME = "localizer.json"
NETWORKS = ("sagittal", "axial")
_EXPECTED = "a directory with the two networks of a localiser and the file that says so"
_MEND = "export the localiser again"

# What the networks must have been made for.
_GEOMETRY: dict[str, Any] = {
    "format_version": 1,
    "side_px": windows.SIDE_PX,
    "num_slices": windows.NUM_SLICES,
    "sagittal_mm": windows.SAGITTAL_MM,
    "axial_mm": windows.AXIAL_MM,
    "sagittal_channels": [
        f"{kind}_{level}" for kind in ("canal", "foramen") for level in labels.LEVELS
    ],
    "axial_channels": ["left_recess", "right_recess"],
    "amplitudes": list(heatmaps.AMPLITUDES),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Localizer:
    """What a directory says of itself.

    Attributes:
        directory: where it is.
        name: which weights these are, for every report.
        temperature: of the numbering's probabilities, fitted out of fold.
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
    found = json_object.read(path, expected=_EXPECTED, mend=_MEND)
    for field, value in _GEOMETRY.items():
        if found.get(field) != value:
            raise ValueError(
                f"{path} says {field} {found.get(field)!r}, this version expects {value!r}: {_MEND}"
            )
    name, temperature = found.get("name"), found.get("numbering_temperature")
    if not isinstance(name, str) or not isinstance(temperature, int | float) or not temperature > 0:
        raise ValueError(
            f"{path} says name {name!r} and numbering_temperature {temperature!r}, expected words "
            f"and a number above 0: {_MEND}"
        )
    _verify(directory, found.get("sha256"))
    return Localizer(directory=directory, name=name, temperature=float(temperature))


def _verify(directory: pathlib.Path, hashes: Any) -> None:
    """Raises ValueError where what TensorFlow would load is not what the list says, and no more."""
    listed: dict[str, str] = json_object.convert(dict[str, str], hashes, "sha256")
    for network in NETWORKS:
        if f"{_saved_model(network)}/saved_model.pb" not in listed:
            raise ValueError(f"{directory / FILE_NAME} lists no {network} network: {_MEND}")
        folder = f"{network}/saved_model/"
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
