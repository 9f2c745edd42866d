"""Peak memory of train and evaluate beside the budget for decoded crops.

    python benchmarks/memory.py --work_dir D [--num_crops 2000] [--budget_mb 64] [--roi_px 128]

Makes records of noise (32 KB each at 128 px, so 50,000 are 1.6 GB on disk), trains the simple
family on them for one epoch, evaluates the test split and the fold held out, and prints the peak
resident memory of each program. Beside them stands a program that imports the same and holds no
crop, so that the rest is what the data cost.
"""

import os
import pathlib
import subprocess
import sys
import time

import numpy as np
from absl import app, flags

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.crops import record
from tfrecords import example, manifest, shard, tfds_files

_WORK_DIR = flags.DEFINE_string(
    "work_dir", None, "Where records, runs and logs lie.", required=True
)
_NUM_CROPS = flags.DEFINE_integer("num_crops", 2000, "Crops in the records.")
_BUDGET_MB = flags.DEFINE_integer("budget_mb", 64, "MiB of decoded crops.")
_ROI_PX = flags.DEFINE_integer("roi_px", 128, "Side of a crop.")

_SPLITS = (*(f"fold_{fold}" for fold in range(5)), "test")
_RECORDS_PER_SHARD = 256
_CROPS_PER_STUDY = 2
_MIB = 2**20


def main(_: list[str]) -> None:
    """Makes what is not there, runs the programs, prints a table."""
    work_dir = pathlib.Path(_WORK_DIR.value)
    name = f"{_NUM_CROPS.value}_{_ROI_PX.value}"
    records_dir = work_dir / f"records_{name}"
    if not (records_dir / manifest.FILE_NAME).exists():
        write_records(records_dir, _NUM_CROPS.value, _ROI_PX.value)
    run_dir = work_dir / f"run_{name}_{_BUDGET_MB.value}_{os.getpid()}"
    decoded_mb = 2 * _NUM_CROPS.value * _ROI_PX.value**2 / _MIB
    print(f"{_NUM_CROPS.value} crops, {decoded_mb:.0f} MiB decoded; budget ", end="")
    print(f"{_BUDGET_MB.value} MiB")
    _show(work_dir, "imports", "-c", "from spine_tf.evaluation import evaluation")
    of_records = f"--records_dir={records_dir}", f"--run_dir={run_dir}"
    settings = ["--task=multiclass", "--model=simple", "--epochs=1", "--set=training.batch_size=64"]
    settings.append(f"--set=data.memory_budget_mb={_BUDGET_MB.value}")
    _show(work_dir, "train", "-m", "spine_tf.train", *of_records, *settings)
    for split in ("test", "val"):
        settings = [f"--report_dir={run_dir}_{split}", f"--split={split}"]
        name = f"evaluate {split}"
        _show(work_dir, name, "-m", "spine_tf.evaluate", *of_records, *settings)


def write_records(directory: pathlib.Path, num_crops: int, roi_px: int) -> None:
    """Writes a finished directory of noise, dealt to the splits study by study."""
    directory.mkdir(parents=True)
    schema = record.record_schema(roi_config.RoiConfig(roi_px=roi_px))
    generator = np.random.default_rng(0)
    shards: list[manifest.Shard] = []
    counts = {}
    for index, split in enumerate(_SPLITS):
        mine = [row for row in range(num_crops) if row // _CROPS_PER_STUDY % len(_SPLITS) == index]
        counts[split] = dict.fromkeys(labels.SEVERITIES, 0)
        num_shards = -(-len(mine) // _RECORDS_PER_SHARD)
        for number in range(num_shards):
            path = directory / shard.file_name(record.DATASET_NAME, split, number, num_shards)
            with shard.Writer(path, split) as writer:
                for row in mine[number::num_shards]:
                    label = int(generator.integers(3))
                    counts[split][labels.SEVERITIES[label]] += 1
                    writer.write(example.serialize(schema, _values(generator, row, label, roi_px)))
            shards.append(writer.shard)
    config = {**roi_config.to_dict(roi_config.RoiConfig(roi_px=roi_px)), "num_folds": 5}
    dataset = manifest.Manifest(
        name=record.DATASET_NAME,
        config={**config, "conditions": [labels.CONDITIONS[3]], "levels": [labels.LEVELS[3]]},
        shards=tuple(shards),
        class_counts=counts,
    )
    tfds_files.write_schema(directory, schema)
    tfds_files.write_info(directory, dataset, "Noise.")
    manifest.write_manifest(directory, dataset)


def _values(generator: np.random.Generator, row: int, label: int, roi_px: int) -> dict:
    study = 1000 + row // _CROPS_PER_STUDY
    return {
        "image": generator.integers(0, 1500, (roi_px, roi_px, 1)).astype(np.uint16),
        "window": np.array([0, 1500], np.float32),
        "label": label,
        "condition": 3,
        "level": 3,
        "study_id": study,
        "series_id": 1,
        "instance_number": row % _CROPS_PER_STUDY + 1,
        "center_xy": np.array([64, 64], np.float32),
        "pixel_spacing": np.array([0.5, 0.5], np.float32),
        "mirrored": 0,
        "key": f"{study}/1/{row % _CROPS_PER_STUDY + 1}/"
        f"{labels.CONDITIONS[3]}/{labels.LEVELS[3]}".encode(),
    }


def _show(work_dir: pathlib.Path, name: str, *command: str) -> None:
    """Runs a program and prints its peak memory, as the kernel counted it."""
    started = time.monotonic()
    log_path = pathlib.Path(f"{work_dir / name.replace(' ', '_')}.log")
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed: {log_path} says why")
    peak_mb = usage.ru_maxrss / (1024 if sys.platform == "linux" else _MIB)
    print(f"{name:14}{peak_mb:8.0f} MiB peak {time.monotonic() - started:8.1f} s", flush=True)


if __name__ == "__main__":
    app.run(main)
