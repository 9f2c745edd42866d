"""Locks of a slot: one owner, also where Linux's own kind of lock is missing, as on macOS."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from spine_tf.processes import lock

_SECOND = """
import fcntl, pathlib, sys
{spoil}
from spine_tf.processes import lock
with lock.lock_slot(pathlib.Path(sys.argv[1]), int(sys.argv[2])):
    print("locked")
"""


@pytest.fixture(params=["", "del fcntl.F_OFD_SETLK"], ids=["Linux", "macOS"])
def second(request, monkeypatch, tmp_path):
    """Returns a function that locks a slot of the file in another process."""
    if request.param:
        monkeypatch.delattr(fcntl, "F_OFD_SETLK")
    (tmp_path / "plan.json").touch()
    code = _SECOND.format(spoil=request.param)

    def lock_slot(slot):
        arguments = [sys.executable, "-c", code, tmp_path / "plan.json", str(slot)]
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    return lock_slot


def test_slot_has_one_owner_and_others_have_theirs(second, tmp_path):
    with lock.lock_slot(tmp_path / "plan.json", 1):
        refused = second(1)
        assert "another converter is at work on slot 1" in refused.stderr
        assert second(2).stdout == "locked\n"
    assert second(1).stdout == "locked\n"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, 524])
def test_without_locks_the_work_goes_on_with_a_warning(tmp_path, monkeypatch, caplog, number):
    (tmp_path / "plan.json").touch()

    def fail(*_):
        raise OSError(number, os.strerror(number))

    for name in ("flock", "fcntl"):
        monkeypatch.setattr(fcntl, name, fail)
    with lock.lock_directory(tmp_path), lock.lock_slot(tmp_path / "plan.json", 1):
        pass
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 2
    assert all(f"the file system of {tmp_path} has no locks" in text for text in said)
    assert "one converter works in it at a time" in said[0]
    assert "each --shards i/N is started once" in said[1]


def test_a_lock_that_fails_otherwise_is_an_error(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="Input/output error"), lock.lock_directory(tmp_path):
        pass
