"""Temperatures of a run of all folds: of all inner folds but the one held out."""

import json
import pathlib

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import config
from spine_tf.runs import run_directory
from spine_tf.scoring import calibration, predictions
from spine_tf.training import pooled_calibration, results

_TASK = labels.TASKS["binary"]
_FOLDS = ("fold_0", "fold_1", "fold_2")


def _said(fold: int, seed: int) -> predictions.Predictions:
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(40, 2)) * 3
    powers = np.exp(logits)
    return predictions.Predictions(
        keys=tuple(f"{fold}/{row}/1/left_subarticular_stenosis/l4_l5" for row in range(40)),
        labels=(logits[:, 1] + generator.normal(size=40) * 4 > logits[:, 0]).astype(np.int64),
        probabilities=powers / powers.sum(axis=1, keepdims=True),
    )


@pytest.fixture
def fold_dirs(tmp_path: pathlib.Path) -> list[pathlib.Path]:
    """Runs of which each was watched on the next fold, with a temperature of their own of 2."""
    directories = []
    for index, name in enumerate(_FOLDS):
        directory = tmp_path / name
        directory.mkdir()
        watched = (index + 1) % 3
        provenance = {"monitor_split": _FOLDS[watched]}
        (directory / "config.json").write_text(json.dumps({"provenance": provenance}))
        (directory / "calibration.json").write_text('{"temperature": 2.0}')
        predictions.write_csv(
            directory / run_directory.INNER_FILE, _said(watched, 10 + watched), _TASK
        )
        predictions.write_csv(
            directory / run_directory.PREDICTIONS_FILE, _said(index, index), _TASK
        )
        directories.append(directory)
    return directories


def test_temperature_is_of_all_inner_folds_but_the_one_held_out(
    fold_dirs: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    found = pooled_calibration.fit(tmp_path, fold_dirs, _TASK)
    others = predictions.join([_said(0, 10), _said(2, 12)])
    expected = calibration.fit_temperature(others.probabilities, others.labels)
    assert found["fold_1"] == pytest.approx(expected)
    assert calibration.read_temperature(tmp_path / "calibration.json", "fold_1") == found["fold_1"]
    written = json.loads((tmp_path / "calibration.json").read_text())["fold_1"]
    assert written["fitted_on"] == ["fold_0", "fold_2"]
    assert written["log_loss_after"] < written["log_loss_before"]


def test_joined_predictions_are_at_these_temperatures(
    fold_dirs: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    results.join_folds(config.default_config("binary", "simple"), tmp_path, fold_dirs)
    joined = predictions.read_csv(tmp_path / run_directory.OUT_OF_FOLD_FILE, _TASK)
    pooled = calibration.read_temperature(tmp_path / "calibration.json", "fold_2")
    expected = calibration.apply_temperature(_said(2, 2).probabilities, pooled / 2.0)
    np.testing.assert_allclose(joined.probabilities[80:], expected, atol=1e-9)


def test_runs_without_inner_predictions_keep_their_own(
    fold_dirs: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    (fold_dirs[1] / run_directory.INNER_FILE).unlink()
    assert pooled_calibration.fit(tmp_path, fold_dirs, _TASK) == {}
    assert not (tmp_path / "calibration.json").exists()
