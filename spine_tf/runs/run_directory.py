"""A run directory: its files, how one begins or goes on, what it says of itself."""

import json
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from absl import logging

from spine_tf.configuration import config as config_module, differences, model_configs
from spine_tf.pages import frame
from spine_tf.runs import provenance as provenance_module
from tfrecords import atomic, json_object

if TYPE_CHECKING:
    import pandas as pd

CONFIG_FILE = "config.json"
MODEL_FILE = "model.keras"
HISTORY_FILE = "history.csv"
METRICS_FILE = "metrics.json"
PREDICTIONS_FILE = "predictions.csv"
CALIBRATION_FILE = "calibration.json"
INNER_FILE = "inner_predictions.csv"
CURVES_FILE = "curves.png"
TENSORBOARD_DIR = "tensorboard"
OUT_OF_FOLD_FILE = "oof.csv"


def begin(
    run_dir: pathlib.Path,
    run_config: config_module.Config,
    provenance: Mapping[str, Any],
    *,
    resume: bool,
) -> bool:
    """Makes a run directory, or checks that the one there is the same run.

    Args:
        run_dir: where; `config.json` is written into it.
        run_config: what is trained and how.
        provenance: what else the file says: `provenance.describe`, and what the training adds.
        resume: an interrupted run may go on.

    Returns:
        Whether there is anything left to train.

    Raises:
        ValueError: the directory exists and the run is not to be resumed, or is another one.
    """
    wanted = {**config_module.to_dict(run_config), "provenance": json.loads(json.dumps(provenance))}
    if not run_dir.exists():
        run_dir.mkdir(parents=True)
    elif not resume:
        raise ValueError(
            f"{run_dir} exists: choose another --run_dir, or go on with it by --resume"
        )
    elif (run_dir / CONFIG_FILE).is_file():
        _require_same(run_dir / CONFIG_FILE, wanted)
    elif atomic.contents(run_dir):
        raise ValueError(f"{run_dir} holds no run to resume: choose another --run_dir")
    if is_run(run_dir):
        logging.info("%s is finished, nothing to resume", run_dir)
        return False
    atomic.write_json(run_dir / CONFIG_FILE, wanted)
    return True


def _require_same(path: pathlib.Path, wanted: Mapping[str, Any]) -> None:
    values = json_object.read(
        path, expected="the configuration of a run", mend="choose another --run_dir"
    )
    found = differences.differences(values, wanted)
    if found:
        raise ValueError(
            f"{path} was started otherwise: {differences.in_words(found)}: resume with the same, "
            "or choose another --run_dir"
        )


def is_run(run_dir: pathlib.Path) -> bool:
    """Says whether a finished run lies there."""
    return (run_dir / METRICS_FILE).is_file() and (run_dir / CONFIG_FILE).is_file()


def fold_dirs(run_dir: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """Returns the folds' directories of a run with `--val_fold all`, in order; else none.

    With several seeds they are those of the first seed, then those of the next.
    """
    provenance = read_provenance(run_dir)
    seeds = provenance.get("seeds")
    above = [run_dir] if seeds is None else [run_dir / seed_dir_name(seed) for seed in seeds]
    return tuple(path / fold for path in above for fold in provenance.get("folds", ()))


def seed_dir_name(seed: int) -> str:
    """Returns the name of the directory that holds the folds of one seed among several."""
    return f"seed_{seed}"


def read_history(run_dir: pathlib.Path) -> "pd.DataFrame":
    """Reads the figures of every epoch of a run, see `Run.history`; no model is loaded.

    Raises:
        ValueError: a file is missing.
    """
    import pandas as pd

    paths = fold_dirs(run_dir)
    if not paths:
        return _read_history(run_dir)
    tables = []
    for path in paths:
        table = _read_history(path)
        table.insert(0, "fold", path.name)
        if path.parent != run_dir:
            table.insert(0, "seed", int(path.parent.name.rpartition("_")[2]))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _read_history(run_dir: pathlib.Path) -> "pd.DataFrame":
    return frame.read_csv(run_dir / HISTORY_FILE, ["phase"], writer="spine_tf.train")


def read_provenance(run_dir: pathlib.Path) -> dict[str, Any]:
    """Returns what `config.json` says of the run beside its configuration.

    Raises:
        ValueError: there is no run, or the file says what training doesn't write.
    """
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        raise ValueError(
            f"{run_dir} has no {CONFIG_FILE}; expected a directory written by spine_tf.train"
        )
    return provenance_module.read(path)


def require_grades(run_dir: pathlib.Path, config: config_module.Config) -> None:
    """Refuses a run that grades nothing.

    Raises:
        ValueError: the run finds points.
    """
    if isinstance(config.model, model_configs.UNetConfig):
        raise ValueError(
            f"{run_dir} was trained for task {config.task}, so it finds points and grades nothing: "
            "expected a run of another task; spine_tf.export makes a localiser of two such runs"
        )
