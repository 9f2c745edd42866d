"""What a model sees in an image before it answers: the space in which neighbours are alike."""

import keras
import numpy as np

_BATCH = 256


def extract(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Returns each image's features: the last vector in the model that is wider than its answer.

    A model that has none (an ordinal head on a narrow network) gives its probabilities.

    Args:
        model: float32 images -> probabilities.
        images: float32 (n, side, side, slices) in [0, 1].

    Returns:
        float32 (n, features).
    """
    extractor = keras.Model(model.input, _last_wide_output(model))
    batches = [
        keras.ops.convert_to_numpy(extractor(images[start : start + _BATCH], training=False))
        for start in range(0, len(images), _BATCH)
    ]
    return np.concatenate(batches).astype(np.float32)


def _last_wide_output(model: keras.Model) -> keras.KerasTensor:
    num_classes = model.outputs[0].shape[-1]
    for layer in reversed(model.layers):
        # A layer that is called more than once has no output of its own.
        output = getattr(layer, "output", None)
        if isinstance(output, keras.KerasTensor) and len(output.shape) == 2:
            width = output.shape[-1]
            if width is not None and width > num_classes:
                return output
    return model.outputs[0]
