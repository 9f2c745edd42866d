"""Where a training starts: layers of an earlier run, those that have the same name and shape."""

import pathlib
from collections.abc import Sequence
from typing import Any

import keras
from absl import logging

from spine_tf.configuration import config, pretrained_configs
from spine_tf.models import pretrained
from spine_tf.runs import run, run_directory
from spine_tf.training import fold_roles, reviewed_labels, tasks
from tfrecords import records


def find(
    run_config: config.Config, source: records.Records, seen_splits: Sequence[str]
) -> pathlib.Path | None:
    """Returns the directory whose model a training starts from; None where it starts without one.

    Of a run of several folds or seeds it is the first that saw no study of a fold held out here.

    Args:
        run_config: `model.weights` names the run.
        source: the records of this training.
        seen_splits: that it trains on or is watched on.

    Raises:
        ValueError: there is no such run, or all of its models saw studies that are held out here.
    """
    settings = run_config.model
    names_run = pretrained.names_run(settings.weights)
    is_published = isinstance(settings, pretrained_configs.PretrainedConfig) and not names_run
    if settings.weights == "none" or is_published:
        return None
    if not names_run:
        raise ValueError(
            f"model.weights is {settings.weights!r}, which is no directory; {settings.family} "
            "takes none or the directory of a run of spine_tf.train"
        )
    run_dir = pathlib.Path(settings.weights)
    held_out = [split for split in fold_roles.fold_splits(source) if split not in seen_splits]
    studies = set(source.index(held_out).columns["study_id"].tolist()) if held_out else set()
    for member_dir in run_directory.fold_dirs(run_dir) or (run_dir,):
        shared = studies & _studies_of(member_dir)
        if not shared:
            return member_dir
    raise ValueError(
        f"model.weights is {run_dir}, whose training saw study {min(shared)}, which is of "
        f"{', '.join(held_out)} and held out here: figures on it would say nothing; start from a "
        "run that did not see it"
    )


def _studies_of(run_dir: pathlib.Path) -> set[int]:
    if not run_directory.is_run(run_dir):
        raise ValueError(
            f"model.weights leads to {run_dir}, which holds no finished run; expected a directory "
            "written by spine_tf.train"
        )
    return set(run_directory.read_provenance(run_dir)["train_studies"])


def put(model: keras.Model, run_dir: pathlib.Path) -> None:
    """Puts the weights of a run's model into the layers of a model that fit, and logs which."""
    taken, left = _match(model, run_dir, assigns=True)
    logging.info(
        "%d layers start from %s%s",
        len(taken),
        run_dir,
        f", at random: {', '.join(left)}" if left else "",
    )


def describe(
    task: tasks.Task,
    run_config: config.Config,
    source: records.Records,
    assignment: fold_roles.Assignment,
) -> dict[str, Any]:
    """Returns what the provenance of a run of one fold says of its start, as JSON types.

    Returns:
        Nothing without a start. Else `weights`: the model's sha256, the layers that take over its
        weights and those that start at random; and `start_studies`, which they saw.

    Raises:
        ValueError: as `find`, or no layer fits.
    """
    seen = [*assignment.train_splits, assignment.monitor_split or ""]
    run_dir = find(run_config, source, seen)
    if run_dir is None:
        return {}
    taken, left = _match(task.build_network(source), run_dir, assigns=False)
    sha256 = reviewed_labels.sha256_of(str(run_dir / run_directory.MODEL_FILE))
    return {
        "weights": {"sha256": sha256, "taken": taken, "at_random": left},
        "start_studies": sorted(_studies_of(run_dir)),
    }


def _match(
    model: keras.Model, run_dir: pathlib.Path, *, assigns: bool
) -> tuple[list[str], list[str]]:
    """Names of the model's layers that a run's model fits, and of those that it doesn't."""
    own, theirs = _layers_of(model), _layers_of(run.load_model(run_dir))
    taken = [name for name in own if name in theirs and _shapes(own[name]) == _shapes(theirs[name])]
    if not taken:
        raise ValueError(
            f"model.weights: no layer of {run_dir} has the name and shape of one of this model "
            f"({', '.join(own)}): start from a run of the same family"
        )
    if assigns:
        for name in taken:
            own[name].set_weights(theirs[name].get_weights())
    return taken, [name for name in own if name not in taken]


def _layers_of(model: keras.Model, within: str = "") -> dict[str, keras.layers.Layer]:
    """Layers with weights by name; inside a backbone by place: Keras numbers those anew."""
    found: dict[str, keras.layers.Layer] = {}
    for place, layer in enumerate(model.layers):
        name = f"{within}/{place}" if within else layer.name
        if isinstance(layer, keras.Model):
            found |= _layers_of(layer, name)
        elif layer.weights:
            found[name] = layer
    return found


def _shapes(layer: keras.layers.Layer) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]
