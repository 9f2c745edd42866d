"""One record as a picture: its views side by side, each windowed, with its points."""

import colorsys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SIDE_PX, _VIEWS_PX = 204, 1036
_GAP_PX, _CAPTION_PX = 4, 16
_RADIUS_PX = 4
_TEXT, _BACKGROUND, _EMPTY = (235, 235, 235), (24, 24, 24), (44, 44, 44)

# A point whose slice is farther off is not drawn.
_MOST_SLICES = 2.0


def windowed(image: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Returns the middle slice as a reader maps it to [0, 1], in grey.

    Args:
        image: uint16 (height, width, slices).
        window: the stored values that become black and white.

    Returns:
        uint8 (height, width).
    """
    low, high = window
    middle = image[:, :, image.shape[2] // 2].astype(np.float32)
    return (np.clip((middle - low) / max(high - low, 1.0), 0.0, 1.0) * 255).astype(np.uint8)


def draw(values: Mapping[str, Any]) -> Image.Image:
    """Draws a record.

    Views that `present` says are not there are left empty. Points, where the record has them
    (point_xy, point_slices, point_known), are discs on their own slice, rings on the slices
    beside it, a colour each.

    Args:
        values: of a record by feature, image (height, width, slices) or (views, height, width,
            slices), with a window each.
    """
    image = values["image"]
    views = image if image.ndim == 4 else image[np.newaxis]
    windows = np.reshape(values["window"], (len(views), 2))
    is_there = np.reshape(values.get("present", np.ones(len(views))), len(views))
    side = min(_SIDE_PX, (_VIEWS_PX + _GAP_PX) // len(views) - _GAP_PX)
    width = len(views) * (side + _GAP_PX) - _GAP_PX
    picture = Image.new("RGB", (width, side + _CAPTION_PX), _BACKGROUND)
    pen = ImageDraw.Draw(picture)
    pen.text((0, 0), _caption(values), _TEXT, ImageFont.load_default(size=11))
    for index, view in enumerate(views):
        corner = index * (side + _GAP_PX), _CAPTION_PX
        if is_there[index]:
            grey = Image.fromarray(windowed(view, windows[index]))
            picture.paste(grey.resize((side, side), Image.Resampling.BILINEAR), corner)
        else:
            picture.paste(_EMPTY, (*corner, corner[0] + side, corner[1] + side))
    height, columns = views.shape[1:3]
    for point in _points(values):
        x = (point.x + 0.5) * side / columns
        y = (point.y + 0.5) * side / height + _CAPTION_PX
        box = x - _RADIUS_PX, y - _RADIUS_PX, x + _RADIUS_PX, y + _RADIUS_PX
        pen.ellipse(box, point.colour if point.slices < 0.5 else None, point.colour)
    return picture


def _caption(values: Mapping[str, Any]) -> str:
    """The key, and the labels of the views."""
    labels = np.ravel(values.get("label", ())).tolist()
    said = f": {', '.join(map(str, labels))}" if labels else ""
    return values["key"].decode(errors="replace") + said


class _Point(NamedTuple):
    x: float
    y: float
    slices: float
    colour: tuple[int, ...]


def _points(values: Mapping[str, Any]) -> Iterator[_Point]:
    """The points that are known and near."""
    if not values.keys() >= {"point_xy", "point_slices", "point_known"}:
        return
    places = np.reshape(values["point_xy"], (-1, 2)).tolist()
    slices, known = values["point_slices"].tolist(), values["point_known"].tolist()
    for index, (x, y) in enumerate(places):
        if known[index] and slices[index] <= _MOST_SLICES:
            share = colorsys.hsv_to_rgb(index / len(places), 0.9, 1.0)
            yield _Point(x, y, slices[index], tuple(round(255 * part) for part in share))
