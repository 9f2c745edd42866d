"""Finds the series of lumbar MRI in a pile of files and writes them in the RSNA layout."""

import pathlib
import time
import typing

from absl import flags, logging

from spine_tf import cli, flags as flags_module
from spine_tf.rsna import layout
from tfrecords import program

if typing.TYPE_CHECKING:
    from spine_tf.studies import output_tables

_DICOM_DIR = flags.DEFINE_string(
    "dicom_dir", None, "Folder or zip file of DICOM files, whatever their names; required."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "The data set; what names patients goes to OUTPUT_DIR.private; required."
)
_LABELS_CSV = flags.DEFINE_string(
    "labels_csv", None, "Own grades, as CSV or .xlsx; studies that have some go to the train side."
)
_GRADES = flags.DEFINE_list(
    "grades", [], "What words of --labels_csv mean, such as none=Normal/Mild,marked=Severe."
)
_MIN_SLICES = flags.DEFINE_integer("min_slices", 5, "Slices that a series has to have.")
_WORKERS = flags_module.Workers()


def main() -> None:
    """Organizes the pile that the flags name."""
    from spine_tf.studies import label_file, organizing

    start = time.monotonic()
    dicom_dir = program.require_path(_DICOM_DIR)
    output_dir = program.require_output_dir(_OUTPUT_DIR)
    labels_csv = program.path(_LABELS_CSV)
    if _GRADES.value and labels_csv is None:
        raise ValueError("--grades has no effect without --labels_csv: leave it out")
    labels = None
    if labels_csv is not None:
        labels = label_file.read_label_file(labels_csv, label_file.parse_grades(_GRADES.value))
    settings = organizing.Settings(min_slices=_MIN_SLICES.value, labels=labels)
    found = organizing.organize(dicom_dir, output_dir, settings, num_workers=_WORKERS.number())
    logging.info("organized in %.1f s", time.monotonic() - start)
    print(organizing.summarize(found, output_dir))
    if not found.num_studies:
        raise ValueError(
            f"no series of lumbar MRI was found in {dicom_dir}, so there is no data set: "
            f"organize.csv in {organizing.private_dir(output_dir)} says of every file why not"
        )
    _print_next(output_dir, found)


def _print_next(output_dir: pathlib.Path, found: "output_tables.Summary") -> None:
    if found.num_points:
        cli.print_next("audit", data_dir=output_dir, report_dir=cli.beside(output_dir, "audit"))
    elif (output_dir / layout.coordinates_csv("test")).is_file():
        answers = cli.beside(output_dir, "submission.csv")
        cli.print_next("predict", model_dir="EXPORT", data_dir=output_dir, output=answers)
    else:
        cli.print_next(
            "localize",
            data_dir=output_dir,
            side="train" if found.num_labelled else None,
            output=cli.beside(output_dir, "points.csv"),
            report_dir=cli.beside(output_dir, "pages"),
        )


if __name__ == "__main__":
    program.run(
        main, usage="Studies as they come.\n\n%s --dicom_dir D --output_dir S [--labels_csv F]\n"
    )
