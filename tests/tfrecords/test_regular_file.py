"""Files that are none, and files that are larger than they may be or say."""

import os
import pathlib
import pickle
import socket

import pytest

from tfrecords import regular_file


def test_a_file_is_read_as_it_is(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf1,2\r\n")

    assert regular_file.read_bytes(path) == b"\xef\xbb\xbf1,2\r\n"
    assert regular_file.read_text(path) == "1,2\r\n"
    assert regular_file.read_beginning(path, 4) == b"\xef\xbb\xbf1"
    assert regular_file.read_beginning(path, 100) == regular_file.read_bytes(path, limit=8)


def test_a_link_to_a_file_is_followed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"12")
    (tmp_path / "link").symlink_to("file")

    assert regular_file.read_bytes(tmp_path / "link") == b"12"


def test_what_is_no_file_is_refused_at_once(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    server = socket.socket(socket.AF_UNIX)
    here = pathlib.Path.cwd()
    os.chdir(tmp_path)  # a socket's path has to be short
    try:
        server.bind("socket")
    finally:
        os.chdir(here)
    (tmp_path / "link").symlink_to("/dev/zero")
    kinds = {"pipe": "a named pipe", "socket": "a socket", "link": "a device", ".": "a directory"}

    with server:
        for name, kind in kinds.items():
            with pytest.raises(regular_file.UnfitFile, match=f"is {kind}, expected a regular") as e:
                regular_file.read_bytes(tmp_path / name)
            assert str(tmp_path / name) in str(e.value)


def test_the_limit_holds_whatever_size_a_file_says(tmp_path: pathlib.Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    says_nothing = pathlib.Path("/proc/self/status")

    with pytest.raises(regular_file.UnfitFile, match="sparse has more than 1000 bytes"):
        regular_file.read_bytes(tmp_path / "sparse", 1000)
    assert len(regular_file.read_beginning(tmp_path / "sparse", 10)) == 10
    if says_nothing.exists():
        assert says_nothing.stat().st_size == 0
        assert regular_file.read_bytes(says_nothing).startswith(b"Name:")
        with pytest.raises(regular_file.UnfitFile, match="more than 100 bytes"):
            regular_file.read_bytes(says_nothing, 100)


def test_an_error_comes_whole_out_of_a_worker(tmp_path: pathlib.Path) -> None:
    with pytest.raises(regular_file.UnfitFile) as caught:
        regular_file.read_bytes(tmp_path)

    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_text_that_is_no_utf8_names_its_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "latin").write_bytes(b"M\xe4rz")

    with pytest.raises(ValueError, match="latin is not UTF-8"):
        regular_file.read_text(tmp_path / "latin")


def test_an_error_while_reading_names_its_file() -> None:
    unreadable = pathlib.Path("/proc/self/mem")  # a regular file; its first page is not mapped
    if not unreadable.exists():
        pytest.skip("this is Linux's")
    with pytest.raises(OSError, match=r"Input/output error: '/proc/self/mem'"):
        regular_file.read_bytes(unreadable)
