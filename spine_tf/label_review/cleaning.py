"""One cleaning from end to end: a run and its records give a review, a page and the halves."""

import dataclasses
import pathlib

import keras
import numpy as np

from spine_tf import labels
from spine_tf.crops import record
from spine_tf.evaluation import held_out
from spine_tf.label_review import quality, review_page
from spine_tf.models import told
from spine_tf.runs import run, run_directory
from spine_tf.scoring import predictions as predictions_module
from spine_tf.training import mild_split as mild_split_module, reviewed_labels
from tfrecords import atomic, manifest, output_place, records, stored_images

# Images that a model looks at together for their features.
_BATCH = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a cleaning found and wrote.

    Attributes:
        numbers: the contents of label_review.json.
        page: the page of crops.
        review: label_review.csv.
        mild_split: mild_split.csv; None where the run's task has no whole Moderate class.
    """

    numbers: review_page.Numbers
    page: pathlib.Path
    review: pathlib.Path
    mild_split: pathlib.Path | None


def clean(
    run_dir: pathlib.Path,
    source: records.Records,
    output_dir: pathlib.Path,
    *,
    allows_unskilled: bool = False,
) -> Result:
    """Judges every label that a run predicted out of fold, and writes what it finds.

    Args:
        run_dir: a finished run with `--val_fold all`.
        source: the records that it was trained on.
        output_dir: where; must hold no review, since a reader may have written into it.
        allows_unskilled: judge also by models that are right no more often than one answer is.

    Raises:
        ValueError: the models know too little to judge, the run has no out-of-fold predictions, the
            records are not the run's, or there is a review already.
    """
    path = output_dir / reviewed_labels.FILE_NAME
    if path.exists():
        raise ValueError(
            f"{path} exists, and a reader may have written into it: choose another --output_dir"
        )
    record.require_regions(source)
    names = review_page.PAGE_FILE, review_page.NUMBERS_FILE, mild_split_module.FILE_NAME
    output_place.require_inside(output_dir, "--output_dir", files=names)
    _require_out_of_fold(run_dir, source)
    trained = run.load_run(run_dir)
    source = source.keeping(trained.config.data.keep_mb)
    task = trained.config.task_spec
    found = held_out.load(trained, source, "oof")
    if not allows_unskilled:
        quality.require_skill(found.evaluated.predictions, str(run_dir))
    judged = quality.assess(found.evaluated.predictions)
    review = _review(found, judged)
    numbers = review_page.count(
        review,
        task,
        run=run_dir.resolve().name,
        manifest_sha256=manifest.sha256_of(source.directory),
    )
    order = judged.order
    space = _space(trained, found, judged, order)
    output_dir.mkdir(parents=True, exist_ok=True)
    page = output_dir / review_page.PAGE_FILE
    held = source.manifest.config
    graded = labels.graded_in_words(held["conditions"], held["levels"])
    images = found.images.take(order)
    atomic.write_text(page, review_page.render(review, numbers, space, images, task, graded))
    atomic.write_json(output_dir / review_page.NUMBERS_FILE, dataclasses.asdict(numbers))
    halves = _write_halves(trained, source, found, output_dir)
    reviewed_labels.write_csv(path, review, task)
    return Result(numbers=numbers, page=page, review=path, mild_split=halves)


def _require_out_of_fold(run_dir: pathlib.Path, source: records.Records) -> None:
    provenance = run_directory.read_provenance(run_dir)
    if not (run_dir / run_directory.OUT_OF_FOLD_FILE).is_file():
        raise ValueError(
            f"{run_dir} has no {run_directory.OUT_OF_FOLD_FILE}: labels are judged by models that "
            "did not train on them, so train with --val_fold all"
        )
    own = provenance["records"]["manifest_sha256"]
    if manifest.sha256_of(source.directory) != own:
        raise ValueError(
            f"{source.directory} is not what {run_dir} was trained on (its manifest has another "
            "sha256): give the run's own --records_dir"
        )


def _review(found: held_out.HeldOut, judged: quality.Quality) -> reviewed_labels.Review:
    predictions, order = found.evaluated.predictions, judged.order
    return reviewed_labels.Review(
        predictions=predictions_module.Predictions(
            keys=tuple(predictions.keys[row] for row in order.tolist()),
            labels=predictions.labels[order],
            probabilities=predictions.probabilities[order],
        ),
        folds=tuple(found.evaluated.splits[row] for row in order.tolist()),
        quality=judged.scores[order],
        is_flagged=judged.is_flagged[order],
        confirmed=("",) * len(order),
    )


def _space(
    trained: run.Run, found: held_out.HeldOut, judged: quality.Quality, order: np.ndarray
) -> quality.Space:
    """Features of each row by the model that did not see it, in order of suspicion."""
    folds = np.array(found.evaluated.splits)
    parts = {
        fold: quality.standardize(
            _extract_features(
                trained.without_fold(fold).members[0].model, found.images.take(folds == fold)
            )
        )
        for fold in trained.provenance["folds"]
        if (folds == fold).any()
    }
    values = np.zeros((len(folds), max(part.shape[1] for part in parts.values())))
    for fold, part in parts.items():
        values[folds == fold] = part
    return quality.Space(
        features=values[order],
        folds=folds[order],
        studies=found.evaluated.predictions.study_ids[order],
        labels=found.evaluated.predictions.labels[order],
        is_trusted=~judged.is_flagged[order],
    )


def _extract_features(model: keras.Model, images: stored_images.Images) -> np.ndarray:
    """Returns what a model sees in each image before it answers, in which neighbours are alike.

    That is the last vector in the model that is wider than its answer. A model that has none (an
    ordinal head on a narrow network) gives its probabilities.

    Args:
        model: float32 images -> probabilities.
        images: float32 (n, side, side, slices) in [0, 1].

    Returns:
        float32 (n, features).
    """
    extractor = keras.Model(model.input, _last_wide_output(model))
    rows = np.arange(len(images))
    batches = [
        keras.ops.convert_to_numpy(
            extractor(told.inputs(model, images, rows[start : start + _BATCH]), training=False)
        )
        for start in range(0, len(images), _BATCH)
    ]
    return np.concatenate(batches).astype(np.float32)


def _last_wide_output(model: keras.Model) -> keras.KerasTensor:
    num_classes = model.outputs[0].shape[-1]
    for layer in reversed(model.layers):
        # A layer that is called more than once has no output of its own.
        output = getattr(layer, "output", None)
        if isinstance(output, keras.KerasTensor) and len(output.shape) == 2:
            width = output.shape[-1]
            if width is not None and width > num_classes:
                return output
    return model.outputs[0]


def _write_halves(
    trained: run.Run, source: records.Records, found: held_out.HeldOut, output_dir: pathlib.Path
) -> pathlib.Path | None:
    """The halves of all Moderate rows: each fold's, and those of splits that no model saw."""
    task = trained.config.task_spec
    if task.has_halves or mild_split_module.MODERATE not in task.severities:
        return None
    rows = mild_split_module.split(found.evaluated.predictions, found.evaluated.splits, task)
    for split in source.splits:
        if split in trained.provenance["folds"]:
            continue
        examples = records.load_examples(source, [split], task.severities)
        predictions = predictions_module.Predictions(
            keys=tuple(examples.keys),
            labels=examples.labels,
            probabilities=trained.predict(examples.windowed),
        )
        rows += mild_split_module.split(predictions, [split] * len(predictions), task)
    path = output_dir / mild_split_module.FILE_NAME
    mild_split_module.write_csv(path, rows)
    return path
