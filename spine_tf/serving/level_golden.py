"""Golden inputs of models that grade levels: synthetic views, some of which are missing."""

import dataclasses
import pathlib

import numpy as np

from spine_tf import labels
from spine_tf.serving import golden, saved_model, spec
from tfrecords import example, schema

_NUM_LEVELS = 8
_LARGEST_STORED = 1500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """Inputs of both signatures.

    Attributes:
        image: uint16 (n, views, px, px, slices).
        window: float32 (n, 2 * views).
        present: int64 (n, views); of the first record all, of the last none.
        level: int64 (n,).
    """

    image: np.ndarray
    window: np.ndarray
    present: np.ndarray
    level: np.ndarray

    @property
    def crops(self) -> dict[str, np.ndarray]:
        """The inputs of `serving_default`, by name."""
        return dict(vars(self))

    def examples(self) -> np.ndarray:
        """Returns the levels as serialised records, bytes (n,)."""
        fields = schema.Schema(
            features=tuple(
                schema.Feature(name=name, dtype=str(values.dtype), shape=values.shape[1:])
                for name, values in self.crops.items()
            )
        )
        serialized = [
            example.serialize(fields, {name: each[row] for name, each in self.crops.items()})
            for row in range(len(self.image))
        ]
        return np.array(serialized, object)


def make_inputs(served: spec.Spec, *, seed: int = 0) -> Inputs:
    """Returns smooth random fields in the range of 12-bit MRI; what is missing is noise."""
    rng = np.random.default_rng(seed)
    num_views, *shape = served.image_shape
    image = np.stack(
        [
            [golden.smooth_field(rng, tuple(shape)) for _ in range(num_views)]
            for _ in range(_NUM_LEVELS)
        ]
    )
    low = rng.uniform(0, 100, (_NUM_LEVELS, num_views))
    high = rng.uniform(600, _LARGEST_STORED, (_NUM_LEVELS, num_views))
    present = (rng.random((_NUM_LEVELS, num_views)) < 0.7).astype(np.int64)
    present[0], present[-1] = 1, 0
    return Inputs(
        image=image,
        window=np.stack([low, high], axis=2).reshape(_NUM_LEVELS, -1).astype(np.float32),
        present=present,
        level=np.arange(_NUM_LEVELS, dtype=np.int64) % len(labels.LEVELS),
    )


def ask_all(model: saved_model.SavedModel, inputs: Inputs) -> spec.Answer:
    """Returns the answers of both signatures, as `crop_*`.

    Raises:
        ValueError: `serve_examples` does not answer as `serving_default` does.
    """
    answers = model.ask("serving_default", **inputs.crops)
    examples = model.ask("serve_examples", examples=inputs.examples())
    golden.compare(answers, examples, "serve_examples beside serving_default")
    return {f"crop_{name}": value for name, value in answers.items()}


def as_answers(probabilities: np.ndarray, served: spec.Spec) -> spec.Answer:
    """Returns what has to be answered, named as `ask_all` does.

    Args:
        probabilities: float64 (n, conditions, classes), found without the graph.
        served: the classes.
    """
    weighed = probabilities * served.task_spec.class_weights
    return {
        "crop_probabilities": probabilities,
        "crop_competition_probabilities": weighed / weighed.sum(axis=-1, keepdims=True),
        "crop_label": np.array(served.task_spec.classes)[probabilities.argmax(axis=-1)],
    }


def read(directory: pathlib.Path) -> tuple[Inputs, spec.Answer]:
    """Reads what `golden.write` wrote; ValueError if it is not there or not that."""
    arrays = golden.read_answers(directory, golden.INPUTS_FILE)
    names = {field.name for field in dataclasses.fields(Inputs)}
    if set(arrays) != names:
        raise ValueError(
            f"{directory / golden.FOLDER / golden.INPUTS_FILE} has {', '.join(sorted(arrays))}, "
            f"expected {', '.join(sorted(names))}: get the export again"
        )
    return Inputs(**arrays), golden.read_answers(directory, golden.OUTPUTS_FILE)
