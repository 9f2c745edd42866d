"""The flags that programs share; each case is a program of its own, since flags are global."""

import json
import pathlib
import subprocess

import pytest

from spine_tf.configuration import config
from spine_tf.processes import pool

_PROGRAM = """
import pathlib
from spine_tf import conversion_flags, flags
from tfrecords import program

_CONFIGURATION = flags.Configuration(of=" of the test")
_CONVERSION = conversion_flags.Conversion("to test", seed_name="folds_seed", has_kinds=True)
_WORKERS = flags.Workers()
_RUN_DIRS = flags.run_dirs("Runs.")
_REPORT_DIR = flags.study_pages()

def main():
    print({what})

program.run(main, usage="Tests flags.")
"""


def _run(tmp_path: pathlib.Path, what: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "asks.py").write_text(_PROGRAM.format(what=what))
    command = ["warm-python", "-c", "import runpy; runpy.run_path('asks.py', run_name='__main__')"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=tmp_path)


def _stored(tmp_path: pathlib.Path, task: str, family: str) -> pathlib.Path:
    path = tmp_path / f"{task}-{family}.json"
    path.write_text(json.dumps(config.to_dict(config.default_config(task, family))))
    return path


def test_shared_flags_are_listed_as_the_programs_own(tmp_path):
    shown = _run(tmp_path, "None", "--help").stdout
    assert "asks.py:" in shown
    for name in ("--task", "--folds_seed", "--workers", "--window"):
        assert name in shown
    assert "Model family of the test; required without --config." in " ".join(shown.split())


def test_conversion_is_what_the_flags_say(tmp_path):
    (tmp_path / "folds.csv").write_text("study_id,fold\n")
    given = ("--conditions=all", "--levels=l5_s1,l1_l2", "--roi_px=32", "--window=crop")
    done = _run(tmp_path, "_CONVERSION.settings()", *given, "--folds_csv=folds.csv")
    assert done.returncode == 0, done.stderr
    for said in (
        "conditions=('spinal_canal_stenosis', 'left_neural",
        "levels=('l1_l2', 'l5_s1')",
        "RoiConfig(roi_mm=50.0, roi_px=32, num_slices=1, mirror_right=True, window='crop')",
        "seed=0, folds_csv=PosixPath('folds.csv'), exclude=None",
    ):
        assert said in done.stdout


def test_region_is_not_asked_for_in_vain_even_as_it_is_by_default(tmp_path):
    done = _run(tmp_path, "_CONVERSION.settings()", "--kind=sagittal", "--num_slices=1")
    assert done.returncode == 1
    assert "256 px and 3 slices: leave --roi_mm" in done.stderr


def test_configuration_is_the_one_asked_for_else_that_of_the_run_that_goes_on(tmp_path):
    of_config, of_run = _stored(tmp_path, "binary", "dense"), _stored(tmp_path, "binary", "simple")
    made = f"_CONFIGURATION.base(pathlib.Path({str(of_run)!r}))"
    what = f"{made}.task, {made}.model.family, _CONFIGURATION.changes()"
    for arguments, said in (
        ((f"--config={of_config}", "--task=binary"), "binary dense []"),
        (("--set=seed=3", "--seed=4"), "binary simple ['seed=3', 'seed=4']"),
        (("--task=multiclass", "--model=residual"), "multiclass residual []"),
    ):
        done = _run(tmp_path, what, *arguments)
        assert done.stdout.strip() == said, done.stderr


def test_a_run_may_have_a_comma_in_its_name(tmp_path):
    (tmp_path / "a,b").mkdir()
    asked = "*map(str, flags.require_dirs(_RUN_DIRS))"
    assert _run(tmp_path, asked, "--run_dir=a,b").stdout == "a,b\n"
    assert _run(tmp_path, asked, '--run_dir="a,b",c').stdout == "a,b c\n"


def test_number_of_workers_is_given_or_all_cores(tmp_path):
    assert _run(tmp_path, "_WORKERS.number()").stdout.strip() == str(pool.num_cpus())
    assert _run(tmp_path, "_WORKERS.number()", "--workers=3").stdout.strip() == "3"


@pytest.mark.parametrize(
    ("what", "arguments", "message"),
    [
        ("_WORKERS.number()", ["--workers=0"], "--workers is 0, expected 1 to 1024"),
        ("_WORKERS.number()", ["--workers=1025"], "--workers is 1025, expected 1 to 1024"),
        ("flags.require_dirs(_RUN_DIRS)", [], "--run_dir is missing"),
        (
            "flags.require_report_dir(_REPORT_DIR)",
            ["--report_dir=."],
            "--report_dir . is a data set in the RSNA layout (train_images/ and its CSVs), "
            "expected a folder for pages alone",
        ),
        ("_CONVERSION.settings()", ["--roi_px=3"], "roi_px is 3"),
        (
            "_CONVERSION.settings()",
            ["--folds_csv=f.csv", "--test_fraction=0.15"],
            "--test_fraction has no effect beside --folds_csv",
        ),
        (
            "_CONVERSION.settings()",
            ["--folds_csv=f.csv", "--folds_seed=0"],
            "--folds_seed has no effect beside --folds_csv",
        ),
        ("_CONFIGURATION.base()", ["--model=dense"], "--task is missing"),
        ("_CONFIGURATION.base()", ["--task=binary"], "--model is missing"),
        ("_CONFIGURATION.base()", ["--config=none.json"], "none.json does not exist"),
    ],
)
def test_flags_that_can_not_be_are_refused_in_one_sentence(tmp_path, what, arguments, message):
    (tmp_path / "test_images").mkdir()
    done = _run(tmp_path, what, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", ["--task=multiclass", "--model=simple"])
def test_flag_that_contradicts_the_configuration_is_refused(tmp_path, flag):
    path = _stored(tmp_path, "binary", "dense")
    done = _run(tmp_path, "_CONFIGURATION.base()", f"--config={path}", flag)
    assert done.returncode == 1
    assert f"{flag.replace('=', ' is ')}, but {path} says" in done.stderr
