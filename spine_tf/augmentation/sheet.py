"""A picture of every random change at three strengths: what a model would be shown."""

import dataclasses
import pathlib
import types
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from spine_tf.augmentation import changes, field_of_view, mixing
from spine_tf.configuration import data_config
from spine_tf.crops import record
from spine_tf.pages import image
from tfrecords import atomic, inspection, records

STRENGTHS: Mapping[str, tuple[float, float, float]] = types.MappingProxyType(
    {
        "rotation_degrees": (5.0, 15.0, 30.0),
        "shift": (0.05, 0.1, 0.2),
        "scale": (0.1, 0.2, 0.4),
        "stretch": (0.1, 0.25, 0.5),
        "jitter_mm": (2.0, 5.0, 10.0),
        "shear": (0.1, 0.2, 0.4),
        "gamma": (0.2, 0.4, 0.8),
        "contrast": (0.2, 0.4, 0.8),
        "brightness": (0.1, 0.2, 0.4),
        "noise": (0.02, 0.05, 0.1),
        "blur": (0.5, 1.0, 3.0),
        "curve": (0.25, 0.5, 1.0),
        "bias": (0.25, 0.5, 1.0),
        "ghost": (0.1, 0.2, 0.5),
        "field_cut": (0.1, 0.2, 0.4),
        "slice_reversal": (0.25, 0.5, 1.0),
        "slice_repeat": (0.25, 0.5, 1.0),
        "cutout": (0.1, 0.25, 0.5),
        "flip": (0.25, 0.5, 1.0),
        "slice_shuffle": (0.25, 0.5, 1.0),
        "mixup": (0.2, 0.4, 1.0),
        "cutmix": (0.2, 0.4, 1.0),
    }
)

_CROPS = 4
_TILE_PX = 96
_GAP_PX = 4
_MARGIN_PX = 150
_HEADING_PX = 26
_TEXT, _BACKGROUND = (235, 235, 235), (24, 24, 24)
_OFF = data_config.AugmentationConfig(
    **{field.name: 0.0 for field in dataclasses.fields(data_config.AugmentationConfig)}
)


def write(source: records.Records, path: pathlib.Path, *, seed: int) -> None:
    """Writes a PNG: one row a change, the same few crops at three strengths, plain ones on top.

    Args:
        source: the crops are the first of its first split; the middle slice is shown.
        path: the picture.
        seed: seed of the changes.
    """
    record.require_regions(source)
    examples = records.load_examples(source, source.splits[:1], range(3))
    images = tf.constant(examples.windowed[:_CROPS])
    seeds = tf.stack([tf.fill([len(images)], seed), tf.range(len(images))], axis=1)
    view = field_of_view.whole(images.shape[1], field_of_view.record_mm(source))
    group_px = len(images) * (_TILE_PX + _GAP_PX) + 3 * _GAP_PX
    row_px = _TILE_PX + _HEADING_PX
    size = (_MARGIN_PX + 3 * group_px, (len(STRENGTHS) + 1) * row_px)
    sheet = Image.new("RGB", size, _BACKGROUND)
    _draw_group(sheet, (_MARGIN_PX, 0), "unchanged", images)
    font = ImageFont.load_default(size=14)
    _draw_title(sheet, source, (_MARGIN_PX + group_px, 5), font)
    for row, (name, strengths) in enumerate(STRENGTHS.items(), start=1):
        position = (8, row * row_px + _HEADING_PX + _TILE_PX // 2 - 8)
        ImageDraw.Draw(sheet).text(position, name, _TEXT, font)
        for column, strength in enumerate(strengths):
            corner = (_MARGIN_PX + column * group_px, row * row_px)
            changed = change(images, seeds, name, strength, view)
            _draw_group(sheet, corner, f"{strength:g}", changed)
    atomic.write_bytes(path, image.png(sheet))


def _draw_title(
    sheet: Image.Image,
    source: records.Records,
    corner: tuple[int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Says whose crops these are, beside the unchanged ones."""
    held, width = source.manifest, sheet.width - corner[0] - 8
    lines = inspection.title_lines(held.config, held.name, width, font)
    ImageDraw.Draw(sheet).multiline_text(corner, "\n".join(lines), _TEXT, font)


def change(
    images: tf.Tensor,
    seeds: tf.Tensor,
    name: str,
    strength: float,
    view: field_of_view.FieldOfView,
) -> tf.Tensor:
    """Returns the images after one kind of change, as training makes it.

    Args:
        images: float32 (batch, side, side, slices) in [0, 1].
        seeds: int32 (batch, 2).
        name: a field of data_config.AugmentationConfig.
        strength: its value; all others are off.
        view: what is seen of them.
    """
    settings = dataclasses.replace(_OFF, **{name: strength})
    changed = changes.augment(images, seeds, settings, view)
    targets = tf.eye(len(images))
    mixed, _ = mixing.mix(changed, targets, seeds, mixup=settings.mixup, cutmix=settings.cutmix)
    return mixed


def _draw_group(
    sheet: Image.Image, corner: tuple[int, int], heading: str, images: tf.Tensor
) -> None:
    left, top = corner
    font = ImageFont.load_default(size=14)
    ImageDraw.Draw(sheet).text((left, top + 5), heading, _TEXT, font)
    for index, crop in enumerate(np.asarray(images)):
        tile = image.crop(crop, max(crop.shape)).resize(
            (_TILE_PX, _TILE_PX), Image.Resampling.BILINEAR
        )
        sheet.paste(tile, (left + index * (_TILE_PX + _GAP_PX), top + _HEADING_PX))
