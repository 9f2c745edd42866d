"""Kills, ends and starves programs at random moments; the next run has to end as if undisturbed.

    python benchmarks/soak.py [--minutes 10] [--seed 0] [--programs convert,train] [--work_dir W]

A trial is a program, up to three faults, and the same command once more, to its end:

kill: SIGKILL to the program, or to one of its workers, at a random moment.
term: SIGTERM to the program, or to its whole group.
disk: the output on a file system of a random size (without the right to mount: no file larger than
    that), which is large enough for the last run.

Found is what differs from two undisturbed runs (files that differ between these two, but for times
and the ids that organize draws, are not compared), an exit status or a traceback that should not
be, temporary files that stay, and processes that outlive their program. A line a trial, a table at
the end; exit status 1 where something was found. What such a trial wrote is kept.
"""

import collections
import contextlib
import dataclasses
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import soak_output
import soak_programs
from absl import app, flags

from tfrecords import atomic

_MINUTES = flags.DEFINE_float("minutes", 10.0, "How long.")
_SEED = flags.DEFINE_integer("seed", 0, "Of programs, faults and moments.")
_PROGRAMS = flags.DEFINE_list("programs", [], "Some of them; all if not given.")
_WORK_DIR = flags.DEFINE_string("work_dir", None, "New directory for all that is written.")

_MARK = "SOAK_TRIAL"
# What docs/reliability.md says that a killed program leaves in TMPDIR.
_LEFT_BY_A_KILL = ("spine_tf_model_", "spine_tf_studies_", "pymp-")
_TERMINATED = 128 + signal.SIGTERM


FAULTS = ("kill", "term", "disk")


def main(_: list[str]) -> None:
    """Runs trials for as long as is asked, and says what was found."""
    known = soak_programs.present()
    unknown = set(_PROGRAMS.value) - set(known)
    if unknown:
        raise app.UsageError(f"--programs has {', '.join(sorted(unknown))}: take {known}")
    work_dir = pathlib.Path(_WORK_DIR.value or tempfile.mkdtemp(prefix="soak_")).resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    soak = _Soak(work_dir, _PROGRAMS.value or known)
    end = time.monotonic() + 60 * _MINUTES.value
    number = 0
    while time.monotonic() < end:
        soak.run_trial(number)
        number += 1
    soak.print_table()
    sys.exit(1 if soak.num_found else 0)


class _Soak:
    """What undisturbed runs wrote, and what trials found."""

    def __init__(self, work_dir: pathlib.Path, names: list[str]) -> None:
        self._work_dir = work_dir
        self._random = random.Random(_SEED.value)
        self._counts: collections.Counter[tuple[str, str, str]] = collections.Counter()
        soak_programs.write_inputs(work_dir)
        self._references = {name: soak_output.Reference.of(name, work_dir) for name in names}

    @property
    def num_found(self) -> int:
        """How many trials found something."""
        return sum(count for key, count in self._counts.items() if key[2] == "found")

    def run_trial(self, number: int) -> None:
        """Disturbs one program, and prints what came of it."""
        name = self._random.choice(list(self._references))
        fault = self._random.choice(FAULTS[:2] if name == "serve" else FAULTS)
        trial = _Trial(self._work_dir, number, self._references[name], fault, self._random)
        found = (_serve_trial if name == "serve" else _trial)(trial)
        self._counts[name, fault, "found" if found else "held"] += 1
        says = "; ".join(found) or "as undisturbed"
        print(f"{number} {name} {' '.join(trial.done)}: {says}", flush=True)
        if not found:
            shutil.rmtree(trial.directory)

    def print_table(self) -> None:
        """Prints how many trials there were of each kind."""
        print("\n| program | " + " | ".join(FAULTS) + " | found |\n" + "|---" * 5 + "|")
        for name in self._references:
            of_fault = [sum(self._counts[name, f, s] for s in ("held", "found")) for f in FAULTS]
            found = sum(self._counts[name, fault, "found"] for fault in FAULTS)
            print(f"| {name} | " + " | ".join(map(str, of_fault)) + f" | {found} |")


@dataclasses.dataclass(frozen=True)
class _Trial:
    """One program, disturbed in its own directory."""

    work_dir: pathlib.Path
    number: int
    reference: soak_output.Reference
    fault: str
    random: random.Random
    done: list[str] = dataclasses.field(default_factory=list)

    @property
    def directory(self) -> pathlib.Path:
        """Of all that the trial writes."""
        return self.work_dir / f"trial_{self.number}"

    @property
    def environment(self) -> dict[str, str]:
        """Marks every process of the trial, and gives it a TMPDIR of its own."""
        temporary = self.directory / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        return {_MARK: str(self.number), "TMPDIR": str(temporary)}

    def moment(self) -> float:
        """Seconds after which something happens, now and then after the end."""
        return self.random.uniform(0, 1.1) * self.reference.seconds


def _trial(trial: _Trial) -> list[str]:
    place = trial.directory / "place"
    place.mkdir(parents=True)
    output = place / "output"
    found: list[str] = []
    with contextlib.ExitStack() as stack:
        # At least what a directory and its first file take.
        size = int(trial.random.uniform(0.02, 0.95) * trial.reference.num_bytes) + 20_000
        disk = stack.enter_context(_small_disk(place, size)) if trial.fault == "disk" else None
        for _ in range(1 if disk else trial.random.randint(1, 3)):
            found += _disturb(trial, output, disk)
        if disk:
            disk.grow()
        program = soak_programs.PROGRAMS[trial.reference.name]
        command = program.command(output)
        for each in filter(None, (command, program.check_command(output))):
            last = soak_programs.run(each, trial.work_dir, trial.environment)
            if last.returncode:
                found.append(f"{each[2]} ended with {last.returncode}: {last.stderr[-300:]}")
        found += _orphans(trial) + trial.reference.differences(output) + _leftovers(trial)
        if found and disk:
            shutil.copytree(place, trial.directory / "kept")
    return found


def _disturb(trial: _Trial, output: pathlib.Path, disk: "_Disk | None") -> list[str]:
    """Runs the program once with the fault; returns what should not have happened."""
    command = soak_programs.PROGRAMS[trial.reference.name].command(output)
    options: dict[str, Any] = {"preexec_fn": disk.limit} if disk and disk.limit else {}
    with soak_programs.started(command, trial.work_dir, trial.environment, **options) as process:
        allowed = {0, 1} if disk else _signal(trial, process)
        _, stderr = process.communicate(timeout=soak_programs.MOST_SECONDS)
    if disk:
        trial.done.append(f"disk of {disk.num_bytes / 1e3:.0f} kB: {process.returncode}")
    found = []
    if process.returncode not in allowed:
        found.append(f"exit status {process.returncode}, not of {sorted(allowed)}: {stderr[-300:]}")
    if "Traceback" in stderr:
        found.append(f"a traceback: {stderr[-300:]}")
    if process.returncode != -signal.SIGKILL:
        found += _temporaries(output)
    return found + _orphans(trial)


def _signal(trial: _Trial, process: subprocess.Popen[str]) -> set[int]:
    """Sends the fault's signal at a random moment; returns which exit statuses are right then."""
    moment = trial.moment()
    time.sleep(moment)
    workers = [pid for pid in _marked(trial) if pid != process.pid]
    to_other = trial.random.random() < 0.3
    said = f"{trial.fault} at {moment:.1f} s"
    allowed = {0}
    with contextlib.suppress(ProcessLookupError):
        if process.poll() is not None:
            said += ", after its end"
        elif trial.fault == "term":
            (os.killpg if to_other else os.kill)(process.pid, signal.SIGTERM)
            # Before Python has set its handlers, a signal ends it as it ends any process.
            allowed |= {_TERMINATED, -signal.SIGTERM}
        elif to_other and workers:
            os.kill(trial.random.choice(workers), signal.SIGKILL)
            said, allowed = f"{said}, a worker", {0, 1}
        else:
            process.kill()
            allowed |= {-signal.SIGKILL}
    trial.done.append(said)
    return allowed


def _serve_trial(trial: _Trial) -> list[str]:
    """A server is killed or ended while it answers; another one answers as if nothing was."""
    found: list[str] = []
    with soak_programs.started(
        soak_programs.PROGRAMS["serve"].command(trial.directory), trial.work_dir, trial.environment
    ) as process:
        said = process.stdout.readline() if process.stdout and trial.random.random() < 0.7 else ""
        request = None
        if said:
            request = soak_programs.send(said.split()[-1], trial.work_dir)
        allowed = _signal(trial, process)
        process.communicate(timeout=soak_programs.MOST_SECONDS)
        if request:
            request.close()
    if process.returncode not in allowed - {0}:
        found.append(f"exit status {process.returncode}, not of {sorted(allowed - {0})}")
    found += _orphans(trial)
    output = trial.directory / "output"
    output.mkdir()
    with soak_programs.served(trial.work_dir, trial.environment) as address:
        (output / "answer.json").write_bytes(soak_programs.ask(address, trial.work_dir))
    return found + _orphans(trial) + trial.reference.differences(output) + _leftovers(trial)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Disk:
    """Room for so many bytes, until it grows.

    Attributes:
        num_bytes: how many.
        limit: what makes it so in a process; None where the file system is so small.
        grow: ends that.
    """

    num_bytes: int
    limit: Callable[[], None] | None
    grow: Callable[[], None]


@contextlib.contextmanager
def _small_disk(place: pathlib.Path, num_bytes: int) -> Iterator[_Disk]:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        limits = (num_bytes, resource.RLIM_INFINITY)
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)  # noqa: E731
        yield _Disk(num_bytes=num_bytes, limit=limit, grow=lambda: None)
        return

    def grow() -> None:
        subprocess.run(["mount", "-o", "remount,size=1g", str(place)], check=True)

    try:
        yield _Disk(num_bytes=num_bytes, limit=None, grow=grow)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _leftovers(trial: _Trial) -> list[str]:
    left = [path.name for path in (trial.directory / "tmp").iterdir()]
    if trial.fault == "kill":
        left = [name for name in left if not name.startswith(_LEFT_BY_A_KILL)]
    found = [f"left in TMPDIR: {', '.join(sorted(left)[:3])}"] if left else []
    return found + _temporaries(trial.directory)


def _temporaries(directory: pathlib.Path) -> list[str]:
    left = [
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if atomic.is_temporary(path)
    ]
    return [f"begun files: {', '.join(sorted(left)[:3])}"] if left else []


def _orphans(trial: _Trial) -> list[str]:
    """Waits until no process of the trial is left; names those that stay, and ends them."""
    end = time.monotonic() + 15.0
    while left := _marked(trial):
        if time.monotonic() > end:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return [f"{len(left)} processes outlived the program"]
        time.sleep(0.1)
    return []


def _marked(trial: _Trial) -> list[int]:
    """Returns the processes that have the trial's mark in their environment."""
    mark = f"{_MARK}={trial.number}".encode()
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (path / "environ").read_bytes().split(b"\0"):
                found.append(int(path.name))
    return found


if __name__ == "__main__":
    app.run(main)
