"""The headers of the annotated slices, read by several processes."""

from collections.abc import Iterable

from spine_tf.dicom import header, reasons
from spine_tf.processes import pool
from spine_tf.rsna import layout, sources

Image = tuple[int, int, int]
Answer = header.Header | reasons.Rejected

_IMAGES_PER_TASK = 500


def read_headers(
    source: sources.Source, images: Iterable[Image], num_workers: int
) -> dict[Image, Answer]:
    """Returns the header of each image, or why it has none.

    Args:
        source: where the images are.
        images: (study, series, instance) of each.
        num_workers: processes.
    """
    in_order = sorted(set(images))
    starts = range(0, len(in_order), _IMAGES_PER_TASK)
    batches = [in_order[start : start + _IMAGES_PER_TASK] for start in starts]
    tasks = [(source.narrowed({image[:2] for image in batch}), batch) for batch in batches]
    answers = pool.run_tasks(
        _read_batch,
        tasks,
        num_workers=num_workers,
        name_of=lambda task: layout.image_name(source.side, *task[1][0]),
    )
    return {image: answer for answers_of_batch in answers for image, answer in answers_of_batch}


def _read_batch(task: tuple[sources.Source, list[Image]]) -> list[tuple[Image, Answer]]:
    source, images = task
    return [(image, _read(source, image)) for image in images]


def _read(source: sources.Source, image: Image) -> Answer:
    try:
        return sources.read_header(source, layout.image_name(source.side, *image))
    except reasons.Rejected as rejected:
        return rejected
