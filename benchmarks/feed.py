"""How fast batches come, against TFDS, PNG folders and a bare gather; and training fed by them.

    python benchmarks/feed.py --records_dir R [--part feed|fit|augmentation|frozen]
        [--num_examples 4096] [--set field=value]

feed: crops a second, raw (uint16, normalised by the device later) and normalised to float32.
    TFDS opens the same directory. The gather is tf.gather on the tensor in memory, by the same
    indices, and for the normalised rows with the same arithmetic.
fit: steps of the training loop against model.fit on a float32 tensor in memory, without
    augmentation: the same network, optimiser and batches.
augmentation: steps of the training loop with the default augmentation against those without, of
    `dense` with the --set; the sampler is in both, at rest or in poses.
frozen: epochs an hour of a frozen ResNet-50 on cached features, against running it each epoch.

The records of R are repeated until there are enough. Each figure is the best of several rounds,
taken in turns, so that a busy moment hits all.
"""

import dataclasses
import functools
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from absl import app, flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from spine_tf.configuration import config, data_config, overrides
from spine_tf.models import families
from spine_tf.training import fit
from tfrecords import example, feed, manifest, memory_feed, records, shard, stream_feed, tfds_files

_RECORDS_DIR = flags.DEFINE_string("records_dir", None, "Finished conversion.", required=True)
_PART = flags.DEFINE_enum("part", "feed", ["feed", "fit", "augmentation", "frozen"], "What.")
_NUM_EXAMPLES = flags.DEFINE_integer("num_examples", 4096, "Crops.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Crops of a batch.")
_SET = flags.DEFINE_multi_string("set", [], "field=value of the configuration.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Of which the best counts.")

_SPLIT = "fold_0"
_SHARD = 256
_LABELS = (0, 1, 2)
Dataset = Iterable[Any]


def main(_: list[str]) -> None:
    """Runs one part and prints its figures."""
    with tempfile.TemporaryDirectory() as name:
        source = write_repeated(
            records.open_records(_RECORDS_DIR.value),
            pathlib.Path(name) / "lumbar_spine",
            _NUM_EXAMPLES.value,
        )
        print(f"{_NUM_EXAMPLES.value} crops {source.image_shape}, batch {_BATCH_SIZE.value}")
        parts: dict[str, Callable[..., None]] = {
            "feed": compare_feeds,
            "fit": compare_fits,
            "augmentation": functools.partial(compare_augmented, settings=_SET.value),
            "frozen": compare_frozen,
        }
        parts[_PART.value](source, _BATCH_SIZE.value, _ROUNDS.value)


def write_repeated(
    source: records.Records, directory: pathlib.Path, num_examples: int
) -> records.Records:
    """Writes a directory of one split with the source's records over and over, keys made unique."""
    directory.mkdir()
    values = list(records.iterate(source, source.splits))
    num_shards = -(-num_examples // _SHARD)
    shards = []
    for index in range(num_shards):
        name = shard.file_name(source.manifest.name, _SPLIT, index, num_shards)
        with shard.Writer(directory / name, _SPLIT) as writer:
            for row in range(index * _SHARD, min((index + 1) * _SHARD, num_examples)):
                copy = {**values[row % len(values)], "key": str(row).encode()}
                writer.write(example.serialize(source.schema, copy))
        shards.append(writer.shard)
    names = source.schema["label"].class_names or ()
    rows = [int(values[row % len(values)]["label"]) for row in range(num_examples)]
    counts = {name: rows.count(label) for label, name in enumerate(names)}
    dataset = dataclasses.replace(
        source.manifest, shards=tuple(shards), class_counts={_SPLIT: counts}
    )
    tfds_files.write_schema(directory, source.schema)
    tfds_files.write_info(directory, dataset, "A benchmark's.")
    manifest.write_manifest(directory, dataset)
    return records.open_records(directory)


def compare_feeds(source: records.Records, batch_size: int, rounds: int) -> None:
    """Prints crops a second of each way to read, and ratios."""
    examples = records.load_examples(source, [_SPLIT], _LABELS)
    memory = memory_feed.make_feed(examples)
    stream = stream_feed.StreamFeed(source=source, splits=(_SPLIT,), label_values=_LABELS)
    with tempfile.TemporaryDirectory() as folder:
        _write_pngs(examples, pathlib.Path(folder))
        raw = {
            "tf.gather": _gathering(examples, batch_size, normalizes=False),
            "memory": lambda epoch: memory.shuffled(batch_size=batch_size, seed=0, epoch=epoch),
            "stream": lambda epoch: stream.shuffled(batch_size=batch_size, seed=0, epoch=epoch),
            "TFDS": lambda epoch: _tfds(source, batch_size, epoch),
            "PNG folders": lambda epoch: _pngs(folder, source, batch_size, epoch),
        }
        print("\nraw uint16")
        rates = _rates(raw, len(examples), rounds)
        _print(rates, [("memory", "TFDS", 10), ("memory", "tf.gather", 0.8), ("stream", "TFDS", 2)])
        print("\nnormalised float32")
        normalized = {name: _normalizing(make) for name, make in raw.items()}
        normalized["tf.gather"] = _gathering(examples, batch_size, normalizes=True)
        rates = _rates(normalized, len(examples), rounds)
        _print(rates, [("memory", "TFDS", 5), ("memory", "tf.gather", 0.8), ("stream", "TFDS", 2)])


def _gathering(
    examples: records.Examples, batch_size: int, *, normalizes: bool
) -> Callable[[int], Dataset]:
    """The same batches by bare calls, one after the other."""
    images, windows = tf.constant(examples.images), tf.constant(examples.windows)
    labels = tf.constant(examples.labels)

    @tf.function
    def take(index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        image, window = tf.gather(images, index), tf.gather(windows, index)
        if normalizes:
            image = feed.normalize(image, window)
        return image, window, tf.gather(labels, index)

    def make(epoch: int) -> Dataset:
        order = np.random.default_rng([0, epoch]).permutation(len(examples))
        rows = order[: len(order) // batch_size * batch_size]
        return (take(index) for index in tf.constant(rows.reshape(-1, batch_size)))

    return make


def _tfds(source: records.Records, batch_size: int, epoch: int) -> tf.data.Dataset:
    """As its guide to performance says: parallel reads, shuffled files and buffer, batched."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(source.directory))
    config_of_reads = tfds.ReadConfig(shuffle_seed=epoch, interleave_cycle_length=16)
    dataset = builder.as_dataset(
        split=_SPLIT, shuffle_files=True, read_config=config_of_reads
    ).shuffle(1024, seed=epoch)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _write_pngs(examples: records.Examples, folder: pathlib.Path) -> None:
    """The middle slices, windowed to 8 bits, in a folder a class."""
    pixels = np.rint(255 * examples.normalized()[..., examples.images.shape[3] // 2])
    for row, (image, label) in enumerate(zip(pixels, examples.labels, strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(folder / str(label) / f"{row}.png")


def _pngs(folder: str, source: records.Records, batch_size: int, epoch: int) -> tf.data.Dataset:
    dataset = keras.utils.image_dataset_from_directory(
        folder,
        image_size=source.image_shape[:2],
        color_mode="grayscale",
        batch_size=batch_size,
        seed=epoch,
        verbose=False,
    )
    return dataset.prefetch(tf.data.AUTOTUNE)


def _normalizing(make: Callable[[int], Dataset]) -> Callable[[int], Dataset]:
    def normalize(*parts: Any) -> Any:
        batch = parts[0]
        if not isinstance(batch, Mapping):
            return batch / 255.0
        return feed.normalize(batch["image"], batch["window"])

    def made(epoch: int) -> Dataset:
        dataset = make(epoch)
        if not isinstance(dataset, tf.data.Dataset):
            return dataset
        mapped = dataset.map(normalize, num_parallel_calls=tf.data.AUTOTUNE)
        return mapped.prefetch(tf.data.AUTOTUNE)

    return made


def _rates(
    ways: Mapping[str, Callable[[int], Dataset]], num_examples: int, rounds: int
) -> dict[str, float]:
    """Crops a second of the best round of each way; the round before the first warms up."""
    best = dict.fromkeys(ways, 0.0)
    for epoch in range(rounds + 1):
        for name, make in ways.items():
            start = time.monotonic()
            for _ in make(epoch):
                pass
            rate = num_examples / (time.monotonic() - start)
            best[name] = max(best[name], rate if epoch else 0.0)
    return best


def _print(rates: Mapping[str, float], ratios: Iterable[tuple[str, str, float]]) -> None:
    for name, rate in rates.items():
        print(f"  {name:<12}{rate:>10,.0f} crops/s")
    for name, reference, aim in ratios:
        print(f"  {name} over {reference}: {rates[name] / rates[reference]:.2f} (aim {aim})")


def compare_fits(source: records.Records, batch_size: int, rounds: int) -> None:
    """Prints the seconds of an epoch of our loop and of model.fit, of the same network."""
    run_config = _unchanged("dense", batch_size, rounds + 1)
    examples = records.load_examples(source, [_SPLIT], _LABELS)
    images, labels = tf.constant(examples.normalized()), tf.constant(examples.labels)
    fitted = fit.fit(run_config, source, train_splits=[_SPLIT], monitor_split=None)
    ours = min(figures["seconds"] for figures in fitted.history[1:])
    waited = max(figures["data_wait"] for figures in fitted.history[1:])
    training = run_config.training
    model = families.build_model(run_config.model, source.image_shape, len(_LABELS))
    model.compile(
        keras.optimizers.AdamW(
            training.learning_rate,
            weight_decay=training.weight_decay,
            global_clipnorm=training.gradient_clip,
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    clock = _EpochClock()
    model.fit(
        images, labels, batch_size=batch_size, epochs=rounds + 1, verbose=0, callbacks=[clock]
    )
    theirs = min(clock.seconds[1:])
    print(f"model.fit {theirs:.2f} s an epoch, ours {ours:.2f} s, of which waiting {waited:.2%}")
    print(f"  ours over model.fit: {theirs / ours:.2f} times the speed (aim 0.98)")


def compare_augmented(
    source: records.Records, batch_size: int, rounds: int, *, settings: Sequence[str]
) -> None:
    """Prints the seconds of an epoch with and without augmentation, of the same network."""
    without = overrides.apply(_unchanged("dense", batch_size, rounds + 1), settings)
    default = config.default_config("multiclass", "dense").data.augmentation
    data = dataclasses.replace(without.data, augmentation=default)
    ways = {"without": without, "with": dataclasses.replace(without, data=data)}
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(2):
        for name, run_config in ways.items():
            fitted = fit.fit(run_config, source, train_splits=[_SPLIT], monitor_split=None)
            seconds = (figures["seconds"] for figures in fitted.history[1:])
            best[name] = min(best[name], *seconds)
    print(f"without augmentation {best['without']:.2f} s an epoch, with it {best['with']:.2f} s")
    print(f"  with over without: {best['without'] / best['with']:.2f} times the speed (aim 0.95)")


class _EpochClock(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.monotonic() - self._start)


def compare_frozen(source: records.Records, batch_size: int, rounds: int) -> None:
    """Prints epochs an hour of the frozen phase, cached and run in full."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "random.weights.h5"
        keras.applications.ResNet50(include_top=False, weights=None).save_weights(path)
        epochs = 10 * rounds
        run_config = overrides.apply(
            _unchanged("resnet50", batch_size, epochs),
            [f"model.weights={path}", f"model.frozen_epochs={epochs}", "model.input_px=64"],
        )
        start = time.monotonic()
        fitted = fit.fit(run_config, source, train_splits=[_SPLIT], monitor_split=None)
        seconds = time.monotonic() - start
    examples = records.load_examples(source, [_SPLIT], _LABELS)
    images, labels = tf.constant(examples.normalized()), tf.constant(examples.labels)
    model = families.build_model(run_config.model, source.image_shape, len(_LABELS))
    model.compile(keras.optimizers.AdamW(1e-3), loss="sparse_categorical_crossentropy")
    clock = _EpochClock()
    model.fit(images, labels, batch_size=batch_size, epochs=2, verbose=0, callbacks=[clock])
    full = 3600 / clock.seconds[-1]
    steady = 3600 / min(figures["seconds"] for figures in fitted.history[1:])
    print(f"frozen ResNet-50, run in full {full:,.0f} epochs an hour; cached {steady:,.0f}")
    print(f"  cached over full: {steady / full:.1f} (aim 10)")
    whole = 3600 * epochs / seconds
    print(f"  all of {epochs} epochs, features computed: {whole / full:.1f} times the full speed")


def _unchanged(family: str, batch_size: int, epochs: int) -> config.Config:
    """A configuration that changes no image."""
    off = [f"data.augmentation.{field.name}=0" for field in _augmentation_fields()]
    return overrides.apply(
        config.default_config("multiclass", family),
        [*off, f"training.epochs={epochs}", f"training.batch_size={batch_size}"],
    )


def _augmentation_fields() -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(data_config.AugmentationConfig)


if __name__ == "__main__":
    app.run(main)
