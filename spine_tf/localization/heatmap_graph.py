"""The graph of a network of heatmaps as it is exported: windows in, heatmaps of their size out."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy import interpolate

from spine_tf.crops import windows
from spine_tf.training import heatmap_targets
from tfrecords import feed


class HeatmapGraph(tf.Module):
    """A network that takes windows as records hold them, and answers on their own pixels.

    Its weights are constants of the graph, in half the bytes where float16 is asked for; it
    computes in float32.
    """

    def __init__(
        self, model: keras.Model, grid: heatmap_targets.Grid, *, dtype: type[np.floating]
    ) -> None:
        """Takes what is exported.

        Args:
            model: float32 (n, side, side, slices) in [0, 1] -> heatmaps on a coarser grid.
            grid: of those heatmaps.
            dtype: that weights are stored in.
        """
        super().__init__()
        answer = _with_constants(model, dtype)
        weights = tf.constant(finer(grid))

        @tf.function(
            input_signature=[
                tf.TensorSpec(
                    (None, windows.SIDE_PX, windows.SIDE_PX, windows.NUM_SLICES), "uint16"
                ),
                tf.TensorSpec((None, 2), tf.float32),
            ]
        )
        def heatmaps(image: tf.Tensor, window: tf.Tensor) -> dict[str, tf.Tensor]:
            coarse = answer(feed.normalize(image, window))
            rows = tf.einsum("hi,nijc->nhjc", weights, coarse)
            found = tf.einsum("wj,nhjc->nhwc", weights, rows)
            return {"heatmaps": tf.clip_by_value(found, 0.0, 1.0)}

        self.heatmaps = heatmaps

    def save(self, path: str) -> None:
        """Writes a SavedModel, without the versions of what made it."""
        options = tf.saved_model.SaveOptions(experimental_debug_stripper=True)
        signatures = {"serving_default": self.heatmaps}
        tf.saved_model.save(self, path, signatures=signatures, options=options)


def _with_constants(
    model: keras.Model, dtype: type[np.floating]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The model as a function of images alone."""
    # Read now: inside of a graph there are no values.
    parts = [_values(model.trainable_variables), _values(model.non_trainable_variables)]

    def constant(value: np.ndarray) -> tf.Tensor:
        if not np.issubdtype(value.dtype, np.floating):
            return tf.constant(value)
        return tf.cast(tf.constant(value.astype(dtype)), tf.float32)

    def answer(images: tf.Tensor) -> tf.Tensor:
        own, others = ([constant(value) for value in values] for values in parts)
        outputs, _ = model.stateless_call(own, others, images, training=False)
        return outputs

    return answer


def _values(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def finer(grid: heatmap_targets.Grid) -> np.ndarray:
    """Returns the weights of a heatmap's pixels in each pixel of the record, along an axis.

    A cubic spline through the heatmap's pixels, which keeps place and height of a Gaussian as
    narrow as one pixel; beyond the outermost pixels the heatmap goes on as it ends.

    Returns:
        float32 (record_px, side_px).
    """
    places = (np.arange(grid.view.record_px) - grid.first) / grid.pitch
    last = grid.side_px - 1
    spline = interpolate.make_interp_spline(np.arange(last + 1), np.eye(last + 1), k=3)
    return spline(np.clip(places, 0, last)).astype(np.float32)
