"""What a directory is, told by its files, and the sentence where another kind was expected."""

import contextlib
import enum
import itertools
import pathlib
from collections.abc import Iterator

from tfrecords import regular_file


class Kind(enum.Enum):
    """A kind of directory that programs read or write: what it is, and where it is asked for."""

    DATA = ("a data set in the RSNA layout (train_images/ and its CSVs)", "--data_dir")
    RECORDS = ("records that convert wrote", "--records_dir")
    RUN = ("a run that train wrote", "--run_dir")
    EXPORT = ("an export that export wrote", "--model_dir")
    STACK = ("a stack that spine_tf.stack wrote", "evaluate --run_dir")
    SEARCH = ("a search that the tuner wrote", "--search_dir")
    ABLATION = ("an ablation", "ablate --work_dir")
    REPORT = ("a report that evaluate wrote", "--report_dir")
    SAVED_MODEL = ("a SavedModel without what export writes beside it", "tf.saved_model.load")

    def __init__(self, words: str, flag: str) -> None:
        self.words = words
        self.flag = flag


# Names that all lie in a directory of the kind, in this order: a run has a report's figures too.
_SIGNS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    (Kind.EXPORT, ("SHA256SUMS",)),
    (Kind.EXPORT, ("preprocess.json", "labels.json")),
    (Kind.SAVED_MODEL, ("saved_model.pb",)),
    (Kind.STACK, ("stack.json",)),
    (Kind.SEARCH, ("search.json",)),
    (Kind.ABLATION, ("ablation.json",)),
    (Kind.RECORDS, ("manifest.json",)),
    (Kind.RECORDS, ("plan.json",)),
    (Kind.DATA, ("train_images",)),
    (Kind.DATA, ("test_images",)),
    (Kind.DATA, ("train_label_coordinates.csv",)),
    (Kind.DATA, ("train_series_descriptions.csv",)),
    (Kind.DATA, ("test_series_descriptions.csv",)),
    (Kind.RUN, ("config.json",)),
    (Kind.REPORT, ("report.html",)),
    (Kind.REPORT, ("comparison.html",)),
    (Kind.REPORT, ("metrics.json",)),
)
_MOST_NEIGHBOURS = 100
# Of a pile, of which one tells what it is.
_MOST_FILES = 10


def of(directory: pathlib.Path) -> Kind | None:
    """Returns what a directory is; None where it is none of ours, or not there.

    Raises:
        PermissionError: nobody may look into it; names the directory.
    """
    try:
        for kind, names in _SIGNS:
            if all((directory / name).exists() for name in names):
                return kind
    except PermissionError as err:  # names a file of ours, which the user need not know of
        raise PermissionError(err.errno, err.strerror, str(directory)) from err
    return None


def require(directory: pathlib.Path, wanted: Kind, flag: str) -> pathlib.Path:
    """Returns a directory that is of a kind, finished or not.

    Args:
        directory: that the user named.
        wanted: what it has to be.
        flag: that named it, such as "--run_dir".

    Raises:
        ValueError: it is another; says what it is, where that belongs, and where one of the kind
            lies near it.
    """
    if of(directory) is wanted:
        return directory
    raise ValueError(
        f"{flag} {directory} {_what_it_is(directory, flag)}, expected {wanted.words}"
        f"{_nearby(directory, wanted)}"
    )


def _what_it_is(directory: pathlib.Path, flag: str) -> str:
    if not directory.exists():
        return "does not exist"
    if not directory.is_dir():
        return "is a file"
    found = of(directory)
    if found is not None:
        return f"is {found.words}" + ("" if flag == found.flag else f" (for {found.flag})")
    if not any(directory.iterdir()):
        return "is an empty directory"
    if any(map(_is_dicom, itertools.islice(_files(directory), _MOST_FILES))):
        return "is a folder of DICOM files, which spine_tf.organize brings into the RSNA layout"
    return "is no directory of these programs"


def _files(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    return (path for path in directory.rglob("*") if path.is_file())


def _is_dicom(path: pathlib.Path) -> bool:
    if path.suffix.lower() == ".dcm":
        return True
    with contextlib.suppress(OSError):
        return regular_file.read_beginning(path, 132)[128:] == b"DICM"
    return False


def _nearby(directory: pathlib.Path, wanted: Kind) -> str:
    for each in _neighbours(directory):
        with contextlib.suppress(PermissionError):  # nobody asked for this one
            if of(each) is wanted:
                return f"; did you mean {each}?"
    return ""


def _neighbours(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the folders in a directory, then those around it: a fold's run, a model's export."""
    if directory.is_dir():
        inside = sorted(each for each in directory.iterdir() if each.is_dir())
        yield from inside[:_MOST_NEIGHBOURS]
    yield from directory.parents[:2]
