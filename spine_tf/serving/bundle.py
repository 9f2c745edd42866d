"""Exports runs as one directory that a server can take, once it answers as the runs do.

A run that tells the halves of a severity apart is served as one that doesn't: they are added up.
"""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from spine_tf import labels
from spine_tf.runs import run
from spine_tf.serving import (
    formats,
    golden,
    model_card,
    own_localizer,
    saved_model,
    served_crops,
    served_levels,
    spec,
    training_studies,
    verification,
)
from tfrecords import atomic, errors, progress

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
        localizer_dir: goes along, to find points instead of the package's own.

    Raises:
        ValueError: the place is taken or one that TensorFlow can't name, runs don't fit together, a
            format can't be written, or an answer differs from the runs' own.
    """

    def served_by_runs() -> served_crops.Served:
        if any(one.config.task not in labels.TASKS for one in runs):
            return served_levels.ServedLevels(runs)
        return served_crops.ServedCrops(runs)

    return _export(served_by_runs, export_dir, format_names, records_dir, localizer_dir)


def export_stack(
    stack_dir: pathlib.Path,
    export_dir: pathlib.Path,
    *,
    format_names: Sequence[str] = (),
    localizer_dir: pathlib.Path | None = None,
) -> Bundle:
    """Writes the export of a stack with the runs that it weighs, as one model.

    Args:
        stack_dir: that spine_tf.stack wrote.
        export_dir: must not exist.
        format_names: keys of `formats.FORMATS`.
        localizer_dir: as of `export`.

    Raises:
        ValueError: as `export`, or a run of the stack is gone or was trained again.
    """
    return _export(
        lambda: served_levels.ServedStack(stack_dir), export_dir, format_names, None, localizer_dir
    )


def _export(
    made: Callable[[], served_crops.Served],
    export_dir: pathlib.Path,
    format_names: Sequence[str],
    records_dir: pathlib.Path | None,
    localizer_dir: pathlib.Path | None,
) -> Bundle:
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
    served = made()
    crops = None
    if formats.INT8 in format_names:
        crops = served.representative(records_dir)
    export_dir.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic.new_directory(export_dir) as directory:
            differences = _fill(directory, served, format_names, crops, localizer_dir)
    except tf.errors.OpError as err:  # which names files of a directory that has gone
        raise OSError(f"{export_dir} can't be written: {errors.in_words(err)}") from err
    return Bundle(directory=export_dir, differences=differences)


def _fill(
    directory: pathlib.Path,
    served: served_crops.Served,
    format_names: Sequence[str],
    crops: formats.Crops | None,
    localizer_dir: pathlib.Path | None,
) -> dict[str, float]:
    with progress.waiting("writing the SavedModel"):
        served.save(directory / formats.SAVED_MODEL_DIR)
    spec.write(directory, served.spec)
    inputs = served.golden_inputs()
    with progress.waiting("asking the SavedModel and the runs"):
        outputs = served.ask_all(saved_model.SavedModel(directory), inputs)
        own = served.own_answers(inputs)
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
    seen = (study for one in served.runs for study in one.provenance["train_studies"])
    training_studies.write(directory, seen)
    model_card.write(directory, served.runs, served.spec, differences, served.more_of_card())
    verification.write_checksums(directory)
    return differences


def _compare_format(
    directory: pathlib.Path,
    name: str,
    inputs: Any,
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
