"""Level records as examples: the views of a level, which are there, and five grades."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spine_tf import labels
from spine_tf.configuration import record_kind
from spine_tf.scoring import predictions as predictions_module
from tfrecords import records, stored_images

if TYPE_CHECKING:
    import keras

# Of a record, beside its image, what the task looks at.
FIELDS = ("window", "present", "level", "label")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LevelExamples:
    """Examples of one or more splits, in file order.

    Attributes:
        pixels: uint16 (m, views, height, width, slices), or indexed like it.
        rows: int64 (n,), the row of each example in `pixels`.
        windows: float32 (n, 2 * views).
        present: int64 (n, views), 1 where there is a view.
        levels: int64 (n,).
        labels: int64 (n, conditions), -1 where there is none.
        study_ids: int64 (n,).
        splits: the split of each.
    """

    pixels: np.ndarray | stored_images.StoredImages
    rows: np.ndarray
    windows: np.ndarray
    present: np.ndarray
    levels: np.ndarray
    labels: np.ndarray
    study_ids: np.ndarray
    splits: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def inputs(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what a network takes of examples, int64 (k,): image, present and level."""
        return {
            "image": normalize(self.pixels[self.rows[chosen]], self.windows[chosen]),
            "present": self.present[chosen].astype(np.float32),
            "level": self.levels[chosen],
        }

    def predictions(self, probabilities: np.ndarray) -> predictions_module.Predictions:
        """Returns answers, float64 (n, conditions, classes), as those of the rows with a label."""
        lines, conditions = np.nonzero(self.labels >= 0)
        return predictions_module.Predictions(
            keys=tuple(
                predictions_module.row_key(
                    int(self.study_ids[line]),
                    labels.CONDITIONS[condition],
                    labels.LEVELS[int(self.levels[line])],
                )
                for line, condition in zip(lines.tolist(), conditions.tolist(), strict=True)
            ),
            labels=self.labels[lines, conditions],
            probabilities=probabilities[lines, conditions],
        )

    def splits_of_rows(self) -> list[str]:
        """Returns the split of each row of `predictions`."""
        lines, _ = np.nonzero(self.labels >= 0)
        return [self.splits[line] for line in lines.tolist()]


def require_kind(source: records.Records) -> None:
    """Raises ValueError where a directory holds other records than those of levels."""
    record_kind.require(source.manifest.config, record_kind.LEVEL, str(source.directory))


def load(source: records.Records, splits: Sequence[str]) -> LevelExamples:
    """Returns the examples of the splits.

    Raises:
        ValueError: they are of another kind, or can't be read.
    """
    require_kind(source)
    index = source.index(splits)
    pixels, rows = source.find_images(splits)
    columns = index.columns
    return LevelExamples(
        pixels=pixels,
        rows=rows,
        windows=columns["window"],
        present=columns["present"],
        levels=columns["level"],
        labels=columns["label"],
        study_ids=columns["study_id"],
        splits=index.splits,
    )


def normalize(images: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Maps stored values of each view to its window, as `stored_images.normalize` does.

    Args:
        images: uint16 (n, views, height, width, slices).
        windows: float32 (n, 2 * views).

    Returns:
        float32 of the images' shape, in [0, 1].
    """
    flat = images.reshape(-1, *images.shape[2:])
    return stored_images.normalize(flat, windows.reshape(-1, 2)).reshape(images.shape)


def predict(model: "keras.Model", examples: LevelExamples, batch_size: int = 64) -> np.ndarray:
    """Returns a network's probabilities before calibration, float64 (n, conditions, classes)."""
    every = np.arange(len(examples))
    answers: list[Any] = [
        model(examples.inputs(every[start : start + batch_size]), training=False)["probabilities"]
        for start in range(0, len(examples), batch_size)
    ]
    exact = np.concatenate([answer.numpy() for answer in answers]).astype(np.float64)
    return exact / exact.sum(axis=-1, keepdims=True)
