"""Cuts crops in worker processes, without TensorFlow in them, in a bounded amount of memory."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from spine_tf.configuration import roi_config
from spine_tf.crops import cutting
from spine_tf.dicom import reasons
from spine_tf.processes import pool
from spine_tf.rsna import annotations, sources

# Rows that a worker sends at once and the model answers at once: the memory of both stays flat.
_CHUNK_ROWS = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Crops of some annotations.

    Attributes:
        rows: n annotations.
        images: uint16 (n, px, px, slices), stored values.
        windows: float32 (n, 2).
        rejects: annotations that gave no crop.
    """

    rows: list[annotations.Annotation]
    images: np.ndarray
    windows: np.ndarray
    rejects: list[reasons.Reject]


def cut(
    source: sources.Source,
    rows: Iterable[annotations.Annotation],
    roi: roi_config.RoiConfig,
    *,
    num_workers: int,
) -> Iterator[Batch]:
    """Yields crops, whole series together, in the order in which workers finish.

    What is in one batch does not depend on the number of workers.

    Args:
        source: where the images are.
        rows: in any order.
        roi: what is cut out.
        num_workers: processes.
    """
    chunks = list(_chunks(rows))
    narrowed = source.narrowed({row.image[:2] for chunk in chunks for row in chunk})
    return pool.run_tasks(
        functools.partial(cut_chunk, source=narrowed, roi=roi),
        chunks,
        num_workers=num_workers,
        name_of=lambda chunk: f"the images from {chunk[0].key} on",
    )


def cut_chunk(
    rows: list[annotations.Annotation], *, source: sources.Source, roi: roi_config.RoiConfig
) -> Batch:
    """Cuts the crops of some rows in this process."""
    found, rejects = [], []
    for item in cutting.read_crops(source, rows, roi):
        if isinstance(item, cutting.Crop):
            found.append((item.annotation, item.image, item.window))
        else:
            rejects.append(item)
    shape = (len(found), roi.roi_px, roi.roi_px, roi.num_slices)
    return Batch(
        rows=[row for row, _, _ in found],
        images=np.array([image for _, image, _ in found], np.uint16).reshape(shape),
        windows=np.array([window for _, _, window in found], np.float32).reshape(-1, 2),
        rejects=rejects,
    )


def _chunks(rows: Iterable[annotations.Annotation]) -> Iterator[list[annotations.Annotation]]:
    """Whole series together: a worker then decodes an image once and lists a series once."""
    by_image = sorted(rows, key=lambda row: (row.image, row.condition, row.level, row.x, row.y))
    chunk: list[annotations.Annotation] = []
    for _, group in itertools.groupby(by_image, key=lambda row: row.image[:2]):
        chunk.extend(group)
        if len(chunk) >= _CHUNK_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
