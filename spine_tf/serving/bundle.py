"""Exports runs as one directory that a server can take, once it answers as the runs do."""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Sequence

import numpy as np
from absl import logging

from spine_tf.runs import run
from spine_tf.serving import (
    averaging,
    checksums,
    format_files,
    formats,
    golden,
    graph,
    model_card,
    reference,
    representative,
    saved_model,
    spec,
)


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
) -> Bundle:
    """Writes the export beside its place and renames it when every format gave the same answers.

    Args:
        runs: one, or several whose mean is exported.
        export_dir: must not exist.
        format_names: keys of `formats.FORMATS`.
        records_dir: the records that the runs were trained on; int8 takes its ranges from them.

    Raises:
        ValueError: the place is taken, runs don't fit together, a format can't be written, or an
            answer differs from the runs' own.
    """
    if export_dir.exists():
        raise ValueError(f"{export_dir} exists; choose another --export_dir or remove it")
    for name in format_names:
        formats.import_module(name)
    served = averaging.spec_of(runs)
    crops = None
    if formats.INT8 in format_names:
        crops = representative.load_crops(runs, records_dir, served)
    export_dir.parent.mkdir(parents=True, exist_ok=True)
    temporary = export_dir.with_name(f".{export_dir.name}.tmp-{os.getpid()}")
    try:
        temporary.mkdir()
        differences = _fill(temporary, runs, served, format_names, crops)
        _sync(temporary)
        temporary.rename(export_dir)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Bundle(directory=export_dir, differences=differences)


def _fill(
    directory: pathlib.Path,
    runs: Sequence[run.Run],
    served: spec.Spec,
    format_names: Sequence[str],
    crops: tuple[np.ndarray, np.ndarray] | None,
) -> dict[str, float]:
    members = [(member.model, member.temperature) for one in runs for member in one.members]
    tasks = [one.config.task_spec for one in runs for _ in one.members]
    graph.Graph(members, served, tasks).save(directory / saved_model.FOLDER / saved_model.VERSION)
    spec.write(directory, served)
    inputs = golden.make_inputs(served)
    outputs = golden.ask_all(saved_model.SavedModel(directory), inputs)
    own = reference.answers(lambda images: averaging.predict(runs, images), served, inputs)
    differences = {
        formats.SAVED_MODEL: golden.compare(own, outputs, "the SavedModel beside the run")
    }
    golden.write(directory, inputs, outputs)
    for name in format_names:
        format_files.write(directory, name, crops)
        differences[name] = _compare_format(directory, name, inputs, outputs, crops)
    for name, difference in differences.items():
        logging.info("%s differs by %.1e from the run's own probabilities", name, difference)
    model_card.write(directory, runs, served, differences)
    checksums.write(directory)
    return differences


def _compare_format(
    directory: pathlib.Path,
    name: str,
    inputs: golden.Inputs,
    outputs: saved_model.Answer,
    crops: tuple[np.ndarray, np.ndarray] | None,
) -> float:
    ask = format_files.load(directory, name)
    answer = ask(inputs.image, inputs.window)
    if formats.FORMATS[name].is_exact:
        return golden.compare(golden.crop_answers(outputs), answer, f"{name} beside the SavedModel")
    golden.write_answers(directory, formats.FORMATS[name].outputs_file, answer)
    return _mean_difference(directory, name, ask, crops)


def _mean_difference(
    directory: pathlib.Path,
    name: str,
    ask: golden.Ask,
    crops: tuple[np.ndarray, np.ndarray] | None,
) -> float:
    """How far a quantised model is from the SavedModel on the real crops that set its ranges."""
    images, windows = crops if crops is not None else (np.empty(0), np.empty(0))
    answer = saved_model.SavedModel(directory).ask("serving_default", image=images, window=windows)
    difference = np.abs(ask(images, windows)["probabilities"] - answer["probabilities"])
    mean = float(difference.mean())
    if not mean <= formats.INT8_MEAN_TOLERANCE:
        raise ValueError(
            f"{name} differs from the SavedModel by {mean:.2g} on average over {len(images)} "
            f"crops, expected at most {formats.INT8_MEAN_TOLERANCE}: leave it out of --formats"
        )
    return mean


def _sync(directory: pathlib.Path) -> None:
    """Has the disk hold every file before the directory gets its name."""
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
