"""Odd studies beside clean ones: the same crops, sides, windows and labels, or a reason."""

import collections
import csv
import dataclasses
import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.conversion import finalize, job, plan
from spine_tf.rsna import sources
from spine_tf.synthesis import oddity_planting, phantom, phantom_config
from tfrecords import example, shard, tfds_files

pytestmark = pytest.mark.slow

_CLEAN = phantom_config.PhantomConfig(
    num_studies=len(oddity_planting.KINDS) + 1,
    num_test_studies=1,
    axial_px=(96,),
    axial_fov_mm=(110.0, 130.0),
    sagittal_px=(96,),
    sagittal_slices=7,
)
_SETTINGS = plan.Settings(
    conditions=labels.CONDITIONS,
    levels=labels.LEVELS,
    roi=roi_config.RoiConfig(roi_px=32, roi_mm=30.0, num_slices=3),
    num_folds=2,
    test_fraction=0.0,
)
# Places are stored with six decimals: weights, rounded to a grid, may fall to its other side.
_ROUNDING = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Converted:
    """The records by key, the rejects by key, and what was planted by study."""

    records: dict[str, dict]
    rejects: dict[str, dict[str, str]]


def _convert(data_dir, output_dir):
    source = sources.open_source(data_dir)
    job.convert(source, output_dir, _SETTINGS, num_workers=1, max_reject_fraction=0.9)
    return _read(output_dir)


def _read(output_dir):
    schema = tfds_files.read_schema(output_dir)
    records = {}
    for path in sorted(output_dir.glob("*.tfrecord-*")):
        for record in shard.read_records(path):
            values = example.parse(schema, record)
            records[values["key"].decode()] = values
    with (output_dir / "rejects.csv").open(newline="") as file:
        rejects = {row["key"]: row for row in csv.DictReader(file)}
    return _Converted(records=records, rejects=rejects)


@pytest.fixture(scope="module")
def data_dirs(tmp_path_factory):
    """The clean studies and the odd ones."""
    directory = tmp_path_factory.mktemp("oddities")
    phantom.write_studies(_CLEAN, directory / "clean")
    odd = dataclasses.replace(_CLEAN, with_oddities=True)
    phantom.write_studies(odd, directory / "odd", num_workers=2)
    return directory / "clean", directory / "odd"


@pytest.fixture(scope="module")
def planted(data_dirs):
    """kind -> what truth.json lists of it."""
    found = collections.defaultdict(list)
    for oddity in json.loads((data_dirs[1] / "truth.json").read_text())["planted_oddities"]:
        found[oddity["kind"]].append(oddity)
    return found


@pytest.fixture(scope="module")
def clean(data_dirs, tmp_path_factory):
    return _convert(data_dirs[0], tmp_path_factory.mktemp("clean") / "r")


@pytest.fixture(scope="module")
def odd(data_dirs, tmp_path_factory):
    """Converted twice: before and after the late images come."""
    data_dir = shutil.copytree(data_dirs[1], tmp_path_factory.mktemp("odd") / "data")
    output_dir = data_dir.with_name("r")
    with pytest.raises(finalize.TooManyRejects):
        job.convert(sources.open_source(data_dir), output_dir, _SETTINGS, num_workers=1)
    shutil.copytree(data_dir / "late_images", data_dir / "train_images", dirs_exist_ok=True)
    return _convert(data_dir, output_dir)


def _pairs(odd, clean, study_id):
    """Yields key, odd record and clean record of a study, which has some; both or a reject."""
    keys = {key for key in clean.records if key.startswith(f"{study_id.removeprefix('0')}/")}
    assert keys
    for key in sorted(keys):
        if key in odd.records:
            yield key, odd.records[key], clean.records[key]


def _assert_equal(key, odd_record, clean_record):
    np.testing.assert_allclose(
        odd_record["image"].astype(int),
        clean_record["image"].astype(int),
        atol=_ROUNDING,
        err_msg=key,
    )
    for name in ("window", "label", "mirrored", "pixel_spacing"):
        np.testing.assert_array_equal(odd_record[name], clean_record[name], err_msg=key)


def test_every_kind_is_planted_once_and_a_study_is_clean(planted, clean, odd):
    assert set(planted) == set(oddity_planting.KINDS)
    odd_ids = {oddity["study_id"] for of_kind in planted.values() for oddity in of_kind}
    assert len(odd_ids) == len(oddity_planting.KINDS)
    (first, *_), *_ = [sorted({key.split("/")[0] for key in clean.records})]
    assert first not in odd_ids
    for key, odd_record, clean_record in _pairs(odd, clean, first):
        _assert_equal(key, odd_record, clean_record)
        assert odd_record == odd.records[key]


@pytest.mark.parametrize(
    "kind",
    [
        "second_echo",
        "phase_images",
        "staggered",
        "steep_tilt",
        "padding",
        "signed",
        "late_files",
    ],
)
def test_oddity_changes_nothing(planted, clean, odd, kind):
    study_id = planted[kind][0]["study_id"]
    expected = {key for key in clean.records if key.startswith(f"{study_id}/")}
    assert {key for key in odd.records if key.startswith(f"{study_id}/")} == expected
    for pair in _pairs(odd, clean, study_id):
        _assert_equal(*pair)


def test_left_aligned_pixels_are_obeyed_or_refused(planted, clean, odd):
    study_id = planted["left_aligned"][0]["study_id"]
    for pair in _pairs(odd, clean, study_id):
        _assert_equal(*pair)
    for key in clean.records:
        if key.startswith(f"{study_id}/") and key not in odd.records:
            assert odd.rejects[key]["reason"] == "unsupported_pixels"


def test_gap_is_the_end_of_the_stack(planted, clean, odd):
    gaps = {(gap["study_id"], gap["series_id"]): gap["instances"] for gap in planted["gap"]}
    num_repeated = 0
    for key, odd_record, clean_record in _pairs(odd, clean, planted["gap"][0]["study_id"]):
        study, series, instance = key.split("/")[:3]
        beside = gaps[study, int(series)]
        for name in ("window", "label", "mirrored", "pixel_spacing"):
            np.testing.assert_array_equal(odd_record[name], clean_record[name], err_msg=key)
        images = odd_record["image"], clean_record["image"]
        first, middle, last = np.moveaxis(images[0], -1, 0)
        np.testing.assert_array_equal(middle, images[1][..., 1])
        is_changed = [
            not np.array_equal(channel, images[1][..., index])
            for index, channel in ((0, first), (2, last))
        ]
        if int(instance) in beside:
            assert sum(is_changed) == 1, key
            assert np.array_equal((first, last)[is_changed.index(True)], middle)
            num_repeated += 1
        else:
            assert not any(is_changed), key
    assert num_repeated


def test_id_with_a_zero_is_rejected_with_its_line(planted, clean, odd):
    study_id = planted["zero_id"][0]["study_id"]
    assert study_id.startswith("0")
    assert not [key for key in odd.records if key.startswith((study_id, study_id[1:]))]
    rejects = [reject for key, reject in odd.rejects.items() if key.startswith(f"{study_id}/")]
    num_clean = sum(key.startswith(f"{study_id[1:]}/") for key in clean.records)
    assert len(rejects) >= num_clean > 0
    for reject in rejects:
        assert (reject["reason"], reject["file"]) == ("bad_id", "")
        assert f"study_id is '{study_id}'" in reject["detail"]


def test_late_images_are_missing_or_cut_off_at_first(data_dirs, planted):
    (first, *_) = planted["late_files"]
    place = pathlib.Path(first["study_id"]) / str(first["series_id"])
    train, late = (data_dirs[1] / name / place for name in ("train_images", "late_images"))
    assert {int(path.stem) for path in late.iterdir()} == set(first["instances"])
    there = [number for number in first["instances"] if (train / f"{number}.dcm").exists()]
    assert there == first["instances"][-1:]
    cut_off = (train / f"{there[0]}.dcm").read_bytes()
    assert (late / f"{there[0]}.dcm").read_bytes().startswith(cut_off)


def test_oddities_and_errors_together_are_refused():
    with pytest.raises(ValueError, match="errors and oddities are not planted together"):
        phantom_config.PhantomConfig(with_errors=True, with_oddities=True)


def test_what_was_left_of_a_study_is_written_again(data_dirs, tmp_path):
    from spine_tf.synthesis import study as study_module

    config = dataclasses.replace(_CLEAN, with_oddities=True)
    for index, kind in enumerate(oddity_planting.KINDS, start=1):
        if kind not in ("second_echo", "zero_id", "late_files"):
            continue
        for _ in range(2):
            written = study_module.write_study(config, tmp_path / "train_images", index)
        name = written.spelled_id
        for folder in ("train_images", "late_images"):
            expected = {
                str(path.relative_to(data_dirs[1])): path.read_bytes()
                for path in (data_dirs[1] / folder / name).rglob("*.dcm")
            }
            found = {
                str(path.relative_to(tmp_path)): path.read_bytes()
                for path in (tmp_path / folder / name).rglob("*.dcm")
            }
            assert found == expected


def test_program_plants_them_where_it_is_asked_to(tmp_path):
    flags = ["--num_studies=2", "--workers=1", "--oddities"]
    command = ["warm-python", "-m", "spine_tf.phantom", f"--output_dir={tmp_path / 'd'}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    truth = json.loads((tmp_path / "d/truth.json").read_text())
    assert {oddity["kind"] for oddity in truth["planted_oddities"]} == {"second_echo"}
    assert truth["config"]["with_oddities"]
    refused = subprocess.run([*command, "--errors"], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "errors and oddities are not planted together" in refused.stderr
