"""What a user can meet is one sentence that names the place and helps."""

import errno
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfrecords import errors, regular_file


def _raised(call) -> BaseException:
    with pytest.raises(errors.mendable()) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: pathlib.Path("no/x").read_bytes(), "no/x: No such file or directory"),
        (lambda: os.truncate(b"no/x", 1), "no/x: No such file or directory"),
        (lambda: os.read(10**6, 1), "Bad file descriptor"),
        (lambda: regular_file.open_file("/dev/null"), "/dev/null is a device, expected a regular"),
        (lambda: (_ for _ in ()).throw(OSError("of our own")), "of our own"),
        (lambda: pathlib.Path("x" * 999).stat(), "x: File name too long: choose a shorter name"),
        (lambda: int("x" * 9), "invalid literal for int() with base 10: 'xxxxxxxxx'"),
        (lambda: np.empty(2**56), "there is not enough memory (Unable to allocate 512. PiB"),
        (lambda: b"x" * 2**62, "there is not enough memory: lower data.memory_budget_mb"),
        (lambda: tf.io.read_file("no/x"), "TensorFlow can't go on: no/x; No such file"),
        (lambda: tf.reshape([1, 2], [3]), "TensorFlow can't go on: "),
        (lambda: tf.io.write_file("/dev/full", "x"), "No space left on device: make room there"),
    ],
)
def test_sentence_says_where_and_what(call, sentence: str) -> None:
    said = errors.in_words(_raised(call))
    assert sentence in said
    assert "\n" not in said
    assert "Op:" not in said
    assert "Errno" not in said


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_says_where_and_that_the_command_goes_on(number: int) -> None:
    said = errors.in_words(OSError(number, os.strerror(number), "a/b"))
    assert said.startswith(f"a/b: {os.strerror(number)}: make room there, then run the command ag")


def test_fault_of_the_code_has_no_sentence() -> None:
    assert not issubclass(KeyError, errors.mendable())
    assert not issubclass(AssertionError, errors.mendable())


@pytest.mark.parametrize(
    ("err", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "a"), "a: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("of\n our own"), "of our own"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_reason_goes_into_the_middle_of_a_sentence(err: BaseException, said: str) -> None:
    assert errors.reason(err) == said
