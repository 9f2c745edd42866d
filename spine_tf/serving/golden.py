"""Golden inputs and outputs: what an exported model has to answer, wherever it runs.

The inputs are synthetic, so that an export carries no pixel of anybody's study.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from spine_tf.crops import roi
from spine_tf.serving import saved_model, spec
from tfrecords import array_file, example, schema, stored_images

FOLDER = "golden"
INPUTS_FILE = "inputs.npz"
OUTPUTS_FILE = "outputs.npz"

_NUM_CROPS = 8
_SLICE_SHAPE = (200, 160)
_LARGEST_STORED = 1500

# Answers as float32 from other kernels, devices and runtimes: measured differences are below 1e-5.
TOLERANCE = 1e-4

# Images like float32 (n, px, px, slices) in [0, 1], with what the model is told of each as columns
# -> calibrated probabilities float64 (n, classes).
Predict = Callable[[stored_images.Windowed], np.ndarray]


def _nothing_told() -> np.ndarray:
    return np.zeros(0, np.int64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """Inputs of all signatures.

    Attributes:
        image: uint16 (n, px, px, slices), crops.
        window: float32 (n, 2).
        slice_image: uint16 (rows, columns, slices), one slice with its neighbours.
        slice_pixel_spacing: float32 (2,), mm between rows and between columns.
        slice_center_xy: float32 (k, slices, 2), places in it, some near its border; (k, 2) in
            exports of before a place had its own centre on each slice.
        slice_mirror: bool (k,).
        slice_padding: int32 (k, 2), lowest and highest value that is padding; (0, 2) in exports of
            before there was such an input.
        condition, level: int64 (n,), what the model is told of each crop; (0,) if it isn't.
        slice_condition, slice_level: int64 (k,), likewise of each place in the slice.
    """

    image: np.ndarray
    window: np.ndarray
    slice_image: np.ndarray
    slice_pixel_spacing: np.ndarray
    slice_center_xy: np.ndarray
    slice_mirror: np.ndarray
    slice_padding: np.ndarray = dataclasses.field(
        default_factory=lambda: np.zeros((0, 2), np.int32)
    )
    condition: np.ndarray = dataclasses.field(default_factory=_nothing_told)
    level: np.ndarray = dataclasses.field(default_factory=_nothing_told)
    slice_condition: np.ndarray = dataclasses.field(default_factory=_nothing_told)
    slice_level: np.ndarray = dataclasses.field(default_factory=_nothing_told)

    @property
    def told(self) -> dict[str, np.ndarray]:
        """What the model is told of each crop, by name."""
        return {name: getattr(self, name) for name in spec.TOLD if len(getattr(self, name))}

    @property
    def slice_told(self) -> dict[str, np.ndarray]:
        """What it is told of each place in the slice, by name."""
        return {name: getattr(self, f"slice_{name}") for name in self.told}

    @property
    def crops(self) -> dict[str, np.ndarray]:
        """The inputs of `serving_default`, by name."""
        return {"image": self.image, "window": self.window, **self.told}

    def examples(self) -> np.ndarray:
        """Returns the crops as serialised records, bytes (n,)."""
        fields = schema.Schema(
            features=(
                schema.Feature(name="image", dtype="uint16", shape=self.image.shape[1:]),
                schema.Feature(name="window", dtype="float32", shape=(2,)),
                *(schema.Feature(name=name, dtype="int64") for name in self.told),
            )
        )
        serialized = [
            example.serialize(fields, {name: each[row] for name, each in self.crops.items()})
            for row in range(len(self.image))
        ]
        return np.array(serialized, object)


def make_inputs(served: spec.Spec, *, seed: int = 0) -> Inputs:
    """Returns smooth random fields in the range of 12-bit MRI."""
    rng = np.random.default_rng(seed)
    crops = np.stack([smooth_field(rng, served.image_shape) for _ in range(_NUM_CROPS)])
    low = rng.uniform(0, 100, _NUM_CROPS)
    high = rng.uniform(600, _LARGEST_STORED, _NUM_CROPS)
    rows, columns = _SLICE_SHAPE
    return Inputs(
        image=crops,
        window=np.stack([low, high], axis=1).astype(np.float32),
        slice_image=smooth_field(rng, (rows, columns, served.roi.num_slices)),
        slice_pixel_spacing=np.array([0.72, 0.6], np.float32),
        slice_center_xy=_centers(columns, served.roi.num_slices),
        slice_mirror=np.array([False, True, False, True]),
        slice_padding=np.array([[1, 0], [0, 300], [1, 0], [900, 65535]], np.int32),
        **(_told() if served.told else {}),
    )


def _told() -> dict[str, np.ndarray]:
    """Every condition and level among the crops."""
    values = {}
    for name, (size, step) in {"condition": (5, 1), "level": (5, 2)}.items():
        values[name] = np.arange(_NUM_CROPS, dtype=np.int64) * step % size
        values[f"slice_{name}"] = np.arange(4, dtype=np.int64) * step % size
    return values


def _centers(columns: int, num_slices: int) -> np.ndarray:
    """Places of which some lie elsewhere on each slice, as in a staggered stack."""
    centers = np.array([[80.25, 99.5], [3.0, 190.0], [-0.5, -0.5], [columns - 1, 0.0]], np.float32)
    shifts = np.array([[0.0, 0.0], [1.25, -3.5], [0.0, 0.0], [-20.0, 11.125]], np.float32)
    steps = np.arange(num_slices, dtype=np.float32) - num_slices // 2
    return centers[:, None] + steps[:, None] * shifts[:, None]


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Returns blobs of several sizes with a little noise, uint16 (rows, columns, slices)."""
    rows, columns, _ = shape
    field = rng.normal(0, 0.05, shape)
    for sigma in (2.0, 6.0, 15.0):
        blobs = ndimage.gaussian_filter(rng.normal(0, 1, (rows, columns)), sigma, mode="wrap")
        field += (blobs / max(blobs.std(), 1e-6))[:, :, None]
    unit = (field - field.min()) / max(np.ptp(field), 1e-6)
    return np.rint(unit * _LARGEST_STORED).astype(np.uint16)


def ask_all(model: saved_model.SavedModel, inputs: Inputs) -> spec.Answer:
    """Returns the answers of all signatures, `crop_*` and, where there is that one, `slice_*`.

    Raises:
        ValueError: `serve_examples` does not answer as `serving_default` does.
    """
    crops = model.ask("serving_default", **inputs.crops)
    examples = model.ask("serve_examples", examples=inputs.examples())
    compare(crops, examples, "serve_examples beside serving_default")
    found = {f"crop_{name}": value for name, value in crops.items()}
    if "serve_slice" in model.signatures:
        found |= {f"slice_{name}": value for name, value in _ask_slice(model, inputs).items()}
    return found


def _ask_slice(model: saved_model.SavedModel, inputs: Inputs) -> spec.Answer:
    """The answers for all places in the slice."""
    by_place = {
        "center_xy": inputs.slice_center_xy,
        "mirror": inputs.slice_mirror,
        **inputs.slice_told,
    }
    if len(inputs.slice_padding):
        by_place["padding"] = inputs.slice_padding
    answers = [
        model.ask(
            "serve_slice",
            image=inputs.slice_image,
            pixel_spacing=inputs.slice_pixel_spacing,
            **{name: values[index] for name, values in by_place.items()},
        )
        for index in range(len(inputs.slice_mirror))
    ]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def reference_answers(predict: Predict, served: spec.Spec, inputs: Inputs) -> spec.Answer:
    """Returns what has to be answered, named as `ask_all` does, found without the graph.

    Args:
        predict: the trained members.
        served: the crop and the classes.
        inputs: golden inputs.
    """
    answer = {}
    found = _answer(predict, served, inputs.image, inputs.window, inputs.told)
    for name, value in found.items():
        answer[f"crop_{name}"] = value
    if served.has_slice_signature:
        crops, windows = _cut(served, inputs)
        found = _answer(predict, served, crops, windows, inputs.slice_told)
        for name, value in found.items():
            answer[f"slice_{name}"] = value
    return answer


def _cut(served: spec.Spec, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Returns the crops and windows that the converter would make of the places in the slice."""
    crops, windows = [], []
    for centers, mirror, (low, high) in zip(
        inputs.slice_center_xy, inputs.slice_mirror, inputs.slice_padding, strict=True
    ):
        cut, window = _cut_one(served, inputs, centers, (low, high))
        crops.append(cut[:, ::-1] if mirror else cut)
        windows.append(window)
    return np.stack(crops), np.array(windows, np.float32)


def _cut_one(
    served: spec.Spec, inputs: Inputs, centers: np.ndarray, padding: tuple[int, int]
) -> tuple[np.ndarray, tuple[float, float]]:
    rows, columns, _ = inputs.slice_image.shape
    square = roi.Square(
        shape=(rows, columns),
        spacing=(float(inputs.slice_pixel_spacing[0]), float(inputs.slice_pixel_spacing[1])),
        roi_mm=served.roi.roi_mm,
        roi_px=served.roi.roi_px,
    )
    bands = square.bands([(float(x), float(y)) for x, y in centers])
    image = np.moveaxis(inputs.slice_image, 2, 0)
    is_padding = (image >= padding[0]) & (image <= padding[1])
    cut = roi.crop_stack(list(np.where(is_padding, 0, image).astype(np.uint16)), bands)
    if served.roi.window == "slice":
        center = served.roi.num_slices // 2
        return cut, roi.window(image[center], ~is_padding[center])
    return cut, roi.window(cut, roi.find_tissue(list(is_padding), bands))


def _answer(
    predict: Predict,
    served: spec.Spec,
    images: np.ndarray,
    windows: np.ndarray,
    told: Mapping[str, np.ndarray],
) -> spec.Answer:
    low = windows[:, 0, None, None, None]
    high = windows[:, 1, None, None, None]
    scale = 1.0 / np.maximum(high - low, 1.0)
    normalized = np.clip((images.astype(np.float32) - low) * scale, 0.0, 1.0)
    probabilities = predict(stored_images.as_windowed(normalized, told))
    weighted = probabilities * served.task_spec.class_weights
    return {
        "probabilities": probabilities,
        "competition_probabilities": weighted / weighted.sum(axis=1, keepdims=True),
        "label": np.array(served.task_spec.classes)[probabilities.argmax(axis=1)],
    }


def crop_answers(outputs: spec.Answer) -> spec.Answer:
    """Returns the part of `ask_all` that answers the crops, by the names of a signature."""
    return {
        name.removeprefix("crop_"): value
        for name, value in outputs.items()
        if name.startswith("crop_")
    }


def write(directory: pathlib.Path, inputs: Any, outputs: spec.Answer) -> None:
    """Writes both files below `golden/`, of inputs of any kind."""
    (directory / FOLDER).mkdir()
    _save(directory / FOLDER / INPUTS_FILE, vars(inputs))
    write_answers(directory, OUTPUTS_FILE, outputs)


def write_answers(directory: pathlib.Path, name: str, outputs: spec.Answer) -> None:
    """Writes answers to a file below `golden/`."""
    _save(directory / FOLDER / name, outputs)


def read(directory: pathlib.Path) -> tuple[Inputs, spec.Answer]:
    """Reads what `write` wrote; ValueError if it is not there or not that."""
    arrays = read_answers(directory, INPUTS_FILE)
    try:
        inputs = Inputs(**arrays)
    except TypeError as err:
        raise ValueError(
            f"{directory / FOLDER / INPUTS_FILE} has not the inputs that an export writes ({err}): "
            "get the export again"
        ) from err
    return inputs, read_answers(directory, OUTPUTS_FILE)


def read_answers(directory: pathlib.Path, name: str) -> spec.Answer:
    """Reads the arrays of a file below `golden/`; ValueError if it has none."""
    path = directory / FOLDER / name
    with array_file.opened(path, expected="golden answers", mend="get the export again") as file:
        return dict(file)


def _save(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def compare(
    expected: spec.Answer,
    found: spec.Answer,
    what: str,
    *,
    tolerance: float = TOLERANCE,
) -> float:
    """Returns the largest difference of probabilities.

    Args:
        expected: the answer that counts.
        found: the answer under test.
        what: names the comparison in the error.
        tolerance: largest difference that passes; a label may differ where two classes are
            within twice this.

    Raises:
        ValueError: an answer is missing, is no number, or differs by more.
    """
    largest = 0.0
    for name, value in expected.items():
        if name not in found or found[name].shape != value.shape:
            shape = found[name].shape if name in found else None
            raise ValueError(f"{what}: {name} has shape {shape}, expected {value.shape}")
        if value.dtype.kind == "f":
            difference = np.abs(found[name].astype(np.float64) - value).max(initial=0.0)
            if not difference <= tolerance:
                raise ValueError(
                    f"{what}: {name} differs by {difference:.2g}, expected at most {tolerance:g}"
                )
            largest = max(largest, float(difference))
    _compare_labels(expected, found, what, tolerance)
    return largest


def _compare_labels(expected: spec.Answer, found: spec.Answer, what: str, tolerance: float) -> None:
    for name in expected:
        if not name.endswith("label"):
            continue
        probabilities = np.sort(expected[name.removesuffix("label") + "probabilities"], axis=-1)
        is_clear = probabilities[..., -1] - probabilities[..., -2] > 2 * tolerance
        differing = np.flatnonzero((expected[name] != found[name]) & is_clear)
        if differing.size:
            row = differing[0]
            raise ValueError(
                f"{what}: {name} of input {row} is {found[name].flat[row]!r}, "
                f"expected {expected[name].flat[row]!r}"
            )
