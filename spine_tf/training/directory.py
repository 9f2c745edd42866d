"""What all run directories share: how one begins or goes on, and the figures that end it."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import logging

from spine_tf.configuration import config, differences
from spine_tf.runs import run
from spine_tf.scoring import predictions, summary
from spine_tf.training import provenance
from tfrecords import atomic


def begin(
    run_dir: pathlib.Path, run_config: config.Config, origin: dict[str, Any], *, resume: bool
) -> bool:
    """Makes a run directory, or checks that the one there is the same run.

    Args:
        run_dir: where; `config.json` is written into it.
        run_config: what is trained and how.
        origin: the run's provenance.
        resume: an interrupted run may go on.

    Returns:
        Whether there is anything left to train.

    Raises:
        ValueError: the directory exists and the run is not to be resumed, or is another one.
    """
    wanted = provenance.config_json(run_config, origin)
    if not run_dir.exists():
        run_dir.mkdir(parents=True)
    elif not resume:
        raise ValueError(
            f"{run_dir} exists: choose another --run_dir, or go on with it by --resume"
        )
    elif (run_dir / run.CONFIG_FILE).is_file():
        _require_same(run_dir / run.CONFIG_FILE, wanted)
    elif any(run_dir.iterdir()):
        raise ValueError(f"{run_dir} holds no run to resume: choose another --run_dir")
    if run.is_run(run_dir):
        logging.info("%s is finished, nothing to resume", run_dir)
        return False
    atomic.write_json(run_dir / run.CONFIG_FILE, wanted)
    return True


def _require_same(path: pathlib.Path, wanted: Mapping[str, Any]) -> None:
    found = differences.differences(json.loads(path.read_text("utf-8")), wanted)
    if found:
        raise ValueError(
            f"{path} was started otherwise: {differences.in_words(found)}: resume with the same, "
            "or choose another --run_dir"
        )


def write_metrics(
    run_dir: pathlib.Path,
    held_out: predictions.Predictions,
    run_config: config.Config,
    split: str,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Writes metrics.json, which marks a run as finished, and logs what matters most.

    Args:
        run_dir: of the run.
        held_out: predictions of examples that the weights did not see.
        run_config: of the run.
        split: which examples they are.
        more: what else stands in the file.
    """
    figures = summary.summarize(held_out, run_config.task_spec, split, seed=run_config.seed)
    atomic.write_json(run_dir / run.METRICS_FILE, {**figures, **(more or {})})
    accuracy, loss = figures["metrics"]["accuracy"], figures["metrics"]["log_loss"]
    logging.info(
        "%s: accuracy %.3f (95 %% %s to %s), log loss %.3f, %d examples of %d studies",
        split,
        accuracy["value"],
        _rounded(accuracy["low"]),
        _rounded(accuracy["high"]),
        loss["value"],
        figures["num_examples"],
        figures["num_studies"],
    )
    _warn_of_unpredicted(held_out, run_config)


def _warn_of_unpredicted(held_out: predictions.Predictions, run_config: config.Config) -> None:
    predicted = set(held_out.predicted.tolist())
    for index, name in enumerate(run_config.task_spec.classes):
        if index not in predicted and (held_out.labels == index).any():
            logging.warning("no example was predicted as %s", name)


def _rounded(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"
