"""What is exported of runs of single crops: their mean, its answers, its representative crops."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from spine_tf import labels
from spine_tf.auditing import point_checks
from spine_tf.configuration import roi_config
from spine_tf.crops import record
from spine_tf.runs import run
from spine_tf.scoring import predictions
from spine_tf.serving import formats, golden, graph, saved_model, spec as spec_module
from tfrecords import records, stored_images

_NUM_REPRESENTATIVE = 200


class Served(Protocol):
    """What can be exported."""

    @property
    def spec(self) -> spec_module.Spec:
        """What is answered, and how pixels are wanted."""

    @property
    def runs(self) -> Sequence[run.Run]:
        """Whose models it consists of."""

    def save(self, path: pathlib.Path) -> None:
        """Writes the SavedModel."""

    def golden_inputs(self) -> Any:
        """Returns what every format is asked: an object whose `crops` are serving_default's."""

    def ask_all(self, model: saved_model.SavedModel, inputs: Any) -> spec_module.Answer:
        """Returns the SavedModel's answers, as crop_* and by the names of other signatures."""

    def own_answers(self, inputs: Any) -> spec_module.Answer:
        """Returns the same answers, found by the runs without the graph."""

    def representative(self, records_dir: pathlib.Path | None) -> formats.Crops:
        """Returns inputs that set the ranges of int8.

        Raises:
            ValueError: there are none.
        """

    def more_of_card(self) -> str:
        """Returns what the model card says besides, "" for nothing."""


class ServedCrops:
    """Runs of single crops that are served as one, the mean of their members."""

    def __init__(self, runs: Sequence[run.Run]) -> None:
        """Takes the runs; ValueError where they don't fit together."""
        self.runs = list(runs)
        self.spec = spec_of(self.runs)

    def save(self, path: pathlib.Path) -> None:
        members = [
            (member.model, member.temperature) for one in self.runs for member in one.members
        ]
        tasks = [one.config.task_spec for one in self.runs for _ in one.members]
        graph.Graph(members, self.spec, tasks).save(path)

    def golden_inputs(self) -> golden.Inputs:
        return golden.make_inputs(self.spec)

    def ask_all(self, model: saved_model.SavedModel, inputs: golden.Inputs) -> spec_module.Answer:
        return golden.ask_all(model, inputs)

    def own_answers(self, inputs: golden.Inputs) -> spec_module.Answer:
        return golden.reference_answers(self.predict, self.spec, inputs)

    def predict(self, images: stored_images.Images) -> np.ndarray:
        """Returns the mean over all members of all runs, of whole severities, (n, classes)."""
        answers = [
            predictions.collapse_probabilities(one.predict(images), one.config.task_spec)
            for one in self.runs
        ]
        return np.average(answers, axis=0, weights=_weights(self.runs))

    def representative(self, records_dir: pathlib.Path | None) -> formats.Crops:
        """Returns crops that the first run was trained on; none of them is exported."""
        return _representative_crops(self.runs, records_dir, self.spec)

    def more_of_card(self) -> str:
        return ""


def spec_of(runs: Sequence[run.Run]) -> spec_module.Spec:
    """Returns what the exported model answers and how it wants its pixels.

    Raises:
        ValueError: no run, or runs of another task, region of interest, conditions or levels.
    """
    if not runs:
        raise ValueError("--run_dir names no run, expected at least one")
    specs = [_spec_of_one(one) for one in runs]
    for other, described in zip(runs[1:], specs[1:], strict=True):
        for name in ("task", "roi", "conditions", "levels"):
            first, second = getattr(specs[0], name), getattr(described, name)
            if first != second:
                raise ValueError(
                    f"{other.run_dir} has {name} {second}, {runs[0].run_dir} has {first}: runs "
                    "that are exported together have to share it"
                )
    prior = np.average(
        [described.class_prior for described in specs], axis=0, weights=_weights(runs)
    )
    told = max((described.told for described in specs), key=len)
    return dataclasses.replace(specs[0], class_prior=tuple(prior.tolist()), told=told)


def _spec_of_one(one: run.Run) -> spec_module.Spec:
    prior = predictions.collapse_probabilities(np.array(one.class_prior), one.config.task_spec)
    converted = one.provenance["records"]["config"]
    return spec_module.Spec(
        task=one.config.task_spec.collapsed.name,
        conditions=tuple(converted["conditions"]),
        levels=tuple(converted["levels"]),
        class_prior=tuple(prior.tolist()),
        roi=roi_config.from_dict(converted),
        told=spec_module.TOLD if one.config.model.is_told else (),
        views=() if one.config.task in labels.TASKS else _level_views(),
    )


def _level_views() -> tuple[tuple[str, str], ...]:
    """What a network of levels sees: each condition's point on its usual kind of series."""
    return tuple(
        (name, point_checks.expected_description(index))
        for index, name in enumerate(labels.CONDITIONS)
    )


def _weights(runs: Sequence[run.Run]) -> list[int]:
    return [len(one.members) for one in runs]


def _representative_crops(
    runs: Sequence[run.Run], records_dir: pathlib.Path | None, served: spec_module.Spec
) -> formats.Crops:
    """Crops that the first run was trained on, for the ranges of int8; none of them is exported."""
    if records_dir is None:
        raise ValueError(
            "format litert_int8 needs --records_dir: crops from there set its value ranges"
        )
    opened = records.open_records(records_dir)
    record.require_regions(opened)
    if opened.image_shape != served.image_shape:
        raise ValueError(
            f"{records_dir} has crops of {opened.image_shape}, the model takes "
            f"{served.image_shape}: give the records that it was trained on"
        )
    splits = [split for split in opened.splits if split in runs[0].provenance["train_splits"]]
    examples = records.load_examples(opened, splits, served.task_spec.severities)
    if not len(examples):
        raise ValueError(f"{records_dir} has no example of the splits that the run trained on")
    count = min(_NUM_REPRESENTATIVE, len(examples))
    chosen = np.random.default_rng(0).choice(len(examples), count, replace=False)
    crops = examples.take(chosen)
    told = {name: crops.columns[name] for name in served.told}
    return {"image": crops.images, "window": crops.windows, **told}
