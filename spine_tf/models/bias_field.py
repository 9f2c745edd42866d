"""Correction of the slow shading that a surface coil lays over an image."""

import math

import keras
import numpy as np
import tensorflow as tf

# Added to the low-pass, so that the noise of an empty background is not blown up.
_FLOOR = 0.05
# Standard deviations at which the Gaussian is cut off.
_REACH = 3.0


@keras.saving.register_keras_serializable("spine_tf")
class BiasFieldCorrection(keras.layers.Layer):
    """Homomorphic unsharp masking: `v * (mean(v) + e) / (low_pass(v) + e)`, e = 0.05, cut at 1.

    Brinkmann, Manduca and Robb, Optimized Homomorphic Unsharp Masking for MR Grayscale
    Inhomogeneity Correction, IEEE Trans. Med. Imaging 17 (1998). The low-pass is a Gaussian whose
    weights inside the image sum to one, so that the border is not darkened. Each slice is its own.
    Maps images (batch, side, side, slices) in [0, 1] to such.
    """

    def __init__(self, sigma: float, **kwargs: object) -> None:
        """Takes the Gaussian's standard deviation as a fraction of the side."""
        super().__init__(**kwargs)
        self.sigma = sigma

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        height, width, num_slices = (size or 0 for size in input_shape[1:])
        self._rows = _kernel(self.sigma * height, height, num_slices)
        self._columns = np.swapaxes(_kernel(self.sigma * width, width, num_slices), 0, 1)
        inside = np.outer(_inside(self._rows, height), _inside(self._columns, width))
        self._inside = inside[np.newaxis, :, :, np.newaxis].astype(np.float32)

    def call(self, images: tf.Tensor) -> tf.Tensor:
        low = keras.ops.depthwise_conv(images, self._rows, padding="same")
        low = keras.ops.depthwise_conv(low, self._columns, padding="same") / self._inside
        mean = keras.ops.mean(images, axis=(1, 2), keepdims=True)
        return keras.ops.minimum(images * (mean + _FLOOR) / (low + _FLOOR), 1.0)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "sigma": self.sigma}


def _kernel(sigma_px: float, side: int, num_slices: int) -> np.ndarray:
    """The Gaussian down a column, float32 (taps, 1, slices, 1)."""
    radius = min(math.ceil(_REACH * sigma_px), side - 1)
    distance = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (distance / sigma_px) ** 2)
    column = (weights / weights.sum()).astype(np.float32)
    return np.tile(column[:, np.newaxis, np.newaxis, np.newaxis], (1, 1, num_slices, 1))


def _inside(kernel: np.ndarray, side: int) -> np.ndarray:
    """The share of the weights that lie in the image, by place, (side,)."""
    weights = kernel[:, :, 0, 0].ravel()
    return np.convolve(np.ones(side), weights)[len(weights) // 2 :][:side]
