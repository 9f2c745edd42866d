"""Studies whose structures are squares of a grey value of their own, and networks that know them.

What is between the pixels and the points is then the package's own.
"""

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from spine_tf import labels
from spine_tf.crops import landmark_kinds, windows
from spine_tf.localization import localizer

_SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
_AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_TOP_MM, _HEIGHTS = 400.0, (60, 94, 128, 161, 190)
_CANAL = tuple(range(300, 1050, 150))
_FORAMEN = tuple(range(1100, 1850, 150))
_RECESS = (600, 1000)


class _Finder(tf.Module):
    """Sees squares of certain grey values: a mask each, blurred to a Gaussian."""

    def __init__(self, values, sigma_px, side_px):
        super().__init__()
        self._values = tf.constant(values, tf.float32)
        reach = np.arange(-16, 17)
        kernel = np.exp(-0.5 * (reach / sigma_px) ** 2)
        kernel /= kernel[abs(reach) <= side_px // 2].sum()
        self._kernel = tf.constant(np.tile(kernel[:, None], (1, len(values))), tf.float32)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, 256, 256, 3), tf.uint16, name="image"),
            tf.TensorSpec((None, 2), tf.float32, name="window"),
        ]
    )
    def __call__(self, image, window):
        middle = tf.cast(image[..., 1:2], tf.float32)
        mask = tf.cast(tf.abs(middle - self._values) < 20, tf.float32)
        for axis in (0, 1):
            kernel = tf.expand_dims(self._kernel, 1 - axis)[..., tf.newaxis]
            mask = tf.nn.depthwise_conv2d(mask, kernel, (1, 1, 1, 1), "SAME")
        return {"heatmaps": mask}


def write_localizer(directory: pathlib.Path) -> pathlib.Path:
    """Writes the localiser "squares"."""
    _export(directory, "sagittal", (*_CANAL, *_FORAMEN), windows.SAGITTAL_MM / windows.SIDE_PX)
    _export(directory, "axial", _RECESS, windows.AXIAL_MM / windows.SIDE_PX)
    localizer.write(directory, name="squares")
    return directory


def _export(
    directory: pathlib.Path, network: str, values: tuple[int, ...], pixel_mm: float
) -> None:
    module = _Finder(values, landmark_kinds.SIGMA_MM / pixel_mm, round(5 / pixel_mm))
    path = directory / network / "saved_model" / "1"
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.__call__})


def _square(pixels, x, y, value, reach):
    pixels[round(y) - reach : round(y) + reach + 1, round(x) - reach : round(x) + reach + 1] = value


def add_study(data: Any, study: int) -> None:
    """Adds a straight spine: what is marked is what is drawn."""
    t2, t1, axial = (10 * study + kind for kind in range(3))
    for instance, left in enumerate(range(-20, 21, 4), start=1):
        for series, description in ((t2, "Sagittal T2/STIR"), (t1, "Sagittal T1")):
            pixels = _background()
            for level, down in enumerate(_HEIGHTS):
                if series == t2 and left == 0:
                    _square(pixels, 128, down, _CANAL[level], 2)
                    _mark(data, study, series, instance, 0, level, 128, down)
                if series == t1 and abs(left) == 16:
                    _square(pixels, 130, down - 6, _FORAMEN[level], 2)
                    condition = 1 if left > 0 else 2
                    _mark(data, study, series, instance, condition, level, 130, down - 6)
            data.add_image(
                study,
                series,
                instance,
                pixels,
                description=description,
                spacing=(1.0, 1.0),
                position=(float(left), -128.0, _TOP_MM),
                orientation=_SAGITTAL,
            )
    for instance, down in enumerate(range(52, 206, 5), start=1):
        pixels = _background()
        for level, height in enumerate(_HEIGHTS):
            if abs(down - height - 1) <= 2:
                for side, x in enumerate((147, 109)):
                    _square(pixels, x, 120, _RECESS[side], 5)
                    _mark(data, study, axial, instance, 3 + side, level, x, 120)
        data.add_image(
            study,
            axial,
            instance,
            pixels,
            description="Axial T2",
            position=(-64.0, -64.0, _TOP_MM - down),
            orientation=_AXIAL,
        )


def _background() -> np.ndarray:
    """Waves, darker than any square, so that crops differ with their places."""
    down, across = np.mgrid[:256, :256]
    return np.rint(100 + 60 * np.sin(down / 9) * np.sin(across / 7)).astype(np.uint16)


def _mark(data, study, series, instance, condition, level, x, y):
    name = labels.CONDITIONS[condition]
    data.add_row(study, series, instance, name, labels.LEVELS[level], x=float(x), y=float(y))
