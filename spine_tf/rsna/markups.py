"""Points as 3D Slicer opens and saves them: `.mrk.json`, one file a study, LPS and mm.

A control point's label says condition and level, its description on which image it is, so that a
point that was dragged, or renamed to another level, finds its series again.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spine_tf import labels
from spine_tf.dicom import geometry, header, reasons
from spine_tf.rsna import annotations, layout, sources, tables

SUFFIX = ".mrk.json"

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/"
    "Schema/markups-schema-v1.0.3.json#"
)
_DESCRIPTION = re.compile(r"(\d+)/(\d+)/(\d+) x=(\S+) y=(\S+)")

# A point that moved by less was not moved: positions are written as decimals.
_MOVED_MM = 0.01
# No scanner has a point so far away; a JSON integer may be larger than a float can be.
_FARTHEST_MM = 1e6


def to_json(
    points: Iterable[tuple[annotations.Annotation, Sequence[float]]],
) -> dict[str, Any]:
    """Returns the content of a file.

    Args:
        points: rows of one study, each with its mm to the left, to the back and to the head.
    """
    controls = [
        {
            "id": str(number),
            "label": f"{labels.CONDITIONS[row.condition]} {labels.LEVELS[row.level]}",
            "description": f"{row.study_id}/{row.series_id}/{row.instance_number} "
            f"x={row.x!r} y={row.y!r}",
            "position": [float(part) for part in position],
            "selected": True,
            "locked": False,
            "visibility": True,
            "positionStatus": "defined",
        }
        for number, (row, position) in enumerate(points, start=1)
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": controls,
    }
    return {"@schema": _SCHEMA, "markups": [markup]}


def rows_of(name: str, content: Mapping[str, Any], source: sources.Source) -> Iterator[list[str]]:
    """Yields the rows of a coordinates CSV that a file's points are, as text.

    A point that was moved lies on the slice of its series that is now nearest to it.

    Args:
        name: the file's name, for messages.
        content: what the file holds.
        source: has the headers.

    Raises:
        ValueError: the file is none that localize wrote, whoever changed it.
    """
    markups = content.get("markups")
    if not isinstance(markups, list) or not markups:
        raise ValueError(f"{name} has no markups, expected a file that localize wrote")
    for markup in _objects(name, markups):
        signs = _signs(name, markup)
        for control in _objects(name, markup.get("controlPoints", [])):
            if control.get("positionStatus", "defined") == "defined":
                yield _row(name, control, signs, source)


def header_with_place(source: sources.Source, image: tuple[int, int, int]) -> header.Header | None:
    """Returns the header of an image; None where it doesn't say where it lies, or can't be read."""
    try:
        found = sources.read_header(source, layout.image_name(source.side, *image))
    except reasons.Rejected:
        return None
    return found if found.position is not None and found.orientation is not None else None


def _objects(name: str, values: object) -> list[Mapping[str, Any]]:
    if isinstance(values, list) and all(isinstance(value, dict) for value in values):
        return values
    raise ValueError(f"{name} has markups or control points that are no list of objects")


def _signs(name: str, markup: Mapping[str, Any]) -> tuple[int, int, int]:
    """What makes a position LPS."""
    system = markup.get("coordinateSystem", "LPS")
    if system in ("LPS", "RAS"):
        return (1, 1, 1) if system == "LPS" else (-1, -1, 1)
    raise ValueError(f"{name} has coordinates in {system!r}, expected LPS or RAS")


def _row(
    name: str, control: Mapping[str, Any], signs: Sequence[int], source: sources.Source
) -> list[str]:
    label, position = control.get("label"), control.get("position")
    found = _DESCRIPTION.fullmatch(str(control.get("description", "")))
    condition, _, level = label.rpartition(" ") if isinstance(label, str) else ("", "", "")
    is_place = isinstance(position, list) and len(position) == 3 and all(map(_is_number, position))
    ids = [tables.parse_id(part) for part in found.groups()[:3]] if found else [None]
    if found is None or None in ids or not condition or not is_place:
        raise ValueError(
            f"{name}: control point {label!r} says not which condition, level and image it is of; "
            "expected a label such as 'left_subarticular_stenosis l4_l5', the description that "
            "localize wrote, and a position of three numbers"
        )
    point = [sign * part for sign, part in zip(signs, position or (), strict=True)]
    study, series, instance = (each or 0 for each in ids)
    place = _place(source, (study, series, instance), (found[4], found[5]), point)
    return [str(study), str(series), str(place[0]), condition, level, *place[1:]]


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= _FARTHEST_MM


def _place(
    source: sources.Source,
    image: tuple[int, int, int],
    written_xy: tuple[str, str],
    point: Sequence[float],
) -> tuple[int, str, str]:
    """Returns instance, x and y: as they were written where the point did not move."""
    own = header_with_place(source, image)
    if own is not None and _lies_at(own, written_xy, point):
        return image[2], *written_xy
    study, series, _ = image
    located = [
        (abs(distance), number, place_xy)
        for number in source.instances(study, series)
        if (one := header_with_place(source, (study, series, number))) is not None
        for place_xy, distance in [geometry.locate(point, one)]
    ]
    if not located:
        return image[2], *written_xy  # whoever reads the image says what is wrong with it
    _, number, (x, y) = min(located)
    return number, repr(x), repr(y)


def _lies_at(own: header.Header, written_xy: tuple[str, str], point: Sequence[float]) -> bool:
    try:
        x, y = (float(text) for text in written_xy)
    except ValueError:
        return False
    before = geometry.to_patient(own, (x, y))
    return before is not None and math.dist(before, point) <= _MOVED_MM
