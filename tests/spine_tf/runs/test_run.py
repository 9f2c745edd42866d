"""A run directory is loaded as it was written, or refused in a sentence that names the file."""

import contextlib
import json
import math
import pathlib
import resource
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from spine_tf.configuration import config, overrides
from spine_tf.evaluation import held_out
from spine_tf.runs import run
from spine_tf.scoring import predictions, summary
from spine_tf.training import trainer
from tfrecords import records

_FILES = ("config.json", "calibration.json", "metrics.json", "predictions.csv", "model.keras")


@pytest.fixture(scope="module")
def source(
    make_records: Callable[..., pathlib.Path], tmp_path_factory: pytest.TempPathFactory
) -> records.Records:
    return records.open_records(
        make_records(tmp_path_factory.mktemp("records") / "r", per_class=2, roi_px=16)
    )


@pytest.fixture(scope="module")
def sound_dir(source: records.Records, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A finished run of one fold."""
    run_dir = tmp_path_factory.mktemp("run") / "w"
    made = overrides.apply(
        config.default_config("multiclass", "simple"),
        ["model.filters=[4]", "training.epochs=1", "training.batch_size=4"],
    )
    trainer.train(made, source, run_dir, resume=False)
    return run_dir


@pytest.fixture
def run_dir(sound_dir: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return shutil.copytree(sound_dir, tmp_path / "w")


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, None, True, "1", [], {}])
def test_temperature_that_is_none_is_named(run_dir: pathlib.Path, value: Any) -> None:
    (run_dir / "calibration.json").write_text(json.dumps({"temperature": value}))
    with pytest.raises(ValueError, match=r"calibration.json: temperature is .*, expected a number"):
        run.load_run(run_dir)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", r"calibration.json holds \[\], not an object; expected"),
        ("{}", "calibration.json has no 'temperature'"),
        ("{", "calibration.json is not JSON"),
        ("[" * 100_000, "calibration.json is nested too deeply"),
        ("\ud800", "calibration.json is not JSON"),
    ],
)
def test_calibration_that_is_none_is_named(run_dir: pathlib.Path, text: str, said: str) -> None:
    (run_dir / "calibration.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=said):
        run.load_run(run_dir)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("class_prior", []),
        ("class_prior", [0.5, 0.2, 0.1]),
        ("class_prior", [math.nan, 0.5, 0.5]),
        ("class_prior", "many"),
        ("train_studies", [1, "2"]),
        ("train_studies", None),
        ("records", []),
        ("records", {"manifest_sha256": 3, "config": {}}),
        ("folds", ["../elsewhere"]),
        ("seeds", [0.5]),
        ("val_split", 3),
        ("versions", []),
    ],
)
def test_provenance_of_another_kind_is_named(run_dir: pathlib.Path, name: str, value: Any) -> None:
    values = json.loads((run_dir / "config.json").read_text())
    values["provenance"][name] = value
    (run_dir / "config.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=rf"config.json: provenance.{name} is .*, expected"):
        run.load_run(run_dir)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("conditions", 3),
        ("conditions", [["x"]]),
        ("conditions", []),
        ("levels", None),
        ("levels", "l4_l5"),
        ("roi_mm", "x"),
        ("roi_mm", 10**400),
        ("roi_px", [1]),
        ("mirror_right", 1),
    ],
)
def test_conversion_of_another_kind_in_a_provenance_is_named(
    run_dir: pathlib.Path, name: str, value: Any
) -> None:
    values = json.loads((run_dir / "config.json").read_text())
    values["provenance"]["records"]["config"][name] = value
    (run_dir / "config.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=rf"config.json: provenance.records.config: {name} is "):
        run.load_run(run_dir)


@pytest.mark.parametrize("name", ["class_prior", "train_studies", "records", "train_splits"])
def test_provenance_that_lacks_a_field_is_refused(run_dir: pathlib.Path, name: str) -> None:
    values = json.loads((run_dir / "config.json").read_text())
    del values["provenance"][name]
    (run_dir / "config.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=rf"config.json has no provenance.{name}"):
        run.load_run(run_dir)


def test_provenance_of_another_task_is_refused(run_dir: pathlib.Path) -> None:
    values = json.loads((run_dir / "config.json").read_text())
    values["provenance"]["class_prior"] = [0.5, 0.5]
    (run_dir / "config.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="class_prior has 2 shares, task multiclass has 3"):
        run.load_run(run_dir)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_run_is_not_resumed_from_what_is_no_configuration(
    run_dir: pathlib.Path, source: records.Records, text: str
) -> None:
    trained = run.load_run(run_dir)
    (run_dir / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config.json (is n|holds).*choose another --run_dir"):
        trainer.train(trained.config, source, run_dir, resume=True)


_ODD = st.sampled_from(
    [None, True, -1, 0, 3, 10**30, 1e308, math.inf, math.nan, "", "x", "../x", [], {}, [[]]]
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value, of a long list the first ones."""
    found: list[tuple[Any, Any]] = []
    if not isinstance(value, dict | list):
        return found
    for key in value if isinstance(value, dict) else range(min(3, len(value))):
        found += [(value, key), *_places(value[key])]
    return found


def _spoil(data: st.DataObject, path: pathlib.Path) -> None:
    if path.suffix == ".json" and data.draw(st.booleans()):
        values = json.loads(path.read_text())
        container, key = data.draw(st.sampled_from(_places(values)))
        if data.draw(st.booleans()):
            container[key] = data.draw(_ODD)
        else:
            del container[key]
        path.write_text(json.dumps(values))
        return
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    count = data.draw(st.sampled_from([0, 1, 4, 1000]))
    path.write_bytes(content[:start] + data.draw(st.binary(max_size=8)) + content[start + count :])


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(st.data())
def test_spoilt_run_is_refused_or_answers_right(
    sound_dir: pathlib.Path,
    source: records.Records,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    run_dir = shutil.copytree(sound_dir, tmp_path_factory.mktemp("spoilt") / "w")
    name = data.draw(st.sampled_from(_FILES))
    _spoil(data, run_dir / name)
    with contextlib.suppress(ValueError, OSError):
        trained = run.load_run(run_dir)
        assert summary.read(run_dir / "metrics.json").metrics
        found = held_out.load(trained, source, "val").evaluated
        answers = found.predictions.probabilities
        np.testing.assert_allclose(answers.sum(axis=1), 1.0, atol=1.001e-3)
        if name in ("metrics.json", "model.keras"):
            task = trained.config.task_spec
            stored = predictions.read_csv(sound_dir / "predictions.csv", task)
            np.testing.assert_array_equal(answers, stored.probabilities)


def test_a_model_that_finds_no_place_leaves_nothing_behind(sound_dir, tmp_path, monkeypatch):
    temporary_dir, run_dir = tmp_path / "temporary", tmp_path / "run"
    temporary_dir.mkdir()
    run_dir.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary_dir))
    model = run.load_run(sound_dir).members[0].model
    too_little = (sound_dir / "model.keras").stat().st_size - 500
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (too_little, limits[1]))
    try:
        with pytest.raises(OSError, match=r"model\.keras"):
            run.save_model(model, run_dir / "model.keras")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [*temporary_dir.iterdir(), *run_dir.iterdir()]
