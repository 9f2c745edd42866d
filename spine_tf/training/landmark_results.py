"""What a run of task landmarks writes: each mark on the fold held out, and the figures of them."""

import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
from absl import logging

from spine_tf.runs import run_directory
from spine_tf.scoring import figure
from spine_tf.training import landmark_figures
from tfrecords import atomic, csv_text

_COLUMNS = ("key", "channel", "slices", "height", "error_mm", "best")


def write(
    run_dir: pathlib.Path, marks: landmark_figures.Marks, split: str, channels: Sequence[str]
) -> None:
    """Writes the results on a split; metrics.json last, since it marks the end."""
    _write(run_dir, run_directory.PREDICTIONS_FILE, marks, split, channels)


def join(run_dir: pathlib.Path, part_dirs: Sequence[pathlib.Path], channels: Sequence[str]) -> None:
    """Writes the marks of several folds, or of several seeds, as those of one run."""
    parts = [_read(_marks_file(path), channels) for path in part_dirs]
    _write(run_dir, run_directory.OUT_OF_FOLD_FILE, landmark_figures.join(parts), "oof", channels)


def _marks_file(part_dir: pathlib.Path) -> pathlib.Path:
    of_folds = part_dir / run_directory.OUT_OF_FOLD_FILE
    return of_folds if of_folds.is_file() else part_dir / run_directory.PREDICTIONS_FILE


def _rows(marks: landmark_figures.Marks, channels: Sequence[str]) -> Iterator[tuple[object, ...]]:
    for row, key in enumerate(marks.keys):
        yield (
            key,
            channels[marks.channels[row]],
            f"{marks.slices[row]:.6g}",
            f"{marks.heights[row]:.6g}",
            f"{marks.errors_mm[row]:.6g}",
            channels[marks.best[row]],
        )


def _read(path: pathlib.Path, channels: Sequence[str]) -> landmark_figures.Marks:
    rows = [row for _, row in csv_text.read(path, _COLUMNS, expected="the marks of a run")]
    try:
        return landmark_figures.Marks(
            keys=tuple(row["key"] for row in rows),
            channels=np.array([channels.index(row["channel"]) for row in rows]),
            best=np.array([channels.index(row["best"]) for row in rows]),
            slices=np.array([float(row["slices"]) for row in rows]),
            heights=np.array([float(row["height"]) for row in rows]),
            errors_mm=np.array([float(row["error_mm"]) for row in rows]),
        )
    except ValueError as err:
        raise ValueError(f"{path} holds no marks of a run ({err}): train it again") from err


def _write(
    run_dir: pathlib.Path,
    name: str,
    marks: landmark_figures.Marks,
    split: str,
    channels: Sequence[str],
) -> None:
    atomic.write_text(run_dir / name, csv_text.to_text(_COLUMNS, _rows(marks, channels)))
    figures = landmark_figures.with_intervals(marks)
    atomic.write_json(
        run_dir / run_directory.METRICS_FILE,
        {
            "task": "landmarks",
            "split": split,
            "channels": list(channels),
            "num_examples": len(set(marks.keys)),
            "num_studies": len(np.unique(marks.studies)),
            "metrics": figure.as_json(figures),
        },
    )
    said = ", ".join(f"{name} {found.in_words()}" for name, found in figures.items())
    logging.info("%s: %s", split, said)
