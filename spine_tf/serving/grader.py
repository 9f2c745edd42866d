"""An export that is ready to answer: verified, loaded, and asked for batches of crops.

TensorFlow is imported when a model is loaded: until then other processes can be forked.
"""

import contextlib
import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spine_tf import labels
from spine_tf.crops import cutting
from spine_tf.readings import reading
from spine_tf.rsna import annotations
from spine_tf.serving import level_rows, spec, verification

if TYPE_CHECKING:
    from spine_tf.serving import saved_model

Row = tuple[int, int]
"""Condition and level, as indices into `spine_tf.labels`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grader:
    """A verified export.

    Attributes:
        label: its name and what it is, for reports.
        directory: the private copy that it is loaded from.
        served: what it answers, and how it wants its pixels.
    """

    label: reading.Model
    directory: pathlib.Path
    served: spec.Spec

    @functools.cached_property
    def model(self) -> "saved_model.SavedModel":
        """The SavedModel; loaded when it is first asked for.

        Raises:
            ValueError: it can't be loaded, or takes other crops than the export says.
        """
        from spine_tf.serving import saved_model

        loaded = saved_model.SavedModel(self.directory)
        loaded.require(self.served)
        return loaded

    def warm(self) -> None:
        """Loads the model and asks it once: the first answer takes longer than all after it."""
        views = self.served.views
        inputs = {
            "image": np.zeros((1, *self.served.image_shape), np.uint16),
            "window": np.tile(np.array([[0, 1]], np.float32), max(len(views), 1)),
        }
        if views:
            inputs["present"] = np.ones((1, len(views)), np.int64)
        for name in ("level",) if views else self.served.told:
            inputs[name] = np.zeros(1, np.int64)
        self.model.ask("serving_default", **inputs)

    @property
    def rows(self) -> tuple[Row, ...]:
        """What it grades, in its order."""
        return tuple(
            (labels.CONDITIONS.index(condition), labels.LEVELS.index(level))
            for condition in self.served.conditions
            for level in self.served.levels
        )

    def may_answer(self, row: annotations.Annotation) -> bool:
        """Returns whether a point may be of one of its rows, or is a view of their level."""
        if labels.CONDITIONS[row.condition] not in self.served.looked_at:
            return False
        levels = {labels.LEVELS.index(level) for level in self.served.levels}
        shares = zip((-1, 0, 1), row.numbering, strict=True)
        return any(share > 0 and row.level + step in levels for step, share in shares)

    def answer(self, batch: cutting.Batch) -> np.ndarray:
        """Returns the probabilities of a batch's rows, float32 (n, classes)."""
        told = self.served.tell(batch.rows)
        answer = self.model.ask("serving_default", image=batch.images, window=batch.windows, **told)
        return answer[spec.output_name(is_competition_weighted=False)]

    def answer_levels(self, levels: Sequence[level_rows.Level]) -> np.ndarray:
        """Returns the probabilities of whole levels, float32 (n, conditions, classes)."""
        answer = self.model.ask("serving_default", **level_rows.inputs(levels))
        return answer[spec.output_name(is_competition_weighted=False)]


@contextlib.contextmanager
def opened(model_dirs: Sequence[pathlib.Path]) -> Iterator[tuple[Grader, ...]]:
    """Verifies exports that answer together; their copies live in the block.

    Raises:
        ValueError: one is no export or was changed, one is named twice, or their classes differ.
    """
    _require_once(model_dirs)
    with contextlib.ExitStack() as stack:
        graders: list[Grader] = []
        for directory in model_dirs:
            received = stack.enter_context(verification.verified(directory))
            graders.append(_grader(directory, received.directory))
        _require_one_task(model_dirs, graders)
        yield tuple(graders)


def _require_once(model_dirs: Sequence[pathlib.Path]) -> None:
    places = [directory.resolve() for directory in model_dirs]
    for directory, place in zip(model_dirs, places, strict=True):
        if places.count(place) > 1:
            raise ValueError(f"--model_dir names {directory} twice: once is enough")


def _grader(directory: pathlib.Path, copy: pathlib.Path) -> Grader:
    served = spec.read(copy)
    listed = (directory / verification.CHECKSUMS_FILE).read_bytes()
    label = reading.Model(name=directory.resolve().name, sha256=hashlib.sha256(listed).hexdigest())
    return Grader(label=label, directory=copy, served=served)


def _require_one_task(model_dirs: Sequence[pathlib.Path], graders: Sequence[Grader]) -> None:
    first = graders[0].served.task
    for directory, one in zip(model_dirs, graders, strict=True):
        if one.served.task != first:
            raise ValueError(
                f"{directory} answers {one.served.task}, {model_dirs[0]} {first}: one output has "
                "the classes of one task, so predict with each by itself"
            )
