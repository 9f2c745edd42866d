"""Finds errors in a data set: points, sides, levels, files."""

import pathlib
import time

from absl import flags, logging

from spine_tf.processes import pool
from tfrecords import program

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data set: a folder or a zip.", required=True)
_REPORT_DIR = flags.DEFINE_string(
    "report_dir", None, "Where audit.csv and audit.html go.", required=True
)
_WORKERS = flags.DEFINE_integer("workers", None, "Processes; all cores if not given.")


def main() -> None:
    """Audits the data set and writes the table and the page."""
    from spine_tf.auditing import audit, audit_page
    from spine_tf.rsna import sources

    start = time.monotonic()
    data_dir, report_dir = pathlib.Path(_DATA_DIR.value), pathlib.Path(_REPORT_DIR.value)
    num_workers = _num_workers()
    source = sources.open_source(data_dir)
    audited = audit.audit(source, num_workers=num_workers)
    audit_page.write(report_dir, audited, source, name=data_dir.resolve().name)
    logging.info("audited in %.1f s", time.monotonic() - start)
    print(audit.summarize(audited))
    print(f"page: {report_dir / audit_page.PAGE_FILE}")
    print(f"table: {report_dir / audit_page.CSV_FILE}")


def _num_workers() -> int:
    if _WORKERS.value is None:
        return pool.num_cpus()
    if not 1 <= _WORKERS.value <= 1024:
        raise ValueError(f"--workers is {_WORKERS.value}, expected 1 to 1024")
    return _WORKERS.value


if __name__ == "__main__":
    program.run(
        main, usage="Errors of a data set: python -m spine_tf.audit --data_dir D --report_dir P"
    )
