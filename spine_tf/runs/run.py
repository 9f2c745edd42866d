"""A finished run: its models, what they answer, its figures as tables."""

import contextlib
import dataclasses
import pathlib
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from spine_tf.augmentation import copies as copies_module
from spine_tf.configuration import config as config_module
from spine_tf.models import families, resampling, told
from spine_tf.runs import provenance as provenance_module, run_directory
from spine_tf.scoring import calibration, predictions as predictions_module, summary
from tfrecords import atomic, errors, progress, regular_file, stored_images

if TYPE_CHECKING:
    import pandas as pd

# What Keras raises of a model file that is damaged: a zip of JSON and HDF5.
_UNREADABLE_MODEL = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError),
    *(RuntimeError, MemoryError, RecursionError, AssertionError, ImportError),
    *(zipfile.BadZipFile, zlib.error, tf.errors.OpError),
)

Images: TypeAlias = stored_images.Images | copies_module.Changed
"""What a model looks at: float32 (n, side, side, slices) in [0, 1], or indexed like it."""


def save_model(model: keras.Model, path: pathlib.Path) -> None:
    """Writes a model, by rename."""
    with atomic.replaced_file(path) as own, _temporary_files_in(own.parent):
        model.save(own)


@contextlib.contextmanager
def _temporary_files_in(directory: pathlib.Path) -> Iterator[None]:
    """Keras leaves a directory behind where a disk is full, so here, where it is removed."""
    before, tempfile.tempdir = tempfile.tempdir, str(directory)
    try:
        yield
    finally:
        tempfile.tempdir = before


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """One trained model and the temperature that calibrates it.

    Attributes:
        model: float32 images -> float32 probabilities.
        temperature: that calibrates it.
        fold: the fold that it did not see, None where one fold was held out of the whole run.
        train_studies: those that its weights, best epoch or temperature saw, or those of the run
            that it started from.
    """

    model: keras.Model
    temperature: float
    fold: str | None = None
    train_studies: frozenset[int] = frozenset()

    def predict(self, images: Images, batch_size: int = 256) -> np.ndarray:
        """Returns calibrated probabilities, float64 (n, classes)."""
        return self.calibrated(predict_probabilities(self.model, images, batch_size))

    def calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns probabilities at the temperature of this model, float64 (..., classes)."""
        flat = probabilities.reshape(-1, probabilities.shape[-1])
        found = calibration.apply_temperature(flat, self.temperature)
        return found.reshape(probabilities.shape)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        run_dir: where it was written.
        config: what it was trained with.
        members: one model, or one a fold, whose mean is the answer.
        provenance: what `config.json` says of versions, records and splits.
        class_prior: share of each class in the training examples.
    """

    run_dir: pathlib.Path
    config: config_module.Config
    members: tuple[Member, ...]
    provenance: Mapping[str, Any]
    class_prior: tuple[float, ...]

    def history(self) -> "pd.DataFrame":
        """Reads the figures of every epoch.

        Returns:
            One row an epoch: epoch int64, counted from 1; phase as text; loss, the task's running
            figures, learning_rate, data_wait, seconds and val_* as float64. Of a run of all folds
            that of each, with its name in a first column `fold`, before it `seed` where there are
            several.

        Raises:
            ValueError: a file is missing.
        """
        return run_directory.read_history(self.run_dir)

    def predictions(self) -> "pd.DataFrame":
        """Reads the answers to the fold that was held out, or to all of them, each out of fold.

        Returns:
            One row an example: key as text; label int64, the class; one column a class with its
            calibrated probability, float64.

        Raises:
            ValueError: the file is missing.
        """
        is_of_folds = bool(self.provenance.get("folds"))
        name = run_directory.OUT_OF_FOLD_FILE if is_of_folds else run_directory.PREDICTIONS_FILE
        return predictions_module.read_frame(self.run_dir / name)

    def metrics(self) -> "pd.DataFrame":
        """Reads the figures of those answers, with 95 % intervals.

        Returns:
            One row a metric, indexed by its name; value, low and high as float64.

        Raises:
            ValueError: the file is missing or can't be read.
        """
        return summary.read(self.run_dir / run_directory.METRICS_FILE).to_frame()

    def without_fold(self, fold: str) -> "Run":
        """Returns the run with only those members that did not see the fold: one a seed."""
        members = tuple(member for member in self.members if member.fold == fold)
        return dataclasses.replace(self, members=members)

    def predict(
        self, images: stored_images.Images, batch_size: int = 256, *, num_augmented: int = 1
    ) -> np.ndarray:
        """Returns the mean of the members' calibrated probabilities.

        Args:
            images: float32 (n, side, side, slices) in [0, 1].
            batch_size: images at a time.
            num_augmented: copies of each image that are averaged over, as `copies` makes them.

        Returns:
            float64 (n, classes); each row sums to 1.

        Raises:
            ValueError: as `copies`, or the images don't say what the model is told.
        """
        answers = [
            member.predict(copy, batch_size)
            for copy in self.copies(images, num_augmented)
            for member in self.members
        ]
        return np.mean(answers, axis=0)

    def copies(self, images: stored_images.Images, num_augmented: int) -> Iterator[Images]:
        """Yields the images, then num_augmented - 1 copies changed as in this run's training.

        Raises:
            ValueError: the run was trained without augmentation, and more than one is asked for.
        """
        record_mm = self.provenance["records"]["config"].get("roi_mm")
        return copies_module.make_copies(
            images,
            self.config.data.augmentation,
            resampling.view_of(self.members[0].model, record_mm),
            num=num_augmented,
            seed=self.config.seed,
        )


def predict_probabilities(
    model: keras.Model,
    images: Images,
    batch_size: int = 256,
    *,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Returns a model's probabilities before calibration.

    Args:
        model: float32 images -> float32 probabilities.
        images: float32 (n, side, side, slices) in [0, 1]; those that are made when they are asked
            for are so, batch by batch. Changed ones have been sampled, and go behind the sampler.
            A model that is told what it looks at finds it in their columns.
        batch_size: images at a time.
        rows: which of the images, int64 (k,); None is all of them.

    Returns:
        float64 (k, classes); each row sums to 1.
    """
    if rows is None:
        rows = np.arange(len(images))
    if isinstance(images, copies_module.Changed):
        model = resampling.behind(model)
    # Called as it is: model.predict would trace a function anew for every model of an ensemble.
    batches = [
        model(told.inputs(model, images, rows[start : start + batch_size]), training=False).numpy()
        for start in range(0, len(rows), batch_size)
    ]
    exact = np.concatenate(batches).astype(np.float64)
    return exact / exact.sum(axis=1, keepdims=True)


def load_run(run_dir: pathlib.Path | str) -> Run:
    """Loads a finished run: its model, or with `--val_fold all` the models of all folds.

    Example:
        >>> from spine_tf.runs import run
        >>> from tfrecords import records
        >>> trained = run.load_run("runs/simple")
        >>> trained.history()["epoch"].tolist()
        [1, 2]
        >>> trained.predictions().columns.tolist()
        ['key', 'label', 'normal_mild', 'severe']
        >>> trained.metrics().loc["accuracy"].index.tolist()
        ['value', 'low', 'high']
        >>> source = records.open_records("records")
        >>> test = records.load_examples(source, ["test"], trained.config.task_spec.severities)
        >>> probabilities = trained.predict(test.normalized())
        >>> probabilities.shape == (len(test), 2)
        True

    Args:
        run_dir: that spine_tf.train wrote.

    Returns:
        The run, whose `predict` takes images float32 (n, px, px, slices) in [0, 1] and answers with
        calibrated probabilities, float64 (n, classes).

    Raises:
        ValueError: there is no run, it is not finished, or a file in it is damaged; names it.
    """
    run_dir = pathlib.Path(run_dir)
    provenance = run_directory.read_provenance(run_dir)
    if not run_directory.is_run(run_dir):
        raise ValueError(
            f"{run_dir} has no {run_directory.METRICS_FILE}, so the run is not finished: "
            "go on with spine_tf.train --resume"
        )
    path, config = (
        run_dir / run_directory.CONFIG_FILE,
        config_module.read_config(run_dir / run_directory.CONFIG_FILE),
    )
    run_directory.require_grades(run_dir, config)
    provenance_module.require(path, provenance)
    if len(provenance["class_prior"]) != len(config.task_spec.classes):
        raise ValueError(
            f"{path}: provenance.class_prior has {len(provenance['class_prior'])} shares, task "
            f"{config.task} has {len(config.task_spec.classes)} classes: train the run again"
        )
    with progress.waiting(f"loading {run_dir}"):
        of_folds = [_load_member(path, path.name) for path in run_directory.fold_dirs(run_dir)]
    return Run(
        run_dir=run_dir,
        config=config,
        members=tuple(of_folds) or (_load_member(run_dir, None),),
        provenance=provenance,
        class_prior=tuple(provenance["class_prior"]),
    )


def load_model(run_dir: pathlib.Path) -> keras.Model:
    """Loads the model of a run of one fold, whatever its task.

    Raises:
        ValueError: there is none, or it can't be read.
    """
    try:
        # Keras would wait for ever at a pipe.
        regular_file.open_file(run_dir / run_directory.MODEL_FILE).close()
        return keras.models.load_model(
            run_dir / run_directory.MODEL_FILE,
            compile=False,
            custom_objects=dict(families.CUSTOM_LAYERS),
        )
    except _UNREADABLE_MODEL as err:
        path, said = run_dir / run_directory.MODEL_FILE, errors.reason(err)[:300]
        raise ValueError(f"{path} can't be loaded ({said}): train it again") from err


def _load_member(run_dir: pathlib.Path, fold: str | None) -> Member:
    provenance = run_directory.read_provenance(run_dir)
    provenance_module.require(run_dir / run_directory.CONFIG_FILE, provenance)
    seen = [*provenance["train_studies"], *provenance.get("start_studies", ())]
    # A fold's temperature is that which all folds together gave, where they gave one.
    pooled = run_dir.parent / run_directory.CALIBRATION_FILE
    of_fold = (
        (pooled, fold)
        if fold and pooled.is_file()
        else (run_dir / run_directory.CALIBRATION_FILE, None)
    )
    return Member(
        temperature=calibration.read_temperature(*of_fold),
        model=load_model(run_dir),
        fold=fold,
        train_studies=frozenset(seen),
    )
