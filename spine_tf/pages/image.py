"""Pictures of pixels: crops and slices in grey, what is marked on them, and their addresses."""

import base64
import io

import numpy as np
from PIL import Image, ImageDraw

# Two dozen crops have to fit a page of 5 MB.
MAX_SIDE_PX = 192

# Log odds below which the strongest evidence is drawn faint, or noise would look like a finding.
_FAINT = 0.25

_ARM_PX, _GAP_PX, _DOT_PX = 18, 5, 4
_CROSS, _DOT, _RIM = (255, 150, 20), (80, 200, 255), (0, 0, 0)


def grey(values: np.ndarray, window: tuple[float, float]) -> Image.Image:
    """Returns a slice, black at the window's lower end and white at its upper one.

    Args:
        values: number (height, width).
        window: in the values' unit; of a width below 1 it counts as 1 wide.
    """
    low, high = window
    scaled = np.clip((values.astype(np.float64) - low) / max(high - low, 1), 0, 1)
    return Image.fromarray(np.rint(255 * scaled).astype(np.uint8))


def crop(values: np.ndarray, side_px: int = MAX_SIDE_PX) -> Image.Image:
    """Returns the middle slice of a crop.

    Args:
        values: float (height, width, slices), in [0, 1].
        side_px: the picture's largest side; a smaller crop stays as it is.
    """
    picture = grey(values[:, :, values.shape[2] // 2], (0.0, 1.0))
    picture.thumbnail((side_px, side_px))
    return picture


def heat(evidence: np.ndarray) -> Image.Image:
    """Returns a map that is clear where there is no evidence and orange where it is most.

    Args:
        evidence: float (height, width); values below 0 count as 0.
    """
    strength = np.maximum(evidence, 0.0) / max(float(evidence.max()), _FAINT)
    pixels = np.zeros((*evidence.shape, 4), np.uint8)
    pixels[..., :3] = (255, 122, 24)
    pixels[..., 3] = np.rint(200.0 * strength)
    return Image.fromarray(pixels)


def draw_cross(image: Image.Image, x: float, y: float) -> None:
    """Draws four arms around a gap, so that the point itself stays visible.

    Args:
        image: RGB; changed.
        x: column, in pixels.
        y: row, in pixels.
    """
    drawing = ImageDraw.Draw(image)
    for colour, width in ((_RIM, 5), (_CROSS, 3)):
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            start = x + dx * _GAP_PX, y + dy * _GAP_PX
            end = x + dx * _ARM_PX, y + dy * _ARM_PX
            drawing.line([start, end], fill=colour, width=width)


def draw_ring(image: Image.Image, x: float, y: float) -> None:
    """Draws a small ring around a point; the arguments are as in `draw_cross`."""
    box = (x - _DOT_PX, y - _DOT_PX, x + _DOT_PX, y + _DOT_PX)
    ImageDraw.Draw(image).ellipse(box, outline=_DOT, width=2)


def png(image: Image.Image) -> bytes:
    """Returns a file, as small as PNG makes it."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def png_uri(image: Image.Image) -> str:
    """Returns an address that carries the picture itself, exactly."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode("ascii")


def jpeg_uri(image: Image.Image) -> str:
    """Returns an address that carries the picture itself, smaller and nearly as it is."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
