"""T1 or T2, seen in the pixels of a sagittal or an axial lumbar series.

The spinal canal is looked for twice, as the brightest and as the darkest thing of its shape: a band
from head to feet on sagittal slices, a blob on the midline of axial ones. What lies around either,
at so many millimetres, is described in logarithms of the signal, which no scale and hardly any coil
changes; a logistic regression of these numbers, learned on the phantom by
benchmarks/series_weighting.py, says how probably it is a T2. Proton density is neither, and isn't
told from them.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from spine_tf.studies import stack as stack_module, weighting_coefficients

_GRID_MM = 2.5
# Added to signals before the logarithm, as a part of the brightest: noise stays small.
_FLOOR = 0.05

# In pixels of the grid. Sagittal: a window of 130 x 180 mm, margins for what lies beside a band.
# The canal lies 30 to 100 mm in front of the skin, a band's flanks 12.5 mm beside its middle.
_ROWS, _COLUMNS, _MARGIN = 52, 72, 14
_TISSUE, _SMOOTH_SKIN = 0.12, 15
_NEAR_SKIN, _FAR_FROM_SKIN = 12, 40
_FLANK, _BESIDE = 5, (-14, 12)

# Axial: a window of 200 x 200 mm. The midline is where left and right mirror each other best, and
# lies within 30 mm of the window's; the canal is on it.
_SIDE, _OFF_MIDDLE, _MIRRORED, _EDGE = 80, 12, 18, 14
_CANAL_ROWS = (20, 60)
_RADIUS, _RING_PX, _NUM_RINGS, _NUM_SECTORS = 14, 1.6, 10, 3

# Among the features of a place: the canal's own, and those of the bone in front of it.
_CANAL = {"sagittal": (8,), "axial": (1, 2, 3)}
_BONE = {"sagittal": (2, 3, 4), "axial": (13, 16, 19, 22)}
# How often the baseline is right on sagittal slices of the phantom where tissues differ most.
_BRIGHT_RIGHT = 0.91


def classify(
    slices: Sequence[np.ndarray], stack: stack_module.Stack, plane: str
) -> Mapping[str, float]:
    """Returns the probabilities of T1 and T2.

    What was learned on the phantom doubts itself too little on patients, so on sagittal slices it
    is averaged with the baseline: where they disagree, neither is believed. On axial ones the
    baseline is too weak to add anything.

    Args:
        slices: float32 (rows, columns), middle ones of the stack; at least one.
        stack: where they lie.
        plane: "sagittal" or "axial".
    """
    values = [features(pixels, stack, plane) for pixels in slices]
    weights, bias = weighting_coefficients.COEFFICIENTS[plane]
    score = float(np.mean(values, axis=0) @ np.array(weights)) + bias
    learned = 1 / (1 + math.exp(-min(max(score, -30.0), 30.0)))
    share = (learned + _simple_share(values)) / 2 if plane == "sagittal" else learned
    return {"T1": 1 - share, "T2": share}


def _simple_share(values: Sequence[np.ndarray]) -> float:
    """The probability of T2 as the baseline sees it."""
    is_bright = [_is_canal_bright(each, "sagittal") for each in values]
    return float(np.mean([_BRIGHT_RIGHT if bright else 1 - _BRIGHT_RIGHT for bright in is_bright]))


def features(pixels: np.ndarray, stack: stack_module.Stack, plane: str) -> np.ndarray:
    """Returns what the regression takes of one slice, float64 (n,)."""
    upright, spacing = _upright(pixels, stack, plane)
    return (_band_features if plane == "sagittal" else _blob_features)(upright, spacing)


def is_canal_bright(pixels: np.ndarray, stack: stack_module.Stack, plane: str) -> bool:
    """Returns whether the canal is brighter than the bone in front of it: the baseline.

    The canal is what stands out more, the brightest or the darkest of its shape.
    """
    return _is_canal_bright(features(pixels, stack, plane), plane)


def _is_canal_bright(values: np.ndarray, plane: str) -> bool:
    bright, dark = np.split(values, 2)
    place = bright if bright[0] > dark[0] else dark
    return bool(place[list(_CANAL[plane])].mean() > place[list(_BONE[plane])].mean())


def _upright(
    pixels: np.ndarray, stack: stack_module.Stack, plane: str
) -> tuple[np.ndarray, tuple[float, float]]:
    """The slice turned so that rows run to the back or to the left, columns down or to the back."""
    along, down = ((0, 1, 0), (0, 0, -1)) if plane == "sagittal" else ((1, 0, 0), (0, 1, 0))
    row, column = np.reshape(stack.orientation, (2, 3))
    image, spacing = np.asarray(pixels, np.float32), stack.pixel_spacing
    if abs(row @ along) < abs(column @ along):
        image, row, column, spacing = image.T, column, row, spacing[::-1]
    image = image[:, ::-1] if row @ along < 0 else image
    image = image[::-1] if column @ down < 0 else image
    return image, spacing


def _log_grid(
    image: np.ndarray, spacing: tuple[float, float], shape: tuple[int, int]
) -> np.ndarray:
    """Logarithms of the signal on a grid around the image's middle, float32 of the shape."""
    steps = [_GRID_MM / mm for mm in spacing]
    smooth = ndimage.gaussian_filter(image, [max(0.0, (step - 1) / 2) for step in steps])
    places = [
        (size - 1) / 2 + (np.arange(count) - (count - 1) / 2) * step
        for size, count, step in zip(image.shape, shape, steps, strict=True)
    ]
    grid = ndimage.map_coordinates(smooth, np.meshgrid(*places, indexing="ij"), order=1)
    bright = max(float(np.percentile(grid, 98)), 1e-6)
    return np.log(np.clip(grid, 0, None) / bright + _FLOOR)


def _band_features(image: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    grid = _log_grid(image, spacing, (_ROWS, _COLUMNS + 2 * _MARGIN))
    smooth = ndimage.uniform_filter1d(ndimage.gaussian_filter1d(grid, 2.0, axis=0), 3, axis=1)
    is_near_skin = _is_near_skin(grid)
    parts = []
    for sign in (1, -1):
        beside = [sign * np.roll(smooth, shift, axis=1) for shift in (_FLANK, -_FLANK)]
        contrast = np.clip(sign * smooth - np.maximum(*beside), -1, 1)
        contrast = np.where(is_near_skin, contrast, -1)[:, _MARGIN:-_MARGIN]
        path, score = _best_path(contrast)
        offsets = path[:, None] + _MARGIN + np.arange(*_BESIDE)
        parts += [np.array([score]), *_described(grid[np.arange(_ROWS)[:, None], offsets])]
    return np.concatenate(parts)


def _is_near_skin(grid: np.ndarray) -> np.ndarray:
    """Where the canal may be, by its distance from the skin of the back in each row."""
    is_tissue = ndimage.gaussian_filter(np.exp(grid), 2.0) > _TISSUE
    num_columns = grid.shape[1]
    behind = np.where(is_tissue.any(axis=1), is_tissue[:, ::-1].argmax(axis=1), 0)
    skin = ndimage.median_filter(num_columns - 1 - behind, _SMOOTH_SKIN)[:, None]
    column = np.arange(num_columns)
    return (column <= skin - _NEAR_SKIN) & (column >= skin - _FAR_FROM_SKIN)


def _described(around: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation along a band at each distance from it, two pixels together."""
    means, deviations = (
        values.reshape(-1, 2).mean(axis=1) for values in (around.mean(axis=0), around.std(axis=0))
    )
    return means - means.mean(), deviations


def _best_path(contrast: np.ndarray) -> tuple[np.ndarray, float]:
    """The column in each row of the path down that has most contrast, at most one aside a row."""
    total = contrast[0]
    steps = []
    for row in contrast[1:]:
        edges = np.pad(total, 1, constant_values=-np.inf)
        before = np.stack([edges[:-2], edges[1:-1], edges[2:]])
        steps.append(before.argmax(axis=0) - 1)
        total = before.max(axis=0) + row
    path = [int(total.argmax())]
    for step in reversed(steps):
        path.append(path[-1] + int(step[path[-1]]))
    return np.array(path[::-1]), float(total.max()) / len(contrast)


def _blob_features(image: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    grid = _log_grid(image, spacing, (_SIDE, _SIDE))
    contrast = ndimage.gaussian_filter(grid, 2.0) - ndimage.gaussian_filter(grid, 4.5)
    column = _midline(grid)
    first, last = _CANAL_ROWS
    on_midline = contrast[first:last, column - 1 : column + 2].mean(axis=1)
    parts = []
    for sign in (1, -1):
        row = first + int((sign * on_midline).argmax())
        around = grid[row - _RADIUS : row + _RADIUS + 1, column - _RADIUS : column + _RADIUS + 1]
        parts += [(sign * on_midline).max(keepdims=True), *_ring_means(around)]
    return np.concatenate(parts)


def _midline(grid: np.ndarray) -> int:
    """The column whose sides mirror each other best."""
    local = (grid - ndimage.gaussian_filter(grid, 6.0))[_EDGE:-_EDGE]
    middle = grid.shape[1] // 2
    likeness = {}
    for column in range(middle - _OFF_MIDDLE, middle + _OFF_MIDDLE + 1):
        left = local[:, column - _MIRRORED : column]
        right = local[:, column + 1 : column + 1 + _MIRRORED][:, ::-1]
        size = math.sqrt(float((left**2).sum() * (right**2).sum()))
        likeness[column] = float((left * right).sum()) / max(size, 1e-9)
    return max(likeness, key=lambda column: likeness[column])


def _ring_means(around: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation in rings around a blob, in front of it, at its sides and behind it."""
    down, right = np.mgrid[-_RADIUS : _RADIUS + 1, -_RADIUS : _RADIUS + 1]
    angle = np.arctan2(down, np.abs(right))
    sector = np.digitize(angle, (-math.pi / 4, math.pi / 4))
    ring = np.minimum(np.hypot(down, right) / _RING_PX, _NUM_RINGS - 1).astype(int)
    cell = (ring * _NUM_SECTORS + sector).ravel()
    size = _NUM_RINGS * _NUM_SECTORS
    count = np.maximum(np.bincount(cell, minlength=size), 1)
    means = np.bincount(cell, around.ravel(), size) / count
    squares = np.bincount(cell, around.ravel() ** 2, size) / count
    return means - means.mean(), np.sqrt(np.maximum(squares - means**2, 0))
