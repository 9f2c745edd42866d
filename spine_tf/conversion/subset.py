"""A smaller data set of the same layout: the CSVs whole, of the images only what is needed."""

import collections
import dataclasses
import pathlib

from absl import logging

from spine_tf import labels
from spine_tf.configuration import limits, roi_config
from spine_tf.crops import slice_reader
from spine_tf.dicom import stacks
from spine_tf.rsna import annotations, layout, sources
from tfrecords import atomic, file_system, progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """What a subset holds.

    Attributes:
        num_images: image files.
        num_linked: how many of them are hard links, which take no room.
        num_bytes: bytes of all image files.
    """

    num_images: int
    num_linked: int
    num_bytes: int


def write_subset(
    source: sources.Source,
    output_dir: pathlib.Path,
    *,
    conditions: tuple[str, ...],
    levels: tuple[str, ...] = labels.LEVELS,
    num_slices: int = 1,
    window: str = "slice",
) -> Written:
    """Writes the images of the selected rows, and the CSVs as they are, the labels last.

    Converted with the same options, it gives the records that the whole data set gives: whatever
    decides which slices are neighbours comes along.

    Args:
        source: the train side of a data set.
        output_dir: new, empty, or an earlier run of the same that was interrupted.
        conditions, levels: which rows.
        num_slices: the most slices a crop is to have.
        window: as in `roi_config.RoiConfig`; "series" takes all images of a series.

    Raises:
        ValueError: the output directory holds a data set, an option is out of range, or there is
            no such row.
    """
    if num_slices < 1 or num_slices % 2 == 0:
        raise ValueError(f"--num_slices is {num_slices}, expected an odd number from 1")
    limits.Choice(roi_config.WINDOWS).require("--window", window)
    if (output_dir / layout.LABELS_CSV).exists():
        raise ValueError(f"--output_dir {output_dir} holds a data set: choose a new one")
    with progress.waiting("reading the CSVs"):
        # Points without a grade too: records of whole levels show them.
        found = annotations.read_annotations(
            source, conditions=conditions, levels=levels, requires_labels=False
        )
    if not found.rows:
        raise ValueError(
            f"{layout.coordinates_csv(source.side)} has no row that can be used for --conditions "
            f"{','.join(conditions)} and --levels {','.join(levels)}: a subset would have no image"
        )
    counts = _put_images(source, found.rows, output_dir, num_slices, window == "series")
    for name in sorted(layout.TRAIN_CSVS, key=lambda name: name == layout.LABELS_CSV):
        atomic.write_bytes(output_dir / name, source.read(name))
    return Written(
        num_images=counts["images"], num_linked=counts["linked"], num_bytes=counts["bytes"]
    )


def _put_images(
    source: sources.Source,
    rows: list[annotations.Annotation],
    output_dir: pathlib.Path,
    num_slices: int,
    has_whole_series: bool,
) -> collections.Counter[str]:
    counts: collections.Counter[str] = collections.Counter()
    reader = slice_reader.SliceReader(source, num_slices)
    marked: dict[tuple[int, int], set[int]] = collections.defaultdict(set)
    for study, series, instance in sorted({row.image for row in rows}):
        marked[study, series].add(instance)
    with progress.counting("taking images", total=len(marked), unit="series") as count:
        for (study, series), wanted in marked.items():
            there = set(source.instances(study, series))
            if has_whole_series:
                wanted |= there
            elif num_slices > 1:
                headers = reader.series_headers(study, series)
                wanted |= stacks.decisive(wanted & headers.keys(), headers, num_slices)
                # A file without a header is no neighbour; that it is none must be told again.
                wanted |= there - headers.keys()
            for instance in sorted(wanted & there):
                name = layout.image_name(source.side, study, series, instance)
                counts.update(_put(source, name, output_dir / name))
            count.add()
    return counts


def _put(source: sources.Source, name: str, path: pathlib.Path) -> dict[str, int]:
    """Links one image, or copies it where links don't go: from a zip, to another file system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if isinstance(source, sources.Folder):
        original = pathlib.Path(source.path(name))
        if original.exists() and not original.is_file():
            logging.warning("%s is left out: it is no regular file", original)
            return {}
        if file_system.link(original.resolve(), path):
            return {"images": 1, "linked": 1, "bytes": path.stat().st_size}
    data = source.read(name)
    atomic.write_bytes(path, data, syncs=False)
    return {"images": 1, "bytes": len(data)}
