"""What an exported model has to answer, found without its graph: numpy and the trained members."""

from collections.abc import Callable

import numpy as np

from spine_tf.crops import roi
from spine_tf.serving import golden, saved_model, spec

Predict = Callable[[np.ndarray], np.ndarray]


def answers(predict: Predict, served: spec.Spec, inputs: golden.Inputs) -> saved_model.Answer:
    """Returns the answers to the golden inputs, named as `golden.ask_all` names them.

    Args:
        predict: images float32 (n, px, px, slices) in [0, 1] -> calibrated probabilities
            float64 (n, classes).
        served: the crop and the classes.
        inputs: golden inputs.
    """
    answer = {}
    for name, value in _answer(predict, served, inputs.image, inputs.window).items():
        answer[f"crop_{name}"] = value
    if served.has_slice_signature:
        crops, windows = _cut(served, inputs)
        for name, value in _answer(predict, served, crops, windows).items():
            answer[f"slice_{name}"] = value
    return answer


def _cut(served: spec.Spec, inputs: golden.Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Returns the crops and windows that the converter would make of the places in the slice."""
    spacing = (float(inputs.slice_pixel_spacing[0]), float(inputs.slice_pixel_spacing[1]))
    slices = list(np.moveaxis(inputs.slice_image, 2, 0))
    crops = []
    for center, mirror in zip(inputs.slice_center_xy, inputs.slice_mirror, strict=True):
        cut = roi.crop_stack(
            slices,
            center_xy=(float(center[0]), float(center[1])),
            spacing=spacing,
            roi_mm=served.roi.roi_mm,
            roi_px=served.roi.roi_px,
        )
        crops.append(cut[:, ::-1] if mirror else cut)
    center = inputs.slice_image[:, :, served.roi.num_slices // 2]
    is_of_slice = served.roi.window == "slice"
    windows = [roi.window(center if is_of_slice else cut) for cut in crops]
    return np.stack(crops), np.array(windows, np.float32)


def _answer(
    predict: Predict, served: spec.Spec, images: np.ndarray, windows: np.ndarray
) -> saved_model.Answer:
    low = windows[:, 0, None, None, None]
    high = windows[:, 1, None, None, None]
    scale = 1.0 / np.maximum(high - low, 1.0)
    probabilities = predict(np.clip((images.astype(np.float32) - low) * scale, 0.0, 1.0))
    weighted = probabilities * served.task_spec.class_weights
    return {
        "probabilities": probabilities,
        "competition_probabilities": weighted / weighted.sum(axis=1, keepdims=True),
        "label": np.array(served.task_spec.classes)[probabilities.argmax(axis=1)],
    }
