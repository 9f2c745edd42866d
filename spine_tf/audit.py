"""Finds errors in a data set: points, sides, levels, files."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags, logging

from spine_tf import cli, conversion_flags, flags as flags_module, labels
from tfrecords import output_place, program

if TYPE_CHECKING:
    from spine_tf.rsna import annotations

_DATA_DIR = flags_module.data_dir()
_REPORT_DIR = flags.DEFINE_string(
    "report_dir",
    None,
    "Where audit.csv and audit.html go; those of the same data are replaced; required.",
)
_POINTS = flags_module.points()
_WORKERS = flags_module.Workers()


def main() -> None:
    """Audits the data set and writes the table and the page."""
    from spine_tf.auditing import audit, audit_page
    from spine_tf.pages import page_origin
    from spine_tf.rsna import sources

    start = time.monotonic()
    data_dir = program.require_path(_DATA_DIR)
    report_dir = flags_module.require_report_dir(_REPORT_DIR)
    flags_module.require_kinds(data_dir=data_dir)
    origin = page_origin.describe([data_dir])
    page_origin.require_own(report_dir / audit_page.PAGE_FILE, origin)
    files = audit_page.PAGE_FILE, audit_page.CSV_FILE
    output_place.require_inside(report_dir, "--report_dir", files=files)
    num_workers = _WORKERS.number()
    source = sources.open_source(data_dir)
    audited = audit.audit(source, num_workers=num_workers, points=program.path(_POINTS))
    audit_page.write(report_dir, audited, source, name=data_dir.resolve().name, origin=origin)
    logging.info("audited in %.1f s", time.monotonic() - start)
    print(audit.summarize(audited))
    print(f"page: {report_dir / audit_page.PAGE_FILE}")
    table = report_dir / audit_page.CSV_FILE
    print(f"table: {table}")
    if not audited.rows:
        return
    records_dir = cli.beside(report_dir, "records")
    selection = {} if _has_usual(audited.rows) else {"conditions": "all", "levels": "all"}
    cli.print_next(
        "convert",
        data_dir=data_dir,
        points=_POINTS.value,
        **selection,
        exclude=table,
        output_dir=records_dir,
    )


def _has_usual(rows: "Sequence[annotations.Annotation]") -> bool:
    """Whether convert finds a row without being told which."""
    return any(
        labels.CONDITIONS[row.condition] in conversion_flags.CONDITIONS
        and labels.LEVELS[row.level] in conversion_flags.LEVELS
        for row in rows
    )


if __name__ == "__main__":
    program.run(main, usage="Errors of a data set: %s --data_dir D --report_dir P")
