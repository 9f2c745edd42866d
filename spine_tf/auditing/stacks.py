"""What the annotated slices of a series have in common, and what not."""

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence

from spine_tf.auditing import finding, headers as headers_module
from spine_tf.dicom import geometry, header
from spine_tf.rsna import layout


def find(
    answers: Mapping[headers_module.Image, headers_module.Answer], side: str
) -> Iterator[finding.Finding]:
    """Yields series whose annotated slices differ, or don't say where they lie."""
    by_series: dict[tuple[int, int], list[header.Header]] = collections.defaultdict(list)
    for image, answer in answers.items():
        if isinstance(answer, header.Header):
            by_series[image[:2]].append(answer)
    for ids, of_series in sorted(by_series.items()):
        lost = sum(item.orientation is None or item.position is None for item in of_series)
        details = {
            finding.Kind.MIXED_STACKS: describe_mixture(of_series),
            finding.Kind.NO_GEOMETRY: f"{lost} of {len(of_series)} annotated slices" * bool(lost),
        }
        for kind, detail in details.items():
            if detail:
                place, file = "/".join(map(str, ids)), layout.series_dir(side, *ids)
                yield finding.Finding(kind=kind, detail=detail, place=place, file=file)


def describe_mixture(headers: Sequence[header.Header]) -> str:
    """Returns how slices of one series differ, or "" where they are of one stack."""
    shapes = {item.shape for item in headers}
    spacings = {tuple(round(value, 4) for value in item.spacing) for item in headers}
    counts = {
        "shapes": len(shapes),
        "spacings": len(spacings),
        "orientations": _num_orientations(headers),
    }
    parts = [f"{count} {name}" for name, count in counts.items() if count > 1]
    return f"{', '.join(parts)} on {len(headers)} annotated slices" if parts else ""


def _num_orientations(headers: Iterable[header.Header]) -> int:
    found: list[header.Header] = []
    for item in headers:
        is_known = any(geometry.has_same_orientation(item, other) for other in found)
        if item.orientation is not None and not is_known:
            found.append(item)
    return len(found)
