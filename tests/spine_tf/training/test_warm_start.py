"""A training that starts from an earlier run: which layers, which model of it, and what it saw."""

import json
import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from spine_tf.configuration import config, overrides
from spine_tf.evaluation import held_out
from spine_tf.models import families
from spine_tf.runs import run
from spine_tf.training import trainer, warm_start
from tfrecords import records

_SMALL = (
    *("model.filters=[4]", "training.epochs=1", "training.batch_size=8", "model.units=4"),
    # Not moving images takes the seconds out in which the sampler is compiled.
    *(f"data.augmentation.{name}=0" for name in ("rotation_degrees", "shift", "scale")),
)


@pytest.fixture(scope="module")
def source(records_dir: pathlib.Path) -> records.Records:
    return records.open_records(records_dir)


@pytest.fixture(scope="module")
def start_dir(source: records.Records, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A run of all folds with two classes."""
    run_dir = tmp_path_factory.mktemp("start") / "w"
    trainer.train_all_folds(_config("binary"), source, run_dir, resume=False)
    return run_dir


def _config(task: str, *settings: str) -> config.Config:
    return overrides.apply(config.default_config(task, "simple"), [*_SMALL, *settings])


def _provenance(run_dir: pathlib.Path) -> dict[str, Any]:
    return json.loads((run_dir / "config.json").read_text())["provenance"]


@pytest.mark.slow
def test_run_starts_from_the_member_that_did_not_see_its_fold(
    source: records.Records, start_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    # At a rate of next to nothing the weights stay what they begin with.
    settings = (f"model.weights={start_dir}", "data.val_fold=1", "training.learning_rate=1e-9")
    trainer.train(_config("multiclass", *settings), source, tmp_path / "w", resume=False)

    found, start = run.load_run(tmp_path / "w"), run.load_run(start_dir / "fold_1")
    ours, theirs = found.members[0].model, start.members[0].model
    for name in ("block1_conv", "hidden"):
        np.testing.assert_allclose(
            ours.get_layer(name).get_weights()[0],
            theirs.get_layer(name).get_weights()[0],
            atol=1e-5,
        )
    said = _provenance(tmp_path / "w")
    assert said["weights"]["at_random"] == ["logits"]
    assert "block1_conv" in said["weights"]["taken"]
    assert said["start_studies"] == _provenance(start_dir / "fold_1")["train_studies"]


@pytest.mark.slow
def test_run_is_refused_whose_models_all_saw_what_is_held_out(
    source: records.Records, start_dir: pathlib.Path
) -> None:
    made = _config("binary", f"model.weights={start_dir / 'fold_0'}")
    message = r"training saw study \d+, which is of fold_1 and held out here"
    with pytest.raises(ValueError, match=message):
        warm_start.find(made, source, ["fold_0", "fold_2"])
    assert warm_start.find(made, source, ["fold_1", "fold_2"]) == start_dir / "fold_0"


@pytest.mark.slow
def test_what_the_start_saw_is_seen(
    source: records.Records, start_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    made = _config("binary", f"model.weights={start_dir}")
    trainer.train(made, source, tmp_path / "w", resume=False)
    path = tmp_path / "w" / "config.json"
    values = json.loads(path.read_text())
    test_studies = source.index(["test"]).columns["study_id"].tolist()
    values["provenance"]["start_studies"] += test_studies
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="were in the training data"):
        held_out.load(run.load_run(tmp_path / "w"), source, "test")


@pytest.mark.parametrize(
    ("family", "weights", "message"),
    [
        ("simple", "nowhere", "model.weights is 'nowhere', which is no directory; simple takes"),
        ("simple", ".", "config.json"),
    ],
)
def test_what_is_no_run_is_refused(
    source: records.Records, tmp_path: pathlib.Path, family: str, weights: str, message: str
) -> None:
    weights = str(tmp_path) if weights == "." else weights
    made = overrides.apply(config.default_config("binary", family), [f"model.weights={weights}"])
    with pytest.raises(ValueError, match=message):
        warm_start.find(made, source, ["fold_1"])


def test_a_backbones_file_is_refused_by_a_family_without_one() -> None:
    with pytest.raises(ValueError, match=r"weights is 'r.h5', expected none or the directory"):
        _config("binary", "model.weights=r.h5")


@pytest.mark.slow
def test_layers_of_a_backbone_are_matched_by_place(
    start_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    settings = ["model.backbone=mobilenetv3small", "model.weights=none", "model.input_px=32"]
    made = overrides.apply(config.default_config("binary", "transfer"), settings)
    keras.utils.set_random_seed(1)
    first = families.build_model(made.model, (32, 32, 1), 2)
    run.save_model(first, tmp_path / "model.keras")
    second = families.build_model(made.model, (32, 32, 1), 3)
    warm_start.put(second, tmp_path)
    ours, theirs = (model.get_layer("backbone").get_weights() for model in (second, first))
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(own, other)
    with pytest.raises(ValueError, match=r"no layer of .* has the name and shape of one of this"):
        warm_start.put(first, start_dir / "fold_0")
