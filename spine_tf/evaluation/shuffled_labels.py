"""A control that trains: with shuffled labels a model must do no better than chance.

Where it does better, something other than the crop and its label reaches the figures.
"""

import dataclasses
import pathlib
import tempfile

import numpy as np

from spine_tf.configuration import config, data_config
from spine_tf.evaluation import controls
from spine_tf.runs import run
from spine_tf.scoring import bootstrap, figure, metrics, predictions as predictions_module
from spine_tf.training import fit, fold_roles
from tfrecords import example, manifest, records, shard, tfds_files

# Enough for a model that can learn these crops to have learned what there is to learn.
MAX_EPOCHS = 15


def run_control(
    run_config: config.Config, source: records.Records, *, seed: int = 0, num_resamples: int = 1000
) -> controls.Shuffled:
    """Trains as a run did, on permuted labels, and judges it on the permuted held-out fold.

    Args:
        run_config: the run's settings; at most MAX_EPOCHS epochs, without label review or halves.
        source: the records it was trained on.
        seed: seed of the permutation and of the bootstrap's draws.
        num_resamples: how often the bootstrap draws, at least 1.
    """
    run_config = _of_the_records_alone(run_config)
    assignment = fold_roles.assign(source, run_config.data)
    with tempfile.TemporaryDirectory() as temporary:
        shuffled = write_shuffled(source, pathlib.Path(temporary) / "records", seed=seed)
        shuffled = shuffled.keeping(run_config.data.keep_mb)
        fitted = fit.fit(
            run_config,
            shuffled,
            train_splits=assignment.train_splits,
            monitor_split=assignment.monitor_split,
        )
        examples = records.load_examples(
            shuffled, [assignment.val_split], run_config.task_spec.severities
        )
        predictions = predictions_module.Predictions(
            keys=tuple(examples.keys),
            labels=examples.labels,
            probabilities=run.predict_probabilities(fitted.model, examples.windowed),
        )
    return controls.Shuffled(
        balanced_accuracy=_balanced_accuracy(predictions, run_config, seed, num_resamples),
        chance=1.0 / len(run_config.task_spec.classes),
        split=assignment.val_split,
        num_examples=len(predictions),
        epochs=len(fitted.history),
    )


def _of_the_records_alone(run_config: config.Config) -> config.Config:
    """Few epochs on the records' own classes: no file says anything of permuted labels."""
    return dataclasses.replace(
        run_config,
        task=run_config.task_spec.collapsed.name,
        data=dataclasses.replace(
            run_config.data, label_review=data_config.LabelReviewConfig(), mild_split=""
        ),
        training=dataclasses.replace(
            run_config.training, epochs=min(run_config.training.epochs, MAX_EPOCHS)
        ),
    )


def write_shuffled(
    source: records.Records, directory: pathlib.Path, *, seed: int
) -> records.Records:
    """Writes the folds again with their labels permuted over all of them, and opens that.

    The test split is left out.
    """
    directory.mkdir()
    splits = fold_roles.fold_splits(source)
    truth = source.index(splits).columns["label"]
    permuted = iter(np.random.default_rng(seed).permutation(truth).tolist())
    names = source.schema["label"].class_names or ()
    shards, counts = [], {}
    for split in splits:
        name = shard.file_name(source.manifest.name, split, 0, 1)
        counts[split] = dict.fromkeys(names, 0)
        with shard.Writer(directory / name, split) as writer:
            for values in records.iterate(source, [split]):
                label = next(permuted)
                counts[split][names[label]] += 1
                values = {**values, "label": label}
                writer.write(example.serialize(source.schema, values))
        shards.append(writer.shard)
    dataset = dataclasses.replace(source.manifest, shards=tuple(shards), class_counts=counts)
    tfds_files.write_schema(directory, source.schema)
    tfds_files.write_info(directory, dataset, "Records with permuted labels.")
    manifest.write_manifest(directory, dataset)
    return records.open_records(directory)


def _balanced_accuracy(
    predictions: predictions_module.Predictions,
    run_config: config.Config,
    seed: int,
    num_resamples: int,
) -> figure.Figure:
    weights = bootstrap.resample_weights(
        predictions.study_ids, seed=seed, num_resamples=num_resamples
    )
    every = np.vstack([np.ones((1, len(predictions))), weights])
    values = metrics.compute(predictions, run_config.task_spec, every).overall["balanced_accuracy"]
    return bootstrap.figure(values, len(np.unique(predictions.study_ids)))
