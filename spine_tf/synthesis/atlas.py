"""Pictures to look at: the same patient from mild to severe, in all three kinds of series.

Each row is one severity. The columns are the slice of each series with the landmark marked, and
beside it the 50 mm crop around the landmark, as the converter would cut it.
"""

import pathlib

import numpy as np
from PIL import Image, ImageDraw

from spine_tf import labels
from spine_tf.pages import image
from spine_tf.synthesis import (
    grading,
    imaging,
    patient as patient_module,
    phantom_config,
    protocol,
    sequence,
)
from tfrecords import atomic, output_place

# Position between the cut to Moderate (0) and the cut to Severe (1).
_POSITIONS = (-1.0, 0.5, 2.0)
_COLUMNS = (
    (sequence.SAGITTAL_T1, "left_neural_foraminal_narrowing"),
    (sequence.SAGITTAL_T2, "spinal_canal_stenosis"),
    (sequence.AXIAL_T2, "left_subarticular_stenosis"),
)
_TILE_PX = 420
_CROP_MM = 50.0
_LEVEL = "l4_l5"


def write_pages(
    output_dir: pathlib.Path, *, seed: int = 0, num_patients: int = 3
) -> list[pathlib.Path]:
    """Writes one page a patient as PNG and returns their paths.

    Args:
        output_dir: made if it does not exist.
        seed: the first patient's seed; the others' follow.
        num_patients: how many pages.
    """
    seeds = {f"phantom_{number}.png": number for number in range(seed, seed + num_patients)}
    output_place.require_inside(output_dir, "--png", files=seeds)
    output_dir.mkdir(parents=True, exist_ok=True)
    for name, number in seeds.items():
        atomic.write_bytes(output_dir / name, image.png(make_page(number)))
    return [output_dir / name for name in seeds]


def make_page(seed: int) -> Image.Image:
    """Returns the page of one patient."""
    rows = [
        np.concatenate(_tiles(seed, severity, position), axis=1)
        for severity, position in zip(labels.SEVERITIES, _POSITIONS, strict=True)
    ]
    return Image.fromarray(np.concatenate(rows, axis=0))


def _tiles(seed: int, severity: str, position: float) -> list[np.ndarray]:
    patient = patient_module.make_patient(np.random.default_rng(seed), grading.latents_at(position))
    all_series = protocol.make_series(
        patient, phantom_config.PhantomConfig(), 1, np.random.default_rng(seed)
    )
    scanner = imaging.Scanner(patient, np.random.default_rng(seed))
    tiles = []
    for description, condition in _COLUMNS:
        series = next(item for item in all_series if item.description == description)
        point = patient.landmark(condition, _LEVEL)
        plane = series.slices[series.nearest(point)]
        rng = np.random.default_rng(seed)
        contrast = sequence.draw_sequence(description, rng)
        pixels = scanner.image(plane, contrast, rng)
        low, high = np.percentile(pixels, (0.5, 99.5))
        picture = image.grey(pixels, (low, high))
        tiles += [
            _whole_slice(picture, plane, point, f"{description}, {severity}"),
            _crop(picture, plane, point, f"{labels.in_words(condition)}, {_CROP_MM:.0f} mm"),
        ]
    return tiles


def _whole_slice(
    picture: Image.Image, plane: protocol.Slice, point: np.ndarray, caption: str
) -> np.ndarray:
    scale = _TILE_PX / max(picture.size)
    shown = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    tile = Image.new("RGB", (_TILE_PX, _TILE_PX))
    tile.paste(shown)
    x, y, _ = plane.project(point)
    image.draw_cross(tile, (x + 0.5) * scale, (y + 0.5) * scale)
    return _captioned(tile, caption)


def _crop(
    picture: Image.Image, plane: protocol.Slice, point: np.ndarray, caption: str
) -> np.ndarray:
    x, y, _ = plane.project(point)
    half = _CROP_MM / 2 / plane.spacing[0]
    corners = (x + 0.5 - half, y + 0.5 - half, x + 0.5 + half, y + 0.5 + half)
    tile = picture.transform(
        (_TILE_PX, _TILE_PX), Image.Transform.EXTENT, corners, Image.Resampling.BILINEAR
    ).convert("RGB")
    image.draw_cross(tile, _TILE_PX / 2, _TILE_PX / 2)
    return _captioned(tile, caption)


def _captioned(tile: Image.Image, caption: str) -> np.ndarray:
    place = (8, _TILE_PX - 8)
    colour = (255, 200, 0)
    ImageDraw.Draw(tile).text(place, caption, fill=colour, font_size=18, anchor="ls")
    return np.asarray(tile)
