"""Checks an exported directory that someone received: files, signatures, answers.

The list of every file's sha256 is in the format of `sha256sum --check`.
"""

import dataclasses
import hashlib
import pathlib

from spine_tf.serving import formats, golden, saved_model, spec
from tfrecords import atomic

CHECKSUMS_FILE = "SHA256SUMS"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """What a check found in order.

    Attributes:
        num_files: files whose sha256 was compared.
        differences: format -> largest difference of a probability from the golden answers.
        unchecked: format -> why it was not asked: its packages are not installed.
    """

    num_files: int
    differences: dict[str, float]
    unchecked: dict[str, str]


def write_checksums(directory: pathlib.Path) -> None:
    """Lists all files below the directory."""
    lines = [f"{_sha256(directory / name)}  {name}\n" for name in _files(directory)]
    atomic.write_text(directory / CHECKSUMS_FILE, "".join(lines))


def check(export_dir: pathlib.Path) -> Findings:
    """Compares every file with its sha256 and every format's answers with the golden ones.

    Raises:
        ValueError: something is missing, was changed, or answers otherwise.
    """
    if not export_dir.is_dir():
        raise ValueError(
            f"{export_dir} is not a directory; expected one written by spine_tf.export"
        )
    num_files = _check_files(export_dir)
    served = spec.read(export_dir)
    model = saved_model.SavedModel(export_dir)
    model.require(served)
    inputs, expected = golden.read(export_dir)
    answers = golden.ask_all(model, inputs)
    differences = {formats.SAVED_MODEL: golden.compare(expected, answers, formats.SAVED_MODEL)}
    unchecked = {}
    for name, fmt in formats.FORMATS.items():
        if not (export_dir / fmt.file).is_file():
            continue
        try:
            formats.require(name)
        except ValueError as err:
            unchecked[name] = str(err)
            continue
        differences[name] = _check_format(export_dir, name, inputs, expected)
    return Findings(num_files=num_files, differences=differences, unchecked=unchecked)


def _check_files(directory: pathlib.Path) -> int:
    """Compares every file below the directory with the list.

    A file that is not on the list is an error too: TensorFlow Serving would take a model version
    that someone added.

    Returns:
        How many files were compared.

    Raises:
        ValueError: no list, or a file that is missing, changed or not on it.
    """
    listed = _read(directory)
    present = set(_files(directory))
    for name, expected in listed.items():
        if name not in present:
            raise ValueError(f"{directory / name} is missing, {CHECKSUMS_FILE} lists it")
        found = _sha256(directory / name)
        if found != expected:
            raise ValueError(
                f"{directory / name} was changed: its sha256 is {found}, {CHECKSUMS_FILE} says "
                f"{expected}; get the file again from where the export came from"
            )
    for name in sorted(present - set(listed)):
        raise ValueError(f"{directory / name} is not listed in {CHECKSUMS_FILE}: remove it")
    return len(listed)


def _read(directory: pathlib.Path) -> dict[str, str]:
    path = directory / CHECKSUMS_FILE
    if not path.is_file():
        raise ValueError(
            f"{directory} has no {CHECKSUMS_FILE}: expected a directory written by spine_tf.export"
        )
    listed = {}
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64:
            raise ValueError(f"{path} line {number} is not '<sha256>  <file>': {line!r}")
        listed[name] = digest
    return listed


def _files(directory: pathlib.Path) -> list[str]:
    names = [
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    ]
    return sorted(name for name in names if name != CHECKSUMS_FILE)


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_format(
    export_dir: pathlib.Path, name: str, inputs: golden.Inputs, outputs: spec.Answer
) -> float:
    answer = formats.load(export_dir, name)(inputs.image, inputs.window)
    if formats.FORMATS[name].is_exact:
        return golden.compare(golden.crop_answers(outputs), answer, name)
    own = golden.read_answers(export_dir, formats.FORMATS[name].outputs_file)
    return golden.compare(own, answer, name, tolerance=formats.INT8_TOLERANCE)
