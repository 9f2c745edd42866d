"""A data folder, or any pile of DICOM -> answers of exported models for all that is asked.

The answer is a CSV with one row for everything that was asked, none left out.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from spine_tf import labels
from spine_tf.localization import finder as finder_module, localization
from spine_tf.pages import page_origin
from spine_tf.readings import reading, report_directory
from spine_tf.rsna import annotations, given_points, layout, sources
from spine_tf.serving import asked_rows, caution, grader as grader_module, study_reader, submission
from spine_tf.studies import intake


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a prediction wrote.

    Attributes:
        num_rows: rows of the submission.
        num_crops: points that a model answered.
        num_found: those among them that the localiser found.
        num_flagged: rows that were answered with a doubt.
        num_prior: rows that got the prior.
        report_path: says why.
        side: that was answered, test or train.
        finder: what found points where none were given, in words; "" where it was not asked.
        faults: rows of the series CSV that can't be read or contradict others, in words.
        organized: what became of a pile, in words; "" where there was none.
        unreadable: image files that can't be read, relative to `data_dir`.
    """

    num_rows: int
    num_crops: int
    num_found: int
    num_flagged: int
    num_prior: int
    report_path: pathlib.Path
    side: str
    finder: str
    faults: tuple[str, ...]
    organized: str
    unreadable: Sequence[str]


def predict(
    model_dir: pathlib.Path | Sequence[pathlib.Path],
    data_dir: pathlib.Path,
    output_path: pathlib.Path,
    *,
    num_workers: int,
    is_competition_weighted: bool = False,
    side: str | None = None,
    points: pathlib.Path | None = None,
    localizer_dir: pathlib.Path | None = None,
    report_dir: pathlib.Path | None = None,
    ids: pathlib.Path | None = None,
    min_slices: int | None = None,
) -> Outcome:
    """Writes an answer for every study, and a report of how each row was answered.

    Example:
        >>> import pathlib
        >>> from spine_tf.serving import prediction
        >>> outcome = prediction.predict(
        ...     pathlib.Path("export"),
        ...     pathlib.Path("data"),
        ...     pathlib.Path("predictions.csv"),
        ...     num_workers=2,
        ...     side="train",
        ... )
        >>> outcome.num_rows == outcome.num_crops + outcome.num_prior
        True

    Args:
        model_dir: an exported directory, or several that answer together: each the rows that it
            grades, their mean where several do.
        data_dir: a side in the RSNA layout, or any folder or zip of DICOM files.
        output_path: CSV to write; the report goes beside it, see `report_path`.
        num_workers: processes that decode.
        is_competition_weighted: write probabilities that are best for the competition's metric.
        side: test or train; None is the test side where there is one, else the train side.
        points: a file of points, instead of the side's own coordinates.
        localizer_dir: finds points where none are given; None is the export's own if it has one,
            else the package's.
        report_dir: gets a page a study, see `readings.report_directory`; None is nowhere.
        ids: the file that keeps which study of a pile is which; None is nowhere.
        min_slices: slices that a series of a pile has to have; None is organize's default.

    Returns:
        How many rows were written, and by what they were answered. Each row of the CSV is a row_id
        and one probability a class, float in [0, 1]; they sum to 1. The rows are those of a test
        side's sample_submission.csv where there is one, else what the models grade of every study.

    Raises:
        ValueError: no exported model, or one that was changed; no study of lumbar MRI.
    """
    submission.require_place(output_path)
    name, origin = _named(data_dir)
    if report_dir is not None:
        report_directory.require_place(report_dir, origin)
    model_dirs = [model_dir] if isinstance(model_dir, pathlib.Path) else list(model_dir)
    opened = intake.opened(
        data_dir, side=side, ids=ids, min_slices=min_slices, num_workers=num_workers
    )
    # Nothing of a model is looked at before all of it is what its list says.
    with grader_module.opened(model_dirs) as graders, opened as taken_in:
        copies = [one.directory for one in graders]
        reader = study_reader.StudyReader(
            graders=graders,
            finder=finder_module.choose(localizer_dir, copies),
            is_competition_weighted=is_competition_weighted,
        )
        found = _read_side(taken_in.source, reader, points)
        answered = _answer(
            taken_in.source, reader, found, num_workers, has_pages=report_dir is not None
        )
        unreadable = taken_in.own_names(answered.unreadable)
        path = submission.report_path(output_path)
        output_path.parent.mkdir(parents=True, exist_ok=True)
        submission.write_report(path, answered.grades, answered.unasked)
        submission.write(output_path, graders[0].served.task_spec, answered.grades)
        if report_dir is not None:
            report_directory.write(
                report_dir,
                study_reader.readings_of(answered, reader.readers),
                taken_in.source,
                name=name,
                origin=origin,
            )
    return Outcome(
        num_rows=len(answered.grades),
        num_crops=answered.num_crops,
        num_found=answered.num_found,
        num_flagged=_count(answered, reading.AnsweredBy.FLAGGED),
        num_prior=_count(answered, reading.AnsweredBy.PRIOR),
        report_path=path,
        side=taken_in.source.side,
        finder=_finder(answered),
        faults=tuple(fault.in_words() for fault in found.faults),
        organized=taken_in.in_words,
        unreadable=unreadable,
    )


def _named(data_dir: pathlib.Path) -> tuple[str, str]:
    """What pages call the studies, and what they say of their making."""
    if intake.is_pile(data_dir):  # whose name may be a patient's, and pages are passed on
        return "Studies", page_origin.describe_unnamed(data_dir)
    return data_dir.resolve().name, page_origin.describe([data_dir])


def _finder(answered: study_reader.Answered) -> str:
    asked = (one.localized for one in answered.results.values())
    return next((localized.finder for localized in asked if localized), "")


def _count(answered: study_reader.Answered, by: reading.AnsweredBy) -> int:
    return sum(one.answered_by is by for one in answered.grades)


def _read_side(
    source: sources.Source, reader: study_reader.StudyReader, points: pathlib.Path | None
) -> annotations.Annotations:
    """Reads what a side's CSVs say; it may have no points."""
    served = [one.served for one in reader.graders]
    levels = _in_order(labels.LEVELS, [level for one in served for level in one.levels])
    found = annotations.read_annotations(
        source,
        conditions=_in_order(labels.CONDITIONS, [name for one in served for name in one.looked_at]),
        levels=_looked_at(levels) if points else levels,
        has_labels=False,
        points=None if points is None else given_points.read(points, source),
    )
    _require_studies(found, source.side)
    caution.warn_of_images(found)
    for one in reader.graders:
        caution.warn_of_studies(one, {study for study, _ in found.series})
    return found


def _answer(
    source: sources.Source,
    reader: study_reader.StudyReader,
    found: annotations.Annotations,
    num_workers: int,
    *,
    has_pages: bool,
) -> study_reader.Answered:
    studies = localization.series_of_studies(found.series)
    asked = asked_rows.asked_of_sample(source, reader.graders[0].served.task_spec)
    return reader.read(
        source,
        studies,
        localization.by_study(found.rows),
        asked=asked_rows.asked_of_models(reader.graders, studies) if asked is None else asked,
        has_headers=has_pages,
        rejects=found.rejects,
        faults=found.faults,
        num_workers=num_workers,
    )


def _in_order(known: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once, in the usual order."""
    return tuple(name for name in known if name in names)


def _looked_at(levels: Sequence[str]) -> tuple[str, ...]:
    """The levels, and those beside them: a point there may be of one of them."""
    indices = [labels.LEVELS.index(level) for level in levels]
    return tuple(
        level
        for index, level in enumerate(labels.LEVELS)
        if any(abs(index - other) <= 1 for other in indices)
    )


def _require_studies(found: annotations.Annotations, side: str) -> None:
    if found.series:
        return
    unread = "; ".join(fault.in_words() for fault in found.faults[:1])
    raise ValueError(
        f"{layout.series_csv(side)} names no study, so there is nothing to answer"
        + (
            f": {len(found.faults)} of its rows can't be read, the first: {unread}"
            if unread
            else ""
        )
    )
