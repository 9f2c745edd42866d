"""The history of a run as pictures."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any


from spine_tf.pages import charts, picture
from tfrecords import atomic

_PANELS = (
    ("Loss", ("loss", "val_log_loss")),
    ("Accuracy", ("accuracy", "val_accuracy", "val_balanced_accuracy")),
    ("Learning rate", ("learning_rate",)),
)


def write_curves(path: pathlib.Path, history: list[dict[str, Any]], best_epoch: int) -> None:
    """Draws the figures over the epochs, with a dashed line at the best one, as a PNG."""
    panels = [_panel(title, names, history, best_epoch) for title, names in _PANELS]
    atomic.write_bytes(path, picture.side_by_side_png(panels))


def _panel(
    title: str, names: Sequence[str], history: Sequence[Mapping[str, float]], best_epoch: int
) -> picture.Picture:
    series = [
        charts.Curve(
            name=name,
            points=[(epoch, row[name]) for epoch, row in enumerate(history, start=1)],
            series=number,
            has_marks=len(history) == 1,
        )
        for number, name in enumerate(names)
        if name in history[0]
    ]
    return charts.curves(
        series,
        title=title,
        x_label="epoch",
        x_range=(1.0, max(2.0, float(len(history)))),
        x_scale="whole",
        y_label=title,
        y_range=_range([y for curve in series for _, y in curve.points]),
        guide=best_epoch + 1.0,
        legend_at="below",
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """A little more than all values; those of a training that diverged are left out."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    margin = 0.05 * (max(finite) - min(finite)) or 0.1 * abs(finite[0]) or 0.1
    return min(finite) - margin, max(finite) + margin
