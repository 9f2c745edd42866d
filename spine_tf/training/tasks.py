"""What can be learned: a task says which records, targets, loss and figures; the loop knows none.

A new task is a class with the methods of `Task` in a file of its own, and a line in `make_task`.
`classification.ClassificationTask` is the one to read beside this.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from spine_tf.augmentation import field_of_view
from spine_tf.configuration import config
from spine_tf.training import classification, fold_roles, landmark_task, level_task, losses
from tfrecords import feed, records

Running = Mapping[str, Callable[[Any, Any], tf.Tensor]]


class Task(Protocol):
    """One thing that can be learned from a records directory.

    Inputs, outputs and targets are a tensor or a dict of tensors, one row an example; outputs are
    what the task's own network gives. All methods on batches run inside a tf.function.
    """

    @property
    def monitors(self) -> Mapping[str, bool]:
        """The figures that may say which epoch is best, and whether more is better."""

    @property
    def watched(self) -> tuple[str, ...]:
        """The figures of an epoch that stand beside the loss where a training is watched."""

    @property
    def running(self) -> Running:
        """Figures of the training batches: (targets, outputs) -> values, averaged over an epoch.

        There may be other than one value an example, such as one for each output that is known.
        """

    def open_training(
        self, source: records.Records, splits: Sequence[str]
    ) -> tuple[feed.Feed, losses.Loss]:
        """Returns what the weights see, and the loss, which may know how rare each class is there.

        Returns:
            The feed, and (targets, outputs) -> float32 (batch,): the loss of each example, weighed.

        Raises:
            ValueError: the examples can't teach the task.
        """

    def open_feed(self, source: records.Records, splits: Sequence[str]) -> feed.Feed:
        """Returns a feed of the splits as they were labelled.

        Raises:
            ValueError: none of their examples is of the task.
        """

    def build_network(self, source: records.Records) -> keras.Model:
        """Returns the uncompiled network of the configured family with the task's head.

        It takes records' images as they are, windowed; what samples them is its first layer, and
        trains behind it (`resampling.behind`). Published weights are not read yet.
        """

    def inputs(self, batch: feed.Batch) -> Any:
        """Returns what the network behind the sampler sees of a batch, as it is."""

    def targets(self, batch: feed.Batch) -> Any:
        """Returns what the network should answer to a batch as it is."""

    def augmented(self, batch: feed.Batch) -> tuple[Any, Any]:
        """Returns `inputs` and targets after the configured random changes of each example.

        What moves pixels has to move the points among the targets.
        """

    def mix(self, inputs: Any, targets: Any, seeds: tf.Tensor) -> tuple[Any, Any]:
        """Blends the examples of a batch with each other, where the configuration says so.

        Args:
            inputs: what the network takes, or features of it, float32 (batch, features).
            targets: what each should be answered with.
            seeds: int32 (batch, 2), those of the feed.
        """

    def monitor_figures(self, outputs: Any, truth: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Returns every figure of `monitors`, NaN where it is undefined.

        Args:
            outputs: the network's answers to the whole feed, as arrays.
            truth: what else than images the batches held, in the same order.

        Raises:
            ValueError: an output is not a finite number.
        """

    def describe(self, source: records.Records, splits: Sequence[str]) -> dict[str, Any]:
        """Returns what `config.json` says of the task's training examples, as JSON types.

        Raises:
            ValueError: the examples can't teach the task.
        """

    def write_results(
        self,
        run_dir: pathlib.Path,
        model: keras.Model,
        source: records.Records,
        assignment: fold_roles.Assignment,
    ) -> None:
        """Writes what the model says of the split held out; `metrics.json` last.

        The monitored split may calibrate the answers, the held-out one must not.
        """

    def join_folds(self, run_dir: pathlib.Path, fold_dirs: Sequence[pathlib.Path]) -> None:
        """Writes the results of runs with each fold held out as those of one run."""

    def join_seeds(self, run_dir: pathlib.Path, seed_dirs: Mapping[int, pathlib.Path]) -> None:
        """Writes the mean of the runs of several seeds as the results of one run."""


def make_task(run_config: config.Config, source: records.Records) -> Task:
    """Returns the task that a configuration names, of the records that it is learned from."""
    if run_config.task == landmark_task.NAME:
        return landmark_task.make(run_config, source)
    record_mm = field_of_view.record_mm(source)
    if run_config.task == level_task.NAME:
        return level_task.LevelTask(config=run_config, record_mm=record_mm)
    return classification.ClassificationTask(config=run_config, record_mm=record_mm)
