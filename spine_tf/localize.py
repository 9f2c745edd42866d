"""Finds the points of studies, or takes those that are given: `python -m spine_tf.localize`."""

import time

from absl import flags, logging

from spine_tf import cli, flags as flags_module
from spine_tf.rsna import given_points
from tfrecords import csv_text, program

_DATA_DIR = flags_module.data_dir(
    "Folder or zip file in the RSNA layout; labels are not needed; required."
)
_OUTPUT = flags.DEFINE_string("output", None, "CSV of points to write; required.")
_LOCALIZER_DIR = flags_module.localizer_dir("; without it and --points, the package's own")
_POINTS = flags_module.points(
    " and of what the localiser finds; without --localizer_dir they are all there is"
)
_REPORT_DIR = flags_module.study_pages()
_SIDE = flags_module.side()


def main() -> None:
    """Writes the points of a side, and says how good they are where the side has its own."""
    start = time.monotonic()
    data_dir = program.require_path(_DATA_DIR)
    output = program.require_output_file(_OUTPUT, begins=csv_text.beginning(given_points.COLUMNS))
    report_dir = flags_module.require_report_dir(_REPORT_DIR) if _REPORT_DIR.value else None
    flags_module.require_kinds(data_dir=data_dir)

    from spine_tf.localization import localization, point_controls
    from spine_tf.pages import page_origin
    from spine_tf.readings import reading, report_directory
    from spine_tf.rsna import sources

    origin = page_origin.describe([data_dir])
    localization.require_place(output)
    if report_dir is not None:
        report_directory.require_place(report_dir, origin)
    source = sources.open_for_prediction(data_dir, _SIDE.value)
    result = localization.localize(
        source, localizer_dir=program.path(_LOCALIZER_DIR), points=program.path(_POINTS)
    )
    for reject in result.rejects:
        logging.warning("%s", reject)
    localization.write(result, output)
    compared = point_controls.compare(result)
    logging.info("localized in %.1f s", time.monotonic() - start)
    print(localization.summarize(result))
    if compared.tables:
        print(compared.in_words())
    print(f"points: {output}")
    print(f"rows without a point: {localization.report_path(output)}")
    if report_dir is not None:
        report_directory.write(
            report_dir,
            [reading.Reading(result=one) for one in result.studies],
            source,
            name=data_dir.resolve().name,
            origin=origin,
            compared=compared,
        )
        print(f"page: {report_dir / report_directory.INDEX_FILE}")
    cli.print_next(
        "predict",
        model_dir="export",
        data_dir=data_dir,
        side=_SIDE.value,
        points=output,
        output=cli.beside(output, "submission.csv"),
    )


if __name__ == "__main__":
    program.run(
        main,
        usage="Studies to points.\n\n  %s --data_dir D --output points.csv "
        "[--localizer_dir L | --points F] [--report_dir P]\n",
    )
