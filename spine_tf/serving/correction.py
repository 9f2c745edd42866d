"""A reading whose points somebody corrects: the rows that this changes are graded anew alone."""

import dataclasses
from collections.abc import Mapping, Sequence

from spine_tf import labels
from spine_tf.localization import localization
from spine_tf.readings import reading
from spine_tf.rsna import annotations, sources
from spine_tf.serving import asked_rows, grader as grader_module, row_evidence, study_reader

_Parts = dict[grader_module.Row, set[annotations.Annotation]]


def correct(
    reader: study_reader.StudyReader,
    one: reading.Reading,
    source: sources.Source,
    series: Mapping[int, str],
    given: Sequence[annotations.Annotation],
) -> reading.Reading:
    """Returns a reading with marked points in place of those that it has of the same rows.

    Args:
        reader: what read it.
        one: the reading, of found points or of ones that were marked before.
        source: where the study's images are.
        series: description of each of its series.
        given: all points that are marked now; of other rows the found ones stand.
    """
    result = localization.with_given(one.result.study, one.result.localized, given)
    by_level = any(each.served.views for each in reader.graders)
    before, now = _parts(one.result.points, by_level), _parts(result.points, by_level)
    changed = {row for row in before.keys() | now.keys() if before.get(row) != now.get(row)}
    study = one.study_id
    asked = [
        each
        for each in asked_rows.asked_of_models(reader.graders, [study])
        if each.target is not None and each.target[1:] in changed
    ]
    rows = sorted({row for each in changed for row in now.get(each, ())}, key=_order)
    evidence = row_evidence.Evidence()
    evidence.add_result(result)
    grades, _ = reader.grade(source, {study: series}, rows, asked=asked, evidence=evidence)
    anew = {grade.row_id: grade for grade in grades}
    return dataclasses.replace(
        one,
        result=result.with_unreadable(evidence.unreadable),
        grades=tuple(anew.get(grade.row_id, grade) for grade in one.grades),
    )


def _parts(points: Sequence[annotations.Annotation], by_level: bool) -> _Parts:
    """The points that have a part in each row's answer; of models of levels all views have."""
    found: _Parts = {}
    for row in points:
        for step, share in zip((-1, 0, 1), row.numbering, strict=True):
            if not share:
                continue
            if not by_level:
                found.setdefault((row.condition, row.level + step), set()).add(row)
                continue
            views = {other for other in points if other.level == row.level}
            for condition in range(len(labels.CONDITIONS)):
                found.setdefault((condition, row.level + step), set()).update(views)
    return found


def _order(row: annotations.Annotation) -> tuple[int, int, str]:
    return row.condition, row.level, row.key
