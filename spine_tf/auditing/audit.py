"""An audit of a data set: every check, over the CSVs and the headers of annotated slices."""

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

from absl import logging

from spine_tf.auditing import finding, point_checks, series_checks
from spine_tf.dicom import reasons
from spine_tf.processes import pool
from spine_tf.rsna import annotations, given_points, layout, sources
from tfrecords import progress, words

_IMAGES_PER_TASK = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Audit:
    """What was looked at and what was found.

    Attributes:
        rows: usable rows of the coordinates CSV.
        num_rows: all its rows.
        num_studies: number of studies in train.csv.
        num_images: number of images that have a usable row.
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


def audit(
    source: sources.Source, *, num_workers: int = 1, points: pathlib.Path | None = None
) -> Audit:
    """Checks a data set; what is wrong in it is a finding, never an exception.

    Example:
        >>> import pathlib
        >>> from spine_tf.auditing import audit, finding
        >>> from spine_tf.rsna import sources
        >>> audited = audit.audit(sources.open_source(pathlib.Path("data")))
        >>> finding.to_frame(audited.findings).columns.tolist()
        ['key', 'finding', 'severity', 'detail', 'file', 'place']

    Args:
        source: the train side, as `rsna.sources.open_source` opens it.
        num_workers: processes that read headers.
        points: a file of points that is checked instead of the data set's own coordinates.

    Raises:
        ValueError: a CSV or a column is missing.
    """
    table = None if points is None else given_points.read(points, source)
    read = annotations.read_annotations(source, points=table)
    images = {row.image for row in read.rows}
    logging.info("reading the headers of %d annotated images", len(images))
    answers = _read_headers(source, images, num_workers)
    found = [
        *point_checks.find(read, answers, source.side),
        *series_checks.find(read.series, answers, source.image_names(), source.side),
    ]
    order = {kind: index for index, kind in enumerate(finding.Kind)}
    return Audit(
        rows=read.rows,
        num_rows=len(read.rows) + len(read.rejects),
        num_studies=len(read.groups),
        num_images=len(images),
        findings=sorted(found, key=lambda item: (order[item.kind], item.place, item.detail)),
    )


def _read_headers(
    source: sources.Source, images: Iterable[point_checks.Image], num_workers: int
) -> dict[point_checks.Image, point_checks.Answer]:
    """Returns the header of each image, or why it has none."""
    in_order = sorted(set(images))
    starts = range(0, len(in_order), _IMAGES_PER_TASK)
    batches = [in_order[start : start + _IMAGES_PER_TASK] for start in starts]
    tasks = [(source.narrowed({image[:2] for image in batch}), batch) for batch in batches]
    answers = pool.run_tasks(
        _read_batch,
        tasks,
        num_workers=num_workers,
        name_of=lambda task: layout.image_name(source.side, *task[1][0]),
    )
    found: dict[point_checks.Image, point_checks.Answer] = {}
    with progress.counting("reading headers", total=len(in_order), unit="image") as count:
        for of_batch in answers:
            found |= dict(of_batch)
            count.move(len(found))
    return found


def _read_batch(
    task: tuple[sources.Source, list[point_checks.Image]],
) -> list[tuple[point_checks.Image, point_checks.Answer]]:
    source, images = task
    return [(image, _read(source, image)) for image in images]


def _read(source: sources.Source, image: point_checks.Image) -> point_checks.Answer:
    try:
        return sources.read_header(source, layout.image_name(source.side, *image))
    except reasons.Rejected as rejected:
        return rejected


def summarize(audited: Audit) -> str:
    """Returns the number of findings and of studies of each kind that was found."""
    rows = words.counted(audited.num_rows, "row")
    if not audited.findings:
        studies = words.counted(audited.num_studies, "study")
        return f"nothing is wrong with {rows} of {studies}"
    lines = [f"{'severity':10}{'finding':28}{'found':>8}{'studies':>9}"]
    for kind, found in finding.by_kind(audited.findings).items():
        counts = f"{len(found):>8}{finding.num_studies(found):>9}"
        lines.append(f"{kind.severity:10}{kind:28}{counts}")
    advice = "convert --exclude leaves them out"
    if audited.num_rows and not audited.rows:
        first = next(item.detail for item in audited.findings if item.key)
        advice = f"there is nothing to convert, since {first}"
    lines.append(f"with an error: {len(audited.keys)} of {rows}; {advice}")
    return "\n".join(lines)
