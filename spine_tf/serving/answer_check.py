"""Checks that an exported directory answers as it did where it was made, in every format."""

import dataclasses
import pathlib

from spine_tf.serving import (
    formats,
    golden,
    level_golden,
    own_localizer,
    saved_model,
    spec,
    verification,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """What a check found in order.

    Attributes:
        num_files: files whose sha256 was compared.
        differences: format -> largest difference of a probability from the golden answers.
        unchecked: format -> why it was not asked: its packages are not installed.
    """

    num_files: int
    differences: dict[str, float]
    unchecked: dict[str, str]


def check(export_dir: pathlib.Path) -> Findings:
    """Compares every file with its sha256, then every format's answers with the golden ones.

    Raises:
        ValueError: something is missing, was changed, or answers otherwise.
    """
    with verification.verified(export_dir, has_all_formats=True) as received:
        differences, unchecked = _ask_all(received.directory)
        if own_localizer.place(received.directory).is_dir():
            differences[own_localizer.NAME] = own_localizer.check(received.directory)
    return Findings(num_files=received.num_files, differences=differences, unchecked=unchecked)


def _ask_all(directory: pathlib.Path) -> tuple[dict[str, float], dict[str, str]]:
    model = saved_model.SavedModel(directory)
    served = spec.read(directory)
    model.require(served)
    answers: spec.Answer
    if served.views:
        of_levels, expected = level_golden.read(directory)
        inputs, answers = of_levels.crops, level_golden.ask_all(model, of_levels)
    else:
        of_crops, expected = golden.read(directory)
        inputs, answers = of_crops.crops, golden.ask_all(model, of_crops)
    differences = {formats.SAVED_MODEL: golden.compare(expected, answers, formats.SAVED_MODEL)}
    unchecked = {}
    for name, fmt in formats.FORMATS.items():
        if not (directory / fmt.file).is_file():
            continue
        try:
            formats.require(name)
        except ValueError as err:
            unchecked[name] = str(err)
            continue
        differences[name] = _ask_format(directory, name, inputs, expected)
    return differences, unchecked


def _ask_format(
    directory: pathlib.Path, name: str, inputs: formats.Crops, outputs: spec.Answer
) -> float:
    answer = formats.load(directory, name)(inputs)
    if formats.FORMATS[name].is_exact:
        return golden.compare(golden.crop_answers(outputs), answer, name)
    own = golden.read_answers(directory, formats.FORMATS[name].outputs_file)
    return golden.compare(own, answer, name, tolerance=formats.INT8_TOLERANCE)
