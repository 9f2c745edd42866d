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
import tempfile
import unicodedata
from collections.abc import Iterator

from spine_tf.localization import localizer
from spine_tf.serving import formats, spec, training_studies
from tfrecords import atomic, listed_files, regular_file

CHECKSUMS_FILE = "SHA256SUMS"

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_MAX_LIST_BYTES = 2**20
_REQUIRED = (spec.LABELS_FILE, spec.PREPROCESS_FILE, f"{formats.SAVED_MODEL_DIR}/saved_model.pb")
_EMPTY = f"{formats.SAVED_MODEL_DIR}/assets"  # TensorFlow makes it, whether it has any or not
_MODELS = (
    f"{formats.SAVED_MODEL_DIR}/",
    *(f"{localizer.IN_EXPORT}/{name}/saved_model/1/" for name in localizer.NETWORKS),
)
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
    with tempfile.TemporaryDirectory(prefix="spine_tf_model_") as private:
        copy = pathlib.Path(private)
        listed_files.require(
            export_dir,
            listed,
            list_name=CHECKSUMS_FILE,
            mend=_MEND,
            may_be_empty=(_EMPTY,),
            copy_dir=copy,
            copied=[name for name in listed if has_all_formats or _is_of_model(name)],
        )
        try:
            yield Verified(directory=copy, num_files=len(listed))
        except ValueError as err:
            if private not in str(err):
                raise
            raise ValueError(str(err).replace(private, str(export_dir))) from err


def _is_of_model(name: str) -> bool:
    is_named = name in (*_REQUIRED, training_studies.FILE)
    return is_named or name.startswith((f"{formats.SAVED_MODEL_DIR}/", f"{localizer.IN_EXPORT}/"))


def _read_list(export_dir: pathlib.Path) -> dict[str, str]:
    """Name -> sha256, of a list in which each file stands once, as an export has them."""
    path = export_dir / CHECKSUMS_FILE
    if not os.path.lexists(path):
        raise ValueError(
            f"{export_dir} has no {CHECKSUMS_FILE}: expected a directory written by spine_tf.export"
        )
    listed_files.require_plain(path, _MEND)
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
    """A place below the directory, and of the one model."""
    listed_files.require_name(name, where, _MEND)
    parts = name.split("/")
    if name == CHECKSUMS_FILE:
        raise ValueError(f"{where} names the list itself: remove that line")
    is_model = bool(_MODEL_FILE.fullmatch(parts[-1])) or parts[0].casefold() == "saved_model"
    if is_model and not name.startswith(_MODELS):
        raise ValueError(
            f"{where} names {name!r}, a model beside {formats.SAVED_MODEL_DIR}, which TensorFlow "
            f"Serving would take for a newer version: {_MEND}"
        )
