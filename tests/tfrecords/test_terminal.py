"""What a terminal shows: TensorFlow's import is run for real, in a process of its own."""

import logging
import os
import subprocess
import sys

import pytest

from tfrecords import terminal


def _import(before: str, after: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    code = f"import os, sys\nfrom tfrecords import terminal\n{before}\nimport tensorflow\n{after}"
    inherited = {name: value for name, value in os.environ.items() if name[:3] != "TF_"}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**inherited, **environment},
    )


@pytest.mark.slow
def test_import_of_tensorflow_is_silent_and_stderr_is_its_own_again_after_it() -> None:
    done = _import(
        "terminal.silence_tensorflow()",
        "os.write(2, b'I0000 00:00:1.5 7 port.cc:1] mine\\n')\n"
        "assert tensorflow.__spec__.loader is tensorflow.__loader__\n"
        "assert type(tensorflow.__loader__).__module__ != 'tfrecords.terminal'\n"
        "assert tensorflow.constant(1).numpy() == 1\n",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "I0000 00:00:1.5 7 port.cc:1] mine\n"


@pytest.mark.slow
def test_chatter_that_is_asked_for_stays() -> None:
    done = _import("terminal.silence_tensorflow()", TF_CPP_MIN_LOG_LEVEL="0")
    assert "oneDNN" in done.stderr


def test_what_is_no_chatter_is_written_after_the_import_even_if_that_fails(tmp_path) -> None:
    (tmp_path / "tensorflow.py").write_text(
        "import os\n"
        "os.write(2, b'I0000 00:00:1764.09 18270 port.cc:153] oneDNN is on.\\n')\n"
        "os.write(2, b'2026-01-01 10:00:00.12: E external/x.cc:9] no cuFFT\\n')\n"
        "os.write(2, b'WARNING: All log messages before absl::InitializeLog() is called\\n')\n"
        "os.write(2, b'a library is missing\\n')\n"
        "raise ImportError('this one')\n"
    )
    done = _import(f"sys.path.insert(0, {str(tmp_path)!r})\nterminal.silence_tensorflow()")
    assert done.returncode == 1
    assert done.stderr.startswith("a library is missing\nTraceback")
    assert "ImportError: this one" in done.stderr
    assert "oneDNN" not in done.stderr
    assert "cuFFT" not in done.stderr
    assert "InitializeLog" not in done.stderr


@pytest.mark.parametrize(
    ("level", "line"),
    [
        (logging.DEBUG, "so it is"),
        (logging.INFO, "so it is"),
        (logging.WARNING, "warning: so it is"),
        (logging.ERROR, "error: so it is"),
        (logging.CRITICAL, "error: so it is"),
    ],
)
def test_line_says_what_it_is_only_where_that_matters(level: int, line: str) -> None:
    record = logging.LogRecord("absl", level, "x.py", 1, "so %s is", ("it",), None)
    assert terminal.PlainFormatter().format(record) == line
