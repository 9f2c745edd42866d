"""An audit of a data set: every check, over the CSVs and the headers of annotated slices."""

import dataclasses
from collections.abc import Iterator, Sequence

from absl import logging

from spine_tf import labels
from spine_tf.auditing import files, finding, headers, rows as rows_module, stacks
from spine_tf.rsna import annotations, layout, sources


@dataclasses.dataclass(frozen=True, kw_only=True)
class Audit:
    """What was looked at and what was found.

    Attributes:
        rows: usable rows of the coordinates CSV.
        num_rows: all its rows.
        num_studies: of train.csv.
        num_images: that have a usable row.
        findings: errors first, by kind and place.
    """

    rows: Sequence[annotations.Annotation]
    num_rows: int
    num_studies: int
    num_images: int
    findings: Sequence[finding.Finding]

    @property
    def keys(self) -> frozenset[str]:
        """The rows that are better left out."""
        return frozenset(item.key for item in self.findings if item.key)


def audit(source: sources.Source, *, num_workers: int = 1) -> Audit:
    """Checks a data set; what is wrong in it is a finding, never an exception.

    Args:
        source: the train side.
        num_workers: processes that read headers.

    Raises:
        ValueError: a CSV or a column is missing.
    """
    read = annotations.read_annotations(source)
    images = {row.image for row in read.rows}
    logging.info("reading the headers of %d annotated images", len(images))
    answers = headers.read_headers(source, images, num_workers)
    found = [
        *_of_tables(read),
        *rows_module.find(read, answers, source.side),
        *stacks.find(answers, source.side),
        *files.find(source.image_names(), read.series, source.side),
    ]
    order = {kind: index for index, kind in enumerate(finding.Kind)}
    return Audit(
        rows=read.rows,
        num_rows=len(read.rows) + len(read.rejects),
        num_studies=len(read.groups),
        num_images=len(images),
        findings=sorted(found, key=lambda item: (order[item.kind], item.place, item.detail)),
    )


def _of_tables(read: annotations.Annotations) -> Iterator[finding.Finding]:
    """What the CSVs alone tell."""
    usable_keys = frozenset(row.key for row in read.rows)
    for reject in read.rejects:
        yield finding.of_reject(reject, usable_keys)
    for study, condition, level in read.unplaced:
        yield finding.Finding(
            kind=finding.Kind.LABEL_WITHOUT_COORDINATE,
            detail=f"{layout.LABELS_CSV} has a severity, the coordinates CSV no row",
            place=f"{study}/{labels.CONDITIONS[condition]}/{labels.LEVELS[level]}",
        )
    known = rows_module.DESCRIPTIONS.values()
    for (study, series), description in sorted(read.series.items()):
        if description not in known:
            yield finding.Finding(
                kind=finding.Kind.UNKNOWN_DESCRIPTION,
                detail=f"{description!r}, expected one of {', '.join(known)}",
                place=f"{study}/{series}",
            )
