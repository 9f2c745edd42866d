"""A localiser from its two runs: both networks exported, asked again, and described."""

import pathlib
import shutil
import types
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from spine_tf.augmentation import field_of_view
from spine_tf.configuration import config as config_module, model_configs, record_kind
from spine_tf.crops import landmark_kinds, windows
from spine_tf.localization import heatmap_graph, localizer
from spine_tf.runs import run, run_directory
from spine_tf.training import heatmap_targets
from tfrecords import atomic

# How far an answer may be from the run's own, by what weights are stored in: the first that holds.
_TOLERANCE: Mapping[type[np.floating], float] = types.MappingProxyType(
    {np.float16: 0.01, np.float32: 1e-4}
)
_SEED, _NUM_CHECKED = 0, 4
_BLOBS_PX = 8


def export(
    run_dirs: Sequence[pathlib.Path], directory: pathlib.Path, *, name: str
) -> dict[str, float]:
    """Writes the directory of a localiser.

    Weights are stored in float16 where that changes no height by more than 0.01.

    Args:
        run_dirs: a run of task landmarks on sagittal records, and one on axial ones.
        directory: to write; must not exist.
        name: which weights these are, for every report.

    Returns:
        The largest difference between the heights of each exported network and its run's.

    Raises:
        ValueError: there is no finished run of each kind, or an export answers otherwise.
    """
    kinds = {path: _kind_of(path) for path in run_dirs}
    if sorted(kinds.values()) != sorted(localizer.NETWORKS) or len(run_dirs) != len(kinds):
        said = ", ".join(f"{path} ({kinds[path]})" for path in run_dirs)
        raise ValueError(
            f"a localiser is made of a run on sagittal and one on axial records, not of {said}: "
            "name one of each"
        )
    with atomic.new_directory(directory) as made:
        differences = {kind: _export_network(path, made, kind) for path, kind in kinds.items()}
        localizer.write(made, name=name)
    localizer.read(directory)
    return differences


def _kind_of(run_dir: pathlib.Path) -> str:
    if not run_directory.is_run(run_dir):
        raise ValueError(
            f"{run_dir} holds no finished run: train it, or go on with spine_tf.train --resume"
        )
    return record_kind.of(run_directory.read_provenance(run_dir)["records"]["config"])


def _export_network(run_dir: pathlib.Path, directory: pathlib.Path, kind: str) -> float:
    if run_directory.fold_dirs(run_dir):
        raise ValueError(
            f"{run_dir} is of several folds, a localiser has one network of each kind: name one of "
            f"{run_dir}/fold_*"
        )
    model, grid = run.load_model(run_dir), _grid(run_dir, kind)
    path = localizer.Localizer(directory=directory, name="", temperature=1.0).saved_model(kind)
    for dtype, most in _TOLERANCE.items():
        heatmap_graph.HeatmapGraph(model, grid, dtype=dtype).save(str(path))
        difference = _difference(model, grid, path)
        if difference <= most:
            logging.info(
                "%s: weights of %s in %s, heights differ by %.1e at most",
                *(kind, run_dir, dtype.__name__, difference),
            )
            return difference
        shutil.rmtree(path)
    raise ValueError(
        f"the {kind} network answers otherwise than {run_dir}, by up to {difference:.2g}, expected "
        f"{most:g} at most"
    )


def _grid(run_dir: pathlib.Path, network: str) -> heatmap_targets.Grid:
    model = config_module.read_config(run_dir / run_directory.CONFIG_FILE).model
    if not isinstance(model, model_configs.UNetConfig):
        raise ValueError(f"{run_dir} grades, expected a run of task landmarks")
    side_mm = landmark_kinds.KINDS[network].side_mm
    view = field_of_view.make(model, windows.SIDE_PX, side_mm)
    return heatmap_targets.Grid(view=view, stride=model.output_stride)


def _difference(model: keras.Model, grid: heatmap_targets.Grid, path: pathlib.Path) -> float:
    """How far a reloaded network is from the run's own, on random patches of grey."""
    exact = heatmap_graph.HeatmapGraph(model, grid, dtype=np.float32)
    rng, patches = np.random.default_rng(_SEED), windows.SIDE_PX // _BLOBS_PX
    drawn = rng.integers(0, 4096, (_NUM_CHECKED, patches, patches, windows.NUM_SLICES))
    images = tf.constant(drawn.repeat(_BLOBS_PX, 1).repeat(_BLOBS_PX, 2).astype(np.uint16))
    limits = tf.constant([[0.0, 4000.0]] * _NUM_CHECKED)
    wanted = exact.heatmaps(images, limits)["heatmaps"].numpy()
    loaded = tf.saved_model.load(str(path))
    answer = loaded.signatures["serving_default"](image=images, window=limits)["heatmaps"]
    return float(np.abs(answer.numpy() - wanted).max())
