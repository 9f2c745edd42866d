"""Files of several arrays (.npz): opened as ones of ours, or refused in one sentence."""

import contextlib
import io
import pathlib
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

from tfrecords import errors, regular_file

# What numpy and zipfile raise of a file that is damaged, or asks for memory that it doesn't fill.
_UNREADABLE = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, MemoryError),
    *(RuntimeError, SyntaxError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


@contextlib.contextmanager
def opened(path: pathlib.Path, *, expected: str, mend: str) -> Iterator[Mapping[str, np.ndarray]]:
    """Yields the arrays of a file by name, each read when it is asked for; never a pickle.

    Args:
        path: the file.
        expected: what it should be, such as "the state of a training".
        mend: what to do where it is damaged.

    Raises:
        ValueError: there is no such file, or it, or what is asked for in the block, can't be read;
            names the file.
    """
    try:
        with (
            io.BufferedReader(cast(io.RawIOBase, regular_file.open_file(path))) as file,
            np.load(file) as arrays,
        ):
            yield _Arrays(arrays)
    except _UNREADABLE as err:
        raise ValueError(
            f"{path} can't be read ({errors.reason(err)}); expected {expected}: {mend}"
        ) from err


class _Arrays(Mapping[str, np.ndarray]):
    """The arrays in a file; what lies beside them in the zip is no array."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = arrays

    def __getitem__(self, name: str) -> np.ndarray:
        found = self._arrays[name]
        if not isinstance(found, np.ndarray):
            raise ValueError(f"{name} is no array")
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)
