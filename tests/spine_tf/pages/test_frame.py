"""Every CSV as a table: what is made in memory is what pandas reads of the file."""

import csv
import pathlib

import numpy as np
import pandas as pd
import pytest

from spine_tf import labels
from spine_tf.auditing import finding
from spine_tf.conversion import rejects
from spine_tf.dicom import reasons
from spine_tf.pages import frame
from spine_tf.scoring import predictions, summary
from tfrecords import atomic


def test_text_stays_text_and_a_missing_number_is_nan() -> None:
    table = frame.parse("name,count,other\n007,3,\nNA,,\n,2,4\n", ["name"])
    assert table["name"].tolist() == ["007", "NA", ""]
    assert [str(dtype) for dtype in table.dtypes[1:]] == ["float64", "float64"]
    np.testing.assert_array_equal(table["count"], [3.0, np.nan, 2.0])
    np.testing.assert_array_equal(table["other"], [np.nan, np.nan, 4.0])


def test_floats_are_those_that_were_written() -> None:
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.linspace(-30, 30, 1000)
    text = "value\n" + "".join(f"{float(value)!r}\n" for value in values)
    np.testing.assert_array_equal(frame.parse(text, [])["value"], values)


def test_file_that_is_missing_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"x.csv does not exist; expected the table that train wr"):
        frame.read_csv(tmp_path / "x.csv", [], writer="train")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"x.csv is not the table that train writes \(No columns"),
        (b"a,b\n1,2\n1,2,3\n", r"x.csv is not the table that train writes \(Error tokenizing"),
        (b"a\n\xff\n", "x.csv is not UTF-8"),
    ],
)
def test_file_that_is_no_table_is_named(tmp_path: pathlib.Path, data: bytes, message: str) -> None:
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        frame.read_csv(tmp_path / "x.csv", ["key"], writer="train")


def _predictions() -> predictions.Predictions:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(3), 30)
    return predictions.Predictions(
        keys=tuple(f"{study}/7/3/spinal_canal_stenosis/l4_l5" for study in range(30)),
        labels=np.arange(30) % 3,
        probabilities=probabilities,
    )


def test_predictions_are_the_file_of_them(tmp_path: pathlib.Path) -> None:
    task, found = labels.TASKS["multiclass"], _predictions()
    path = tmp_path / "predictions.csv"
    predictions.write_csv(path, found, task)
    table = predictions.to_frame(found, task)
    assert list(table.columns) == ["key", "label", "normal_mild", "moderate", "severe"]
    np.testing.assert_array_equal(table[[*task.columns]], found.probabilities)
    read = pd.read_csv(path, dtype={"key": str})
    pd.testing.assert_frame_equal(table, read)
    pd.testing.assert_frame_equal(predictions.read_frame(path), read)


def test_figures_are_a_row_a_metric_with_their_interval() -> None:
    found = summary.summarize(_predictions(), labels.TASKS["multiclass"], "oof", num_resamples=50)
    table = found.to_frame()
    assert (table.index.name, list(table.columns)) == ("metric", ["value", "low", "high"])
    assert set(map(str, table.dtypes)) == {"float64"}
    assert set(found.metrics) < set(table.index)
    accuracy = found.metrics["accuracy"]
    assert table.loc["accuracy"].tolist() == [accuracy.value, accuracy.low, accuracy.high]
    of_severe = found.per_class["Severe"]["recall"]
    assert table.loc["recall of Severe", "value"] == of_severe.value


def test_rejects_are_the_file_of_them(tmp_path: pathlib.Path) -> None:
    rejected = [
        reasons.Reject(key="1/2/3/x/y", reason=reasons.Reason.NO_LABEL, detail="NA", file=""),
        reasons.Reject(key="1/2/4/x/y", reason=reasons.Reason.BAD_ROW, detail="a, b", file="f"),
    ]
    rejects.write(tmp_path, rejected)
    read = pd.read_csv(tmp_path / "rejects.csv", dtype=str, keep_default_na=False)
    table = rejects.read_rejects(str(tmp_path))
    pd.testing.assert_frame_equal(table, read)
    assert table.to_dict("list") == {
        "key": ["1/2/3/x/y", "1/2/4/x/y"],
        "reason": ["no_label", "bad_row"],
        "detail": ["NA", "a, b"],
        "file": ["", "f"],
    }
    rejects.write(tmp_path, [])
    assert rejects.read_rejects(tmp_path).shape == (0, 4)


def test_text_of_others_is_no_formula_in_a_table_and_comes_back(tmp_path: pathlib.Path) -> None:
    cells = ("=HYPERLINK(A1)", "@SUM(A1)", "+1+1", "-2+3")
    reject = dict(zip(("key", "detail", "file"), cells, strict=False))
    rejects.write(tmp_path, [reasons.Reject(reason=reasons.Reason.BAD_ROW, **reject)])
    (written,) = csv.reader((tmp_path / "rejects.csv").read_text("utf-8").splitlines()[1:])
    assert written == [f"'{cells[0]}", "bad_row", f"'{cells[1]}", f"'{cells[2]}"]
    assert rejects.read_rejects(tmp_path).to_dict("records") == [{**reject, "reason": "bad_row"}]

    found = predictions.Predictions(
        keys=cells, labels=np.zeros(4, int), probabilities=np.full((4, 2), 0.5)
    )
    task = labels.TASKS["binary"]
    predictions.write_csv(tmp_path / "p.csv", found, task)
    with pytest.raises(ValueError, match="line 2: key is '=HYPERLINK"):  # as it was written
        predictions.read_csv(tmp_path / "p.csv", task)
    assert predictions.read_frame(tmp_path / "p.csv")["key"].tolist() == list(cells)
    lines = (tmp_path / "p.csv").read_text("utf-8").splitlines()[1:]
    assert {line[0] for line in lines} == {"'"}


def test_directory_without_rejects_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"rejects.csv does not exist; .* spine_tf.convert writes"):
        rejects.read_rejects(tmp_path)


def test_findings_are_the_file_of_them(tmp_path: pathlib.Path) -> None:
    found = [
        finding.Finding(kind=finding.Kind.OFF_IMAGE, detail="x 9", place="1/2/3", key="1/2/3"),
        finding.Finding(kind=finding.Kind.EXTRA_FILE, detail="", place="", file="a.txt"),
    ]
    path = tmp_path / "audit.csv"
    atomic.write_text(path, finding.to_csv(found))
    read = pd.read_csv(path, dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(finding.to_frame(found), read)
    pd.testing.assert_frame_equal(finding.read_findings(path), read)
    assert read["severity"].tolist() == ["error", "notice"]
    assert read["key"].tolist() == ["1/2/3", ""]


def test_file_without_findings_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"audit.csv does not exist; .* spine_tf.audit writes"):
        finding.read_findings(tmp_path / "audit.csv")
