"""A picture of a few crops of each class in each split: one look shows what was converted."""

import io
import pathlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfrecords import example, manifest, schema, shard

TILE_PX = 96
TILES_PER_CLASS = 4
_GAP_PX = 4
_MARGIN_PX = 88
_HEADING_PX = 26
_TEXT, _BACKGROUND, _EMPTY = (235, 235, 235), (24, 24, 24), (44, 44, 44)


def render(
    directory: pathlib.Path, dataset: manifest.Manifest, record_schema: schema.Schema
) -> bytes:
    """Returns a PNG: one row a split, one group of columns a class, counts beside each.

    Args:
        directory: holds the shards.
        dataset: what they hold; its manifest.json need not exist yet.
        record_schema: has the features image, window and label.
    """
    classes = record_schema["label"].class_names or ()
    group_px = TILES_PER_CLASS * TILE_PX + 3 * _GAP_PX
    row_px = TILE_PX + _HEADING_PX
    width = _MARGIN_PX + len(classes) * (group_px + 4 * _GAP_PX)
    sheet = Image.new("RGB", (width, len(dataset.splits) * row_px + _GAP_PX), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    for row, split in enumerate(dataset.splits):
        top = row * row_px
        draw.text((8, top + _HEADING_PX + TILE_PX // 2 - 8), split, _TEXT, font)
        crops = _first_crops(directory, dataset, record_schema, split)
        for column, name in enumerate(classes):
            left = _MARGIN_PX + column * (group_px + 4 * _GAP_PX)
            count = dataset.class_counts.get(split, {}).get(name, 0)
            draw.text((left, top + 5), f"{name}: {count}", _TEXT, font)
            for index in range(TILES_PER_CLASS):
                corner = left + index * (TILE_PX + _GAP_PX), top + _HEADING_PX
                _paste(sheet, corner, crops[column], index)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _first_crops(
    directory: pathlib.Path, dataset: manifest.Manifest, record_schema: schema.Schema, split: str
) -> list[list[np.ndarray]]:
    """The first few crops of each class of a split, uint8 (height, width)."""
    counts = dataset.class_counts.get(split, {})
    classes = record_schema["label"].class_names or ()
    wanted = [min(TILES_PER_CLASS, counts.get(name, 0)) for name in classes]
    found: list[list[np.ndarray]] = [[] for _ in classes]
    for values in _records(directory, dataset, record_schema, split):
        if [len(crops) for crops in found] == wanted:
            break
        crops = found[values["label"]]
        if len(crops) < TILES_PER_CLASS:
            crops.append(_grey(values))
    return found


def _records(
    directory: pathlib.Path, dataset: manifest.Manifest, record_schema: schema.Schema, split: str
) -> Iterator[dict]:
    for part in dataset.shards:
        if part.split == split:
            for data in shard.read_records(directory / part.file):
                yield example.parse(record_schema, data)


def _grey(values: dict) -> np.ndarray:
    """The windowed middle slice, as a reader maps it to [0, 1]."""
    low, high = values["window"]
    image = values["image"]
    middle = image[:, :, image.shape[2] // 2].astype(np.float32)
    return (np.clip((middle - low) / max(high - low, 1.0), 0.0, 1.0) * 255).astype(np.uint8)


def _paste(
    sheet: Image.Image, corner: tuple[int, int], crops: list[np.ndarray], index: int
) -> None:
    if index < len(crops):
        tile = Image.fromarray(crops[index]).resize((TILE_PX, TILE_PX), Image.Resampling.BILINEAR)
        sheet.paste(tile.convert("RGB"), corner)
    else:
        sheet.paste(_EMPTY, (*corner, corner[0] + TILE_PX, corner[1] + TILE_PX))
