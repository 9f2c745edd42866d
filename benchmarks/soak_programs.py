"""What benchmarks/soak.py disturbs: programs, what they work on, and how they are started."""

import contextlib
import dataclasses
import http.client
import importlib.util
import os
import pathlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

MOST_SECONDS = 600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A program that is disturbed.

    Attributes:
        words: its command line after `python -m`; "OUT" in them is the output.
        again: flags that go on with what is there.
        check: what has to end with 0 on what was written.
    """

    words: tuple[str, ...]
    again: tuple[str, ...] = ()
    check: tuple[str, ...] = ()

    def command(self, output: pathlib.Path) -> list[str]:
        """The command line, which goes on with what lies in the output.

        Where the output is a place for several files, it is made.
        """
        if any("OUT/" in word for word in self.words):
            output.mkdir(exist_ok=True)
        more = self.again if output.exists() else ()
        return _python(output, *self.words, *more)

    def check_command(self, output: pathlib.Path) -> list[str]:
        """The command line that checks the output; empty if there is none."""
        return _python(output, *self.check) if self.check else []


def _python(output: pathlib.Path, *words: str) -> list[str]:
    return [sys.executable, "-m", *(word.replace("OUT", str(output)) for word in words)]


_DATA = ("--data_dir=data", "--levels=l3_l4,l4_l5")
_TRAINING = ("--records_dir=records", "--task=binary", "--set=model.input_px=16")
PROGRAMS = {
    "convert": Program(
        words=("spine_tf.convert", *_DATA, "--roi_px=128", "--output_dir=OUT", "--workers=2")
    ),
    "train": Program(
        words=(
            *("spine_tf.train", *_TRAINING, "--model=simple", "--val_fold=all", "--epochs=3"),
            "--run_dir=OUT",
        ),
        again=("--resume",),
    ),
    "search": Program(
        words=(
            *("tuner", *_TRAINING, "--models=simple", "--oracle=random", "--max_trials=3"),
            *("--max_epochs=3", "--search_dir=OUT"),
        ),
        again=("--resume",),
    ),
    "export": Program(
        words=("spine_tf.export", "--run_dir=run", "--export_dir=OUT"),
        check=("spine_tf.export", "--check=OUT"),
    ),
    "organize": Program(
        words=("spine_tf.organize", "--dicom_dir=pile/pile", "--output_dir=OUT", "--workers=2")
    ),
    "localize": Program(
        words=(
            *("spine_tf.localize", "--data_dir=few", "--output=OUT/points.csv"),
            "--report_dir=OUT/report",
        )
    ),
    "predict": Program(
        words=(
            *("spine_tf.predict", "--model_dir=export", "--data_dir=data", "--side=train"),
            *("--output=OUT/submission.csv", "--report_dir=OUT/report"),
        )
    ),
    "serve": Program(words=("spine_tf.serve", "--model_dir=export", "--port=0")),
}


def present() -> list[str]:
    """Returns the names of the programs that this version has."""
    return [name for name, one in PROGRAMS.items() if importlib.util.find_spec(one.words[0])]


def write_inputs(work_dir: pathlib.Path) -> None:
    """Writes what the programs work on, unless it is there."""
    for name, (*words, flag) in _INPUTS.items():
        if not (work_dir / name).exists():
            require(run([sys.executable, "-m", *words, f"{flag}={name}"], work_dir, {}))
    study = min((work_dir / "data" / "train_images").iterdir())
    with zipfile.ZipFile(work_dir / "study.zip", "w") as archive:
        for path in sorted(study.rglob("*.dcm")):
            archive.write(path, path.relative_to(study))


# Directory -> what writes it, and the flag that names it.
_INPUTS = {
    "data": ("spine_tf.phantom", "--num_studies=24", "--output_dir"),
    "few": ("spine_tf.phantom", "--num_studies=2", "--output_dir"),
    "pile": ("spine_tf.phantom", "--num_studies=2", "--style=hospital", "--output_dir"),
    "records": ("spine_tf.convert", *_DATA, "--roi_px=32", "--num_folds=3", "--output_dir"),
    "run": ("spine_tf.train", *_TRAINING, "--model=simple", "--epochs=1", "--run_dir"),
    "export": ("spine_tf.export", "--run_dir=run", "--export_dir"),
}


@contextlib.contextmanager
def started(
    command: list[str], work_dir: pathlib.Path, environment: dict[str, str], **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Yields a process, in a session of its own, which is killed if it is still there behind it."""
    process = subprocess.Popen(
        command,
        cwd=work_dir,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def run(
    command: list[str], work_dir: pathlib.Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    with started(command, work_dir, environment) as process:
        stdout, stderr = process.communicate(timeout=MOST_SECONDS)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def require(done: subprocess.CompletedProcess[str]) -> None:
    """Raises OSError unless the command did what it should."""
    if done.returncode:
        raise OSError(f"{' '.join(done.args)} ended with {done.returncode}: {done.stderr[-500:]}")


@contextlib.contextmanager
def served(work_dir: pathlib.Path, environment: dict[str, str]) -> Iterator[str]:
    """Yields the address of a server that is ended behind it."""
    command = PROGRAMS["serve"].command(work_dir / "nothing")
    with started(command, work_dir, environment) as process:
        if process.stdout is None:
            raise OSError("the server has no stdout")
        yield process.stdout.readline().split()[-1]
        process.terminate()
        process.communicate(timeout=60)


def send(address: str, work_dir: pathlib.Path) -> http.client.HTTPConnection:
    """Asks a server about the study, without waiting for the answer."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=MOST_SECONDS)
    body = (work_dir / "study.zip").read_bytes()
    connection.request("POST", "/v1/studies", body, {"Content-Type": "application/zip"})
    return connection


def ask(address: str, work_dir: pathlib.Path) -> bytes:
    """Returns what a server says of the study."""
    connection = send(address, work_dir)
    with contextlib.closing(connection):
        response = connection.getresponse()
        said = response.read()
    if response.status != 200:
        raise OSError(f"the server answered {response.status}: {said[:300]!r}")
    return said
