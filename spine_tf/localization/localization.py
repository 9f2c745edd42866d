"""A side of a data set in, points out: study by study, found, given, or corrected.

Given points are a localiser that is always right: they pass as they are, and where both are asked
for, a given point takes the place of the found one.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from spine_tf import labels
from spine_tf.crops import imaged_study, slice_reader, windows
from spine_tf.localization import (
    gate,
    localizer as localizer_module,
    point_figures,
    study_points,
    weighting,
)
from spine_tf.rsna import annotations, given_points, layout, markups, sources, tables
from tfrecords import atomic, csv_text, progress

_REPORT_COLUMNS = ("study_id", "condition", "level", "reason", "detail")
_ROWS = [(c, v) for c in range(len(labels.CONDITIONS)) for v in range(len(labels.LEVELS))]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What is known of a study in the end.

    Attributes:
        study: its stacks.
        points: in the order of conditions and levels; several of one row where they were given.
        gaps: rows without a point.
        localized: what the networks found; None where only given points were asked for.
    """

    study: imaged_study.ImagedStudy
    points: tuple[annotations.Annotation, ...]
    gaps: tuple[study_points.Gap, ...]
    localized: study_points.Localized | None

    @property
    def doubt(self) -> float:
        """How much it wants to be looked at, in [0, 1]: as its worst point does."""
        return 1.0 - min((point.confidence for point in self.points), default=0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The points of a side.

    Attributes:
        side: test or train.
        studies: in the order of the series CSV.
        finder: what found them, in words.
        rejects: given rows that can't be used, in words.
        truth: the side's own points, by study; none where it has none or where they were given.
    """

    side: str
    studies: Sequence[StudyResult]
    finder: str
    rejects: Sequence[str]
    truth: Mapping[int, Sequence[annotations.Annotation]]

    @property
    def points(self) -> list[annotations.Annotation]:
        """The points of all studies, study by study."""
        return [point for study in self.studies for point in study.points]

    @property
    def gaps(self) -> list[study_points.Gap]:
        """What has no point, of all studies."""
        return [gap for study in self.studies for gap in study.gaps]

    def matches(self) -> list[point_figures.Match]:
        """Compares found points with the side's own, where there are both."""
        return [
            match
            for study in self.studies
            for match in point_figures.match(
                study.study, study.points, self.truth.get(study.study.study_id, ())
            )
        ]


def localize(
    source: sources.Source,
    *,
    localizer_dir: pathlib.Path | None = None,
    points: pathlib.Path | None = None,
) -> Result:
    """Finds the points of all studies of a side, or takes those that are given.

    Example:
        >>> import pathlib
        >>> from spine_tf.localization import localization
        >>> from spine_tf.rsna import sources
        >>> source = sources.open_source(pathlib.Path("data"))
        >>> given = pathlib.Path("data/train_label_coordinates.csv")
        >>> found = localization.localize(source, points=given)
        >>> {point.confidence for point in found.points}
        {1.0}

    Args:
        source: one side of a data set.
        localizer_dir: a directory with `localizer.json`.
        points: a file of points that were marked or corrected.

    Raises:
        ValueError: neither is given, one can't be read, or the side names no study.
    """
    if localizer_dir is None and points is None:
        raise ValueError(
            "there is no localiser: this package has no trained weights yet, so give one with "
            "--localizer_dir L, or points that somebody marked with --points F"
        )
    table = given_points.nothing() if _lacks_points(source) else None
    table = table if points is None else given_points.read(points, source)
    read = annotations.read_annotations(source, has_labels=False, points=table)
    if not read.series:
        raise ValueError(f"{layout.series_csv(source.side)} names no study: there is nothing to do")
    given = _by_study(read.rows if points is not None else ())
    found = _Finder(source, localizer_dir)
    series = _series_of_studies(read.series)
    studies = []
    with progress.counting("localizing", total=len(series), unit="study") as count:
        for study, own in series.items():
            studies.append(found.study(study, own, given.get(study, ())))
            count.add()
    return Result(
        side=source.side,
        studies=studies,
        finder=_in_words(found.localizer, points),
        rejects=[f"{one.key}: {one.reason}: {one.detail}" for one in read.rejects if points],
        truth=_by_study(read.rows) if points is None else {},
    )


def _lacks_points(source: sources.Source) -> bool:
    """Whether a side has no coordinates: for whoever looks for points that is the usual case."""
    return not tables.is_there(source, layout.coordinates_csv(source.side))


def _by_study(
    rows: Iterable[annotations.Annotation],
) -> dict[int, list[annotations.Annotation]]:
    result: dict[int, list[annotations.Annotation]] = {}
    for row in rows:
        result.setdefault(row.study_id, []).append(row)
    return result


def _series_of_studies(series: Mapping[tuple[int, int], str]) -> dict[int, dict[int, str]]:
    result: dict[int, dict[int, str]] = {}
    for (study, number), description in series.items():
        result.setdefault(study, {})[number] = description
    return result


def _in_words(localizer: localizer_module.Localizer | None, points: pathlib.Path | None) -> str:
    parts = [f"the localiser {localizer.name!r}"] if localizer else []
    return " and ".join([*parts, *(["given points"] if points else [])])


class _Finder:
    """Reads studies and finds their points; loads the networks once."""

    def __init__(self, source: sources.Source, localizer_dir: pathlib.Path | None) -> None:
        self._source = source
        self._reader = slice_reader.SliceReader(source, windows.NUM_SLICES)
        self.localizer = None if localizer_dir is None else localizer_module.read(localizer_dir)
        self._networks = None
        if self.localizer is not None:
            # TensorFlow is imported only now: given points do without it.
            from spine_tf.localization import networks

            self._networks = networks.Networks(self.localizer, self._reader)

    def study(
        self, study_id: int, series: Mapping[int, str], given: Sequence[annotations.Annotation]
    ) -> StudyResult:
        """Returns the points of a study."""
        study = imaged_study.read(self._source, study_id, series)
        localized = self._localized(study)
        own = {(row.condition, row.level) for row in given}
        seen = localized.points if localized else ()
        found = [row for row in seen if (row.condition, row.level) not in own]
        points = sorted([*given, *found], key=lambda row: (row.condition, row.level))
        filled = {(row.condition, row.level) for row in points}
        return StudyResult(
            study=study,
            points=tuple(points),
            gaps=tuple(_gaps(study, localized, filled)),
            localized=localized,
        )

    def _localized(self, study: imaged_study.ImagedStudy) -> study_points.Localized | None:
        if self.localizer is None or self._networks is None:
            return None
        return study_points.localize(
            study,
            self._networks,
            temperature=self.localizer.temperature,
            brightness=weighting.make_brightness(self._reader),
        )


def _gaps(
    study: imaged_study.ImagedStudy,
    localized: study_points.Localized | None,
    filled: set[tuple[int, int]],
) -> Iterator[study_points.Gap]:
    found = localized.gaps if localized else ()
    reasons = {(gap.condition, gap.level): gap.reason for gap in found}
    other = gate.Missing.NOT_GIVEN if study.stacks else gate.Missing.NO_HEADERS
    for condition, level in _ROWS:
        if (condition, level) not in filled:
            yield study_points.Gap(
                study_id=study.study_id,
                condition=condition,
                level=level,
                reason=reasons.get((condition, level), other),
            )


def summarize(result: Result) -> str:
    """Returns how many points there are, how many are flagged, and why rows have none."""
    flagged = collections.Counter(doubt for row in result.points for doubt in row.flag.split())
    missing = collections.Counter(gap.reason.value for gap in result.gaps)
    num_flagged = sum(bool(row.flag) for row in result.points)
    lines = [
        f"{len(result.points)} points of {len(result.studies)} studies of the {result.side} side "
        f"by {result.finder}; discs are numbered from the lowest",
        f"flagged: {num_flagged}{_counts_in_words(flagged)}",
        f"rows without a point: {len(result.gaps)}{_counts_in_words(missing)}",
    ]
    if result.rejects:
        lines.append(f"given rows that can't be used: {len(result.rejects)}")
    return "\n".join(lines)


def _counts_in_words(counts: Mapping[str, int]) -> str:
    words = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return f" ({words})" if words else ""


def report_path(output_path: pathlib.Path) -> pathlib.Path:
    """Returns where rows without a point are listed: points_report.csv beside points.csv."""
    return output_path.with_name(f"{output_path.name.removesuffix('.csv')}_report.csv")


def write(result: Result, output_path: pathlib.Path) -> None:
    """Writes the points, and beside them the rows that have none."""
    output_path.parent.mkdir(parents=True, exist_ok=True)
    gaps = [
        (
            gap.study_id,
            labels.CONDITIONS[gap.condition],
            labels.LEVELS[gap.level],
            gap.reason.value,
            gap.reason.meaning,
        )
        for gap in sorted(result.gaps)
    ]
    atomic.write_text(report_path(output_path), csv_text.to_text(_REPORT_COLUMNS, gaps))
    atomic.write_text(output_path, csv_text.to_text(*given_points.to_table(result.points)))


def write_markups(result: Result, directory: pathlib.Path) -> int:
    """Writes a file a study for 3D Slicer, in a folder of their own; returns how many.

    Points of one row and study whose slice says where it is; the others have no place there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = 0
    for one in result.studies:
        places = point_figures.Places(one.study)
        placed = [(row, places.point(row)) for row in one.points]
        known = [(row, point.tolist()) for row, point in placed if point is not None]
        if known:
            path = directory / f"{one.study.study_id}{markups.SUFFIX}"
            atomic.write_json(path, markups.to_json(known))
            written += 1
    return written
