"""The served functions of models that grade whole levels: a network of levels, or a stack.

Views are the crops that a level is seen by, in the order of `Spec.views`; those that are missing
are not looked at, whatever stands in for them.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from spine_tf import labels
from spine_tf.models import told as told_module
from spine_tf.serving import graph, spec
from spine_tf.stacking import level_table, regression
from tfrecords import feed

Answer = dict[str, tf.Tensor]

# As in scoring.calibration.
_SMALLEST = 1.2e-38


class Answerer(Protocol):
    """What makes probabilities of windowed views."""

    @property
    def models(self) -> Sequence[keras.Model]:
        """All that it asks."""

    def __call__(self, images: tf.Tensor, present: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
        """Returns float32 (batch, conditions, classes), calibrated.

        Args:
            images: float32 (batch, views, px, px, slices) in [0, 1].
            present: float32 (batch, views), 1 where there is a view.
            level: int64 (batch,).
        """


class LevelMembers:
    """Networks of levels whose calibrated answers are averaged."""

    def __init__(self, members: Sequence[tuple[keras.Model, float]]) -> None:
        """Takes models with their calibration temperature."""
        self._members = list(members)

    @property
    def models(self) -> Sequence[keras.Model]:
        return [model for model, _ in self._members]

    def __call__(self, images: tf.Tensor, present: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
        asked = {"image": images, "present": present, "level": level}
        answers = [
            _calibrated(model(asked, training=False)["probabilities"], temperature)
            for model, temperature in self._members
        ]
        return tf.add_n(answers) / len(answers)


class StackedRun:
    """A run of a stack: its models, and which view it is asked about for each condition."""

    def __init__(
        self,
        members: Sequence[tuple[keras.Model, float]],
        task: labels.Task,
        view_of: Mapping[int, int],
    ) -> None:
        """Takes what the run is.

        Args:
            members: models with their calibration temperature.
            task: theirs; halves of a severity are added up.
            view_of: condition -> position among the served views.
        """
        self.members, self.task, self.view_of = list(members), task, dict(view_of)

    def odds(
        self, images: tf.Tensor, present: tf.Tensor, level: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Log odds against the first class, float32 (batch, conditions, classes - 1).

        And which of them there are, float32 of the same shape; the others are 0.
        """
        width = len(self.task.collapsed.classes) - 1
        nothing = tf.zeros([tf.shape(images)[0], width])
        found, known = [], []
        for condition in range(len(labels.CONDITIONS)):
            view = self.view_of.get(condition)
            if view is None:
                found.append(nothing)
                known.append(nothing)
                continue
            said = self._ask(images[:, view], condition, level)
            logs = tf.math.log(tf.maximum(said, _SMALLEST))
            is_there = tf.repeat(present[:, view : view + 1], width, axis=1)
            found.append((logs[:, 1:] - logs[:, :1]) * is_there)
            known.append(is_there)
        return tf.stack(found, axis=1), tf.stack(known, axis=1)

    def _ask(self, images: tf.Tensor, condition: int, level: tf.Tensor) -> tf.Tensor:
        told = {"condition": tf.fill(tf.shape(level), tf.constant(condition, tf.int64))}
        answers = []
        for model, temperature in self.members:
            is_told = told_module.is_told(model)
            asked = {"image": images, "level": level, **told} if is_told else images
            said = _calibrated(model(asked, training=False), temperature)
            answers.append(graph.collapse(said, self.task))
        return tf.add_n(answers) / len(answers)


class StackAnswerer:
    """A stack: what its runs say of a level's views, weighed by its regressions."""

    def __init__(
        self,
        runs: Sequence[StackedRun],
        regressions: Mapping[str, regression.Regression],
        conditions: Sequence[int],
    ) -> None:
        """Takes what the stack is.

        Args:
            runs: in the order of the regressions' columns.
            regressions: by group of `level_table.GROUPS`.
            conditions: that are answered, in order.
        """
        self._runs, self._regressions = list(runs), dict(regressions)
        self._conditions = list(conditions)

    @property
    def models(self) -> Sequence[keras.Model]:
        return [model for one in self._runs for model, _ in one.members]

    def __call__(self, images: tf.Tensor, present: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
        of_runs = [one.odds(images, present, level) for one in self._runs]
        odds, known = (tf.stack(parts, axis=1) for parts in zip(*of_runs, strict=True))
        at_level = tf.one_hot(level, len(labels.LEVELS))
        answers = [self._weigh(odds, known, at_level, each) for each in self._conditions]
        return tf.stack(answers, axis=1)

    def _weigh(
        self, odds: tf.Tensor, known: tf.Tensor, at_level: tf.Tensor, condition: int
    ) -> tf.Tensor:
        """The twin of `level_table.columns_of` and `Regression.predict`."""
        group = next(name for name, of in level_table.GROUPS.items() if condition in of)
        found = self._regressions[group]
        columns, is_known = (
            tf.concat([self._turned(values, condition), last], axis=1)
            for values, last in ((odds, at_level), (known, tf.ones_like(at_level)))
        )
        center, scale = (tf.constant(each, tf.float32) for each in (found.center, found.scale))
        standard = (columns - center) / scale * is_known
        inputs = tf.concat([standard, 1.0 - is_known], axis=1)
        logits = tf.matmul(inputs, tf.constant(found.weights, tf.float32))
        logits += tf.constant(found.intercepts, tf.float32)
        return tf.nn.softmax(logits - tf.math.log(tf.constant(found.class_weights, tf.float32)))

    def _turned(self, values: tf.Tensor, condition: int) -> tf.Tensor:
        """Columns in the order in which a condition sees them, (batch, columns)."""
        order = level_table.seen_from(condition)
        turned = tf.stack([values[:, :, each] for each in order], axis=2)
        return tf.reshape(turned, [-1, values.shape[1] * len(order) * values.shape[3]])


def _calibrated(probabilities: tf.Tensor, temperature: float) -> tf.Tensor:
    return tf.nn.softmax(tf.math.log(tf.maximum(probabilities, _SMALLEST)) / temperature)


class LevelGraph:
    """The signatures of an export that grades levels."""

    def __init__(self, answerer: Answerer, served: spec.Spec) -> None:
        """Takes what is served."""
        self._answerer, self._served = answerer, served

    def save(self, path: pathlib.Path) -> None:
        """Writes a SavedModel that needs neither Keras nor this package to be loaded."""
        shape = self._served.image_shape
        num_views = len(self._served.views)
        archive = keras.export.ExportArchive()
        for model in self._answerer.models:
            archive.track(model)
        archive.add_endpoint(
            "serving_default",
            self.serve_views,
            input_signature=[
                tf.TensorSpec([None, *shape], tf.uint16, name="image"),
                tf.TensorSpec([None, 2 * num_views], tf.float32, name="window"),
                tf.TensorSpec([None, num_views], tf.int64, name="present"),
                tf.TensorSpec([None], tf.int64, name="level"),
            ],
        )
        archive.add_endpoint(
            "serve_examples",
            self.serve_examples,
            input_signature=[tf.TensorSpec([None], tf.string, name="examples")],
        )
        archive.write_out(str(path), verbose=False)

    def serve_views(
        self, image: tf.Tensor, window: tf.Tensor, present: tf.Tensor, level: tf.Tensor
    ) -> Answer:
        """Answers for levels: uint16 (batch, views, px, px, slices), float32 (batch, 2 * views).

        Which views there are is int64 (batch, views), the level int64 (batch,).
        """
        shape = self._served.image_shape
        flat = tf.reshape(image, [-1, *shape[1:]])
        normalized = feed.normalize(flat, tf.reshape(window, [-1, 2]))
        images = tf.reshape(normalized, [-1, *shape])
        there = tf.cast(present, tf.float32)
        probabilities = self._answerer(images, there, level)
        classes = self._served.task_spec.classes
        weighed = probabilities * tf.constant(self._served.task_spec.class_weights, tf.float32)
        return {
            "probabilities": probabilities,
            "competition_probabilities": weighed / tf.reduce_sum(weighed, axis=2, keepdims=True),
            "label": tf.gather(tf.constant(classes), tf.argmax(probabilities, axis=2)),
        }

    def serve_examples(self, examples: tf.Tensor) -> Answer:
        """Answers for serialised level records, string (batch,)."""
        shape = self._served.image_shape
        num_views = len(self._served.views)
        features: dict[str, Any] = {
            "image": tf.io.FixedLenFeature([], tf.string),
            "window": tf.io.FixedLenFeature([2 * num_views], tf.float32),
            "present": tf.io.FixedLenFeature([num_views], tf.int64),
            "level": tf.io.FixedLenFeature([], tf.int64),
        }
        parsed = tf.io.parse_example(examples, features)
        image = graph.decode_images(parsed["image"], shape)
        return self.serve_views(image, parsed["window"], parsed["present"], parsed["level"])
