"""Files of arrays that are damaged, or ask for memory that they don't fill."""

import io
import os
import pathlib
import zipfile

import numpy as np
import pytest

from tfrecords import array_file


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    with array_file.opened(path, expected="arrays", mend="make them again") as arrays:
        return dict(arrays)


def _zip(header: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.npy", header)
    return buffer.getvalue()


def _array(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


def _saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_arrays_come_back(tmp_path: pathlib.Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.eye(2))
    found = _read(tmp_path / "a.npz")
    assert sorted(found) == ["x", "y"]
    np.testing.assert_array_equal(found["x"], [0, 1, 2])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        _saved(np.arange(3)),  # one array without a name
        _zip(b"no array"),
        _zip(_array("{'descr': '<f8', 'fortran_order': False, 'shape': (1073741824, 65536)}\n")),
        _zip(_array("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}\n")),
        _zip(_array("{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}\n")),
        _zip(_array("{'descr': 'nothing', 'fortran_order': False, 'shape': (3,)}\n")),
        _zip(_array("[" * 9000 + "\n")),
        _zip(_array("  x\n y\n")),
        _zip(_saved(np.array([print], object))),
        _zip(_saved(np.arange(99)))[:200],
    ],
)
def test_file_without_arrays_is_refused(tmp_path: pathlib.Path, data: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a.npz can't be read \(.+\); expected arrays: make them"):
        _read(path)


def test_what_is_no_file_is_refused(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "nowhere", "."):
        with pytest.raises(ValueError, match=r"can't be read \(.+\); expected arrays"):
            _read(tmp_path / name)


def test_error_of_the_block_names_the_file(tmp_path: pathlib.Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    with (
        pytest.raises(ValueError, match=r"a.npz can't be read \(.*y is not a file"),
        array_file.opened(tmp_path / "a.npz", expected="arrays", mend="make it") as arrays,
    ):
        arrays["y"]
