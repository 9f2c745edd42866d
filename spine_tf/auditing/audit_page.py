"""audit.html and audit.csv: what was found, first in numbers, then finding by finding."""

import pathlib

from spine_tf.auditing import audit, finding, pictures
from spine_tf.pages import template
from spine_tf.rsna import sources
from tfrecords import atomic

CSV_FILE, PAGE_FILE = "audit.csv", "audit.html"
PICTURES_PER_KIND = 6
ROWS_PER_KIND = 100


def write(
    report_dir: pathlib.Path, audited: audit.Audit, source: sources.Source, *, name: str
) -> None:
    """Writes the table and the page into a directory, which is made where it is missing.

    Args:
        report_dir: where.
        audited: what to write.
        source: gives the pixels of the pictures.
        name: of the data set, for the heading.
    """
    report_dir.mkdir(parents=True, exist_ok=True)
    atomic.write_text(report_dir / PAGE_FILE, render(audited, source, name=name))
    atomic.write_text(report_dir / CSV_FILE, finding.to_csv(audited.findings))


def render(audited: audit.Audit, source: sources.Source, *, name: str) -> str:
    """Returns the page."""
    groups = finding.by_kind(audited.findings)
    shown = {kind: _shown(found) for kind, found in groups.items()}
    rows = [item.row for found in shown.values() for item in found if item.row is not None]
    return template.load("spine_tf.auditing", "audit.html.jinja").render(
        name=name,
        audited=audited,
        groups=groups,
        num_studies={kind: finding.num_studies(found) for kind, found in groups.items()},
        passed=[kind for kind in finding.Kind if kind not in groups],
        shown=shown,
        pictures=pictures.draw(source, rows, audited.rows),
        rows_per_kind=ROWS_PER_KIND,
    )


def _shown(found: list[finding.Finding]) -> list[finding.Finding]:
    """The first few that have a point to show."""
    return [item for item in found if item.row is not None][:PICTURES_PER_KIND]
