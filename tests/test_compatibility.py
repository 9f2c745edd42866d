"""Records, runs and exports of an earlier commit still open and say what they said.

fixtures/made_by_9f2b4bd.tar.xz was made by commit 9f2b4bd, of studies of its own phantom:

    python -m spine_tf.phantom --output_dir data --num_studies 24 --seed 3
    python -m spine_tf.convert --data_dir data --output_dir records --levels l4_l5 --roi_px 16 \
        --num_slices 3 --num_folds 3
    python -m spine_tf.train --records_dir records --task multiclass --model dense --run_dir run \
        --val_fold all --epochs 2 --set 'model.filters=[4]' --set 'model.units=[4]' \
        --set model.grid_px=2
    python -m spine_tf.train --records_dir records --task multiclass --model slices \
        --run_dir slices --epochs 2 --set 'model.filters=[4]' --set model.slice_units=4 \
        --set model.head=ordinal --set model.bias_correction=0.1
    python -m spine_tf.export --run_dir run/fold_0 --export_dir export
    find records run slices -name '*.png' -delete; rm -r run/fold_*/tensorboard slices/tensorboard
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=2026-01-01 \
        -c export records run slices | xz -9e > made_by_9f2b4bd.tar.xz
"""

import pathlib
import tarfile

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.runs import run, run_directory
from spine_tf.scoring import predictions
from spine_tf.serving import answer_check, saved_model
from tfrecords import records, shard, verify

_TASK = labels.TASKS["multiclass"]
_FOLDS = ("fold_0", "fold_1", "fold_2")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("made")
    archive = pathlib.Path(__file__).parent / "fixtures" / "made_by_9f2b4bd.tar.xz"
    with tarfile.open(archive) as file:
        file.extractall(directory, filter="data")
    return directory


@pytest.fixture(scope="module")
def source(made: pathlib.Path) -> records.Records:
    return records.open_records(made / "records")


def _stored(path: pathlib.Path, keys: list[str]) -> np.ndarray:
    """The probabilities that training wrote, in the order of the keys."""
    found = predictions.read_csv(path, _TASK)
    assert sorted(found.keys) == sorted(keys)
    return found.probabilities[[found.keys.index(key) for key in keys]]


def test_records_are_verified(made: pathlib.Path, source: records.Records) -> None:
    assert verify.verify(made / "records").num_examples == 44
    assert source.splits == (*_FOLDS, "test")
    assert source.image_shape == (16, 16, 3)


def test_run_of_all_folds_gives_its_out_of_fold_predictions(
    made: pathlib.Path, source: records.Records
) -> None:
    trained = run.load_run(made / "run")
    examples = records.load_examples(source, _FOLDS, _TASK.severities)
    stored = _stored(made / "run" / run_directory.OUT_OF_FOLD_FILE, examples.keys)
    assert len(trained.members) == 3
    for fold in _FOLDS:
        inside = np.array(examples.splits) == fold
        images = examples.take(inside).normalized()
        found = trained.without_fold(fold).predict(images)
        np.testing.assert_allclose(found, stored[inside], atol=1e-6)


def test_run_with_layers_of_our_own_gives_its_predictions(
    made: pathlib.Path, source: records.Records
) -> None:
    trained = run.load_run(made / "slices")
    assert (trained.config.model.head, trained.config.model.bias_correction) == ("ordinal", 0.1)
    examples = records.load_examples(source, ["fold_0"], _TASK.severities)
    stored = _stored(made / "slices" / run_directory.PREDICTIONS_FILE, examples.keys)
    np.testing.assert_allclose(trained.predict(examples.normalized()), stored, atol=1e-6)


def test_export_gives_its_golden_answers(made: pathlib.Path) -> None:
    findings = answer_check.check(made / "export")
    assert list(findings.differences) == ["saved_model"]
    assert not findings.unchecked


def test_export_predicts_what_its_run_predicted(
    made: pathlib.Path, source: records.Records
) -> None:
    examples = records.load_examples(source, ["fold_0"], _TASK.severities)
    path = made / "records" / source.shards_of(["fold_0"])[0].file
    answer = saved_model.SavedModel(made / "export").ask(
        "serve_examples", examples=list(shard.read_records(path))
    )
    stored = _stored(made / "run" / "fold_0" / run_directory.PREDICTIONS_FILE, examples.keys)
    np.testing.assert_allclose(answer["probabilities"], stored, atol=1e-6)
