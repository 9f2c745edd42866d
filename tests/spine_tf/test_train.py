import csv
import dataclasses
import json
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from spine_tf.configuration import config, overrides
from spine_tf.runs import run
from spine_tf.scoring import calibration
from spine_tf.training import trainer
from tfrecords import manifest, records, shard

_SETTINGS = ("--set=model.filters=[4,8]", "--set=training.batch_size=8", "--task=binary")


def _command(*arguments: object, python: str = "warm-python") -> list[str]:
    return [python, "-m", "spine_tf.train", *map(str, arguments)]


def _train(
    tmp_path: pathlib.Path, *arguments: object, check: bool = True
) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        _command(*arguments), capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert not check or result.returncode == 0, result.stderr
    return result


def _arguments(records_dir: pathlib.Path, run_dir: pathlib.Path) -> list[object]:
    return [f"--records_dir={records_dir}", f"--run_dir={run_dir}", "--model=simple", *_SETTINGS]


@pytest.fixture(scope="module")
def run_dir(records_dir: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("train")
    _train(directory, *_arguments(records_dir, directory / "w"), "--epochs=2", "--val_fold=1")
    return directory / "w"


@pytest.fixture(scope="module")
def all_folds_dir(
    records_dir: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("train_all")
    _train(directory, *_arguments(records_dir, directory / "w"), "--epochs=2", "--val_fold=all")
    return directory / "w"


@pytest.mark.slow
def test_run_directory_has_what_the_design_names(run_dir: pathlib.Path) -> None:
    names = {path.name for path in run_dir.iterdir()}
    assert names == {
        "config.json",
        "model.keras",
        "history.csv",
        "metrics.json",
        "predictions.csv",
        "calibration.json",
        "inner_predictions.csv",
        "curves.png",
        "tensorboard",
    }
    assert (run_dir / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_config_says_where_the_run_comes_from(
    run_dir: pathlib.Path, records_dir: pathlib.Path
) -> None:
    provenance = json.loads((run_dir / "config.json").read_text())["provenance"]
    assert provenance["val_split"] == "fold_1"
    assert provenance["monitor_split"] == "fold_2"
    assert provenance["train_splits"] == ["fold_0"]
    assert provenance["class_prior"] == [0.5, 0.5]
    source = records.open_records(records_dir)
    held_out = records.load_examples(source, ["fold_1", "test"], (0, 1, 2)).columns["study_id"]
    assert not set(provenance["train_studies"]) & set(held_out.tolist())


@pytest.mark.slow
def test_loaded_run_predicts_what_predictions_csv_says(
    run_dir: pathlib.Path, records_dir: pathlib.Path
) -> None:
    loaded = run.load_run(run_dir)
    examples = records.load_examples(records.open_records(records_dir), ["fold_1"], (0, 2))
    with (run_dir / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == examples.keys
    assert [int(row["label"]) for row in rows] == examples.labels.tolist()
    written = [[float(row["normal_mild"]), float(row["severe"])] for row in rows]
    np.testing.assert_allclose(loaded.predict(examples.normalized()), written, atol=1e-6)


@pytest.mark.slow
def test_tables_of_a_run_are_its_files(run_dir: pathlib.Path) -> None:
    loaded = run.load_run(run_dir)
    tables = {"history.csv": loaded.history(), "predictions.csv": loaded.predictions()}
    for name, table in tables.items():
        read = pd.read_csv(run_dir / name)
        pd.testing.assert_frame_equal(table, read)
    assert tables["history.csv"]["epoch"].tolist() == [1, 2]
    kinds = {name: str(dtype) for name, dtype in tables["history.csv"].dtypes.items()}
    assert kinds.pop("epoch") == "int64"
    del kinds["phase"]
    assert set(kinds.values()) == {"float64"}
    figures = json.loads((run_dir / "metrics.json").read_text())["metrics"]
    accuracy = figures["accuracy"]
    of_accuracy = loaded.metrics().loc["accuracy"]
    assert of_accuracy.to_dict() == {name: accuracy[name] for name in ("value", "low", "high")}


@pytest.mark.slow
def test_tables_of_all_folds_are_theirs_together(all_folds_dir: pathlib.Path) -> None:
    loaded = run.load_run(all_folds_dir)
    history = loaded.history()
    assert history["fold"].tolist() == [f"fold_{fold}" for fold in (0, 0, 1, 1, 2, 2)]
    assert history["epoch"].tolist() == [1, 2] * 3
    assert len(loaded.predictions()) == 48
    assert loaded.metrics().index[0] == next(
        iter(json.loads((all_folds_dir / "metrics.json").read_text())["metrics"])
    )


@pytest.mark.slow
def test_config_of_a_run_repeats_it(
    run_dir: pathlib.Path, records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    again = tmp_path / "again"
    _train(
        tmp_path,
        f"--records_dir={records_dir}",
        f"--run_dir={again}",
        f"--config={run_dir / 'config.json'}",
    )
    assert (again / "predictions.csv").read_bytes() == (run_dir / "predictions.csv").read_bytes()
    assert (again / "config.json").read_bytes() == (run_dir / "config.json").read_bytes()


@pytest.mark.slow
def test_all_folds_give_every_example_one_out_of_fold_prediction(
    all_folds_dir: pathlib.Path, records_dir: pathlib.Path
) -> None:
    folds = ["fold_0", "fold_1", "fold_2"]
    examples = records.load_examples(records.open_records(records_dir), folds, (0, 2))
    with (all_folds_dir / "oof.csv").open() as file:
        assert [row["key"] for row in csv.DictReader(file)] == examples.keys
    metrics = json.loads((all_folds_dir / "metrics.json").read_text())
    assert (metrics["split"], metrics["num_examples"]) == ("oof", 48)
    loaded = run.load_run(all_folds_dir)
    assert len(loaded.members) == 3
    images, pooled = examples.normalized(), all_folds_dir / "calibration.json"
    members = [
        calibration.apply_temperature(
            run.predict_probabilities(run.load_model(all_folds_dir / fold), images),
            calibration.read_temperature(pooled, fold),
        )
        for fold in folds
    ]
    np.testing.assert_allclose(loaded.predict(images), np.mean(members, axis=0))


@pytest.mark.slow
def test_all_folds_read_each_shard_once(
    records_dir: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, read_records = [], shard.read_records

    def count(path: pathlib.Path, digest: shard.Digest | None) -> Iterator[bytes]:
        read.append(path.name)
        return read_records(path, digest)

    monkeypatch.setattr(shard, "read_records", count)
    settings = ["model.filters=[4]", "training.epochs=1", "training.batch_size=8"]
    made = overrides.apply(config.default_config("binary", "simple"), settings)
    source = records.open_records(records_dir)
    trainer.train_all_folds(made, source, tmp_path / "w", resume=False)
    folds = [part.file for part in source.shards_of(["fold_0", "fold_1", "fold_2"])]
    assert sorted(read) == sorted(folds)


@pytest.mark.slow
def test_records_with_other_bytes_are_refused_unless_they_are_not_compared(
    records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    copy = shutil.copytree(records_dir, tmp_path / "r")
    dataset = manifest.read_manifest(copy)
    shards = tuple(dataclasses.replace(part, sha256="0" * 64) for part in dataset.shards)
    manifest.write_manifest(copy, dataclasses.replace(dataset, shards=shards))
    arguments = [*_arguments(copy, tmp_path / "w"), "--epochs=1"]
    refused = _train(tmp_path, *arguments, check=False)
    assert refused.returncode == 1
    assert "has another sha256 than manifest.json says" in refused.stderr
    assert not (tmp_path / "w").exists()
    _train(tmp_path, *arguments, "--noverify")
    evaluate = ["warm-python", "-m", "spine_tf.evaluate", f"--records_dir={copy}"]
    evaluate += [f"--run_dir={tmp_path / 'w'}", f"--report_dir={tmp_path / 'p'}", "--noevidence"]
    for flag, status in (("--verify", 1), ("--noverify", 0)):
        done = subprocess.run(
            [*evaluate, flag], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == status, done.stderr
        assert ("has another sha256" in done.stderr) == bool(status)


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_weights(
    records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    arguments = [f"--records_dir={records_dir}", "--model=simple", "--epochs=40", *_SETTINGS]
    _train(tmp_path, *arguments, f"--run_dir={tmp_path / 'whole'}")
    cut = tmp_path / "cut"
    command = _command(*arguments, f"--run_dir={cut}")
    process = subprocess.Popen(command, cwd=tmp_path)
    while not (cut / "checkpoint.npz").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (cut / "metrics.json").exists()
    result = _train(tmp_path, *arguments, f"--run_dir={cut}", "--resume")
    assert "resuming after epoch" in result.stderr
    for name in ("predictions.csv", "calibration.json", "metrics.json"):
        assert (cut / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (cut / "checkpoint.npz").exists()


@pytest.mark.slow
def test_finished_run_is_left_alone(run_dir: pathlib.Path, records_dir: pathlib.Path) -> None:
    before = (run_dir / "model.keras").stat().st_mtime_ns
    result = _train(
        run_dir.parent, f"--records_dir={records_dir}", f"--run_dir={run_dir}", "--resume"
    )
    assert "is finished, nothing to resume" in result.stderr
    assert (run_dir / "model.keras").stat().st_mtime_ns == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), r"exists: choose another --run_dir, or go on with it by --resume"),
        (("--resume", "--seed=9"), r"started otherwise: seed is 0, now 9: resume with the same"),
        (("--resume", "--set=model.dropout=0.1"), r"otherwise: model.dropout is 0.3, now 0.1"),
    ],
)
def test_run_directory_is_not_overwritten(
    run_dir: pathlib.Path, records_dir: pathlib.Path, arguments: tuple[str, ...], message: str
) -> None:
    result = _train(
        run_dir.parent,
        *_arguments(records_dir, run_dir),
        "--epochs=2",
        "--val_fold=1",
        *arguments,
        check=False,
    )
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--run_dir=w",), "--records_dir is missing"),
        (("--records_dir=r",), "--run_dir is missing"),
        (("--records_dir=r", "--run_dir=w"), "--task is missing"),
        (("--records_dir=r", "--run_dir=w", "--task=binary"), "--model is missing"),
        (
            ("--records_dir=r", "--run_dir=w", "--task=binary", "--model=vgg"),
            "one of <simple|dense",
        ),
        (
            ("--records_dir=r", "--run_dir=w", "--task=binary", "--model=dense", "--val_fold=x"),
            "data.val_fold is 'x', expected an integer",
        ),
        (("--records_dir=r", "--run_dir=w", "--config=none.json"), "none.json does not exist"),
        (("--records_dir=r", "--run_dir=w", "--config=c.json", "--model=dense"), "c.json says"),
    ],
)
def test_flags_that_do_not_fit_are_one_sentence(
    tmp_path: pathlib.Path, arguments: tuple[str, ...], message: str
) -> None:
    values = config.to_dict(config.default_config("binary", "simple"))
    (tmp_path / "c.json").write_text(json.dumps(values))
    result = _train(tmp_path, *arguments, check=False)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_directory_that_is_no_finished_conversion_is_one_sentence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "r").mkdir()
    result = _train(
        tmp_path,
        *_arguments(tmp_path / "r", tmp_path / "w"),
        check=False,
    )
    assert result.returncode == 1
    assert "is an empty directory, expected records that convert wrote" in result.stderr
    assert not (tmp_path / "w").exists()


def test_directory_that_is_no_run_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"has no config.json; expected a directory written by"):
        run.load_run(tmp_path)


@pytest.mark.slow
def test_unfinished_run_is_named(run_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.json").write_bytes((run_dir / "config.json").read_bytes())
    with pytest.raises(ValueError, match=r"has no metrics.json, so the run is not finished"):
        run.load_run(tmp_path)


@pytest.mark.slow
def test_all_folds_are_trained_by_name_where_one_is_empty(
    records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    dataset = manifest.read_manifest(records_dir)
    parts = tuple(part for part in dataset.shards if part.split != "fold_1")
    source = dataclasses.replace(
        records.open_records(records_dir), manifest=dataclasses.replace(dataset, shards=parts)
    )
    run_config = overrides.apply(
        config.default_config("binary", "simple"),
        ["data.inner_fold=none", "training.epochs=1", "model.filters=[4]"],
    )

    trainer.train_all_folds(run_config, source, tmp_path / "w", resume=False)

    for fold in (0, 2):
        written = json.loads((tmp_path / f"w/fold_{fold}/config.json").read_text())
        assert written["data"]["val_fold"] == fold
        assert written["provenance"]["val_split"] == f"fold_{fold}"
