"""The served functions: from pixels to calibrated probabilities, in TensorFlow operations only.

Window and crop are twins of those in `spine_tf.crops.roi`, which has the formulas' reasons: equal
integers, inside the graph. Weights lie on a grid of 2^-14, so every sum of weighted pixels is exact
in float64; no kernel, device or thread count changes it.
"""

import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from spine_tf import labels
from spine_tf.models import told as told_module
from spine_tf.serving import spec
from tfrecords import feed

Answer = dict[str, tf.Tensor]

# As in evaluation.calibration: a float32 softmax underflows to 0.
_SMALLEST = 1.2e-38

# What the converter accepts as PixelSpacing.
_LEAST_SPACING_MM, _LARGEST_SPACING_MM = 0.001, 100.0

# A place on a neighbour may lie far off it; pixels are counted as int32.
_FARTHEST_PX = 1e9

_GRID = 2.0**14
_TIE = 2.0**-20  # keeps ties of the grid from depending on the order of a sum


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
            tasks: each member's task, read as the served one; None where that is theirs.
        """
        self._members = list(members)
        self._served = served
        self._tasks = list(tasks or [served.task_spec] * len(self._members))
        # One function that all signatures call: each would trace and store the models anew.
        self._answer = tf.function(
            self._answer_normalized,
            input_signature=[
                tf.TensorSpec([None, *served.image_shape], tf.float32),
                {name: tf.TensorSpec([None], tf.int64, name=name) for name in served.told},
            ],
            autograph=False,
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
                    *self._told([None]),
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
                    tf.TensorSpec([slices, 2], tf.float32, name="center_xy"),
                    tf.TensorSpec([], tf.bool, name="mirror"),
                    tf.TensorSpec([2], tf.int32, name="padding"),
                    *self._told([]),
                ],
            )
        return signatures

    def _told(self, shape: list[int | None]) -> list[tf.TensorSpec]:
        return [tf.TensorSpec(shape, tf.int64, name=name) for name in self._served.told]

    def serve_crops(self, image: tf.Tensor, window: tf.Tensor, *told: tf.Tensor) -> Answer:
        """Answers for crops: uint16 (batch, px, px, slices), float32 (batch, 2).

        Where the model is told what it looks at, condition and level follow, int64 (batch,).
        """
        named = dict(zip(self._served.told, told, strict=True))
        return self._answer(feed.normalize(image, window), named)

    def serve_examples(self, examples: tf.Tensor) -> Answer:
        """Answers for serialised records, string (batch,)."""
        parsed = tf.io.parse_example(
            examples,
            {
                "image": tf.io.FixedLenFeature([], tf.string),
                "window": tf.io.FixedLenFeature([2], tf.float32),
                **{name: tf.io.FixedLenFeature([], tf.int64) for name in self._served.told},
            },
        )
        images = decode_images(parsed["image"], self._served.image_shape)
        told = [parsed[name] for name in self._served.told]
        return self.serve_crops(images, parsed["window"], *told)

    def serve_slice(
        self,
        image: tf.Tensor,
        pixel_spacing: tf.Tensor,
        center_xy: tf.Tensor,
        mirror: tf.Tensor,
        padding: tf.Tensor,
        *told: tf.Tensor,
    ) -> Answer:
        """Answers, as a batch of one, for a place in a slice of stored values.

        Args:
            image: uint16 (rows, columns, slices), the slice with its neighbours.
            pixel_spacing: float32 (2,), mm between rows and between columns.
            center_xy: float32 (slices, 2), column and row of the place on each slice.
            mirror: bool (), flips the crop left-right.
            padding: int32 (2,), lowest and highest stored value that is no tissue; none is where
                the lowest is above the highest.
            told: condition and level, int64 (), where the model is told them.
        """
        roi = self._served.roi
        center_xy = _checked_centers(center_xy, image, roi.num_slices // 2)
        pixel_spacing = _checked_spacing(pixel_spacing)
        cropped, is_tissue = crop(
            image,
            pixel_spacing,
            center_xy,
            mirror,
            padding,
            roi_mm=roi.roi_mm,
            roi_px=roi.roi_px,
        )
        if roi.window == "slice":
            window = slice_window(image[:, :, roi.num_slices // 2], padding)
        else:
            window = _histogram_window(_count_values(tf.boolean_mask(cropped, is_tissue)))
        return self.serve_crops(cropped[None], window[None], *(each[None] for each in told))

    def _answer_normalized(self, images: tf.Tensor, told: Mapping[str, tf.Tensor]) -> Answer:
        probabilities = self._probabilities(images, told)
        classes = self._served.task_spec.classes
        weights = tf.constant(self._served.task_spec.class_weights, tf.float32)
        weighted = probabilities * weights
        return {
            "probabilities": probabilities,
            "competition_probabilities": weighted / tf.reduce_sum(weighted, axis=1, keepdims=True),
            "label": tf.gather(tf.constant(classes), tf.argmax(probabilities, axis=1)),
        }

    def _probabilities(self, images: tf.Tensor, told: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The mean over the members of p^(1 / temperature), renormalised."""
        calibrated = []
        for (model, temperature), task in zip(self._members, self._tasks, strict=True):
            asked = {"image": images, **told} if told_module.is_told(model) else images
            raw = model(asked, training=False)
            logits = tf.math.log(tf.maximum(raw, _SMALLEST))
            calibrated.append(collapse(tf.nn.softmax(logits / temperature), task))
        return tf.add_n(calibrated) / len(calibrated)


def decode_images(serialized: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Returns the raw images of records, uint16 (batch, *shape), once their size is right."""
    expected = 2 * math.prod(shape)
    sizes = tf.strings.length(serialized)
    message = (
        f"a record has an image of another size than {' x '.join(map(str, shape))} uint16 "
        f"({expected} bytes): convert with the roi_px and num_slices of this model. Bytes:"
    )
    checked = _where(tf.reduce_all(sizes == expected), [message, sizes], serialized)
    flat = tf.io.decode_raw(checked, tf.uint16, little_endian=True)
    return tf.reshape(flat, [-1, *shape])


def collapse(probabilities: tf.Tensor, task: labels.Task) -> tf.Tensor:
    """Adds up the halves of a severity, where the task has them."""
    if not task.has_halves:
        return probabilities
    belongs = tf.one_hot(task.collapsed_classes, len(task.severities))
    return tf.matmul(probabilities, belongs)


def _where(condition: tf.Tensor, message: list[object], value: tf.Tensor) -> tf.Tensor:
    """The value where the condition holds, else an error: nothing may run on the value before."""
    with tf.control_dependencies([tf.debugging.Assert(condition, message)]):
        return tf.identity(value)


def _checked_centers(center_xy: tf.Tensor, image: tf.Tensor, index: int) -> tf.Tensor:
    """Asserts that the place is on the annotated slice; on its neighbours it may be off."""
    size_xy = tf.cast(tf.shape(image)[1::-1], tf.float32)
    annotated = center_xy[index]
    on_image = ["center_xy is", annotated, "expected a place on the image, columns x rows", size_xy]
    center_xy = _where(
        tf.reduce_all((annotated >= -0.5) & (annotated < size_xy - 0.5)), on_image, center_xy
    )
    near = ["center_xy is", center_xy, f"expected within {_FARTHEST_PX:g} pixels"]
    return _where(tf.reduce_all(tf.abs(center_xy) <= _FARTHEST_PX), near, center_xy)


def _checked_spacing(pixel_spacing: tf.Tensor) -> tf.Tensor:
    bounds = f"expected {_LEAST_SPACING_MM} to {_LARGEST_SPACING_MM:g} mm"
    return _where(
        tf.reduce_all(
            (pixel_spacing >= _LEAST_SPACING_MM) & (pixel_spacing <= _LARGEST_SPACING_MM)
        ),
        ["pixel_spacing is", pixel_spacing, bounds],
        pixel_spacing,
    )


def slice_window(pixels: tf.Tensor, padding: tf.Tensor) -> tf.Tensor:
    """Returns the 0.5 and 99.5 percentile of a slice without its padding, float32 (2,).

    A histogram takes 0.9 ms for 512 x 512 pixels where a sort takes 20 ms.

    Args:
        pixels: uint16 (rows, columns), stored values.
        padding: int32 (2,), lowest and highest value that is left out.
    """
    counts = _count_values(pixels)
    is_padding = _is_between(tf.range(tf.size(counts)), padding)
    return _histogram_window(tf.where(is_padding, 0, counts))


def _count_values(pixels: tf.Tensor) -> tf.Tensor:
    """How many pixels have each stored value, int32 (values,)."""
    return tf.math.bincount(tf.cast(tf.reshape(pixels, [-1]), tf.int32))


def _histogram_window(counts: tf.Tensor) -> tf.Tensor:
    cumulative = tf.cumsum(tf.cast(counts, tf.int64))
    total = tf.reduce_sum(tf.cast(counts, tf.int64))
    message = ["the window has no pixel that is no padding, expected at least one; pixels:", total]
    ranks = (tf.constant([5, 995], tf.int64) * _where(total > 0, message, total) + 999) // 1000
    return tf.cast(tf.searchsorted(cumulative, ranks, side="left"), tf.float32)


def crop(
    image: tf.Tensor,
    pixel_spacing: tf.Tensor,
    center_xy: tf.Tensor,
    mirror: tf.Tensor,
    padding: tf.Tensor,
    *,
    roi_mm: float,
    roi_px: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Resamples a square of `roi_mm` millimetres around a place; zero outside the image.

    Args:
        image: uint16 (rows, columns, slices), stored values; slices are known in advance.
        pixel_spacing: float32 (2,), mm between rows and between columns.
        center_xy: float32 (slices, 2), column and row of the place on each slice, in pixels;
            integers are pixel centres.
        mirror: bool (), flips the crop left-right.
        padding: int32 (2,), lowest and highest stored value that counts as outside the image.
        roi_mm: side of the square in millimetres.
        roi_px: side of the square in output pixels.

    Returns:
        uint16 (roi_px, roi_px, slices), and which of these pixels are made of pixels on the image
        that are no padding alone, bool of that shape.
    """
    spacing = tf.cast(pixel_spacing, tf.float64)
    cut = [
        _crop_slice(image[:, :, index], spacing, center_xy[index], padding, roi_mm, roi_px)
        for index in range(image.shape[2])
    ]
    crops, is_tissue = (tf.stack(parts, axis=-1) for parts in zip(*cut, strict=True))
    return (
        tf.where(mirror, tf.reverse(crops, [1]), crops),
        tf.where(mirror, tf.reverse(is_tissue, [1]), is_tissue),
    )


def _crop_slice(
    image: tf.Tensor,
    spacing: tf.Tensor,
    center_xy: tf.Tensor,
    padding: tf.Tensor,
    roi_mm: float,
    roi_px: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    center, shape = tf.cast(center_xy, tf.float64), tf.shape(image)
    by_row = _weights(center[1], spacing[0], shape[0], roi_mm, roi_px)
    by_column = _weights(center[0], spacing[1], shape[1], roi_mm, roi_px)
    touched = tf.cast(image[by_row.first : by_row.end, by_column.first : by_column.end], tf.int32)
    is_padding = _is_between(touched, padding)
    values = _resample(tf.where(is_padding, 0, touched), by_row, by_column)
    padded = _resample(is_padding, by_row, by_column)
    is_inside = by_row.is_inside[:, None] & by_column.is_inside
    cropped = tf.cast(tf.clip_by_value(tf.math.rint(values), 0.0, 65535.0), tf.uint16)
    return cropped, is_inside & (padded == 0)


def _is_between(values: tf.Tensor, limits: tf.Tensor) -> tf.Tensor:
    return (values >= limits[0]) & (values <= limits[1])


def _resample(pixels: tf.Tensor, by_row: "_Band", by_column: "_Band") -> tf.Tensor:
    narrow = tf.matmul(by_row.weights, tf.cast(pixels, tf.float64))
    return tf.matmul(narrow, by_column.weights, transpose_b=True)


class _Band(NamedTuple):
    """How the output pixels of one axis are weighted sums of input pixels.

    Attributes:
        first, end: int32 (), the input pixels that are touched.
        weights: float64 (roi_px, touched).
        is_inside: bool (roi_px,), output pixels that no pixel off the image would have a share in.
    """

    first: tf.Tensor
    end: tf.Tensor
    weights: tf.Tensor
    is_inside: tf.Tensor


def _weights(
    center: tf.Tensor, spacing: tf.Tensor, size: tf.Tensor, roi_mm: float, roi_px: int
) -> _Band:
    reach = tf.maximum(tf.constant(1.0, tf.float64), roi_mm / roi_px / spacing)
    offsets = (tf.range(roi_px, dtype=tf.float64) + 0.5) / roi_px - 0.5
    positions = (center + offsets * roi_mm / spacing)[:, None]
    num_taps = tf.math.ceil(reach)
    taps = tf.math.floor(positions) + tf.range(-num_taps, num_taps + 2.0)
    shares = _triangle(taps - positions, reach)
    totals = tf.reduce_sum(shares, axis=1, keepdims=True)
    touched_first = tf.cast(taps[0, 0], tf.int32)
    touched_last = tf.cast(taps[-1, -1], tf.int32)
    first = tf.clip_by_value(touched_first, 0, size)
    end = tf.clip_by_value(touched_last + 1, first, size)
    inputs = tf.cast(tf.range(first, end), tf.float64)
    is_off = (taps < 0.0) | (taps >= tf.cast(size, tf.float64))
    return _Band(
        first=first,
        end=end,
        weights=_on_grid(_triangle(inputs - positions, reach) / totals),
        is_inside=~tf.reduce_any(is_off & (_on_grid(shares / totals) > 0), axis=1),
    )


def _on_grid(shares: tf.Tensor) -> tf.Tensor:
    return tf.math.floor(shares * _GRID + 0.5 + _TIE) / _GRID


def _triangle(distances: tf.Tensor, reach: tf.Tensor) -> tf.Tensor:
    return tf.maximum(tf.constant(0.0, tf.float64), 1.0 - tf.abs(distances) / reach)
