"""What holds for all programs: what they require, and the command that each prints at its end."""

import functools
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from spine_tf import cli, labels
from spine_tf.configuration import model_configs

_MODULES = [program.module for program in cli.PROGRAMS.values()]
# What a flag is given that has to be one of some values, and what a program needs besides.
_VALUES = {"task": "binary", "model": "simple", "models": "simple"}
# TensorFlow is quiet from its import on: with Keras and without it.
_BEGUN_AFRESH = ("spine_tf.train", "spine_tf.predict")
_MORE = {"spine_tf.ablate": ("--factors=roi_mm=30",)}


def _run(*words: str, cwd: pathlib.Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd)


@functools.cache
def _help(module: str) -> dict[str, str]:
    """Returns what --help says of each flag, in one line."""
    shown = _run("warm-python", "-m", module, "--help").stdout
    entries = re.split(r"^  --(?:\[no\])?(\w+): ", shown, flags=re.MULTILINE)
    pairs = zip(entries[1::2], entries[2::2], strict=True)
    return {name: " ".join(text.split()) for name, text in pairs}


@pytest.mark.parametrize("module", _MODULES)
def test_help_marks_what_the_program_asks_for(module: str, tmp_path: pathlib.Path) -> None:
    marked = [name for name, text in _help(module).items() if "required" in text]
    assert marked or module in ("tfrecords", "spine_tf.phantom", "spine_tf.serve")
    for missing in marked:
        given = [f"--{name}={_VALUES.get(name, 'none')}" for name in marked if name != missing]
        done = _run(*("warm-python", "-m", module, *given, *_MORE.get(module, ())), cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: --{missing} is missing"), done.stderr


@pytest.mark.parametrize("module", _MODULES)
def test_help_lists_what_a_choice_may_be(module: str) -> None:
    known = {
        "conditions": labels.CONDITIONS,
        "levels": labels.LEVELS,
        "task": labels.WHOLE_TASKS,
        "tasks": tuple(labels.TASKS),
        "model": tuple(model_configs.MODEL_CONFIGS),
        "models": tuple(model_configs.MODEL_CONFIGS),
        "formats": ("onnx", "openvino", "litert", "litert_int8"),
        "split": ("test", "val", "oof"),
        "condition": labels.CONDITIONS,
    }
    shown = _help(module)
    assert shown or module == "tfrecords"
    for name, values in known.items():
        for value in values if name in shown else ():
            assert re.search(rf"\b{value}\b", shown[name]), f"{name}: {value}"


def test_place_beside_is_free(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "data"
    assert cli.beside(path, "run") == tmp_path / "run"
    for name in ("run", "run_2", "s.csv"):
        (tmp_path / name).mkdir()
    assert cli.beside(path, "run") == tmp_path / "run_3"
    assert cli.beside(path, "s.csv") == tmp_path / "s_2.csv"


def test_next_command_is_started_as_this_one_was(monkeypatch, capsys) -> None:
    cli.print_next("records", "verify", "r")
    monkeypatch.setattr(sys.modules["__main__"], "__started_as__", ("spine-tf", "x"), raising=False)
    cli.print_next("search", search_dir="a b")
    assert capsys.readouterr().out.splitlines() == [
        "next: python -m tfrecords verify r",
        "next: spine-tf search '--search_dir=a b'",
    ]


def test_run_of_landmarks_leads_to_a_localiser_of_two(tmp_path, capsys) -> None:
    run_dir = tmp_path / "run"
    cli.print_next_of_run(run_dir, tmp_path / "records", task="landmarks", split="val")
    (line,) = capsys.readouterr().out.splitlines()
    said, meant = line.split("  # ")
    assert said.endswith(f"export --run_dir={run_dir},OTHER --export_dir={tmp_path / 'localizer'}")
    assert meant.startswith("OTHER: a run of task landmarks")
    (run_dir / "fold_0").mkdir(parents=True)
    (run_dir / "fold_0" / "model.keras").touch()
    cli.print_next_of_run(run_dir, tmp_path / "records", task="landmarks", split="oof")
    assert f"--run_dir={run_dir / 'fold_0'},OTHER" in capsys.readouterr().out


class _Chain:
    """Commands run as they were printed, in a folder whose name wants quotes."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.printed: list[list[str]] = []

    def run(self, words: list[str], *more: str) -> None:
        """Runs a command with more flags; keeps the commands that it prints."""
        assert words[:2] == ["python", "-m"]
        python = sys.executable if words[2] in _BEGUN_AFRESH else "warm-python"
        done = _run(python, *words[1:], *more, cwd=self.directory)
        noise = re.findall(r"^.*(?:oneDNN|cuda|InitializeLog|^[IWE]\d{4}).*$", done.stderr, re.M)
        assert noise == []
        self.printed = _printed(done)

    def next(self, module: str, *more: str) -> None:
        """Runs that of the printed commands."""
        (words,) = (words for words in self.printed if words[2] == module)
        self.run(words, *more)


@pytest.mark.slow
def test_printed_commands_lead_from_a_phantom_to_a_submission(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("TF_CPP")]:
        monkeypatch.delenv(name)
    chain = _Chain(tmp_path / "a place")
    chain.directory.mkdir()
    chain.run(["python", "-m", "spine_tf.phantom"], "--output_dir=my data", "--num_studies=5")
    small = ("--roi_px=16", "--num_folds=3", "--levels=all")
    chain.next("spine_tf.convert", *small, "--dry_run")
    chain.next("spine_tf.convert")
    converted = chain.printed
    chain.next("tfrecords")
    chain.next("tfrecords")
    chain.printed = converted
    short = ("--epochs=1", "--set=model.filters=[4,4]")
    chain.next("spine_tf.train", *short)
    chain.next("spine_tf.evaluate", "--num_resamples=20", "--noevidence")
    assert (chain.directory / "report" / "report.html").exists()
    chain.next("spine_tf.export")
    (words,) = chain.printed
    chain.run([word.replace("=DATA", "=my data") for word in words], "--side=train")
    assert (chain.directory / "submission.csv").exists()
    assert chain.printed == []


def _printed(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("next: ")]
    return [shlex.split(line.removeprefix("next: "), comments=True) for line in lines]


def test_audit_leads_to_a_conversion_without_what_it_found(
    small_data_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    done = _run(
        *("warm-python", "-m", "spine_tf.audit"),
        *(f"--data_dir={small_data_dir}", f"--report_dir={tmp_path / 'audit'}"),
    )
    (words,) = _printed(done)
    assert words[2:] == [
        "spine_tf.convert",
        f"--data_dir={small_data_dir}",
        f"--exclude={tmp_path / 'audit' / 'audit.csv'}",
        f"--output_dir={tmp_path / 'records'}",
    ]
    assert _run("warm-python", *words[1:], "--dry_run").returncode == 0


def test_audit_of_given_points_leads_to_the_conversion_of_these(
    small_data_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    points = shutil.copy(small_data_dir / "train_label_coordinates.csv", tmp_path / "points.csv")
    flags = f"--data_dir={small_data_dir}", f"--points={points}"
    done = _run("warm-python", "-m", "spine_tf.audit", *flags, f"--report_dir={tmp_path / 'audit'}")
    (words,) = _printed(done)
    assert words[3:5] == [*flags]


def test_audit_of_rows_that_convert_would_not_choose_names_them(
    small_data_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    data_dir = shutil.copytree(small_data_dir, tmp_path / "data")
    path = data_dir / "train_label_coordinates.csv"
    path.write_text(path.read_text().replace(",L4/L5,", ",L3/L4,"))
    flags = (f"--data_dir={data_dir}", f"--report_dir={tmp_path / 'audit'}")
    (words,) = _printed(_run("warm-python", "-m", "spine_tf.audit", *flags))
    assert words[4:6] == ["--conditions=all", "--levels=all"]


@pytest.mark.parametrize(("slots", "words"), [("0/2", ["--roi_px=16", "--finalize"])])
def test_part_of_a_conversion_leads_to_what_completes_it(
    small_data_dir: pathlib.Path, tmp_path: pathlib.Path, slots: str, words: list[str]
) -> None:
    given = [f"--data_dir={small_data_dir}", f"--output_dir={tmp_path / 'r'}"]
    command = ["warm-python", "-m", "spine_tf.convert", *given, "--roi_px=16", "--workers=1"]
    (printed,) = _printed(_run(*command, f"--shards={slots}"))
    assert set(printed[3:]) == {*given, *words}
    _run(*command, "--shards=1/2")
    assert _run("warm-python", *printed[1:]).returncode == 0


def test_subset_leads_to_its_conversion_with_the_same_rows(
    small_data_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    rows = ["--levels=l3_l4", "--num_slices=3"]
    done = _run(
        *("warm-python", "-m", "spine_tf.subset", f"--data_dir={small_data_dir}"),
        *(f"--output_dir={tmp_path / 'small'}", *rows),
    )
    (words,) = _printed(done)
    assert set(words[3:]) == {
        *rows,
        f"--data_dir={tmp_path / 'small'}",
        f"--output_dir={tmp_path / 'records'}",
    }
    assert _run("warm-python", *words[1:]).returncode == 0
