"""Files that are whole or not there, whoever is killed and whatever the file system lacks."""

import errno
import os
import pathlib
import signal
import stat
import subprocess
import sys

import pytest

from tfrecords import atomic, file_system

_WRITER = """
import os, pathlib, sys
from tfrecords import atomic, file_system
with getattr(atomic, sys.argv[1])(pathlib.Path(sys.argv[2])) as written:
    if isinstance(written, pathlib.Path):
        written.mkdir(exist_ok=True)
    print("writing", flush=True)
    sys.stdin.read()
"""


def _names(directory: pathlib.Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def _fail(number: int):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


def test_write_error_names_the_file(tmp_path):
    with pytest.raises(OSError, match="missing/s'"):
        atomic.write_bytes(tmp_path / "missing" / "s", b"a")


def test_an_error_inside_is_of_the_file_that_is_written(tmp_path):
    is_full = pytest.raises(OSError, match=r"No space left on device: .*/s'$")
    with is_full, atomic.open_binary(tmp_path / "s"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError, match=r"/e'$"), atomic.new_directory(tmp_path / "e") as e:
        (e / "in" / "it").touch()
    with pytest.raises(OSError, match=r"^a sentence$"), atomic.open_binary(tmp_path / "s"):
        raise OSError("a sentence")
    with pytest.raises(FileNotFoundError, match=r"/other'$"), atomic.open_binary(tmp_path / "s"):
        (tmp_path / "other").read_bytes()
    assert _names(tmp_path) == []


def test_a_library_writes_a_file_of_that_name(tmp_path):
    (tmp_path / "m.keras").write_text("old")
    with atomic.replaced_file(tmp_path / "m.keras") as path:
        assert path.name == "m.keras"
        path.write_text("new")
        assert (tmp_path / "m.keras").read_text() == "old"
    assert (tmp_path / "m.keras").read_text() == "new"
    assert _names(tmp_path) == ["m.keras"]


def test_a_directory_has_its_name_when_it_is_full(tmp_path):
    with atomic.new_directory(tmp_path / "e") as directory:
        (directory / "in").mkdir()
        (directory / "in" / "it").touch()
        assert not (tmp_path / "e").exists()
    assert _names(tmp_path / "e" / "in") == ["it"]
    with pytest.raises(KeyError), atomic.new_directory(tmp_path / "f") as directory:
        (directory / "it").touch()
        raise KeyError
    assert _names(tmp_path) == ["e"]


def test_create_text_keeps_what_is_there(tmp_path):
    atomic.create_text(tmp_path / "s", "first")
    before = (tmp_path / "s").stat().st_ino
    atomic.create_text(tmp_path / "s", "second")
    assert (tmp_path / "s").read_text() == "first"
    assert (tmp_path / "s").stat().st_ino == before
    assert _names(tmp_path) == ["s"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
def test_without_hard_links_a_text_is_created_all_the_same(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "link", _fail(number))
    test_create_text_keeps_what_is_there(tmp_path)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EACCES, 524])
def test_without_fsync_of_a_directory_all_is_written(tmp_path, monkeypatch, number):
    sync = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            _fail(number)()
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    atomic.write_text(tmp_path / "s", "text")
    assert (tmp_path / "s").read_text() == "text"
    number = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        atomic.write_text(tmp_path / "s", "text")


def test_temporary_names_are_told_from_others(tmp_path):
    for name in ("plan.json.tmp-123", "plan.json.tmp-4012345678-123"):
        assert atomic.is_temporary(tmp_path / name)
        assert atomic.final_name(tmp_path / name) == "plan.json"
    for name in ("plan.json", "plan.tmp-json", ".tmp-123", "plan.tmp-1-2-x"):
        assert not atomic.is_temporary(tmp_path / name)


def test_what_an_interrupted_write_left_counts_for_nothing(tmp_path):
    (tmp_path / "plan.json.tmp-123").touch()
    assert atomic.contents(tmp_path) == atomic.contents(tmp_path / "missing") == []
    (tmp_path / "plan.json").touch()
    assert atomic.contents(tmp_path) == [tmp_path / "plan.json"]


@pytest.mark.parametrize("way", ["open_binary", "replaced_file", "new_directory"])
def test_what_a_killed_process_left_goes_with_the_next_write_and_a_living_ones_stays(tmp_path, way):
    path = tmp_path / "file[1],50%"
    writers = []
    for _ in range(2):
        command = [sys.executable, "-c", _WRITER, way, str(path)]
        writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        writers.append(writer)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
    dead, living = writers
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    (tmp_path / f"{path.name}.tmp-1-999999999").touch()  # of another machine
    assert len(_names(tmp_path)) == 3

    atomic.write_text(path, "whole")

    left = [name.rpartition("-")[2] for name in _names(tmp_path) if name != path.name]
    assert sorted(left) == sorted([str(living.pid), "999999999"])
    living.kill()
    living.wait()
    atomic.remove_dead(tmp_path)
    assert _names(tmp_path) == [path.name, f"{path.name}.tmp-1-999999999"]


def test_permissions_are_right_from_the_first_moment_on(tmp_path):
    with atomic.open_binary(tmp_path / "secret", mode=0o600) as file:
        (temporary,) = tmp_path.iterdir()
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        file.write(b"s")
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_a_name_that_is_no_text_is_written_by_escapes(tmp_path):
    atomic.write_text(tmp_path / "page", os.fsdecode(b"Bild_\xe4"))
    assert (tmp_path / "page").read_text("utf-8") == r"Bild_\udce4"


def test_what_is_private_is_so_or_a_warning_says_that_it_is_not(tmp_path, monkeypatch, caplog):
    file_system.restrict(tmp_path, 0o700)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    assert not caplog.records
    (tmp_path / "open").touch(0o644)
    monkeypatch.setattr(os, "chmod", _fail(errno.EPERM))
    file_system.restrict(tmp_path / "open", 0o600)
    assert "has no permissions: others who reach it can read it" in caplog.text
    monkeypatch.setattr(os, "chmod", _fail(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        file_system.restrict(tmp_path / "open", 0o600)
