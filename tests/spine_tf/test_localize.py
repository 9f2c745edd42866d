"""The program: what it prints and writes, and what it refuses, without TensorFlow."""

import csv
import subprocess

import pytest


def _run(*arguments):
    return subprocess.run(
        ["warm-python", "-m", "spine_tf.localize", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_given_points_become_points_page_and_markups(data_set, tmp_path):
    data_set.add_image(1, 10, 1)
    data_set.add_row(1, 10, 1)
    data_dir = data_set.write()
    output, report_dir = tmp_path / "points.csv", tmp_path / "report"
    points = data_dir / "train_label_coordinates.csv"
    result = _run(
        f"--data_dir={data_dir}", f"--points={points}", f"--output={output}",
        f"--report_dir={report_dir}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "1 point of 1 study of the train side by given points" in result.stdout
    assert "rows without a point: 24 (not_given 24)" in result.stdout
    assert "--points=" in result.stdout.splitlines()[-1]
    with output.open() as file:
        (row,) = csv.DictReader(file)
    assert (row["confidence"], row["numbering_0"], row["flag"]) == ("1.0000", "1.0000", "")
    assert len((tmp_path / "points_report.csv").read_text().splitlines()) == 25
    written = {path.relative_to(report_dir).as_posix() for path in report_dir.rglob("*.*")}
    assert written == {
        *("index.html", "points.csv", "1/study.html", "1/study.json", "1/1.mrk.json")
    }
    assert "no model graded them" in (report_dir / "1" / "study.html").read_text()


def test_what_lies_beside_an_output_is_asked_before_the_work(data_set, tmp_path):
    data_set.add_image(1, 10, 1)
    data_dir = data_set.write()
    (tmp_path / "points_report.csv").mkdir()
    result = _run(
        f"--data_dir={data_dir}", f"--output={tmp_path / 'points.csv'}", "--points=nowhere.csv"
    )
    assert result.returncode == 1
    assert "error: the report of --output " in result.stderr
    assert "points_report.csv is a directory: name a file in it" in result.stderr


@pytest.mark.parametrize("points", [[], ["--points=OUT"]])
def test_an_output_takes_no_file_of_somebodys_own(data_set, tmp_path, points):
    """Neither another kind of file, nor the points that are read."""
    data_set.add_image(1, 10, 1)
    data_dir, output = data_set.write(), tmp_path / "own.csv"
    output.write_text("study_id,mine\n")
    given = [each.replace("OUT", str(output)) for each in points]
    result = _run(f"--data_dir={data_dir}", f"--output={output}", *given)
    assert result.returncode == 1
    said = "--output and --points both name" if points else "was not written by this program"
    assert said in result.stderr
    assert output.read_text() == "study_id,mine\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--data_dir is missing"),
        (["--data_dir=DATA"], "--output is missing"),
        (["--data_dir=DATA", "--output=o.csv", "--localizer_dir=nowhere"], "does not exist"),
        (["--data_dir=DATA", "--output=o.csv", "--points=nowhere"], "does not exist"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(data_set, tmp_path, arguments, message):
    data_set.add_image(1, 10, 1)
    data_dir = data_set.write()
    result = _run(*(argument.replace("DATA", str(data_dir)) for argument in arguments))
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
