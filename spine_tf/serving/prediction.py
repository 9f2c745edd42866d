"""A data folder in the RSNA layout -> answers of an exported model for all that it is asked.

The answer is a CSV with one row for everything that was asked, none left out.
"""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
import tqdm

from spine_tf import labels
from spine_tf.crops import cutting
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations, sources
from spine_tf.serving import saved_model, spec
from tfrecords import atomic

REPORT_NAME = "predict_report.csv"
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
    """

    num_rows: int
    num_crops: int
    num_prior: int
    report_path: pathlib.Path


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
    """Collects answers; several for one row are averaged."""

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
        self._counts = dict.fromkeys(self._row_ids, 0)

    def add(self, name: str, probabilities: np.ndarray) -> None:
        """Adds one image's answer for a row.

        Args:
            name: the row's id.
            probabilities: float (classes,).
        """
        self._sums[name] += probabilities
        self._counts[name] += 1

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

    def write_report(self, path: pathlib.Path, gaps: Iterable[Gap]) -> None:
        """Writes what could not be used, and every row that has the prior for an answer.

        `answered_by` is `prior`, `other coordinates`, or `nothing`: the row was not asked for.
        """
        listed = set(gaps)
        explained = {gap.row_id for gap in listed}
        for name in self.unanswered:
            if name not in explained:
                listed.add(Gap(row_id=name, reason=NO_COORDINATE, detail="no row has coordinates"))
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
        return self._sums[name] / self._counts[name]


def predict(
    model_dir: pathlib.Path,
    data_dir: pathlib.Path,
    output_path: pathlib.Path,
    *,
    num_workers: int,
    is_competition_weighted: bool = False,
) -> Outcome:
    """Writes an answer for every study of the series CSV, and a report of what had no image.

    Args:
        model_dir: an exported directory.
        data_dir: the test side is taken where it has coordinates and images, else the train side.
        output_path: CSV to write; the report goes beside it.
        num_workers: processes that decode.
        is_competition_weighted: write probabilities that are best for the competition's metric.

    Raises:
        ValueError: no exported model, or no data set in the RSNA layout.
    """
    served = spec.read(model_dir)
    source = sources.open_for_prediction(data_dir)
    found = annotations.read_annotations(
        source, conditions=served.conditions, levels=served.levels, has_labels=False
    )
    collected = Submission(
        served,
        dict.fromkeys(study for study, _ in found.series),
        is_competition_weighted=is_competition_weighted,
    )
    gaps = [_gap(reject) for reject in found.rejects]
    batches = cutting.cut_batches(source, found.rows, served.roi, num_workers=num_workers)
    model = saved_model.SavedModel(model_dir)
    model.require(served)
    output_name = saved_model.output_name(is_competition_weighted)
    num_crops = 0
    with tqdm.tqdm(total=len(found.rows), unit="row", disable=None) as bar:
        for batch in batches:
            gaps += [_gap(reject) for reject in batch.rejects]
            num_crops += _answer(model, batch, collected, output_name)
            bar.update(len(batch.rows) + len(batch.rejects))
    report_path = output_path.with_name(REPORT_NAME)
    output_path.parent.mkdir(parents=True, exist_ok=True)
    collected.write_report(report_path, gaps)
    collected.write(output_path)
    return Outcome(
        num_rows=len(collected),
        num_crops=num_crops,
        num_prior=len(collected.unanswered),
        report_path=report_path,
    )


def _answer(
    model: saved_model.SavedModel,
    batch: cutting.Batch,
    collected: Submission,
    output_name: str,
) -> int:
    if not batch.rows:
        return 0
    answer = model.ask("serving_default", image=batch.images, window=batch.windows)
    for row, probabilities in zip(batch.rows, answer[output_name], strict=True):
        condition, level = labels.CONDITIONS[row.condition], labels.LEVELS[row.level]
        collected.add(row_id(row.study_id, condition, level), probabilities)
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
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    atomic.write_text(path, text.getvalue())
