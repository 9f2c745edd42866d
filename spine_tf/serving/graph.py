"""The served functions: from pixels to calibrated probabilities, in TensorFlow operations only."""

import pathlib
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from spine_tf import labels
from spine_tf.serving import served_crop, spec
from tfrecords import feed

Answer = dict[str, tf.Tensor]

# As in evaluation.calibration: a float32 softmax underflows to 0.
_SMALLEST = 1.2e-38

# What the converter accepts as PixelSpacing.
_LEAST_SPACING_MM, _LARGEST_SPACING_MM = 0.001, 100.0


class Graph:
    """The signatures of an exported model, for members whose answers are averaged.

    Constants are made inside the functions: what a function captures from outside becomes an
    input of the graph when other formats are converted from it.
    """

    def __init__(
        self,
        members: Sequence[tuple[keras.Model, float]],
        served: spec.Spec,
        tasks: Sequence[labels.Task] | None = None,
    ) -> None:
        """Takes what is served.

        Args:
            members: models with their calibration temperature.
            served: what they answer together.
            tasks: of each member, read as the served one; None: that is theirs.
        """
        self._members = list(members)
        self._served = served
        self._tasks = list(tasks or [served.task_spec] * len(self._members))
        # One function that all signatures call: each would trace and store the models anew.
        self._answer = tf.function(
            self._answer_normalized,
            input_signature=[tf.TensorSpec([None, *served.image_shape], tf.float32)],
        )

    def save(self, path: pathlib.Path) -> None:
        """Writes a SavedModel that needs neither Keras nor this package to be loaded."""
        archive = keras.export.ExportArchive()
        for model, _ in self._members:
            archive.track(model)
        for name, (function, inputs) in self._signatures().items():
            archive.add_endpoint(name, function, input_signature=inputs)
        archive.write_out(str(path), verbose=False)

    def _signatures(self) -> dict[str, tuple[Callable[..., Answer], list[tf.TensorSpec]]]:
        """Name -> function and the tensors that it takes."""
        height, width, slices = self._served.image_shape
        signatures: dict[str, tuple[Callable[..., Answer], list[tf.TensorSpec]]] = {
            "serving_default": (
                self.serve_crops,
                [
                    tf.TensorSpec([None, height, width, slices], tf.uint16, name="image"),
                    tf.TensorSpec([None, 2], tf.float32, name="window"),
                ],
            ),
            "serve_examples": (
                self.serve_examples,
                [tf.TensorSpec([None], tf.string, name="examples")],
            ),
        }
        if self._served.has_slice_signature:
            signatures["serve_slice"] = (
                self.serve_slice,
                [
                    tf.TensorSpec([None, None, slices], tf.uint16, name="image"),
                    tf.TensorSpec([2], tf.float32, name="pixel_spacing"),
                    tf.TensorSpec([2], tf.float32, name="center_xy"),
                    tf.TensorSpec([], tf.bool, name="mirror"),
                ],
            )
        return signatures

    def serve_crops(self, image: tf.Tensor, window: tf.Tensor) -> Answer:
        """Answers for crops: uint16 (batch, px, px, slices), float32 (batch, 2)."""
        return self._answer(feed.normalize(image, window))

    def serve_examples(self, examples: tf.Tensor) -> Answer:
        """Answers for serialised records, string (batch,)."""
        parsed = tf.io.parse_example(
            examples,
            {
                "image": tf.io.FixedLenFeature([], tf.string),
                "window": tf.io.FixedLenFeature([2], tf.float32),
            },
        )
        height, width, slices = self._served.image_shape
        expected = 2 * height * width * slices
        sizes = tf.strings.length(parsed["image"])
        message = (
            f"a record has an image of another size than {height} x {width} x {slices} uint16 "
            f"({expected} bytes): convert with the roi_px and num_slices of this model. Bytes:"
        )
        checked = _where(tf.reduce_all(sizes == expected), [message, sizes], parsed["image"])
        flat = tf.io.decode_raw(checked, tf.uint16, little_endian=True)
        images = tf.reshape(flat, [-1, height, width, slices])
        return self.serve_crops(images, parsed["window"])

    def serve_slice(
        self, image: tf.Tensor, pixel_spacing: tf.Tensor, center_xy: tf.Tensor, mirror: tf.Tensor
    ) -> Answer:
        """Answers, as a batch of one, for a place in a slice of stored values."""
        size_xy = tf.cast(tf.shape(image)[1::-1], tf.float32)
        center_xy = _where(
            tf.reduce_all((center_xy >= -0.5) & (center_xy < size_xy - 0.5)),
            ["center_xy is", center_xy, "expected a place on the image, columns x rows", size_xy],
            center_xy,
        )
        bounds = f"expected {_LEAST_SPACING_MM} to {_LARGEST_SPACING_MM:g} mm"
        pixel_spacing = _where(
            tf.reduce_all(
                (pixel_spacing >= _LEAST_SPACING_MM) & (pixel_spacing <= _LARGEST_SPACING_MM)
            ),
            ["pixel_spacing is", pixel_spacing, bounds],
            pixel_spacing,
        )
        roi = self._served.roi
        cropped = served_crop.crop(
            image, pixel_spacing, center_xy, mirror, roi_mm=roi.roi_mm, roi_px=roi.roi_px
        )
        is_of_slice = roi.window == "slice"
        window = served_crop.pixel_window(
            image[:, :, roi.num_slices // 2] if is_of_slice else cropped
        )
        return self.serve_crops(cropped[None], window[None])

    def _answer_normalized(self, images: tf.Tensor) -> Answer:
        probabilities = self._probabilities(images)
        classes = self._served.task_spec.classes
        weights = tf.constant(self._served.task_spec.class_weights, tf.float32)
        weighted = probabilities * weights
        return {
            "probabilities": probabilities,
            "competition_probabilities": weighted / tf.reduce_sum(weighted, axis=1, keepdims=True),
            "label": tf.gather(tf.constant(classes), tf.argmax(probabilities, axis=1)),
        }

    def _probabilities(self, images: tf.Tensor) -> tf.Tensor:
        """The mean over the members of p^(1 / temperature), renormalised."""
        calibrated = []
        for (model, temperature), task in zip(self._members, self._tasks, strict=True):
            raw = model(images, training=False)
            logits = tf.math.log(tf.maximum(raw, _SMALLEST))
            calibrated.append(_collapse(tf.nn.softmax(logits / temperature), task))
        return tf.add_n(calibrated) / len(calibrated)


def _collapse(probabilities: tf.Tensor, task: labels.Task) -> tf.Tensor:
    """Adds up the halves of a severity, where the task has them."""
    if not task.has_halves:
        return probabilities
    belongs = tf.one_hot(task.collapsed_classes, len(task.severities))
    return tf.matmul(probabilities, belongs)


def _where(condition: tf.Tensor, message: list[object], value: tf.Tensor) -> tf.Tensor:
    """The value where the condition holds, else an error: nothing may run on the value before."""
    with tf.control_dependencies([tf.debugging.Assert(condition, message)]):
        return tf.identity(value)
