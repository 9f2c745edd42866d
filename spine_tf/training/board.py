"""The figures of every epoch, for TensorBoard and for the log."""

import pathlib
from typing import Any

import tensorflow as tf
from absl import logging


class Board:
    """Writes the figures of every epoch for TensorBoard."""

    def __init__(self, directory: pathlib.Path):
        self._writer = tf.summary.create_file_writer(str(directory))

    def add(self, epoch: int, figures: dict[str, Any]) -> None:
        """Writes one epoch; also a line in the log."""
        with self._writer.as_default(step=epoch):
            for name, value in figures.items():
                if isinstance(value, float):
                    tf.summary.scalar(name, value)
        watched = "".join(
            f", {name} {figures[name]:.4f}"
            for name in ("val_log_loss", "val_accuracy", "val_balanced_accuracy")
            if name in figures
        )
        logging.info(
            "epoch %d (%s): loss %.4f%s, %.1f s, %.0f %% of it waiting for data",
            epoch + 1,
            figures["phase"],
            figures["loss"],
            watched,
            figures["seconds"],
            100 * figures["data_wait"],
        )

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
