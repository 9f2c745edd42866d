"""What is wrong with series: their descriptions, their annotated slices, their files."""

import collections
import math
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from spine_tf.auditing import finding, point_checks
from spine_tf.dicom import header, stacks
from spine_tf.rsna import layout

# Axial pixels of the RSNA data are 0.2 to 1.1 mm, the median 0.43: what is farther is no scanner's.
_FAR_SPACING = 3.0
_LEAST_SERIES = 4
# Files that a finding names; of more it says how many.
_NUM_NAMED = 5


def find(
    series: Mapping[tuple[int, int], str],
    answers: Mapping[point_checks.Image, point_checks.Answer],
    names: Iterable[str],
    side: str,
) -> Iterator[finding.Finding]:
    """Yields findings about series.

    Args:
        series: the description of each (study, series) of the series CSV.
        answers: the headers of annotated slices.
        names: names of all files in the folder of images.
        side: the data set's side, "train" or "test".
    """
    yield from _unknown_descriptions(series)
    yield from _of_stacks(answers, side)
    yield from _of_spacings(series, answers, side)
    yield from _of_files(names, series, side)


def _unknown_descriptions(series: Mapping[tuple[int, int], str]) -> Iterator[finding.Finding]:
    known = point_checks.DESCRIPTIONS.values()
    for ids, description in sorted(series.items()):
        if description not in known:
            yield finding.Finding(
                kind=finding.Kind.UNKNOWN_DESCRIPTION,
                detail=f"{description!r}, expected one of {', '.join(known)}",
                place="/".join(map(str, ids)),
            )


def _of_stacks(
    answers: Mapping[point_checks.Image, point_checks.Answer], side: str
) -> Iterator[finding.Finding]:
    """Yields series whose annotated slices differ, or don't say where they lie."""
    by_series: dict[tuple[int, int], list[header.Header]] = collections.defaultdict(list)
    for image, answer in answers.items():
        if isinstance(answer, header.Header):
            by_series[image[:2]].append(answer)
    for ids, of_series in sorted(by_series.items()):
        lost = sum(item.orientation is None or item.position is None for item in of_series)
        details = {
            finding.Kind.MIXED_STACKS: _describe_mixture(of_series),
            finding.Kind.NO_GEOMETRY: f"{lost} of {len(of_series)} annotated slices" * bool(lost),
        }
        for kind, detail in details.items():
            if detail:
                yield _finding(kind, layout.series_dir(side, *ids), "/".join(map(str, ids)), detail)


def _describe_mixture(headers: Sequence[header.Header]) -> str:
    """Returns how slices of one series differ, or "" where they are of one stack."""
    counts = stacks.count_kinds(headers)
    parts = [f"{count} {name}" for name, count in counts.items() if count > 1]
    return f"{', '.join(parts)} on {len(headers)} annotated slices" if parts else ""


def _of_spacings(
    series: Mapping[tuple[int, int], str],
    answers: Mapping[point_checks.Image, point_checks.Answer],
    side: str,
) -> Iterator[finding.Finding]:
    """Yields series with a slice whose spacing is far from that of the series like it."""
    found: dict[tuple[int, int], list[float]] = collections.defaultdict(list)
    for image, answer in answers.items():
        if isinstance(answer, header.Header):
            found[image[:2]].append(statistics.fmean(answer.spacing))
    for description in sorted(set(series.values())):
        alike = {ids: mm for ids, mm in sorted(found.items()) if series.get(ids) == description}
        for ids, (odd, usual) in odd_spacings(alike).items():
            detail = f"{odd:.3g} mm a pixel; {usual:.3g} mm is usual for {description!r}"
            place = "/".join(map(str, ids))
            yield _finding(finding.Kind.ODD_SPACING, layout.series_dir(side, *ids), place, detail)


def odd_spacings(
    spacings: Mapping[tuple[int, int], Sequence[float]],
) -> dict[tuple[int, int], tuple[float, float]]:
    """Returns the series with a slice whose pixels are far smaller or larger than is usual.

    Args:
        spacings: (study, series) -> mm of each slice that was looked at; of one kind of series.

    Returns:
        (study, series) -> the mm farthest from what is usual, and what that is, the median of the
        series' medians. Of few series none is: nobody knows which of them is odd.
    """
    if len(spacings) < _LEAST_SERIES:
        return {}
    usual = statistics.median(map(statistics.median, spacings.values()))
    farthest = {
        ids: max(values, key=lambda mm: abs(math.log(mm / usual)))
        for ids, values in spacings.items()
    }
    return {
        ids: (mm, usual)
        for ids, mm in farthest.items()
        if not 1.0 / _FAR_SPACING <= mm / usual <= _FAR_SPACING
    }


def _of_files(
    names: Iterable[str], series: Collection[tuple[int, int]], side: str
) -> Iterator[finding.Finding]:
    """Yields series without images, images without a series, gaps, and files of no use."""
    folders: dict[str, list[str]] = collections.defaultdict(list)
    for name in names:
        folder, _, file = name.rpartition("/")
        folders[folder].append(file)
    expected = {layout.series_dir(side, *ids): ids for ids in series}
    for folder, ids in sorted(expected.items()):
        if not layout.instances_among(folders.get(folder, ())):
            yield _finding(finding.Kind.MISSING_SERIES, folder, "/".join(map(str, ids)), "no image")
    for folder, files in sorted(folders.items()):
        place = folder.removeprefix(layout.images_dir(side)).removeprefix("/")
        yield from _of_folder(folder, place, files, is_series=folder in expected)


def _of_folder(
    folder: str, place: str, files: list[str], *, is_series: bool
) -> Iterator[finding.Finding]:
    instances = layout.instances_among(files)
    extra = sorted(file for file in files if layout.instance_number(file) is None)
    if instances and not is_series:
        yield _finding(finding.Kind.EXTRA_SERIES, folder, place, f"{len(instances)} images")
    elif instances and (num_missing := instances[-1] - instances[0] + 1 - len(instances)):
        detail = f"{num_missing} of {instances[0]} to {instances[-1]} are missing"
        yield _finding(finding.Kind.INSTANCE_GAP, folder, place, detail)
    if extra:
        named = ", ".join(extra[:_NUM_NAMED]) + ("" if len(extra) <= _NUM_NAMED else ", ...")
        detail = f"{len(extra)} file{'s' * (len(extra) > 1)}: {named}"
        yield _finding(finding.Kind.EXTRA_FILE, folder, place, detail)


def _finding(kind: finding.Kind, folder: str, place: str, detail: str) -> finding.Finding:
    return finding.Finding(kind=kind, detail=detail, place=place, file=folder)
