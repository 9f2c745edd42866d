"""An export that was received: every file is what its list says, before anything looks at it.

SHA256SUMS is in the format of `sha256sum --check`. A sum finds what was damaged or swapped on the
way; it is no proof of origin, since whoever changes a file can change the list. A SavedModel is a
program: open those alone whose makers you trust.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import stat
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from typing import IO

from spine_tf.serving import formats, spec, training_studies
from tfrecords import atomic, regular_file

CHECKSUMS_FILE = "SHA256SUMS"

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_MAX_LIST_BYTES = 2**20
_CHUNK_BYTES = 2**20
_REQUIRED = (spec.LABELS_FILE, spec.PREPROCESS_FILE, f"{formats.SAVED_MODEL_DIR}/saved_model.pb")
_EMPTY = f"{formats.SAVED_MODEL_DIR}/assets"  # TensorFlow makes it, whether it has any or not
_MODEL_FILE = re.compile(r"saved_model\.(pb|pbtxt|cpb)", re.IGNORECASE)
_MEND = "get the export again from where it came from"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verified:
    """A private copy of an export, of the very bytes that were compared.

    Attributes:
        directory: the copy; what opens a model opens it there.
        num_files: that were compared.
    """

    directory: pathlib.Path
    num_files: int


def write_checksums(directory: pathlib.Path) -> None:
    """Lists all files below a directory that this process has made."""
    names = {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    }
    lines = []
    for name in sorted(names - {CHECKSUMS_FILE}):
        with (directory / name).open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    atomic.write_text(directory / CHECKSUMS_FILE, "".join(lines))


@contextlib.contextmanager
def verified(export_dir: pathlib.Path, *, has_all_formats: bool = False) -> Iterator[Verified]:
    """Compares every file of an export with its list; gives a private copy that lives in the block.

    What is loaded is what was compared: a file is read once, into the sum and into the copy. What
    is not copied, formats that nobody asks, could be changed afterwards; a file that changes while
    it is read gives another sum, or the bytes of the sum.

    Args:
        export_dir: that spine_tf.export wrote.
        has_all_formats: copy the other formats and the golden answers too.

    Raises:
        ValueError: something is missing, was changed or is not listed; a link, a pipe, a device, an
            empty directory, a second model. What is raised in the block names the export, not the
            copy.
    """
    if not export_dir.is_dir():
        raise ValueError(
            f"{export_dir} is not a directory; expected one written by spine_tf.export"
        )
    listed = _read_list(export_dir)
    _require_listed_alone(export_dir, listed)
    with tempfile.TemporaryDirectory(prefix="spine_tf_model_") as private:
        copy = pathlib.Path(private)
        for name, expected in listed.items():
            is_copied = has_all_formats or _is_of_model(name)
            _compare(export_dir, name, expected, copy if is_copied else None)
        try:
            yield Verified(directory=copy, num_files=len(listed))
        except ValueError as err:
            if private not in str(err):
                raise
            raise ValueError(str(err).replace(private, str(export_dir))) from err


def _is_of_model(name: str) -> bool:
    is_named = name in (*_REQUIRED, training_studies.FILE)
    return is_named or name.startswith(f"{formats.SAVED_MODEL_DIR}/")


def _read_list(export_dir: pathlib.Path) -> dict[str, str]:
    """Name -> sha256, of a list in which each file stands once, as an export has them."""
    path = export_dir / CHECKSUMS_FILE
    if not os.path.lexists(path):
        raise ValueError(
            f"{export_dir} has no {CHECKSUMS_FILE}: expected a directory written by spine_tf.export"
        )
    _require_plain(path, CHECKSUMS_FILE, os.lstat(path))
    text = regular_file.read_bytes(path, _MAX_LIST_BYTES).decode("utf-8", errors="replace")
    listed: dict[str, str] = {}
    folded: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"{path} line {number} is not '<sha256>  <file>': {line[:100]!r}")
        digest, name = found.groups()
        _require_name(name, f"{path} line {number}")
        fold = unicodedata.normalize("NFC", name).casefold()
        if fold in folded:
            raise ValueError(
                f"{path} line {number} names {name!r} again, perhaps in other letters: {_MEND}"
            )
        folded.add(fold)
        listed[name] = digest.lower()
    for name in _REQUIRED:
        if name not in listed:
            raise ValueError(f"{path} does not list {name}, which every export has: {_MEND}")
    return listed


def _require_name(name: str, where: str) -> None:
    """A place below the directory, of which there is one way to write it, and of one model."""
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name or not name.isprintable():
        raise ValueError(f"{where} names {name!r}, expected a file below the directory: {_MEND}")
    if name == CHECKSUMS_FILE:
        raise ValueError(f"{where} names the list itself: remove that line")
    is_model = bool(_MODEL_FILE.fullmatch(parts[-1])) or parts[0].casefold() == "saved_model"
    if is_model and not name.startswith(f"{formats.SAVED_MODEL_DIR}/"):
        raise ValueError(
            f"{where} names {name!r}, a model beside {formats.SAVED_MODEL_DIR}, which TensorFlow "
            f"Serving would take for a newer version: {_MEND}"
        )


def _require_listed_alone(export_dir: pathlib.Path, listed: Mapping[str, str]) -> None:
    """Raises ValueError for what lies in the directory and is not listed, whatever it is."""
    folders = {
        parent.as_posix() for name in listed for parent in pathlib.PurePosixPath(name).parents
    }
    for relative, status in _contents(export_dir):
        path, name = export_dir / relative, relative.as_posix()
        if stat.S_ISDIR(status.st_mode):
            if name not in (*folders, _EMPTY):
                raise ValueError(f"{path} holds nothing that {CHECKSUMS_FILE} lists: remove it")
        elif name not in (*listed, CHECKSUMS_FILE):
            if not stat.S_ISREG(status.st_mode) or not _is_of_desktop(relative.name):
                raise ValueError(f"{path} is not listed in {CHECKSUMS_FILE}: remove it")
        else:
            _require_plain(path, name, status)


def _contents(top: pathlib.Path) -> Iterator[tuple[pathlib.PurePath, os.stat_result]]:
    """Yields all that lies below a directory, with what it is itself; links are not followed."""
    pending = [pathlib.PurePath()]
    while pending:
        folder = pending.pop()
        for path in sorted((top / folder).iterdir()):
            status = path.lstat()
            yield folder / path.name, status
            if stat.S_ISDIR(status.st_mode):
                pending.append(folder / path.name)


def _is_of_desktop(name: str) -> bool:
    """Whether macOS, Windows or a desktop leaves files of that name in any folder it shows."""
    return name.startswith("._") or name in (".DS_Store", "Thumbs.db", "desktop.ini", ".directory")


def _require_plain(path: pathlib.Path, name: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise ValueError(f"{path} is a link, expected the file {name} itself: {_MEND}")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is no regular file, expected the file {name}: {_MEND}")


def _compare(
    export_dir: pathlib.Path, name: str, expected: str, copy_dir: pathlib.Path | None
) -> None:
    path = export_dir / name
    try:
        file: IO[bytes] = regular_file.open_file(path)
    except FileNotFoundError as err:
        raise ValueError(f"{path} is missing, {CHECKSUMS_FILE} lists it: {_MEND}") from err
    with file, contextlib.ExitStack() as stack:
        copy = None if copy_dir is None else stack.enter_context(_create(copy_dir / name))
        try:
            found = _digest(file, copy)
        except OSError as err:
            raise OSError(
                f"{path} can't be read, or {tempfile.gettempdir()} has no room for a copy of it "
                f"({err.strerror}): make room, or set TMPDIR to another folder"
            ) from err
    if found != expected:
        raise ValueError(
            f"{path} was changed: its sha256 is {found}, {CHECKSUMS_FILE} says {expected}; {_MEND}"
        )


def _create(path: pathlib.Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb")


def _digest(file: IO[bytes], copy: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        if copy is not None:
            copy.write(chunk)
    return digest.hexdigest()
