"""The leaderboard: order, columns, and the configurations of the best."""

import csv
import io
import pathlib
from typing import Any

from spine_tf.configuration import config
from tuner import leaderboard, objective, settings, trial

_LOSS = objective.Objective(name="log_loss")


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


def _ids(goal: objective.Objective) -> str:
    return "".join(entry.trial_id for entry in leaderboard.rank(_entries(), goal))


def test_best_complete_trial_is_first() -> None:
    assert _ids(_LOSS) == "30214"
    assert _ids(objective.Objective(name="auc")) == "03214"


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


def test_best_configurations_are_written_for_all_and_for_each_family(
    tmp_path: pathlib.Path,
) -> None:
    bases, _ = settings.make_bases("binary", ["dense", "simple", "residual"])
    ranked = leaderboard.rank(_entries(), _LOSS)
    leaderboard.write(tmp_path, ranked, num_folds=2, bases=bases)
    assert config.read_config(tmp_path / "best.json").model.family == "simple"
    assert config.read_config(tmp_path / "best" / "dense.json").model.family == "dense"
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [
        "dense.json",
        "simple.json",
    ]


def test_outcome_survives_the_disk(tmp_path: pathlib.Path) -> None:
    outcome = trial.Outcome(
        trial_id="7", status=trial.COMPLETED, fold_scores=(0.5,), curves=(({"loss": 1.0},),)
    )
    assert trial.read_outcome(tmp_path, "7") is None
    trial.write_outcome(tmp_path, outcome)
    assert trial.read_outcome(tmp_path, "7") == outcome


def test_job_survives_the_pipe() -> None:
    job = trial.Job(trial_id="1", config={"task": "binary"}, objective="auc", reference=(1.0, 0.5))
    assert trial.job_from_dict(trial.job_to_dict(job)) == job
