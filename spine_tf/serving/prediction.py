"""A data folder in the RSNA layout -> answers of an exported model for all that it is asked.

The answer is a CSV with one row for everything that was asked, none left out.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from absl import logging

from spine_tf import labels
from spine_tf.auditing import point_checks
from spine_tf.crops import cutting
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations, given_points, layout, sources
from spine_tf.serving import saved_model, spec, training_studies, verification
from tfrecords import atomic, csv_text, output_place, progress

REPORT_NAME = "predict_report.csv"
# Outputs whose report has that name; any other's has the output's own name before it.
_USUAL_OUTPUTS = ("submission.csv", "predictions.csv")
NO_COORDINATE = "no_coordinate"
_REPORT_COLUMNS = ("row_id", "answered_by", "reason", "detail", "file")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a prediction wrote.

    Attributes:
        num_rows: rows of the submission.
        num_crops: coordinates that the model answered.
        num_prior: rows that got the prior.
        report_path: says why.
        side: that was answered, test or train.
        lacks: the coordinates CSV, where the side has none; else "".
        faults: rows of the series CSV that can't be read or contradict others, in words.
    """

    num_rows: int
    num_crops: int
    num_prior: int
    report_path: pathlib.Path
    side: str
    lacks: str
    faults: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, order=True)
class Gap:
    """A coordinate that could not be used, or a row that has none.

    Attributes:
        row_id: the row, as far as it could be read.
        reason: a code of `dicom.reasons`, or NO_COORDINATE.
        detail: what came and what was expected.
        file: the image, relative to the data folder; empty if there is none.
    """

    row_id: str
    reason: str
    detail: str
    file: str = ""


class Submission:
    """Collects answers; several for one row are averaged, each as sure as its level is.

    A row is answered by points of its own; those of the levels beside it only have a share.
    """

    def __init__(
        self, served: spec.Spec, studies: Iterable[int], *, is_competition_weighted: bool
    ) -> None:
        """Args: served names conditions and levels; studies are asked for all of them."""
        self._task = served.task_spec
        self._prior = np.array(served.class_prior)
        if is_competition_weighted:
            self._prior *= self._task.class_weights
        self._row_ids = [
            row_id(study, condition, level)
            for study in studies
            for condition in served.conditions
            for level in served.levels
        ]
        num_classes = len(self._task.classes)
        self._sums = {name: np.zeros(num_classes) for name in self._row_ids}
        self._shares = dict.fromkeys(self._row_ids, 0.0)
        self._counts = dict.fromkeys(self._row_ids, 0)

    def add(self, row: annotations.Annotation, probabilities: np.ndarray) -> None:
        """Adds one image's answer, where the numbering doubts its level to those beside it too.

        Args:
            row: whose image it is.
            probabilities: float (classes,).
        """
        for step, share in zip((-1, 0, 1), row.numbering, strict=True):
            level = row.level + step
            if not share or not 0 <= level < len(labels.LEVELS):
                continue
            name = row_id(row.study_id, labels.CONDITIONS[row.condition], labels.LEVELS[level])
            if name in self._sums:
                self._sums[name] += share * probabilities
                self._shares[name] += share
                self._counts[name] += step == 0

    @property
    def unanswered(self) -> list[str]:
        """Row ids without an answer, in order; they get the prior."""
        return [name for name in self._row_ids if not self._counts[name]]

    def __len__(self) -> int:
        return len(self._row_ids)

    def write(self, path: pathlib.Path) -> None:
        """Writes `row_id` and one probability a class; every row sums to 1."""
        rows = ((name, self._probabilities(name)) for name in self._row_ids)
        write_rows(path, self._task, rows)

    def write_report(self, path: pathlib.Path, gaps: Iterable[Gap], no_coordinate: str) -> None:
        """Writes what could not be used, and every row that has the prior for an answer.

        `answered_by` is `prior`, `other coordinates`, or `nothing`: the row was not asked for, or
        can't be read.

        Args:
            path: CSV to write.
            gaps: what could not be used.
            no_coordinate: why a row that none of them explains has no answer.
        """
        listed = set(gaps)
        explained = {gap.row_id for gap in listed}
        for name in self.unanswered:
            if name not in explained:
                listed.add(Gap(row_id=name, reason=NO_COORDINATE, detail=no_coordinate))
        rows = [
            [gap.row_id, self._answered_by(gap.row_id), gap.reason, gap.detail, gap.file]
            for gap in sorted(listed)
        ]
        _write_csv(path, _REPORT_COLUMNS, rows)

    def _answered_by(self, name: str) -> str:
        if name not in self._counts:
            return "nothing"
        return "other coordinates" if self._counts[name] else "prior"

    def _probabilities(self, name: str) -> np.ndarray:
        if not self._counts[name]:
            return self._prior
        return self._sums[name] / self._shares[name]


def predict(
    model_dir: pathlib.Path,
    data_dir: pathlib.Path,
    output_path: pathlib.Path,
    *,
    num_workers: int,
    is_competition_weighted: bool = False,
    side: str | None = None,
    points: pathlib.Path | None = None,
) -> Outcome:
    """Writes an answer for every study of the series CSV, and a report of what had no image.

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
        model_dir: an exported directory.
        data_dir: the studies; a test side may lack coordinates, and gets the prior.
        output_path: CSV to write; the report goes beside it, see `report_path`.
        num_workers: processes that decode.
        is_competition_weighted: write probabilities that are best for the competition's metric.
        side: test or train; None is the test side where there is one, else the train side.
        points: a file of points, instead of the side's own coordinates.

    Returns:
        How many rows were written, and by what they were answered. Each row of the CSV is a row_id
        and one probability a class, float in [0, 1]; they sum to 1.

    Raises:
        ValueError: no exported model, or one that was changed; no data set in the RSNA layout, or
            no study in it.
    """
    # Nothing of the model is looked at before all of it is what its list says.
    output_place.require_file(report_path(output_path), "the report of --output")
    with verification.verified(model_dir) as received:
        return _predict(
            received.directory,
            data_dir,
            output_path,
            num_workers=num_workers,
            is_competition_weighted=is_competition_weighted,
            side=side,
            points=points,
        )


def _predict(
    model_dir: pathlib.Path,
    data_dir: pathlib.Path,
    output_path: pathlib.Path,
    *,
    num_workers: int,
    is_competition_weighted: bool,
    side: str | None,
    points: pathlib.Path | None,
) -> Outcome:
    served = spec.read(model_dir)
    source = sources.open_for_prediction(data_dir, side)
    found = annotations.read_annotations(
        source,
        conditions=served.conditions,
        levels=_looked_at(served.levels) if points else served.levels,
        has_labels=False,
        points=None if points is None else given_points.read(points, source),
    )
    rows = [row for row in found.rows if _has_share(row, served.levels)]
    _require_studies(found, source.side)
    lacks = "" if found.has_points else layout.coordinates_csv(source.side)
    collected = Submission(
        served,
        dict.fromkeys(study for study, _ in found.series),
        is_competition_weighted=is_competition_weighted,
    )
    _warn_of_what_is_known(model_dir, source, found)
    gaps = [_gap(reject) for reject in found.rejects]
    gaps += [Gap(row_id="", reason=f.reason, detail=f.in_words()) for f in found.faults]
    batches = cutting.cut_batches(source, rows, served.roi, num_workers=num_workers)
    model = saved_model.SavedModel(model_dir)
    model.require(served)
    output_name = saved_model.output_name(is_competition_weighted)
    num_crops = 0
    with progress.counting("predicting", total=len(rows), unit="row") as count:
        for batch in batches:
            gaps += [_gap(reject) for reject in batch.rejects]
            num_crops += _answer(model, served, batch, collected, output_name)
            count.add(len(batch.rows) + len(batch.rejects))
    path = report_path(output_path)
    output_path.parent.mkdir(parents=True, exist_ok=True)
    collected.write_report(
        path, gaps, f"there is no {lacks}" if lacks else "no row has coordinates"
    )
    collected.write(output_path)
    return Outcome(
        num_rows=len(collected),
        num_crops=num_crops,
        num_prior=len(collected.unanswered),
        report_path=path,
        side=source.side,
        lacks=lacks,
        faults=tuple(fault.in_words() for fault in found.faults),
    )


def _warn_of_what_is_known(
    model_dir: pathlib.Path, source: sources.Source, found: annotations.Annotations
) -> None:
    """Says what makes answers look better than they are, or worse: studies and images of a kind."""
    studies = {study for study, _ in found.series}
    known = training_studies.known_of(model_dir, studies)
    if known:
        logging.warning(
            "%d of %d studies, such as %d, were in the model's training data: its answers to them "
            "say nothing of new studies",
            *(len(known), len(studies), known[0]),
        )
    for (condition, expected, given), number in sorted(_unexpected(found).items()):
        logging.warning(
            "%d of %d rows of %s are on %s series, while it is graded on %s: images of another "
            "kind, unless the model was trained on such",
            *(number, sum(labels.CONDITIONS[row.condition] == condition for row in found.rows)),
            *(condition, given, expected),
        )


def _unexpected(found: annotations.Annotations) -> dict[tuple[str, str, str], int]:
    """Rows on another kind of series: (condition, expected, given) -> how many."""
    counts: dict[tuple[str, str, str], int] = collections.Counter()
    for row in found.rows:
        given = found.series[row.study_id, row.series_id]
        expected = point_checks.expected_description(row.condition)
        if given != expected and given in point_checks.DESCRIPTIONS.values():
            counts[labels.CONDITIONS[row.condition], expected, given] += 1
    return counts


def _looked_at(levels: Sequence[str]) -> tuple[str, ...]:
    """The levels, and those beside them: a point there may be of one of them."""
    indices = [labels.LEVELS.index(level) for level in levels]
    return tuple(
        level
        for index, level in enumerate(labels.LEVELS)
        if any(abs(index - other) <= 1 for other in indices)
    )


def _has_share(row: annotations.Annotation, levels: Sequence[str]) -> bool:
    """Whether a row's image may be of one of the levels."""
    indices = [labels.LEVELS.index(level) for level in levels]
    shares = zip((-1, 0, 1), row.numbering, strict=True)
    return any(share > 0 and row.level + step in indices for step, share in shares)


def report_path(output_path: pathlib.Path) -> pathlib.Path:
    """Returns where the report of an output lies, so that no two outputs share one.

    That is predict_report.csv beside submission.csv or predictions.csv, x_predict_report.csv
    beside x.csv; where both usual ones lie in a folder, the later one's has its own name too.
    """
    usual = output_path.with_name(REPORT_NAME)
    own = output_path.with_name(_own_report_name(output_path.name))
    if output_path.name not in _USUAL_OUTPUTS or own.exists():
        return own
    others = [output_path.with_name(name) for name in _USUAL_OUTPUTS if name != output_path.name]
    is_others = usual.exists() and any(
        other.exists() and not other.with_name(_own_report_name(other.name)).exists()
        for other in others
    )
    return own if is_others else usual


def _own_report_name(output_name: str) -> str:
    return f"{output_name.removesuffix('.csv')}_{REPORT_NAME}"


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


def _answer(
    model: saved_model.SavedModel,
    served: spec.Spec,
    batch: cutting.Batch,
    collected: Submission,
    output_name: str,
) -> int:
    if not batch.rows:
        return 0
    told = served.tell(batch.rows)
    answer = model.ask("serving_default", image=batch.images, window=batch.windows, **told)
    for row, probabilities in zip(batch.rows, answer[output_name], strict=True):
        collected.add(row, probabilities)
    return len(batch.rows)


def _gap(reject: reasons.Reject) -> Gap:
    """The row that an unusable coordinate would have answered."""
    study, _, _, condition, level, *_ = [*reject.key.split("/"), "", "", "", ""]
    return Gap(
        row_id=row_id(study, condition, level),
        reason=reject.reason,
        detail=reject.detail,
        file=reject.file,
    )


def write_rows(
    path: pathlib.Path, task: labels.Task, rows: Iterable[tuple[str, np.ndarray]]
) -> None:
    """Writes named rows of probabilities; each is brought to a sum of 1."""
    _write_csv(
        path,
        ("row_id", *task.columns),
        ([name, *(f"{value / sum(values):.9f}" for value in values)] for name, values in rows),
    )


def row_id(study: int | str, condition: str, level: str) -> str:
    """Returns the competition's name of a row."""
    return f"{study}_{condition}_{level}"


def _write_csv(path: pathlib.Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    atomic.write_text(path, csv_text.to_text(columns, rows))
