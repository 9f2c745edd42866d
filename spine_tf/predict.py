"""Predicts with an exported model: `python -m spine_tf.predict`."""

import pathlib
import typing
from collections.abc import Sequence
from typing import Any

from absl import flags, logging

from spine_tf import flags as flags_module, labels
from spine_tf.rsna import layout
from tfrecords import program, words

if typing.TYPE_CHECKING:
    from spine_tf.serving import prediction

_MODEL_DIRS = flags.DEFINE_list(
    "model_dir",
    None,
    "Directory that export wrote; several (a,b) answer together, each what it grades; required.",
)
_DATA_DIR = flags_module.data_dir(
    "Studies: a folder or zip file in the RSNA layout, or of DICOM files whatever their names."
)
_DICOM = flags.DEFINE_string("dicom", None, "One DICOM file, instead of --data_dir.")
_CENTER_XY = flags.DEFINE_list(
    "center_xy", None, "With --dicom: column,row in pixels; integers are pixel centres."
)
_CONDITION = flags.DEFINE_string(
    "condition",
    None,
    "With --dicom: what is graded there, if the model grades several: one of "
    f"{', '.join(labels.CONDITIONS)}.",
)
_LEVEL = flags.DEFINE_string(
    "level",
    None,
    "With --dicom: the level, if the model is told it and grades several: one of "
    f"{', '.join(labels.LEVELS)}.",
)
_OUTPUT = flags.DEFINE_string("output", None, "CSV to write, such as submission.csv; required.")
_COMPETITION_WEIGHTED = flags.DEFINE_bool(
    "competition_weighted", False, "Weight classes 1/2/4: best for the RSNA 2024 metric."
)
_SIDE = flags_module.side()
_POINTS = flags_module.points("; with --data_dir")
_LOCALIZER_DIR = flags_module.localizer_dir(
    ", which finds points where none are given; without it the export's own, or the package's"
)
_REPORT_DIR = flags_module.study_pages()
_IDS = flags.DEFINE_string(
    "ids", None, "CSV that keeps which study is which of DICOM files that are in no data set."
)
_MIN_SLICES = flags.DEFINE_integer(
    "min_slices", None, "Slices that a series of such DICOM files has to have, as of organize."
)
_WORKERS = flags_module.Workers("Processes that decode images; all cores if not given.")

_OF_FOLDERS = (_SIDE, _POINTS, _LOCALIZER_DIR, _REPORT_DIR, _IDS, _MIN_SLICES)
_OF_FILES = (_CENTER_XY, _CONDITION, _LEVEL)

_USAGE = """Predicts for every study of a folder, or for a place on one DICOM file.

  %s --model_dir E --data_dir D --output submission.csv [--points F | --localizer_dir L]
  %s --model_dir E --dicom F.dcm --center_xy 210.5,188 --output one.csv
"""


def main() -> None:
    """Predicts as the flags say."""
    model_dirs = flags_module.require_dirs(_MODEL_DIRS)
    output = program.require_output_file(_OUTPUT, begins=b"row_id,")
    if (_DATA_DIR.value is None) == (_DICOM.value is None):
        raise ValueError("--data_dir or --dicom is needed, one of them")
    if _DICOM.value is not None:
        _predict_file(model_dirs, pathlib.Path(_DICOM.value), output)
    else:
        _predict_folder(model_dirs, pathlib.Path(_DATA_DIR.value or ""), output)


def _predict_folder(
    model_dirs: list[pathlib.Path], data_dir: pathlib.Path, output: pathlib.Path
) -> None:
    _refuse(_OF_FILES, "--dicom", "--data_dir")
    flags_module.require_kinds(model_dir=model_dirs)
    ids = program.require_output_file(_IDS) if _IDS.value else None
    report_dir = flags_module.require_report_dir(_REPORT_DIR) if _REPORT_DIR.value else None

    from spine_tf.localization import localization
    from spine_tf.readings import report_directory
    from spine_tf.serving import prediction

    outcome = prediction.predict(
        model_dirs,
        data_dir,
        output,
        num_workers=_WORKERS.number(),
        is_competition_weighted=_COMPETITION_WEIGHTED.value,
        side=_SIDE.value,
        points=program.path(_POINTS),
        localizer_dir=program.path(_LOCALIZER_DIR),
        report_dir=report_dir,
        ids=ids,
        min_slices=_MIN_SLICES.value,
    )
    for fault in outcome.faults:
        logging.warning("%s", fault)
    if outcome.organized:
        print(outcome.organized)
    logging.info(
        "%s of the %s side from %s, %d with the prior",
        words.counted(outcome.num_rows, "row"),
        outcome.side,
        words.counted(outcome.num_crops, "coordinate"),
        outcome.num_prior,
    )
    if outcome.num_found:
        logging.info("found by %s: %d of these coordinates", outcome.finder, outcome.num_found)
    if outcome.num_flagged:
        logging.info("flagged: %s", words.counted(outcome.num_flagged, "row"))
    for line in localization.unreadable_in_words(outcome.unreadable):
        print(line)
    print(output)
    print(outcome.report_path)
    if report_dir is not None:
        print(f"page: {report_dir / report_directory.INDEX_FILE}")
    if not outcome.num_crops:
        raise ValueError(_only_priors(outcome, data_dir))


def _refuse(given: Sequence[flags.FlagHolder[Any]], owner: str, other: str) -> None:
    for flag in given:
        if flag.value is not None:
            raise ValueError(f"--{flag.name} belongs to {owner}: leave it out with {other}")


def _only_priors(outcome: "prediction.Outcome", data_dir: pathlib.Path) -> str:
    """What to say where no image gave an answer: the files are written, but they say nothing."""
    of = f" of {_POINTS.value}" if _POINTS.value else ""
    found = f", and {outcome.finder} found none of them" if outcome.finder else ""
    whole = ""
    if outcome.unreadable:
        num = words.counted(len(outcome.unreadable), "image file")
        found += f", and {num} can't be read, such as {outcome.unreadable[0]}"
        whole = "whole images, "
    is_pile = bool(outcome.organized)
    is_alone = data_dir.is_dir() and not (data_dir / layout.images_dir("train")).is_dir()
    other = "" if outcome.side == "train" or is_pile or is_alone else " or choose --side train,"
    return (
        f"all {outcome.num_rows} rows of the {outcome.side} side have the prior, since no "
        f"coordinate{of} could be used{found}: give {whole}some that can be used by --points, "
        f"or another localiser by --localizer_dir,{other} and see {outcome.report_path}"
    )


def _predict_file(
    model_dirs: list[pathlib.Path], dicom: pathlib.Path, output: pathlib.Path
) -> None:
    _refuse(_OF_FOLDERS, "--data_dir", "--dicom")
    center_xy = _parse_center(_CENTER_XY.value)
    flags_module.require_kinds(model_dir=model_dirs)
    if len(model_dirs) > 1:
        raise ValueError("--model_dir names several models: one file is answered by one of them")

    from spine_tf.serving import single_file

    probabilities = single_file.predict_file(
        model_dirs[0],
        dicom,
        output,
        center_xy=center_xy,
        condition=_CONDITION.value,
        level=_LEVEL.value,
        is_competition_weighted=_COMPETITION_WEIGHTED.value,
    )
    for column, probability in probabilities.items():
        print(f"{column} {probability:.4f}")


def _parse_center(parts: list[str] | None) -> tuple[float, float]:
    try:
        x, y = map(float, parts or ())
    except ValueError as err:
        given = ",".join(parts or ())
        raise ValueError(f"--center_xy is {given!r}, expected column,row in pixels") from err
    return x, y


if __name__ == "__main__":
    program.run(main, usage=_USAGE)
