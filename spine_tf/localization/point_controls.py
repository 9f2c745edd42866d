"""What found points are held against: ways to points that look at no pixel.

Those that start from given points are no rivals but bounds: what geometry alone adds to them.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.crops import anatomy, imaged_study, projection
from spine_tf.dicom import geometry, header as header_module
from spine_tf.localization import localization, point_figures
from spine_tf.rsna import annotations
from spine_tf.scoring import figure

FOUND = "found"
_Rows = list[annotations.Annotation]
_Studies = Sequence[tuple[imaged_study.ImagedStudy, _Rows]]
_CANAL, _LEFT_FORAMEN, _LEFT_RECESS = 0, 1, 3
_SLICES = ("slice_exact", "slice_within_1", "slice_within_2")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Figures of found points and of controls, against the same given points.

    Attributes:
        tables: FOUND or a control's name -> group -> name -> figure.
        matches: the matches of the found points.
    """

    tables: Mapping[str, Mapping[str, Mapping[str, figure.Figure]]]
    matches: Sequence[point_figures.Match]

    def in_words(self) -> str:
        """Returns the found points' figures with intervals, and a line a control."""
        lines = [
            "against the data set's own points: the found ones, with 95 % intervals, then what is "
            "reached without a look at any pixel"
        ]
        for name, groups in self.tables.items():
            for group, figures in groups.items():
                known = {k: value for k, value in figures.items() if value.value is not None}
                if name == FOUND:
                    lines += [f"{group:9}{k:16}{one.in_words(2)}" for k, one in known.items()]
                else:
                    words = ", ".join(f"{k} {one.alone.in_words(2)}" for k, one in known.items())
                    lines.append(f"{name}, {group}: {words}")
        tail = self.errors_in_tail
        if tail is not None:
            lines.append(f"level errors among the least sure 10 % of the points: {tail:.2f}")
        return "\n".join(lines)

    @property
    def errors_in_tail(self) -> float | None:
        """See `point_figures.errors_in_tail`."""
        return point_figures.errors_in_tail(self.matches) if self.matches else None

    def to_json(self) -> dict[str, Any]:
        """Returns the figures as JSON types."""
        figures = figure.as_json(self.tables)
        return {"figures": figures, "errors_in_tail": self.errors_in_tail}


def compare(result: localization.Result) -> Comparison:
    """Compares a side's found points with its own; nothing where it has none of its own."""
    matches = result.matches()
    if not matches:
        return Comparison(tables={}, matches=())
    studies = [
        (one.study, list(result.truth.get(one.study.study_id, ()))) for one in result.studies
    ]
    tables = {FOUND: point_figures.table(matches)}
    tables |= {name: _table(control, studies) for name, control in CONTROLS.items()}
    return Comparison(tables={k: v for k, v in tables.items() if v}, matches=matches)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Control:
    """A way to points.

    Attributes:
        make: studies with their given points -> points of each study, in the same order.
        group: whose rows it fills; "" is all of them.
        figures: that say something of it.
    """

    make: Callable[[_Studies], list[_Rows]]
    group: str = ""
    figures: Sequence[str] = point_figures.FIGURES


def _table(control: Control, studies: _Studies) -> dict[str, dict[str, figure.Figure]]:
    matches = [
        match
        for (study, given), rows in zip(studies, control.make(studies), strict=True)
        for match in point_figures.match(study, rows, given)
    ]
    return {
        group: {name: figures[name] for name in control.figures}
        for group, figures in point_figures.table(matches).items()
        if control.group in ("", group)
    }


# ---- Mean shape.


def _mean_shape(studies: _Studies) -> list[_Rows]:
    """Each row at the mean place of the other studies': shares of width, height and stack."""
    shapes = [_shape(study, rows) for study, rows in studies]
    result = []
    for index, (study, _) in enumerate(studies):
        others = [shape for other, shape in enumerate(shapes) if other != index]
        result.append(list(_placed(study, others)))
    return result


_Shape = dict[tuple[int, int], np.ndarray]


def _shape(study: imaged_study.ImagedStudy, rows: _Rows) -> _Shape:
    """(condition, level) -> x, y and slice as shares, float64 (3,)."""
    result = {}
    for row in rows:
        slices = _slices(study, row.condition, row.series_id)
        index = next((i for i, one in enumerate(slices) if one[0] == row.instance_number), None)
        if index is not None:
            header = slices[index][2]
            shares = row.x / header.columns, row.y / header.rows, index / max(len(slices) - 1, 1)
            result[row.condition, row.level] = np.array(shares)
    return result


def _slices(
    study: imaged_study.ImagedStudy, condition: int, series_id: int | None = None
) -> list[tuple[int, int, header_module.Header]]:
    """(instance, series, header), from right to left or from head to feet.

    They are of one series, or else of the first of those that a condition is marked on.
    """
    is_axial = condition >= _LEFT_RECESS
    stacks = study.axial if is_axial else study.sagittal
    if series_id is None and stacks:
        wanted = [one for one in stacks if one.is_t1 == (0 < condition < _LEFT_RECESS)] or stacks
        series_id = wanted[0].series_id
    found = [
        (number, stack.series_id, header)
        for stack in stacks
        if stack.series_id == series_id
        for number, header in zip(stack.numbers, stack.headers, strict=True)
    ]
    axis, sign = (2, -1) if is_axial else (0, 1)
    return sorted(found, key=lambda one: sign * _middle(one[2])[axis])


def _middle(header: header_module.Header) -> tuple[float, float, float]:
    middle = geometry.to_patient(header, ((header.columns - 1) / 2, (header.rows - 1) / 2))
    return middle or (0.0, 0.0, 0.0)


def _placed(
    study: imaged_study.ImagedStudy, others: Sequence[_Shape]
) -> Iterable[annotations.Annotation]:
    for condition in range(len(labels.CONDITIONS)):
        slices = _slices(study, condition)
        for level in range(len(labels.LEVELS)):
            known = [shape[condition, level] for shape in others if (condition, level) in shape]
            if known and slices:
                x, y, share = np.mean(known, axis=0)
                number, series, header = slices[round(share * (len(slices) - 1))]
                yield annotations.Annotation(
                    study_id=study.study_id,
                    series_id=series,
                    instance_number=number,
                    condition=condition,
                    level=level,
                    x=float(x * header.columns),
                    y=float(y * header.rows),
                    label=None,
                )


# ---- From given points.


def _middle_slice(studies: _Studies) -> list[_Rows]:
    """Given canal points, each on the middle slice of its stack."""
    return [
        [_moved(study, row, None) for row in rows if row.condition == _CANAL]
        for study, rows in studies
    ]


def _fixed_lateral(studies: _Studies) -> list[_Rows]:
    """Given foramen points, each on the slice 16 mm beside the level's canal point."""
    result = []
    for study, rows in studies:
        places = point_figures.Places(study)
        canals = {row.level: places.point(row) for row in rows if row.condition == _CANAL}
        moved = []
        for row in rows:
            canal = canals.get(row.level)
            if row.condition in point_figures.GROUPS["foramen"] and canal is not None:
                side = 1 if row.condition == _LEFT_FORAMEN else -1
                moved.append(_moved(study, row, canal[0] + side * anatomy.FORAMEN_LATERAL_MM))
        result.append(moved)
    return result


def _moved(
    study: imaged_study.ImagedStudy, row: annotations.Annotation, left: float | None
) -> annotations.Annotation:
    """The row on another slice of its stack: the one at mm to the left, or the middle one."""
    plane = point_figures.Places(study).plane(row)
    if plane is None:
        return row
    stack, _ = plane
    middles = [_middle(header)[0] for header in stack.headers]
    index = len(middles) // 2
    if left is not None:
        index = min(range(len(middles)), key=lambda one: abs(middles[one] - left))
    return dataclasses.replace(row, instance_number=stack.numbers[index])


def _projected(studies: _Studies) -> list[_Rows]:
    """Recesses where given canal points lead: on the nearest slice, 9 mm beside the midline."""
    return [
        [
            row
            for canal in rows
            if canal.condition == _CANAL
            for row in _projected_level(study, canal)
        ]
        for study, rows in studies
    ]


def _projected_level(
    study: imaged_study.ImagedStudy, canal: annotations.Annotation
) -> Iterable[annotations.Annotation]:
    point = point_figures.Places(study).point(canal)
    if point is None:
        return
    target = projection.recess_point(point, canal.level)
    for cover in projection.covers(target, study.axial)[:1]:
        for side in (0, 1):
            aside = (1 - 2 * side) * anatomy.RECESS_LATERAL_MM
            place = target + np.array([aside, -anatomy.RECESS_IN_FRONT_MM, 0.0])
            (x, y), _ = geometry.locate(place.tolist(), cover.stack.headers[cover.nearest])
            yield dataclasses.replace(
                canal,
                series_id=cover.stack.series_id,
                instance_number=cover.stack.numbers[cover.nearest],
                condition=_LEFT_RECESS + side,
                x=x,
                y=y,
            )


CONTROLS: Mapping[str, Control] = {
    "mean shape": Control(make=_mean_shape),
    "middle slice": Control(make=_middle_slice, group="canal", figures=_SLICES),
    "fixed 16 mm": Control(make=_fixed_lateral, group="foramen", figures=_SLICES),
    "projection of given": Control(make=_projected, group="recess"),
}
