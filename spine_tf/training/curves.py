"""The history of a run as a table and as pictures."""

import io
import pathlib
from typing import Any

import matplotlib.figure
import pandas as pd

from tfrecords import atomic

_PANELS = (
    ("Loss", ("loss", "val_log_loss")),
    ("Accuracy", ("accuracy", "val_accuracy", "val_balanced_accuracy")),
    ("Learning rate", ("learning_rate",)),
)
_STYLES = ("-", "--", ":")


def write_history(path: pathlib.Path, history: list[dict[str, Any]]) -> None:
    """Writes one row an epoch, counted from 1."""
    table = pd.DataFrame(history)
    table.insert(0, "epoch", range(1, len(table) + 1))
    atomic.write_text(path, table.to_csv(index=False, lineterminator="\n"))


def write_curves(path: pathlib.Path, history: list[dict[str, Any]], best_epoch: int) -> None:
    """Draws the figures over the epochs, with the best one marked, as a PNG."""
    figure = matplotlib.figure.Figure(figsize=(12, 3.5), layout="constrained")
    epochs = range(1, len(history) + 1)
    for axes, (title, names) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        for name, style in zip(names, _STYLES, strict=False):
            if name in history[0]:
                axes.plot(epochs, [row[name] for row in history], style, label=name)
        axes.axvline(best_epoch + 1, color="grey", linewidth=0.8, label="best epoch")
        axes.set(title=title, xlabel="epoch")
        axes.legend()
    buffer = io.BytesIO()
    # Without the version of matplotlib in it the same run gives the same bytes.
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    atomic.write_bytes(path, buffer.getvalue())
