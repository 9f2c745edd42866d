"""What a conversion would write."""

import pathlib
import subprocess

import pytest

from spine_tf.configuration import roi_config
from spine_tf.conversion import job, plan, preview
from spine_tf.rsna import sources

_SETTINGS = plan.Settings(
    conditions=("left_subarticular_stenosis", "right_subarticular_stenosis"),
    levels=("l3_l4", "l4_l5"),
    roi=roi_config.RoiConfig(roi_px=16),
)


def test_preview_is_what_the_conversion_then_writes(small_data_dir, tmp_path):
    source = sources.open_source(small_data_dir)
    found = preview.preview(source, _SETTINGS)
    dataset = job.convert(source, tmp_path / "r", _SETTINGS, num_workers=1)
    num_records = sum(shard.num_examples for shard in dataset.shards)
    assert found.wanted.num_rows == num_records == 160
    assert len(found.wanted.shards) == len(dataset.shards)
    num_bytes = sum(shard.num_bytes for shard in dataset.shards)
    assert found.bytes_per_row * 160 == pytest.approx(num_bytes, rel=0.01)
    assert (found.num_images, found.num_tried, found.rejects) == (120, 15, {})


def test_images_that_can_not_be_read_are_counted_and_have_no_size(data_set):
    for study in range(3):
        path = data_set.add_image(study, 7, 1)
        data_set.add_row(study, 7, 1)
        path.write_bytes(b"no image")
    data_set.add_row(2, 8, 1)
    found = preview.preview(sources.open_source(data_set.write()), _SETTINGS)
    assert sum(found.rejects.values()) == found.num_tried == 3
    said = found.in_words(num_workers=2)
    assert "rows: 3 of 3 images" in said
    assert "size: about 0.0 MB" in said
    assert "ruled out by the CSVs: unknown_series 1" in said
    assert "time: about 1 s with 2 workers: 3 of the images took" in said


def _convert(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["warm-python", "-m", "spine_tf.convert", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_dry_run_writes_nothing_and_names_the_command_that_does(small_data_dir, tmp_path):
    output_dir = tmp_path / "new" / "r"
    given = (f"--data_dir={small_data_dir}", f"--output_dir={output_dir}", "--roi_px=16")
    done = _convert(*given, "--dry-run", "--workers=1")
    assert done.returncode == 0, done.stderr
    assert "rows: 80 of 40 images" in done.stdout
    assert list(tmp_path.iterdir()) == []
    last = done.stdout.splitlines()[-1].split()
    assert last[:4] == ["next:", "python", "-m", "spine_tf.convert"]
    assert sorted(last[4:]) == sorted([*given, "--workers=1"])


@pytest.mark.parametrize("flag", ["--shards=0/2", "--finalize", "--engine=local"])
def test_dry_run_of_a_part_is_refused(small_data_dir: pathlib.Path, flag: str) -> None:
    done = _convert(f"--data_dir={small_data_dir}", "--dry_run", flag)
    assert done.returncode == 1
    assert "leave out --shards, --finalize and --engine" in done.stderr
