"""TensorBoard reads what a trial leaves."""

import pathlib

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from tuner import hparams, leaderboard, objective, trial


def test_tensorboard_reads_hyperparameters_objective_and_curves(tmp_path: pathlib.Path) -> None:
    curve = ({"loss": 1.0}, {"loss": 0.5})
    entry = leaderboard.Entry(
        trial_id="07",
        values={"family": "dense", "dense/model.dropout": 0.25, "dense/model.filters": "[8, 16]"},
        outcome=trial.Outcome(
            trial_id="07", status=trial.COMPLETED, fold_scores=(0.5,), curves=(curve,)
        ),
    )
    for _ in range(2):  # a trial that is run again replaces what was there
        hparams.write(tmp_path, entry, objective.Objective(name="log_loss"))
    events = event_accumulator.EventAccumulator(str(tmp_path / "trial_07")).Reload()
    assert [event.value for event in events.Scalars("fold_0/loss")] == [1.0, 0.5]
    assert [event.value for event in events.Scalars("objective/log_loss")] == [0.5]
    (content,) = events.PluginTagToContent("hparams").values()
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["model.dropout"].number_value == 0.25
    assert start.hparams["model.filters"].string_value == "[8, 16]"
    assert start.hparams["family"].string_value == "dense"
