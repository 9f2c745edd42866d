"""The files of a data set beside what the series CSV says there is."""

import collections
from collections.abc import Collection, Iterable, Iterator

from spine_tf.auditing import finding
from spine_tf.rsna import layout

_NUM_NAMED = 5


def find(
    names: Iterable[str], series: Collection[tuple[int, int]], side: str
) -> Iterator[finding.Finding]:
    """Yields series without images, images without a series, gaps, and files of no use.

    Args:
        names: of all files in the folder of images.
        series: (study, series) of the series CSV.
        side: of the data set.
    """
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
    images = {f"{number}.dcm" for number in instances}
    extra = sorted(set(files) - images)
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
