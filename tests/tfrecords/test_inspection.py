"""inspect shows what there is; the program of both commands refuses in one sentence."""

import io
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image, ImageFont

from tfrecords import inspection, manifest, records, tfds_files


@pytest.fixture
def directory(records_dir, tmp_path):
    """A copy of the synthetic records, with the files that TFDS wants."""
    copy = shutil.copytree(records_dir, tmp_path / "r")
    tfds_files.write_info(copy, manifest.read_manifest(copy), "x")
    return copy


def test_contact_sheet_shows_windowed_crops(directory):
    sheet = Image.open(io.BytesIO(inspection.draw_crops(records.open_records(directory))))
    pixels = np.asarray(sheet)
    # Below the title, a row is a heading of 26 px and tiles of 96; the first tile begins at 88.
    title_px = sheet.height - (4 * 122 + 4)
    tile = pixels[title_px + 26 : title_px + 122, 88:184, 0].astype(float)
    assert tile[40:56, 40:56].mean() > tile[:8, :8].mean() + 50


def test_title_says_what_decides_the_records_and_keeps_to_the_width(directory):
    font = ImageFont.load_default(size=14)
    held = records.open_records(directory).manifest
    lines = inspection.title_lines({**held.config, "window": "slice"}, held.name, 300, font)
    said = " ".join(lines)
    for word in ("roi_mm", "roi_px 32", "window slice", "conditions"):
        assert word in said
    assert len(lines) > 1
    assert max(font.getlength(line) for line in lines) <= 300


def test_description_holds_counts_and_fields(directory):
    text = inspection.describe(records.open_records(directory))
    assert "roi_px: 32" in text
    assert "image             uint16   32 x 32 x 1" in text
    assert "fold_0             1       24" in text


def _run(*arguments):
    return subprocess.run(
        ["warm-python", "-m", "tfrecords", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_program_verifies_and_inspects(directory, tmp_path):
    verified = _run("verify", directory)
    assert verified.returncode == 0
    assert "96 records in 4 shards" in verified.stdout
    inspected = _run("inspect", directory, "--png", tmp_path / "x.png")
    assert inspected.returncode == 0
    drawn = Image.open(io.BytesIO(inspection.draw_crops(records.open_records(directory))))
    assert Image.open(tmp_path / "x.png").size == drawn.size


def test_program_shows_a_directory_without_its_shards(directory):
    next(directory.glob("*fold_0.tfrecord*")).unlink()
    inspected = _run("inspect", directory)
    assert inspected.returncode == 0
    assert "fold_0             1       24" in inspected.stdout


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], "expected verify or inspect"),
        (["verify"], "expected verify or inspect"),
        (["check", "r"], "expected verify or inspect"),
        (["verify", "/no/such"], "/no/such is not a directory"),
        (["verify", "/tmp", "--png=x.png"], "--png has no effect beside verify"),
        (["verify", "a", "b"], "'b' is not a flag"),
    ],
)
def test_program_refuses_in_one_sentence(arguments, match):
    finished = _run(*arguments)
    assert finished.returncode == 1
    assert match in finished.stderr
    assert "Traceback" not in finished.stderr
