"""A directory of another kind than is asked for is told by what it is."""

import pathlib

import pytest

from spine_tf import flags
from spine_tf.configuration import directory_kind

Kind = directory_kind.Kind

_FILES = {
    "data": ("train.csv", "train_images/1/2/3.dcm", "train_label_coordinates.csv"),
    "test_side": ("test_series_descriptions.csv",),
    "records": ("manifest.json", "plan.json", "features.json"),
    "begun": ("plan.json",),
    "runs/simple": ("config.json", "metrics.json", "fold_0/config.json", "fold_0/model.keras"),
    "unfinished": ("config.json",),
    "export": ("SHA256SUMS", "labels.json", "saved_model/1/saved_model.pb"),
    "search": ("search.json", "best.json", "trials/oracle.json"),
    "ablation": ("ablation.json", "records/a/manifest.json"),
    "report": ("report.html", "metrics.json"),
    "compared": ("comparison.html",),
    "dicoms": ("IM1.DCM",),
    "notes": ("thesis.tex",),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("kinds")
    for name, files in _FILES.items():
        for file in files:
            (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / file).touch()
    (folder / "pile/in").mkdir(parents=True)
    (folder / "pile/in/IM1").write_bytes(bytes(128) + b"DICM")
    (folder / "empty").mkdir()
    (folder / "file.zip").touch()
    return folder


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("data", Kind.DATA),
        ("test_side", Kind.DATA),
        ("records", Kind.RECORDS),
        ("begun", Kind.RECORDS),
        ("runs/simple", Kind.RUN),
        ("runs/simple/fold_0", Kind.RUN),
        ("unfinished", Kind.RUN),
        ("export", Kind.EXPORT),
        ("export/saved_model/1", Kind.SAVED_MODEL),
        ("search", Kind.SEARCH),
        ("ablation", Kind.ABLATION),
        ("report", Kind.REPORT),
        ("compared", Kind.REPORT),
        ("dicoms", None),
        ("notes", None),
        ("empty", None),
        ("nowhere", None),
    ],
)
def test_directory_is_told_by_its_files(folder: pathlib.Path, name: str, kind: Kind | None) -> None:
    assert directory_kind.of(folder / name) is kind
    if kind is not None:
        assert directory_kind.require(folder / name, kind, "--x") == folder / name


@pytest.mark.parametrize(
    ("flag", "name", "sentence"),
    [
        (
            "records_dir",
            "data",
            "is a data set in the RSNA layout (train_images/ and its CSVs) (for",
        ),
        ("records_dir", "runs/simple", "is a run that train wrote (for --run_dir), expected"),
        ("records_dir", "ablation/records", "wrote; did you mean FOLDER/ablation/records/a?"),
        ("run_dir", "runs", "expected a run that train wrote; did you mean FOLDER/runs/simple?"),
        ("run_dir", "report", "is a report that evaluate wrote (for --report_dir), expected a run"),
        ("run_dir", "search", "is a search that the tuner wrote (for --search_dir), expected a"),
        ("model_dir", "export/saved_model/1", "(for tf.saved_model.load), expected an export that"),
        ("model_dir", "export/saved_model/1", "export wrote; did you mean FOLDER/export?"),
        ("model_dir", "runs/simple", "is a run that train wrote (for --run_dir), expected an"),
        ("model_dir", "empty", "is an empty directory, expected an export"),
        ("model_dir", "file.zip", "is a file, expected an export"),
        ("check", "nowhere", "does not exist, expected an export"),
        ("data_dir", "dicoms", "is a folder of DICOM files, which spine_tf.organize brings into"),
        ("data_dir", "pile", "is a folder of DICOM files, which spine_tf.organize brings into"),
        ("data_dir", "records", "is records that convert wrote (for --records_dir), expected a"),
        ("data_dir", "notes", "is no directory of these programs, expected a data set in the"),
    ],
)
def test_sentence_says_what_it_is_and_where_one_lies(
    folder: pathlib.Path, flag: str, name: str, sentence: str
) -> None:
    with pytest.raises(ValueError, match=r"^--") as raised:
        flags.require_kinds(**{flag: folder / name})
    said = str(raised.value)
    assert said.startswith(f"--{flag} {folder / name} ")
    assert sentence.replace("FOLDER", str(folder)) in said


def test_right_kinds_zips_and_what_is_not_given_pass(folder: pathlib.Path) -> None:
    flags.require_kinds(
        run_dir=[folder / "runs/simple", folder / "unfinished"],
        records_dir=None,
        data_dir=folder / "file.zip",
    )


def test_folder_that_nobody_may_look_into_is_named_itself(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = pathlib.Path.exists

    def refuse(path: pathlib.Path) -> bool:  # root, who runs tests, may look into any
        if path.parent == folder / "runs/simple":
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(pathlib.Path, "exists", refuse)
    with pytest.raises(PermissionError) as raised:
        directory_kind.of(folder / "runs/simple")
    assert raised.value.filename == str(folder / "runs/simple")
    with pytest.raises(ValueError, match=r"expected a run that train wrote$"):
        directory_kind.require(folder / "runs", Kind.RUN, "--run_dir")
