"""Checks an exported directory that someone received: files, signatures, answers."""

import dataclasses
import pathlib

from spine_tf.serving import checksums, format_files, formats, golden, saved_model, spec


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
    """Compares every file with its sha256 and every format's answers with the golden ones.

    Raises:
        ValueError: something is missing, was changed, or answers otherwise.
    """
    if not export_dir.is_dir():
        raise ValueError(
            f"{export_dir} is not a directory; expected one written by spine_tf.export"
        )
    num_files = checksums.check(export_dir)
    served = spec.read(export_dir)
    model = saved_model.SavedModel(export_dir)
    model.require(served)
    inputs, expected = golden.read(export_dir)
    answers = golden.ask_all(model, inputs)
    differences = {formats.SAVED_MODEL: golden.compare(expected, answers, formats.SAVED_MODEL)}
    unchecked = {}
    for name, fmt in formats.FORMATS.items():
        if not (export_dir / fmt.file).is_file():
            continue
        try:
            formats.import_module(name)
        except ValueError as err:
            unchecked[name] = str(err)
            continue
        differences[name] = _check_format(export_dir, name, inputs, expected)
    return Findings(num_files=num_files, differences=differences, unchecked=unchecked)


def _check_format(
    export_dir: pathlib.Path, name: str, inputs: golden.Inputs, outputs: saved_model.Answer
) -> float:
    answer = format_files.load(export_dir, name)(inputs.image, inputs.window)
    if formats.FORMATS[name].is_exact:
        return golden.compare(golden.crop_answers(outputs), answer, name)
    own = golden.read_answers(export_dir, formats.FORMATS[name].outputs_file)
    return golden.compare(own, answer, name, tolerance=formats.INT8_TOLERANCE)
