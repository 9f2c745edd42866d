"""What a search shows of its running trials where there is no terminal."""

import pathlib

import pytest

from tfrecords import progress
from tuner import dispatch, search_settings, trial, workers


@pytest.fixture
def display(tmp_path: pathlib.Path) -> dispatch.Display:
    bases, fixed = search_settings.make_bases("binary", ["dense"])
    settings = search_settings.Settings(
        search_dir=tmp_path,
        records_dir=tmp_path,
        task="binary",
        bases=bases,
        fixed=fixed,
        max_trials=12,
    )
    return dispatch.Display(settings, [], search_settings.Clock(max_minutes=None))


def _epoch(trial_id: str, epoch: int) -> workers.Epoch:
    return workers.Epoch(
        tuner_id="tuner0", trial_id=trial_id, fold=1, epoch=epoch, epochs=60, value=0.5
    )


def test_line_names_the_epoch_of_every_running_trial_and_no_other(
    display: dispatch.Display, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="absl"):
        display.on_epoch(_epoch("03", 0))
        assert not caplog.messages  # a line a minute
        monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
        display.on_epoch(_epoch("04", 2))
        display.on_outcome(trial.Outcome(trial_id="03", status=trial.FAILED, reason="none"), [])
        display.on_epoch(_epoch("04", 3))
    first, _, last = caplog.messages
    assert first == (
        "0/12 trials | trial 03: fold_1, epoch 1 of 60, 0.5; trial 04: fold_1, epoch 3 of 60, 0.5"
    )
    assert last == "0/12 trials | trial 04: fold_1, epoch 4 of 60, 0.5"
