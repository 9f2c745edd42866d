"""Exports runs as one directory that a server can take, once it answers as the runs do.

A run that tells the halves of a severity apart is served as one that doesn't: they are added up.
"""

import dataclasses
import pathlib
import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from spine_tf.configuration import roi_config
from spine_tf.crops import record
from spine_tf.runs import run
from spine_tf.scoring import predictions
from spine_tf.serving import (
    formats,
    golden,
    graph,
    model_card,
    own_localizer,
    saved_model,
    spec,
    training_studies,
    verification,
)
from tfrecords import atomic, errors, progress, records, stored_images

_NUM_REPRESENTATIVE = 200
# What TensorFlow takes for a pattern, and bytes that are no UTF-8, which Python has as surrogates.
_UNNAMEABLE = re.compile(r"[*?\[\\\ud800-\udfff]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """An export that counts.

    Attributes:
        directory: where it lies.
        differences: format -> largest difference of a probability, of the SavedModel from the
            runs, of the others from the SavedModel; for int8 the mean over real crops.
    """

    directory: pathlib.Path
    differences: dict[str, float]


def export(
    runs: Sequence[run.Run],
    export_dir: pathlib.Path,
    *,
    format_names: Sequence[str] = (),
    records_dir: pathlib.Path | None = None,
    localizer_dir: pathlib.Path | None = None,
) -> Bundle:
    """Writes the export beside its place and renames it when every format gave the same answers.

    Example:
        >>> import pathlib
        >>> from spine_tf.runs import run
        >>> from spine_tf.serving import bundle
        >>> exported = bundle.export([run.load_run("runs/simple")], pathlib.Path("export"))
        >>> (exported.directory / "saved_model" / "1" / "saved_model.pb").is_file()
        True

    Args:
        runs: one, or several whose mean is exported.
        export_dir: must not exist.
        format_names: keys of `formats.FORMATS`.
        records_dir: the records that the runs were trained on; int8 takes its ranges from them.
        localizer_dir: goes along, so that the export answers studies without points.

    Raises:
        ValueError: the place is taken or one that TensorFlow can't name, runs don't fit together, a
            format can't be written, or an answer differs from the runs' own.
    """
    if export_dir.exists():
        raise ValueError(f"{export_dir} exists; choose another --export_dir or remove it")
    if _UNNAMEABLE.search(str(export_dir)):
        raise ValueError(
            f"{export_dir} has one of * ? [ \\ in its name, which TensorFlow takes for a pattern, "
            "or bytes that are no UTF-8: no program could open the model there, choose another "
            "--export_dir"
        )
    for name in format_names:
        formats.require(name)
    served = spec_of(runs)
    crops = None
    if formats.INT8 in format_names:
        crops = _representative_crops(runs, records_dir, served)
    export_dir.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic.new_directory(export_dir) as directory:
            differences = _fill(directory, runs, served, format_names, crops, localizer_dir)
    except tf.errors.OpError as err:  # which names files of a directory that has gone
        raise OSError(f"{export_dir} can't be written: {errors.in_words(err)}") from err
    return Bundle(directory=export_dir, differences=differences)


def spec_of(runs: Sequence[run.Run]) -> spec.Spec:
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


def _spec_of_one(one: run.Run) -> spec.Spec:
    prior = predictions.collapse_probabilities(np.array(one.class_prior), one.config.task_spec)
    converted = one.provenance["records"]["config"]
    return spec.Spec(
        task=one.config.task_spec.collapsed.name,
        conditions=tuple(converted["conditions"]),
        levels=tuple(converted["levels"]),
        class_prior=tuple(prior.tolist()),
        roi=roi_config.from_dict(converted),
        told=spec.TOLD if one.config.model.is_told else (),
    )


def _weights(runs: Sequence[run.Run]) -> list[int]:
    return [len(one.members) for one in runs]


def _representative_crops(
    runs: Sequence[run.Run], records_dir: pathlib.Path | None, served: spec.Spec
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


def _fill(
    directory: pathlib.Path,
    runs: Sequence[run.Run],
    served: spec.Spec,
    format_names: Sequence[str],
    crops: formats.Crops | None,
    localizer_dir: pathlib.Path | None,
) -> dict[str, float]:
    members = [(member.model, member.temperature) for one in runs for member in one.members]
    tasks = [one.config.task_spec for one in runs for _ in one.members]
    with progress.waiting("writing the SavedModel"):
        graph.Graph(members, served, tasks).save(directory / formats.SAVED_MODEL_DIR)
    spec.write(directory, served)
    inputs = golden.make_inputs(served)
    with progress.waiting("asking the SavedModel and the runs"):
        outputs = golden.ask_all(saved_model.SavedModel(directory), inputs)
        own = golden.reference_answers(lambda images: _predict(runs, images), served, inputs)
    differences = {
        formats.SAVED_MODEL: golden.compare(own, outputs, "the SavedModel beside the run")
    }
    golden.write(directory, inputs, outputs)
    for name in format_names:
        with progress.waiting(f"writing and asking {name}"):
            formats.write(directory, name, crops)
            differences[name] = _compare_format(directory, name, inputs, outputs, crops)
    for name, difference in differences.items():
        logging.info("%s differs by %.1e from the run's own probabilities", name, difference)
    if localizer_dir is not None:
        with progress.waiting("copying and asking the localiser"):
            own_localizer.put(localizer_dir, directory)
    seen = (study for one in runs for study in one.provenance["train_studies"])
    training_studies.write(directory, seen)
    model_card.write(directory, runs, served, differences)
    verification.write_checksums(directory)
    return differences


def _predict(runs: Sequence[run.Run], images: stored_images.Images) -> np.ndarray:
    """The mean over all members of all runs, of whole severities, float64 (n, classes)."""
    answers = [
        predictions.collapse_probabilities(one.predict(images), one.config.task_spec)
        for one in runs
    ]
    return np.average(answers, axis=0, weights=_weights(runs))


def _compare_format(
    directory: pathlib.Path,
    name: str,
    inputs: golden.Inputs,
    outputs: spec.Answer,
    crops: formats.Crops | None,
) -> float:
    ask = formats.load(directory, name)
    answer = ask(inputs.crops)
    if formats.FORMATS[name].is_exact:
        return golden.compare(golden.crop_answers(outputs), answer, f"{name} beside the SavedModel")
    golden.write_answers(directory, formats.FORMATS[name].outputs_file, answer)
    return _mean_difference(directory, name, ask, crops)


def _mean_difference(
    directory: pathlib.Path, name: str, ask: spec.Ask, crops: formats.Crops | None
) -> float:
    """How far a quantised model is from the SavedModel on the real crops that set its ranges."""
    asked = crops or {}
    answer = saved_model.SavedModel(directory).ask("serving_default", **asked)
    difference = np.abs(ask(asked)["probabilities"] - answer["probabilities"])
    mean = float(difference.mean())
    if not mean <= formats.INT8_MEAN_TOLERANCE:
        raise ValueError(
            f"{name} differs from the SavedModel by {mean:.2g} on average over {len(difference)} "
            f"crops, expected at most {formats.INT8_MEAN_TOLERANCE}: leave it out of --formats"
        )
    return mean
