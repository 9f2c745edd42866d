"""A side of a data set in, points out: study by study, found, given, or corrected.

Given points are a localiser that is always right: they pass as they are, and where both are asked
for, a given point takes the place of the found one.
"""

import collections
import dataclasses
import itertools
import pathlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from spine_tf import labels
from spine_tf.crops import imaged_study
from spine_tf.localization import finder as finder_module, gate, point_figures, study_points
from spine_tf.rsna import annotations, given_points, layout, markups, sources
from tfrecords import atomic, csv_text, output_place, progress, words

_REPORT_COLUMNS = ("study_id", "condition", "level", "reason", "detail")
GIVEN = "given points"
_MOST_NAMED = 3
_ROWS = [(c, v) for c in range(len(labels.CONDITIONS)) for v in range(len(labels.LEVELS))]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What is known of a study in the end.

    Attributes:
        study: its stacks.
        points: in the order of conditions and levels; several of one row where they were given.
        gaps: rows without a point.
        localized: what the networks found; None where they were not asked.
        given: those of the points that somebody marked.
    """

    study: imaged_study.ImagedStudy
    points: tuple[annotations.Annotation, ...]
    gaps: tuple[study_points.Gap, ...]
    localized: study_points.Localized | None
    given: tuple[annotations.Annotation, ...] = ()

    @property
    def doubt(self) -> float:
        """How much it wants to be looked at, in [0, 1]: as its worst point does."""
        return 1.0 - min((point.confidence for point in self.points), default=0.0)

    def with_unreadable(self, files: Iterable[str]) -> "StudyResult":
        """Returns it with those of some files that are the study's as unreadable ones."""
        return dataclasses.replace(self, study=self.study.with_unreadable(files))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The points of a side.

    Attributes:
        side: test or train.
        studies: in the order of the series CSV.
        rejects: given rows that can't be used, in words.
        truth: the side's own points, by study; none where it has none or where they were given.
    """

    side: str
    studies: Sequence[StudyResult]
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
        localizer_dir: a directory with `localizer.json`; None is the package's own, where no points
            are given.
        points: a file of points that were marked or corrected.

    Raises:
        ValueError: one can't be read, or the side names no study.
    """
    table = None if points is None else given_points.read(points, source)
    read = annotations.read_annotations(source, has_labels=False, points=table)
    if not read.series:
        raise ValueError(f"{layout.series_csv(source.side)} names no study: there is nothing to do")
    given = by_study(read.rows if points is not None else ())
    are_points_enough = points is not None and localizer_dir is None
    finder = None if are_points_enough else finder_module.choose(localizer_dir)
    series = series_of_studies(read.series)
    studies = []
    with progress.counting("localizing", total=len(series), unit="study") as count:
        for study, own in series.items():
            rows = given.get(study, ())
            studies.append(read_study(source, study, own, given=rows, finder=finder))
            count.add()
    return Result(
        side=source.side,
        studies=studies,
        rejects=[f"{one.key}: {one.reason}: {one.detail}" for one in read.rejects if points],
        truth=by_study(read.rows) if points is None else {},
    )


def by_study(
    rows: Iterable[annotations.Annotation],
) -> dict[int, list[annotations.Annotation]]:
    """Returns the rows of each study."""
    result: dict[int, list[annotations.Annotation]] = {}
    for row in rows:
        result.setdefault(row.study_id, []).append(row)
    return result


def series_of_studies(series: Mapping[tuple[int, int], str]) -> dict[int, dict[int, str]]:
    """Returns the series of each study, with their descriptions."""
    result: dict[int, dict[int, str]] = {}
    for (study, number), description in series.items():
        result.setdefault(study, {})[number] = description
    return result


def points_by(results: Iterable[StudyResult]) -> str:
    """Returns whose the points of studies are, in words."""
    studies = list(results)
    finders = dict.fromkeys(one.localized.finder for one in studies if one.localized)
    given = [GIVEN] if any(one.given for one in studies) else []
    return " and ".join([*finders, *given]) or "nobody"


def read_study(
    source: sources.Source,
    study_id: int,
    series: Mapping[int, str],
    *,
    given: Sequence[annotations.Annotation] = (),
    finder: finder_module.Finder | None = None,
) -> StudyResult:
    """Returns the points of one study: given ones, and found ones for the rows that lack one.

    Args:
        source: where the images are.
        study_id: of the study.
        series: description of each of its series.
        given: points of this study.
        finder: finds the others; None leaves them.
    """
    study = imaged_study.read(source, study_id, series)
    own = {(row.condition, row.level) for row in given}
    localized = None if finder is None or own.issuperset(_ROWS) else finder.find(source, study)
    return with_given(localized.study if localized else study, localized, given)


def with_given(
    study: imaged_study.ImagedStudy,
    localized: study_points.Localized | None,
    given: Sequence[annotations.Annotation],
) -> StudyResult:
    """Returns what was found in a study beside the points that somebody marked."""
    own = {(row.condition, row.level) for row in given}
    seen = localized.points if localized else ()
    found = [_beside_given(row, own) for row in seen if (row.condition, row.level) not in own]
    points = sorted([*given, *found], key=lambda row: (row.condition, row.level))
    filled = {(row.condition, row.level) for row in points}
    return StudyResult(
        study=study,
        points=tuple(points),
        gaps=tuple(_gaps(study, localized, filled)),
        localized=localized,
        given=tuple(given),
    )


def _beside_given(
    row: annotations.Annotation, own: Collection[tuple[int, int]]
) -> annotations.Annotation:
    """A found point is of no level that somebody else has marked."""
    shares = [
        0.0 if (row.condition, row.level + step) in own else share
        for step, share in zip((-1, 0, 1), row.numbering, strict=True)
    ]
    above, itself, below = (share / sum(shares) for share in shares)
    return dataclasses.replace(row, numbering=(above, itself, below))


def _gaps(
    study: imaged_study.ImagedStudy,
    localized: study_points.Localized | None,
    filled: set[tuple[int, int]],
) -> Iterator[study_points.Gap]:
    found = localized.gaps if localized else ()
    reasons = {(gap.condition, gap.level): gap.reason for gap in found}
    other = gate.Missing.NOT_GIVEN if study.stacks else gate.Missing.NO_HEADERS
    other = gate.Missing.UNREADABLE if study.unreadable and not study.stacks else other
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
        f"{words.counted(len(result.points), 'point')} of "
        f"{words.counted(len(result.studies), 'study')} of the {result.side} side "
        f"by {points_by(result.studies)}; discs are numbered from the lowest",
        f"flagged: {num_flagged}{_counts_in_words(flagged)}",
        f"rows without a point: {len(result.gaps)}{_counts_in_words(missing)}",
    ]
    lines += unreadable_in_words([f for one in result.studies for f in one.study.unreadable])
    if result.rejects:
        lines.append(f"given rows that can't be used: {len(result.rejects)}")
    return "\n".join(lines)


def unreadable_in_words(files: Collection[str]) -> list[str]:
    """Returns a line that counts image files that can't be read and names some; none of none."""
    if not files:
        return []
    named = ", ".join(itertools.islice(files, _MOST_NAMED))
    more = ", ..." if len(files) > _MOST_NAMED else ""
    return [f"can't be read: {words.counted(len(files), 'image file')} ({named}{more})"]


def _counts_in_words(counts: Mapping[str, int]) -> str:
    words = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return f" ({words})" if words else ""


def report_path(output_path: pathlib.Path) -> pathlib.Path:
    """Returns where rows without a point are listed: points_report.csv beside points.csv."""
    return output_path.with_name(f"{output_path.name.removesuffix('.csv')}_report.csv")


def require_place(output_path: pathlib.Path) -> None:
    """Raises ValueError where the report beside an output can't be written."""
    begins = csv_text.beginning(_REPORT_COLUMNS)
    output_place.require_file(report_path(output_path), "the report of --output", begins=begins)


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


def to_markups(one: StudyResult) -> dict[str, Any] | None:
    """Returns a study's points as a file for 3D Slicer has them; None where it would be empty.

    Those whose slice says where it is; the others have no place there.
    """
    places = point_figures.Places(one.study)
    placed = [(row, places.point(row)) for row in one.points]
    known = [(row, point.tolist()) for row, point in placed if point is not None]
    return markups.to_json(known) if known else None
