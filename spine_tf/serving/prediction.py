"""A data folder in the RSNA layout -> answers of an exported model for all that it is asked."""

import dataclasses
import pathlib

import tqdm

from spine_tf import labels
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations, sources
from spine_tf.serving import cutting, saved_model, spec, submission


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
    collected = submission.Submission(
        served,
        dict.fromkeys(study for study, _ in found.series),
        is_competition_weighted=is_competition_weighted,
    )
    gaps = [_gap(reject) for reject in found.rejects]
    batches = cutting.cut(source, found.rows, served.roi, num_workers=num_workers)
    model = saved_model.SavedModel(model_dir)
    model.require(served)
    output_name = saved_model.output_name(is_competition_weighted)
    num_crops = 0
    with tqdm.tqdm(total=len(found.rows), unit="row", disable=None) as bar:
        for batch in batches:
            gaps += [_gap(reject) for reject in batch.rejects]
            num_crops += _answer(model, batch, collected, output_name)
            bar.update(len(batch.rows) + len(batch.rejects))
    report_path = output_path.with_name(submission.REPORT_NAME)
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
    collected: submission.Submission,
    output_name: str,
) -> int:
    if not batch.rows:
        return 0
    answer = model.ask("serving_default", image=batch.images, window=batch.windows)
    for row, probabilities in zip(batch.rows, answer[output_name], strict=True):
        condition, level = labels.CONDITIONS[row.condition], labels.LEVELS[row.level]
        collected.add(submission.row_id(row.study_id, condition, level), probabilities)
    return len(batch.rows)


def _gap(reject: reasons.Reject) -> submission.Gap:
    """The row that an unusable coordinate would have answered."""
    study, _, _, condition, level, *_ = [*reject.key.split("/"), "", "", "", ""]
    return submission.Gap(
        row_id=submission.row_id(study, condition, level),
        reason=reject.reason,
        detail=reject.detail,
        file=reject.file,
    )
