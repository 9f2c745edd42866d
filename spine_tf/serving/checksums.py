"""The list of every file's sha256, in the format of `sha256sum --check`."""

import hashlib
import pathlib

from tfrecords import atomic

FILE_NAME = "SHA256SUMS"


def write(directory: pathlib.Path) -> None:
    """Lists all files below the directory."""
    lines = [f"{_sha256(directory / name)}  {name}\n" for name in _files(directory)]
    atomic.write_text(directory / FILE_NAME, "".join(lines))


def check(directory: pathlib.Path) -> int:
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
            raise ValueError(f"{directory / name} is missing, {FILE_NAME} lists it")
        found = _sha256(directory / name)
        if found != expected:
            raise ValueError(
                f"{directory / name} was changed: its sha256 is {found}, {FILE_NAME} says "
                f"{expected}; get the file again from where the export came from"
            )
    for name in sorted(present - set(listed)):
        raise ValueError(f"{directory / name} is not listed in {FILE_NAME}: remove it")
    return len(listed)


def _read(directory: pathlib.Path) -> dict[str, str]:
    path = directory / FILE_NAME
    if not path.is_file():
        raise ValueError(
            f"{directory} has no {FILE_NAME}: expected a directory written by spine_tf.export"
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
    return sorted(name for name in names if name != FILE_NAME)


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
