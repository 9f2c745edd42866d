"""The figures of every epoch: as table and curves, for TensorBoard, for whoever is watching."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from spine_tf.pages import charts, picture
from tfrecords import atomic, event_file, progress

_PANELS = (
    ("Loss", ("loss", "val_log_loss")),
    ("Accuracy", ("accuracy", "val_accuracy", "val_balanced_accuracy")),
    ("Learning rate", ("learning_rate",)),
)


def write_csv(path: pathlib.Path, history: list[dict[str, Any]]) -> None:
    """Writes one row an epoch, counted from 1."""
    import pandas as pd

    table = pd.DataFrame(history)
    table.insert(0, "epoch", range(1, len(table) + 1))
    atomic.write_text(path, table.to_csv(index=False, lineterminator="\n"))


def write_curves(path: pathlib.Path, history: list[dict[str, Any]], best_epoch: int) -> None:
    """Draws the figures over the epochs, with a dotted line at the best one, as a PNG."""
    panels = [
        _panel(title, names, history, best_epoch)
        for title, names in _PANELS
        if any(name in history[0] for name in names)
    ]
    atomic.write_bytes(path, picture.side_by_side_png(panels))


def _panel(
    title: str, names: Sequence[str], history: Sequence[Mapping[str, float]], best_epoch: int
) -> picture.Picture:
    series = [
        charts.Curve(
            name=_in_words(name),
            points=[(epoch, row[name]) for epoch, row in enumerate(history, start=1)],
            series=number,
            has_marks=len(history) <= charts.MOST_MARKS,
        )
        for number, name in enumerate(names)
        if name in history[0]
    ]
    return charts.curves(
        series,
        title=title,
        x_label="epoch (dotted: the one whose weights count)",
        x_range=(1.0, max(2.0, float(len(history)))),
        x_scale="whole",
        y_label=title,
        y_range=None,
        guide=best_epoch + 1.0,
        legend_at="below",
    )


def _in_words(name: str) -> str:
    """Returns val_log_loss as log loss, inner fold."""
    words = name.removeprefix("val_").replace("_", " ")
    return f"{words}, inner fold" if name.startswith("val_") else words


class Board:
    """Writes the figures of every epoch; shows a bar on a terminal, a line an epoch elsewhere."""

    def __init__(
        self, directory: pathlib.Path, *, epochs: int, name: str, watched: Sequence[str]
    ) -> None:
        """Opens the files.

        Args:
            directory: where TensorBoard's files go.
            epochs: the most there will be.
            name: what is being trained, for the bar.
            watched: the figures that are shown beside the loss, where there are any.
        """
        self._watched = watched
        self._events = event_file.EventFile(directory)
        self._count = progress.Count(name, total=epochs, unit="epoch")

    def add(self, epoch: int, figures: dict[str, Any]) -> None:
        """Takes in one epoch, counted from 0."""
        self._events.add_scalars(
            epoch, {name: value for name, value in figures.items() if isinstance(value, float)}
        )
        watched = {name: figures[name] for name in self._watched if name in figures}
        self._count.move(epoch + 1, {"loss": figures["loss"], **watched})
        if not self._count.is_bar:
            logging.info(
                "%s (%s): loss %.4f%s, %.1f s, %.0f %% of it waiting for data",
                self._count.in_words(),
                figures["phase"],
                figures["loss"],
                "".join(f", {name} {_written(value)}" for name, value in watched.items()),
                figures["seconds"],
                100 * figures["data_wait"],
            )

    def close(self) -> None:
        """Ends the files and the bar."""
        self._count.close()
        self._events.close()


def _written(value: float) -> str:
    """Four digits; balanced accuracy has none where the inner fold lacks a class."""
    return f"{value:.4f}" if math.isfinite(value) else "undefined"
