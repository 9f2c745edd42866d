"""The leaderboard: order, columns, the configurations of the best, what TensorBoard reads."""

import csv
import io
import pathlib
from typing import Any

import pandas as pd
import pytest
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from spine_tf.configuration import config
from tuner import leaderboard, search_settings, trial

_LOSS = search_settings.Objective(name="log_loss")


def _entry(trial_id: str, family: str, scores: tuple[float, ...], **fields: Any) -> Any:
    status = fields.pop("status", trial.COMPLETED)
    values = {"family": family, f"{family}/model.dropout": 0.3}
    outcome = trial.Outcome(trial_id=trial_id, status=status, fold_scores=scores, **fields)
    return leaderboard.Entry(trial_id=trial_id, values=values, outcome=outcome)


def _entries() -> list[leaderboard.Entry]:
    running = leaderboard.Entry(trial_id="4", values={"family": "dense"}, outcome=None)
    return [
        _entry("0", "dense", (0.5, 0.7), num_parameters=9, seconds=1.25),
        _entry("1", "dense", (), status=trial.FAILED, reason="out of memory"),
        _entry("2", "simple", (0.1,), status=trial.STOPPED, reason="behind"),
        _entry("3", "simple", (0.3, 0.5)),
        running,
    ]


def _ids(goal: search_settings.Objective) -> str:
    return "".join(entry.trial_id for entry in leaderboard.rank(_entries(), goal))


def test_best_complete_trial_is_first() -> None:
    assert _ids(_LOSS) == "30214"
    assert _ids(search_settings.Objective(name="auc")) == "03214"


def test_table_has_the_columns_of_the_contract() -> None:
    text = leaderboard.to_csv(leaderboard.rank(_entries(), _LOSS), num_folds=2)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert text.splitlines()[0] == (
        "rank,trial_id,family,status,reason,objective,objective_std,fold_0,fold_1,"
        "num_parameters,epochs,seconds,hp.model.dropout"
    )
    second = {"rank": "2", "trial_id": "0", "family": "dense", "objective": "0.6"}
    second |= {"objective_std": "0.1", "fold_1": "0.7", "num_parameters": "9", "seconds": "1.2"}
    assert second.items() <= rows[1].items()
    assert [row["rank"] for row in rows] == ["1", "2", "3", "", ""]
    assert (rows[3]["status"], rows[3]["reason"]) == ("failed", "out of memory")
    assert (rows[4]["status"], rows[4]["objective"]) == ("running", "")


def test_table_is_read_as_a_frame(tmp_path: pathlib.Path) -> None:
    text = leaderboard.to_csv(leaderboard.rank(_entries(), _LOSS), num_folds=2)
    (tmp_path / "leaderboard.csv").write_text(text)
    table = leaderboard.read_leaderboard(str(tmp_path))
    texts = ("trial_id", "family", "status", "reason")
    read = pd.read_csv(tmp_path / "leaderboard.csv", dtype=dict.fromkeys(texts, str))
    read["reason"] = read["reason"].fillna("")
    pd.testing.assert_frame_equal(table, read)
    assert table["trial_id"].tolist() == ["3", "0", "2", "1", "4"]
    assert table["rank"].tolist()[:3] == [1.0, 2.0, 3.0]
    assert table["rank"].isna().tolist() == [False, False, False, True, True]
    numbers = ["rank", "objective", "fold_0", "num_parameters", "seconds", "hp.model.dropout"]
    assert set(map(str, table[numbers].dtypes)) == {"float64"}
    with pytest.raises(ValueError, match=r"leaderboard.csv does not exist; .* that tuner writes"):
        leaderboard.read_leaderboard(tmp_path / "none")


def test_best_configurations_are_written_for_all_and_for_each_family(
    tmp_path: pathlib.Path,
) -> None:
    bases, _ = search_settings.make_bases("binary", ["dense", "simple", "residual"])
    ranked = leaderboard.rank(_entries(), _LOSS)
    leaderboard.write(tmp_path, ranked, num_folds=2, bases=bases)
    assert config.read_config(tmp_path / "best.json").model.family == "simple"
    assert config.read_config(tmp_path / "best" / "dense.json").model.family == "dense"
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [
        "dense.json",
        "simple.json",
    ]


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
        leaderboard.write_events(tmp_path, entry, search_settings.Objective(name="log_loss"))
    events = event_accumulator.EventAccumulator(str(tmp_path / "trial_07")).Reload()
    assert [event.value for event in events.Scalars("fold_0/loss")] == [1.0, 0.5]
    assert [event.value for event in events.Scalars("objective/log_loss")] == [0.5]
    (content,) = events.PluginTagToContent("hparams").values()
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["model.dropout"].number_value == 0.25
    assert start.hparams["model.filters"].string_value == "[8, 16]"
    assert start.hparams["family"].string_value == "dense"
