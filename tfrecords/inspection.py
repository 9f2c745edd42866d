"""What a records directory holds, as text and as a picture of crops."""

import io
import itertools
import types
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfrecords import integrity, record_picture, records, schema

_TILE_PX = 96
_TILES_PER_CLASS = 4
_PICTURES_PX = 1036
_GAP_PX = 4
_MARGIN_PX = 88
_HEADING_PX = 26
_LINE_PX = 18
_TEXT, _BACKGROUND, _EMPTY = (235, 235, 235), (24, 24, 24), (44, 44, 44)


def describe(source: records.Records) -> str:
    """Returns name, configuration, fields, and a table of splits and classes."""
    dataset, record_schema = source.manifest, source.schema
    lines = [f"{dataset.name}, format version {dataset.format_version}", ""]
    lines += [f"  {name}: {_short(value)}" for name, value in dataset.config.items()]
    lines += ["", *(_field(feature) for feature in record_schema.features), ""]
    classes = _classes(source)
    lines.append(f"{'split':12}{'shards':>8}{'records':>9}{'MB':>9}" + _cells(classes))
    for split in dataset.splits:
        parts = dataset.shards_of(split)
        counts = dataset.class_counts.get(split, {})
        megabytes = sum(part.num_bytes for part in parts) / 1e6
        lines.append(
            f"{split:12}{len(parts):>8}{dataset.num_examples(split):>9}{megabytes:>9.1f}"
            + _cells([str(counts.get(name, 0)) for name in classes])
        )
    rejects = ", ".join(f"{reason} {count}" for reason, count in dataset.rejects.items())
    return "\n".join([*lines, "", f"not converted: {rejects or 'none'}"])


def _field(feature: schema.Feature) -> str:
    shape = " x ".join(map(str, feature.shape))
    classes = ", ".join(feature.class_names or ())
    return f"  {feature.name:17} {feature.dtype:8} {shape or classes}".rstrip()


def _cells(texts: tuple[str, ...] | list[str]) -> str:
    return "".join(f"{text:>14}" for text in texts)


def _short(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def draw_crops(
    source: records.Records, more: Mapping[str, object] = types.MappingProxyType({})
) -> bytes:
    """Returns a PNG of a few records of each split: one look shows what there is.

    On top name and configuration of the records. Where each has one class, then one row a split,
    one group of columns a class, counts beside each; else records as `record_picture` draws them.

    Args:
        source: has the features image and window; its manifest.json need not exist yet.
        more: what the title says beside the configuration.
    """
    sheet = _of_classes(source, more) if _classes(source) else _of_records(source, more)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _classes(source: records.Records) -> tuple[str, ...]:
    """The classes of which each record has one."""
    if integrity.LABEL not in source.schema:
        return ()
    return source.schema[integrity.LABEL].class_names or ()


def _of_classes(source: records.Records, more: Mapping[str, object]) -> Image.Image:
    dataset, classes = source.manifest, _classes(source)
    group_px = _TILES_PER_CLASS * _TILE_PX + 3 * _GAP_PX
    row_px = _TILE_PX + _HEADING_PX
    width = _MARGIN_PX + len(classes) * (group_px + 4 * _GAP_PX)
    font = ImageFont.load_default(size=14)
    title = title_lines({**dataset.config, **more}, dataset.name, width - 16, font)
    title_px = len(title) * _LINE_PX + 2 * _GAP_PX
    height = title_px + len(dataset.splits) * row_px + _GAP_PX
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(title):
        draw.text((8, _GAP_PX + number * _LINE_PX), line, _TEXT, font)
    for row, split in enumerate(dataset.splits):
        top = title_px + row * row_px
        draw.text((8, top + _HEADING_PX + _TILE_PX // 2 - 8), split, _TEXT, font)
        crops = _first_crops(source, split)
        for column, name in enumerate(classes):
            left = _MARGIN_PX + column * (group_px + 4 * _GAP_PX)
            count = dataset.class_counts.get(split, {}).get(name, 0)
            draw.text((left, top + 5), f"{name}: {count}", _TEXT, font)
            for index in range(_TILES_PER_CLASS):
                corner = left + index * (_TILE_PX + _GAP_PX), top + _HEADING_PX
                _paste(sheet, corner, crops[column], index)
    return sheet


def _of_records(source: records.Records, more: Mapping[str, object]) -> Image.Image:
    """Pictures of the first records of each split: a row, or two where one picture fills it."""
    dataset, font = source.manifest, ImageFont.load_default(size=14)
    rows = []
    for split in dataset.splits:
        drawn = map(record_picture.draw, records.iterate(source, [split]))
        first = next(drawn)
        each = (_PICTURES_PX + _GAP_PX) // (first.width + _GAP_PX)
        found = [first, *itertools.islice(drawn, max(each, 2) - 1)]
        rows += [(split, found[at : at + each]) for at in range(0, len(found), each)]
    width = _MARGIN_PX + _PICTURES_PX + 2 * _GAP_PX
    title = title_lines({**dataset.config, **more}, dataset.name, width - 16, font)
    top = len(title) * _LINE_PX + 2 * _GAP_PX
    height = top + sum(pictures[0].height + _GAP_PX for _, pictures in rows)
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(title):
        draw.text((8, _GAP_PX + number * _LINE_PX), line, _TEXT, font)
    for split, pictures in rows:
        draw.text((8, top + _GAP_PX), split, _TEXT, font)
        for index, picture in enumerate(pictures):
            sheet.paste(picture, (_MARGIN_PX + index * (picture.width + _GAP_PX), top))
        top += pictures[0].height + _GAP_PX
    return sheet


def title_lines(
    values: Mapping[str, object],
    name: str,
    width_px: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> list[str]:
    """Returns the name of records and what decides them, in lines of at most that width."""
    chosen = {field: value for field, value in values.items() if value is not None}
    words = f"{name}: " + "; ".join(f"{field} {_short(chosen[field])}" for field in chosen)
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and font.getlength(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _first_crops(source: records.Records, split: str) -> list[list[np.ndarray]]:
    """The first few crops of each class of a split, uint8 (height, width)."""
    counts = source.manifest.class_counts.get(split, {})
    classes = _classes(source)
    wanted = [min(_TILES_PER_CLASS, counts.get(name, 0)) for name in classes]
    found: list[list[np.ndarray]] = [[] for _ in classes]
    for values in records.iterate(source, [split]):
        if [len(crops) for crops in found] == wanted:
            break
        crops = found[values["label"]]
        if len(crops) < _TILES_PER_CLASS:
            crops.append(record_picture.windowed(values["image"], values["window"]))
    return found


def _paste(
    sheet: Image.Image, corner: tuple[int, int], crops: list[np.ndarray], index: int
) -> None:
    if index < len(crops):
        tile = Image.fromarray(crops[index]).resize((_TILE_PX, _TILE_PX), Image.Resampling.BILINEAR)
        sheet.paste(tile.convert("RGB"), corner)
    else:
        sheet.paste(_EMPTY, (*corner, corner[0] + _TILE_PX, corner[1] + _TILE_PX))
