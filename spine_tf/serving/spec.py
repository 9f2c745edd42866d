"""What a served model answers and how it wants its pixels: labels.json and preprocess.json."""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.rsna import annotations
from tfrecords import atomic, json_object

LABELS_FILE = "labels.json"
PREPROCESS_FILE = "preprocess.json"
FORMAT_VERSION = 1

# Keys of labels.json that exports of before lack.
_LATER = ("told", "views")

# What a model may be told of each crop, beside its pixels.
TOLD = ("condition", "level")

# Name -> probabilities float (n, classes), or label str (n,).
Answer = dict[str, np.ndarray]

# Inputs of `serving_default` by name, such as image uint16 (n, px, px, slices) and window float32
# (n, 2) -> what is answered.
Ask = Callable[[Mapping[str, np.ndarray]], Answer]

_Made = TypeVar("_Made")

_STORED_VALUES = (
    "The BitsStored bits below and with HighBit of the pixels in the DICOM file, as uint16, "
    "without the modality LUT. Signed pixels are shifted by 2^(BitsStored - 1). MONOCHROME1, or a "
    "negative rescale slope, inverts within the range that BitsStored can hold. Neighbour slices "
    "whose slope, intercept, sign or MONOCHROME differs from the annotated slice's are brought to "
    "what it means by a value."
)
_PADDING = (
    "Pixels whose value is PixelPaddingValue, or from there to PixelPaddingRangeLimit (where "
    "BitsStored can't hold that value, all BitsAllocated bits count), are no tissue: they count as "
    "outside the image, zero in a crop and in no window. serve_slice takes the lowest and the "
    "highest of them as a stored value; lowest above highest means none. A value that no tissue "
    "has may stand in for padding whose stored values differ between slices."
)
_CROP = (
    "Output pixel i lies at input position c + ((i + 0.5) / roi_px - 0.5) * roi_mm / spacing; its "
    "weights are max(0, 1 - |d| / r), d the distance in input pixels, r = max(1, roi_mm / roi_px "
    "/ spacing), divided by the sum of that triangle over all integer positions, then "
    "floor(w * 2^14 + 0.5 + 2^-20) / 2^14. Rows first, then columns, in float64; rint; clipped "
    "to uint16. Integer coordinates are pixel centres; centre and spacing are float32 values; "
    "zero outside the image. Each slice is cut around its own centre: the same place in the "
    "patient, projected along the annotated slice's normal onto the neighbour's plane."
)
_WINDOW = (
    "0.5 and 99.5 percentile of all stored values of {pixels}, padding left out: the smallest "
    "value that at least this share of the pixels does not exceed."
)
_WINDOW_PIXELS = {
    "slice": "the annotated slice",
    "series": "all slices of the annotated slice's acquisition, on that slice's scale",
    "crop": "the crop with all its slices, those alone that no pixel outside has a share in",
}
_MIRROR = (
    "Crops of a sided condition are flipped left-right so that lateral lies to the image's right: "
    "those of the right side where the row direction runs to the patient's left (its squared "
    "left-right cosine is above 1/2), of the left side where it runs to the patient's right. "
    "Sagittal crops, whose normal runs from side to side, never; others can't be used."
)
_TOLD = (
    "condition and level of each crop, int64, by their places in labels.CONDITIONS and "
    "labels.LEVELS: spinal_canal_stenosis, left and right_neural_foraminal_narrowing, left and "
    "right_subarticular_stenosis; l1_l2 to l5_s1."
)
_VIEWS = (
    "A level is seen by the crops that `views` in labels.json names, in that order: of that "
    "condition's point on a series of that description. window has low and high of each, one after "
    "the other; present says which there are, and what stands for another changes nothing."
)
_NEIGHBOURS = (
    "The next planes of the same acquisition (SeriesInstanceUID, EchoTime, EchoNumbers, ImageType, "
    "TemporalPositionIdentifier, b-value), orientation, shape and spacing by position along the "
    "slice normal, the annotated one in the middle; beyond the end, and before a gap of more than "
    "1.5 times the stack's median spacing, the last slice repeats."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """What a served model answers and how it wants its pixels.

    Attributes:
        task: name of the task, which gives the classes.
        conditions: what the model was trained to grade.
        levels: where.
        class_prior: share of each class in the training examples; the answer for a row that has
            no image.
        roi: the crop that the model takes.
        told: what else it takes of each crop, int64 (n,): condition and level, or nothing.
        views: of a model that grades whole levels, condition and series description of each crop
            that it sees a level by, such as ("spinal_canal_stenosis", "Axial T2"); else nothing.
    """

    task: str
    conditions: tuple[str, ...]
    levels: tuple[str, ...]
    class_prior: tuple[float, ...]
    roi: roi_config.RoiConfig
    told: tuple[str, ...] = ()
    views: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.told not in ((), TOLD):
            raise ValueError(f"told is {list(self.told)}, expected nothing or {', '.join(TOLD)}")
        _require_known("condition", self.conditions, labels.CONDITIONS)
        if self.views:
            views = tuple(condition for condition, _ in self.views)
            _require_known("views: condition", views, labels.CONDITIONS)
        _require_known("level", self.levels, labels.LEVELS)
        num_classes = len(self.task_spec.classes)
        is_share = all(0.0 <= share <= 1.0 for share in self.class_prior)
        if (
            len(self.class_prior) != num_classes
            or not is_share
            or not math.isclose(sum(self.class_prior), 1.0, abs_tol=1e-6)
        ):
            raise ValueError(
                f"class_prior is {list(self.class_prior)}, expected {num_classes} shares "
                "that sum to 1"
            )

    @property
    def task_spec(self) -> labels.Task:
        """The task that `task` names."""
        return labels.get_task(self.task)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and slices of a crop; before them the views of a level."""
        views = (len(self.views),) if self.views else ()
        return (*views, self.roi.roi_px, self.roi.roi_px, self.roi.num_slices)

    def tell(self, rows: Sequence[annotations.Annotation]) -> dict[str, np.ndarray]:
        """Returns what the model is told of rows, int64 (n,) by name."""
        return {
            name: np.array([getattr(row, name) for row in rows], np.int64) for name in self.told
        }

    @property
    def looked_at(self) -> tuple[str, ...]:
        """The conditions whose points are looked at: those that are graded, and those of views."""
        seen = {*self.conditions, *(condition for condition, _ in self.views)}
        return tuple(name for name in labels.CONDITIONS if name in seen)

    @property
    def has_slice_signature(self) -> bool:
        """Whether one slice is enough to answer: a window by series needs all of them."""
        return self.roi.window != "series" and not self.views


def _require_known(kind: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"{kind} is {unknown or 'missing'}, expected some of {', '.join(known)}")


def write(directory: pathlib.Path, spec: Spec) -> None:
    """Writes labels.json and preprocess.json."""
    atomic.write_json(directory / LABELS_FILE, _labels(spec))
    atomic.write_json(
        directory / PREPROCESS_FILE,
        {
            "format_version": FORMAT_VERSION,
            "roi": roi_config.to_dict(spec.roi),
            "stored_values": _STORED_VALUES,
            "padding": _PADDING,
            "window": _WINDOW.format(pixels=_WINDOW_PIXELS[spec.roi.window]),
            "crop": _CROP,
            "mirroring": _MIRROR if spec.roi.mirror_right else "Crops are never flipped.",
            "neighbours": _NEIGHBOURS,
            **({"told": _TOLD} if spec.told else {}),
            **({"views": _VIEWS} if spec.views else {}),
            "normalization": "clip((x - low) / max(high - low, 1), 0, 1), inside the model, which "
            "then samples what it looks at of the crop",
        },
    )


def _labels(spec: Spec) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "task": spec.task,
        "classes": list(spec.task_spec.classes),
        "columns": list(spec.task_spec.columns),
        "class_prior": list(spec.class_prior),
        "competition_weights": list(spec.task_spec.class_weights),
        "conditions": list(spec.conditions),
        "levels": list(spec.levels),
        **({"told": list(spec.told)} if spec.told else {}),
        **({"views": [list(view) for view in spec.views]} if spec.views else {}),
    }


def read(directory: pathlib.Path) -> Spec:
    """Reads what an exported directory says of its model.

    Raises:
        ValueError: no exported directory, another format version, or values that don't fit.
    """
    if not (directory / LABELS_FILE).exists():
        raise ValueError(
            f"{directory} has no {LABELS_FILE}, so it is no exported model: expected a directory "
            "written by spine_tf.export"
        )
    roi = _read(directory, PREPROCESS_FILE, _roi)
    return _read(directory, LABELS_FILE, functools.partial(_from_labels, roi))


def _roi(values: Mapping[str, Any]) -> roi_config.RoiConfig:
    return roi_config.from_dict(json_object.convert(dict[str, Any], values["roi"], "roi"))


def _from_labels(roi: roi_config.RoiConfig, values: Mapping[str, Any]) -> Spec:
    names = ("task", "conditions", "levels", "class_prior")
    said = {name: values[name] for name in names}
    said |= {name: values.get(name, []) for name in _LATER}
    spec = json_object.build(Spec, {**said, "roi": roi})
    written = _labels(spec)
    for name in sorted(set(written) - {*names, *_LATER}):
        if values.get(name) != written[name]:
            found = json_object.in_words(values.get(name))
            raise ValueError(f"{name} is {found}, task {spec.task} has {written[name]}")
    return spec


def _read(directory: pathlib.Path, name: str, make: Callable[[dict[str, Any]], _Made]) -> _Made:
    def make_checked(values: dict[str, Any]) -> _Made:
        version = values.get("format_version")
        if type(version) is not int or version != FORMAT_VERSION:
            raise ValueError(
                f"it has format version {version!r}, this program reads {FORMAT_VERSION}"
            )
        return make(values)

    return json_object.read_as(
        make_checked,
        directory / name,
        expected="a file of a directory that spine_tf.export wrote",
        mend="export again",
    )


def as_answer(values: Mapping[str, Any]) -> Answer:
    """Returns an answer with its labels as str, whatever the runtime made of them."""
    arrays = {name: np.asarray(value) for name, value in values.items()}
    if arrays["label"].dtype.kind != "U":
        label = arrays["label"]
        names = [item.decode() if isinstance(item, bytes) else str(item) for item in label.flat]
        arrays["label"] = np.array(names, np.str_).reshape(label.shape)
    return arrays


def output_name(*, is_competition_weighted: bool) -> str:
    """Returns the output that holds the asked probabilities."""
    return "competition_probabilities" if is_competition_weighted else "probabilities"
