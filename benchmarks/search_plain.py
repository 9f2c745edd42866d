"""A search as one writes it with Keras Tuner alone: the reference of benchmarks/search.py.

    python benchmarks/search_plain.py RECORDS OUTPUT TASK FAMILIES TRIALS EPOCHS SEED [field=value]

tf.data from the TFRecords, cached, augmented by Keras layers; model.compile and model.fit; a
RandomSearch in one process. The families, the space and the seed are those of the search it is
compared with, so that both train the same models.
"""

import pathlib
import sys
from typing import Any

import keras
import keras_tuner
import tensorflow as tf

from spine_tf import labels
from spine_tf.augmentation import field_of_view
from spine_tf.configuration import config, pretrained_configs
from spine_tf.models import families, pretrained
from tfrecords import records
from tuner import oracles, search_settings, space, space_presets


def main() -> None:
    """Runs the search and writes the best validation loss, and that model's on the test split."""
    records_dir, output_dir, task, names, num_trials, num_epochs, seed, *set_values = sys.argv[1:]
    bases, fixed = search_settings.make_bases(
        task, names.split(","), settings=set_values, max_epochs=int(num_epochs)
    )
    source = records.open_records(records_dir)
    hyperparameters = space.make_space(space_presets.declare_small, bases, fixed, source=source)
    oracle = oracles.make_oracle(
        "random",
        hyperparameters=hyperparameters,
        objective=search_settings.Objective(name="log_loss"),
        max_trials=int(num_trials),
        max_epochs=int(num_epochs),
        seed=int(seed),
    )
    oracle.objective = keras_tuner.Objective("val_loss", "min")

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        if "family" not in hp.values:
            hp.values.update(space.default_values(hyperparameters, names.split(",")[0]))
        return _build(space.to_config(space.active_values(hp), bases), source)

    tuner = keras_tuner.Tuner(oracle, hypermodel=build, directory=output_dir, overwrite=True)
    splits = [f"fold_{fold}" for fold in range(1, 5)]
    batch_size = next(iter(bases.values())).training.batch_size
    train = _dataset(records_dir, splits, task, source.image_shape).shuffle(1024).batch(batch_size)
    train = train.map(_augment(), tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    validation = _dataset(records_dir, ["fold_0"], task, source.image_shape).batch(256)
    tuner.search(train, validation_data=validation, epochs=int(num_epochs), verbose=0)
    best = tuner.oracle.get_best_trials(1)[0]
    test = _dataset(records_dir, ["test"], task, source.image_shape).batch(256)
    test_loss, _ = tuner.load_model(best).evaluate(test, verbose=0)
    (pathlib.Path(output_dir) / "best.txt").write_text(f"{best.score} {test_loss}", "ascii")


def _build(run_config: config.Config, source: records.Records) -> keras.Model:
    model = families.build_model(
        run_config.model,
        source.image_shape,
        num_classes=len(run_config.task_spec.classes),
        record_mm=field_of_view.record_mm(source),
    )
    if (
        isinstance(run_config.model, pretrained_configs.PretrainedConfig)
        and run_config.model.is_pretrained
    ):
        pretrained.load_weights(model, run_config.model)
    training = run_config.training
    model.compile(
        keras.optimizers.AdamW(training.learning_rate, weight_decay=training.weight_decay),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def _dataset(
    records_dir: str, splits: list[str], task: str, shape: tuple[int, ...]
) -> tf.data.Dataset:
    files = [
        str(path)
        for split in splits
        for path in sorted(pathlib.Path(records_dir).glob(f"*-{split}.tfrecord*"))
    ]
    severities = tf.constant(labels.get_task(task).severities, tf.int64)

    def parse(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        values = tf.io.parse_single_example(
            serialized,
            {
                "image": tf.io.FixedLenFeature([], tf.string),
                "window": tf.io.FixedLenFeature([2], tf.float32),
                "label": tf.io.FixedLenFeature([], tf.int64),
            },
        )
        image = tf.reshape(tf.io.decode_raw(values["image"], tf.uint16), shape)
        low, high = values["window"][0], values["window"][1]
        image = (tf.cast(image, tf.float32) - low) / tf.maximum(high - low, 1.0)
        return tf.clip_by_value(image, 0.0, 1.0), values["label"]

    def is_of_task(image: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        return tf.reduce_any(label == severities)

    def to_class(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return image, tf.argmax(tf.cast(label == severities, tf.int64))

    parsed = tf.data.TFRecordDataset(files).map(parse, tf.data.AUTOTUNE)
    return parsed.filter(is_of_task).map(to_class).cache()


def _augment() -> Any:
    layers = keras.Sequential(
        [
            keras.layers.RandomRotation(10 / 360),
            keras.layers.RandomTranslation(0.05, 0.05),
            keras.layers.RandomZoom(0.1),
            keras.layers.RandomContrast(0.2, value_range=(0, 1)),
            keras.layers.RandomBrightness(0.1, value_range=(0, 1)),
        ]
    )
    return lambda image, label: (layers(image, training=True), label)


if __name__ == "__main__":
    main()
