"""Cuts crops in worker processes, without TensorFlow in them, in a bounded amount of memory."""

import collections
import concurrent.futures
import dataclasses
import itertools
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import process

import numpy as np

from spine_tf import config
from spine_tf.rsna import annotations, crops, reasons, sources

_CHUNK_ROWS = 64
_CHUNKS_AHEAD = 3  # for each worker: enough that none waits, few enough that memory stays flat


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
    roi: config.RoiConfig,
    *,
    num_workers: int,
) -> Iterator[Batch]:
    """Yields crops in the order of series and image, whatever the number of workers.

    Args:
        source: where the images are.
        rows: in any order.
        roi: what is cut out.
        num_workers: processes; 0 cuts in this one.
    """
    chunks = _chunks(rows)
    if num_workers == 0:
        for chunk in chunks:
            yield cut_chunk(source, chunk, roi)
        return
    # Spawned, not forked: TensorFlow's threads in this process would not survive a fork.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(num_workers, mp_context=context) as pool:
        pending: collections.deque[concurrent.futures.Future[Batch]] = collections.deque()
        for chunk in chunks:
            pending.append(pool.submit(cut_chunk, source, chunk, roi))
            if len(pending) >= _CHUNKS_AHEAD * num_workers:
                yield _result(pending.popleft())
        while pending:
            yield _result(pending.popleft())


def _result(future: concurrent.futures.Future[Batch]) -> Batch:
    try:
        return future.result()
    except process.BrokenProcessPool as err:
        raise ValueError(
            "a worker process was ended from outside, for lack of memory perhaps: use fewer "
            "--workers"
        ) from err


def cut_chunk(
    source: sources.Source, rows: list[annotations.Annotation], roi: config.RoiConfig
) -> Batch:
    """Cuts the crops of some rows in this process."""
    found, rejects = [], []
    for item in crops.read_crops(source, rows, roi):
        if isinstance(item, crops.Crop):
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
