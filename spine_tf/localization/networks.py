"""The two networks of a localiser, asked for heatmaps; the one module here with TensorFlow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from spine_tf.crops import slice_reader, windows as windows_module
from spine_tf.dicom import reasons
from spine_tf.localization import heatmaps, localizer as localizer_module
from tfrecords import errors

IMAGE_SHAPE = (windows_module.SIDE_PX, windows_module.SIDE_PX, windows_module.NUM_SLICES)


class Networks:
    """Both networks, loaded once for studies of any source."""

    def __init__(self, localizer: localizer_module.Localizer) -> None:
        """Loads them.

        Args:
            localizer: a verified directory.

        Raises:
            ValueError: they can't be loaded, or answer something else than heatmaps.
        """
        # A signature loses its variables with the object that it is of.
        self._loaded = [_load(localizer, network) for network in localizer_module.NETWORKS]

    def warm(self) -> None:
        """Asks each once: the first answer takes longer than all after it."""
        self.ask(np.zeros((1, *IMAGE_SHAPE), np.uint16), np.array([[0, 1]], np.float32))

    def ask(self, image: np.ndarray, window: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the heatmaps of each network, by its name.

        Args:
            image: uint16 (n, *IMAGE_SHAPE).
            window: float32 (n, 2).
        """
        inputs = {"image": tf.constant(image), "window": tf.constant(window)}
        return {
            name: one.signatures["serving_default"](**inputs)["heatmaps"].numpy()
            for name, one in zip(localizer_module.NETWORKS, self._loaded, strict=True)
        }

    def of(self, reader: slice_reader.SliceReader) -> "Drawn":
        """Returns what draws heatmaps of a reader's studies."""
        sagittal, axial = (one.signatures["serving_default"] for one in self._loaded)
        return Drawn(sagittal, axial, reader)


class Drawn:
    """Draws heatmaps of windows by their pixels; a `heatmaps.Source`."""

    def __init__(self, sagittal: Any, axial: Any, reader: slice_reader.SliceReader) -> None:
        """Takes the networks' signatures, and a reader made for `windows.NUM_SLICES`."""
        self._sagittal, self._axial = sagittal, axial
        self._reader = reader

    def sagittal(self, windows: Sequence[windows_module.Window]) -> np.ndarray:
        """See `heatmaps.Source`; a slice that can't be read shows nothing."""
        return self._ask(self._sagittal, windows, heatmaps.SAGITTAL_CHANNELS)

    def axial(self, windows: Sequence[windows_module.Window]) -> np.ndarray:
        """See `heatmaps.Source`; a slice that can't be read shows nothing."""
        return self._ask(self._axial, windows, heatmaps.AXIAL_CHANNELS)

    def _ask(
        self, network: Any, windows: Sequence[windows_module.Window], num_channels: int
    ) -> np.ndarray:
        side = windows_module.SIDE_PX
        images = np.zeros((len(windows), side, side, windows_module.NUM_SLICES), np.uint16)
        limits = np.tile(np.array([0, 1], np.float32), (len(windows), 1))
        is_read = np.zeros(len(windows), bool)
        for index, window in enumerate(windows):
            try:
                crop = windows_module.cut(window, self._reader)
            except reasons.Rejected:
                continue
            images[index], limits[index], is_read[index] = crop.image, crop.window, True
        answer = network(image=tf.constant(images), window=tf.constant(limits))["heatmaps"].numpy()
        if answer.shape != (len(windows), side, side, num_channels):
            raise ValueError(
                f"a localiser's network answers heatmaps of {answer.shape[1:]}, expected "
                f"{(side, side, num_channels)}: export the localiser again"
            )
        return answer * is_read[:, None, None, None]


def _load(localizer: localizer_module.Localizer, network: str) -> Any:
    path = localizer.saved_model(network)
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as err:
        raise ValueError(f"{path} can't be loaded: {errors.reason(err)}") from err
    signature = loaded.signatures.get("serving_default")
    inputs = signature.structured_input_signature[1] if signature else {}
    outputs = signature.structured_outputs if signature else {}
    if set(inputs) != {"image", "window"} or "heatmaps" not in outputs:
        raise ValueError(
            f"{path} takes {sorted(inputs)} and answers {sorted(outputs)}, expected image and "
            "window, and heatmaps: export the localiser again"
        )
    return loaded
