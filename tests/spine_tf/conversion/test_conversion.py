"""A conversion from end to end: the same bytes however it ran, readable by TFDS and by hand."""

import csv
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import pty
import shutil
import subprocess
import sys
import termios

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid

from spine_tf import labels
from spine_tf.configuration import roi_config as roi_config_module
from spine_tf.conversion import beam_engine, finalize, job, output_directory, plan
from spine_tf.crops import roi
from spine_tf.localization import localization
from spine_tf.processes import lock
from spine_tf.rsna import markups, sources
from tfrecords import example, manifest, schema, shard, tfds_files, verify

_SETTINGS = plan.Settings(
    conditions=labels.CONDITIONS[3:],
    levels=("l3_l4", "l4_l5"),
    roi=roi_config_module.RoiConfig(roi_px=16, roi_mm=16.0, num_slices=3),
)


def _convert(data_dir, output_dir, conversion=_SETTINGS, **options):
    source = sources.open_source(pathlib.Path(data_dir))
    return job.convert(source, output_dir, conversion, **{"num_workers": 2, **options})


def _bytes_of(path):
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def _rejects(path):
    return list(csv.DictReader(io.StringIO((path / "rejects.csv").read_text())))


@pytest.fixture(scope="module")
def converted(small_data_dir, tmp_path_factory):
    """The undisturbed conversion that others are compared with."""
    output_dir = tmp_path_factory.mktemp("converted") / "r"
    _convert(small_data_dir, output_dir)
    return output_dir


def test_directory_is_whole(converted):
    assert verify.verify(converted).num_examples == 160
    assert sorted(path.name for path in converted.iterdir() if ".tfrecord-" not in path.name) == [
        "condition.labels.txt",
        "contact_sheet.png",
        "dataset_info.json",
        "features.json",
        "label.labels.txt",
        "level.labels.txt",
        "manifest.json",
        "plan.json",
        "rejects.csv",
    ]
    dataset = manifest.read_manifest(converted)
    assert dataset.splits == ("fold_0", "fold_1", "fold_2", "fold_3", "fold_4", "test")
    assert dataset.num_examples("test") == 24
    assert Image.open(converted / "contact_sheet.png").size[0] > 500


@pytest.mark.slow
def test_records_of_jpeg_2000_are_those_of_rle(converted, small_data_dir, tmp_path):
    """Also in a worker, which has a decoder of its own."""
    data_dir = tmp_path / "jpeg"
    shutil.copytree(small_data_dir, data_dir)
    for path in data_dir.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.decompress(decoding_plugin="pylibjpeg")
        dataset.compress(uid.JPEG2000Lossless, encoding_plugin="pylibjpeg")
        dataset.save_as(path)
    _convert(data_dir, tmp_path / "r")
    assert _bytes_of(tmp_path / "r") == _bytes_of(converted)


@pytest.mark.slow
def test_given_points_give_the_directory_of_the_coordinates(converted, small_data_dir, tmp_path):
    copy = tmp_path / "copy.csv"
    shutil.copy(small_data_dir / "train_label_coordinates.csv", copy)
    _convert(small_data_dir, tmp_path / "a", dataclasses.replace(_SETTINGS, points=copy))
    assert _contents(tmp_path / "a") == _contents(converted)
    source = sources.open_source(small_data_dir)
    found = localization.localize(source, points=copy)
    localization.write(found, tmp_path / "points.csv")
    for one in found.studies:
        directory = tmp_path / "markups" / str(one.study.study_id)
        directory.mkdir(parents=True)
        content = json.dumps(localization.to_markups(one))
        (directory / f"{directory.name}{markups.SUFFIX}").write_text(content)
    for name in ("points.csv", "markups"):
        settings = dataclasses.replace(_SETTINGS, points=tmp_path / name)
        _convert(small_data_dir, tmp_path / f"of_{name}", settings)
        of_name, of_csv = _contents(tmp_path / f"of_{name}"), _contents(converted)
        # The plan and what repeats it say which file the points came from.
        told = {"plan.json", "manifest.json"}
        assert of_name.keys() == of_csv.keys()
        assert all(of_name[file] == of_csv[file] for file in of_csv.keys() - told)


def test_points_do_without_coordinates_and_say_what_they_have(small_data_dir, tmp_path):
    data_dir = tmp_path / "data"
    shutil.copytree(small_data_dir, data_dir)
    points = (data_dir / "train_label_coordinates.csv").rename(tmp_path / "points.csv")
    settings = dataclasses.replace(_SETTINGS, points=points)
    source = sources.open_source(data_dir)
    assert plan.make_plan(source, settings).num_rows
    with pytest.raises(ValueError, match=r"points.csv has no row .* it has left_subarticular"):
        plan.make_plan(source, dataclasses.replace(settings, levels=("l1_l2",)))


def _contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_record_says_what_it_is(converted, small_data_dir):
    import pydicom

    fields = tfds_files.read_schema(converted)
    path = converted / manifest.read_manifest(converted).shards[0].file
    values = example.parse(fields, next(shard.read_records(path)))
    study, series, instance, condition, level = values["key"].decode().split("/")
    dataset = pydicom.dcmread(small_data_dir / f"train_images/{study}/{series}/{instance}.dcm")
    assert (values["study_id"], values["series_id"]) == (int(study), int(series))
    assert labels.CONDITIONS[values["condition"]] == condition
    assert labels.LEVELS[values["level"]] == level
    assert values["mirrored"] == (condition == "right_subarticular_stenosis")
    assert values["window"].tolist() == list(roi.window(dataset.pixel_array))
    assert values["center_xy"].tolist() == [50.25 if values["mirrored"] else 22.25, 32.0]
    assert values["slice_center_xy"].tolist() == values["center_xy"].tolist() * 3
    assert values["pixel_spacing"].tolist() == [0.5, 0.5]
    square = roi.Square(
        shape=dataset.pixel_array.shape,
        spacing=(0.5, 0.5),
        roi_mm=16.0,
        roi_px=16,
    )
    bands = square.bands([tuple(values["center_xy"].tolist())])
    cut = roi.crop_stack([dataset.pixel_array], bands)[:, :, 0]
    expected = cut[:, ::-1] if values["mirrored"] else cut
    np.testing.assert_array_equal(values["image"][:, :, 1], expected)


def test_records_are_in_the_order_of_the_plan(converted):
    fields = tfds_files.read_schema(converted)
    for part in json.loads((converted / "plan.json").read_text())["shards"]:
        records = shard.read_records(converted / part["file"])
        assert [example.parse(fields, r)["key"].decode() for r in records] == part["keys"]


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [1, 5])
def test_number_of_workers_changes_no_byte(small_data_dir, converted, tmp_path, num_workers):
    _convert(small_data_dir, tmp_path / "r", num_workers=num_workers)
    assert _bytes_of(tmp_path / "r") == _bytes_of(converted)


@pytest.mark.slow
def test_array_job_changes_no_byte(small_data_dir, converted, tmp_path):
    source = sources.open_source(small_data_dir)
    for index in (2, 0, 1):
        slot = job.Slot(index=index, count=3)
        job.convert_slot(source, tmp_path / "r", _SETTINGS, slot, num_workers=1)
        assert not output_directory.is_complete(tmp_path / "r")
        if index != 1:
            with pytest.raises(ValueError, match="of 6 shards are not done"):
                job.finish(source, tmp_path / "r", _SETTINGS)
    job.finish(source, tmp_path / "r", _SETTINGS)
    assert _bytes_of(tmp_path / "r") == _bytes_of(converted)
    slot = job.Slot(index=0, count=3)
    job.convert_slot(source, tmp_path / "r", _SETTINGS, slot, num_workers=1)
    assert _bytes_of(tmp_path / "r") == _bytes_of(converted)


_GOLDEN = [
    ("slice", "b4e2429c857eb653bdefecaebd69269acdceeac8b27fa7431de10a3d6eb041c6"),
    ("series", "66d653c86b94543915bb4f24fe4927ab99ecefa8b26753bbc862c6ccf73fb395"),
    ("crop", "6e4fcb656ae70879a33dea2e3b266893091d36b690649eb309a8e3ae49fda13d"),
]


@pytest.mark.parametrize(("window", "sha256"), _GOLDEN)
def test_records_are_the_golden_ones(small_data_dir, tmp_path, window, sha256):
    """Those of before there was `slice_center_xy`, which is left out here."""
    changed = dataclasses.replace(_SETTINGS, roi=dataclasses.replace(_SETTINGS.roi, window=window))
    _convert(small_data_dir, tmp_path / "r", changed)
    fields = tfds_files.read_schema(tmp_path / "r")
    kept = [feature for feature in fields.features if feature.name != "slice_center_xy"]
    written = hashlib.sha256()
    for path in sorted((tmp_path / "r").glob("*.tfrecord-*")):
        with shard.Writer(tmp_path / path.name, "any") as writer:
            for record in shard.read_records(path):
                values = example.parse(fields, record)
                assert values.pop("slice_center_xy").tolist() == values["center_xy"].tolist() * 3
                writer.write(example.serialize(schema.Schema(features=tuple(kept)), values))
        written.update((tmp_path / path.name).read_bytes())
    assert written.hexdigest() == sha256


@pytest.mark.parametrize(
    ("num_slices", "sha256"),
    [
        (1, "4e27f1453cc466c88d5ec0be2c69d669f0cc1b6d860d79c6b7fd44fcc7877c76"),
        (3, "fcbe93b1b8032f730294044c735e5534fc0581c900df7f23772a1675cf1cedfe"),
    ],
)
def test_shards_are_the_golden_ones(small_data_dir, tmp_path, num_slices, sha256):
    changed = dataclasses.replace(
        _SETTINGS, roi=dataclasses.replace(_SETTINGS.roi, num_slices=num_slices)
    )
    _convert(small_data_dir, tmp_path / "r", changed)
    shards = sorted((tmp_path / "r").glob("*.tfrecord-*"))
    written = hashlib.sha256(b"".join(path.read_bytes() for path in shards))
    assert written.hexdigest() == sha256


@pytest.mark.slow
def test_gaps_in_stacks_are_counted(make_data_set, tmp_path):
    data = make_data_set(tmp_path / "data")
    heights = (0.0, 4.0, 8.0, 40.0, 44.0, 48.0)
    for study in range(1, 11):
        for instance, z in enumerate(heights, start=1):
            data.add_image(study, study, instance, position=(0.0, 0.0, z))
        data.add_row(study, study, 3)
        data.add_row(study, study, 5, level="l3_l4")
    for num_slices, count in ((3, 10), (5, 20), (1, 0)):
        roi_config = dataclasses.replace(_SETTINGS.roi, num_slices=num_slices)
        output_dir = tmp_path / str(num_slices)
        dataset = _convert(data.write(), output_dir, dataclasses.replace(_SETTINGS, roi=roi_config))
        assert dataset.details["stacks_cut_short"] == count
        assert manifest.read_manifest(output_dir) == dataset
        said = f"a slice repeats before a gap in the stack: {count} records"
        assert (said in finalize.summarize(dataset)) == bool(count)


@pytest.mark.slow
def test_dask_cluster_changes_no_byte(small_data_dir, converted, tmp_path, monkeypatch):
    pytest.importorskip("apache_beam")
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    # Dask would leave variables for its workers in this process: one always, others by settings.
    monkeypatch.setenv("PYTHONHASHSEED", "6640")
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": {}}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster) as client,
        distributed.get_task_stream(client) as stream,
    ):
        beam_args = "--runner=apache_beam.runners.dask.dask_runner.DaskRunner "
        beam_args += "--dask_partition_size=1 "
        beam_args += f"--dask_client_address={cluster.scheduler_address}"
        _convert(small_data_dir, tmp_path / "r", beam_args=beam_args)
    assert _bytes_of(tmp_path / "r") == _bytes_of(converted)
    assert len({task["worker"] for task in stream.data}) == 2


@pytest.mark.slow
def test_workers_of_a_pool_that_stands_elsewhere_change_no_byte(
    small_data_dir, converted, tmp_path, monkeypatch
):
    pytest.importorskip("apache_beam")
    from apache_beam.runners.portability import local_job_service
    from apache_beam.runners.worker import worker_pool_main

    # Beam starts "python" there, whichever that is.
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    )
    jobs = local_job_service.LocalJobServicer()
    pool_address, pool = worker_pool_main.BeamFnExternalWorkerPoolServicer.start(use_process=True)
    beam_args = f"--runner=PortableRunner --job_endpoint=localhost:{jobs.start_grpc_server()} "
    beam_args += f"--environment_type=EXTERNAL --environment_config={pool_address}"
    try:
        _convert(small_data_dir, tmp_path / "r", beam_args=beam_args)
    finally:
        jobs.stop()
        pool.stop(0)
    assert _bytes_of(tmp_path / "r") == _bytes_of(converted)


@pytest.mark.slow
def test_failure_of_beam_is_one_sentence(small_data_dir, tmp_path):
    pytest.importorskip("apache_beam")
    source = sources.open_source(small_data_dir)
    made = plan.make_plan(source, _SETTINGS)
    with pytest.raises(OSError, match=r"the Beam pipeline failed: .*No such file") as caught:
        beam_engine.write_shards(
            made.shards,
            source,
            _SETTINGS.record_kind,
            tmp_path / "no",
            "--runner=BundleBasedDirectRunner",
        )
    assert len(str(caught.value).splitlines()) == 1


def test_beam_runner_that_nobody_answers_is_one_sentence(small_data_dir, tmp_path):
    pytest.importorskip("apache_beam")
    nobody = "--runner=PortableRunner --job_endpoint=localhost:1 --job_server_timeout=1 "
    nobody += "--environment_type=EXTERNAL --environment_config=localhost:1"
    with pytest.raises(OSError, match=r"^the Beam pipeline failed: FutureTimeoutError: mend"):
        _convert(small_data_dir, tmp_path / "r", beam_args=nobody)


def test_missing_beam_is_named(small_data_dir, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ValueError, match=r"pip install 'spine-tf\[beam\]'"):
        _convert(small_data_dir, tmp_path / "r", beam_args="")


@pytest.mark.slow
def test_order_on_the_command_line_changes_no_byte(small_data_dir, converted, tmp_path):
    backwards = dataclasses.replace(
        _SETTINGS, conditions=_SETTINGS.conditions[::-1], levels=_SETTINGS.levels[::-1]
    )
    _convert(small_data_dir, tmp_path / "r", backwards)
    assert _bytes_of(tmp_path / "r") == _bytes_of(converted)


def test_complete_directory_is_left_as_it_is(small_data_dir, converted):
    before = {path.name: path.stat().st_mtime_ns for path in converted.iterdir()}
    dataset = _convert(small_data_dir, converted)
    assert dataset == manifest.read_manifest(converted)
    assert {path.name: path.stat().st_mtime_ns for path in converted.iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["no manifest", "shards missing", "truncated shard", "note only"])
def test_interrupted_conversion_is_continued(small_data_dir, converted, tmp_path, stage):
    output_dir = shutil.copytree(converted, tmp_path / "r")
    (output_dir / "manifest.json").unlink()
    parts = sorted(output_dir.glob("*.tfrecord-*"))
    if stage == "shards missing":
        parts[0].unlink()
    if stage == "truncated shard":
        os.truncate(parts[0], 100)
    if stage == "note only":
        parts[0].with_name(parts[0].name + ".json").write_text('{"shard": 3}')
    (output_dir / f"{parts[1].name}.tmp-99999").write_bytes(b"half")
    _convert(small_data_dir, output_dir)
    assert _bytes_of(output_dir) == _bytes_of(converted)


def test_done_shard_is_not_written_again(small_data_dir, converted, tmp_path):
    source = sources.open_source(small_data_dir)
    slot = job.Slot(index=0, count=1)
    job.convert_slot(source, tmp_path / "r", _SETTINGS, slot, num_workers=1)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "r").iterdir()}
    _convert(small_data_dir, tmp_path / "r")
    for path in (tmp_path / "r").glob("*.tfrecord-*"):
        assert path.stat().st_mtime_ns == before[path.name]
    assert _bytes_of(tmp_path / "r") == _bytes_of(converted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"roi": dataclasses.replace(_SETTINGS.roi, roi_px=32)}, "roi_px is 16, now 32"),
        ({"levels": ("l4_l5",)}, "levels is .*l3_l4.*, now"),
        ({"seed": 1}, "seed is 0, now 1"),
        ({"num_folds": 4}, "num_folds is 5, now 4"),
        ({"test_fraction": 0.0}, "test_fraction is 0.15, now 0.0"),
        ({"roi": dataclasses.replace(_SETTINGS.roi, window="crop")}, "window is 'slice', now 'cr"),
    ],
)
def test_another_configuration_is_refused_until_overwritten(
    small_data_dir, converted, tmp_path, changes, match
):
    output_dir = shutil.copytree(converted, tmp_path / "r")
    changed = dataclasses.replace(_SETTINGS, **changes)
    with pytest.raises(ValueError, match=match):
        _convert(small_data_dir, output_dir, changed)
    assert _bytes_of(output_dir) == _bytes_of(converted)
    _convert(small_data_dir, output_dir, changed, is_overwritten=True)
    assert _bytes_of(output_dir) != _bytes_of(converted)
    verify.verify(output_dir)


@pytest.mark.slow
def test_window_by_slice_is_refused_where_another_one_was_converted(small_data_dir, tmp_path):
    by_series = dataclasses.replace(
        _SETTINGS, roi=dataclasses.replace(_SETTINGS.roi, window="series")
    )
    _convert(small_data_dir, tmp_path / "r", by_series)
    with pytest.raises(ValueError, match="window is 'series', now 'slice'"):
        _convert(small_data_dir, tmp_path / "r")


def test_changed_csv_is_refused(small_data_dir, converted, tmp_path):
    data_dir = shutil.copytree(small_data_dir, tmp_path / "data")
    path = data_dir / "train_series_descriptions.csv"
    path.write_text(path.read_text() + "7,7,Axial T2\n")
    with pytest.raises(ValueError, match="the CSVs have changed"):
        _convert(data_dir, converted)


def test_damaged_plan_is_refused(small_data_dir, converted, tmp_path):
    output_dir = shutil.copytree(converted, tmp_path / "r")
    planned = json.loads((output_dir / "plan.json").read_text())
    (output_dir / "plan.json").write_text(json.dumps({**planned, "shards": []}))
    with pytest.raises(ValueError, match="another division into shards"):
        _convert(small_data_dir, output_dir)
    (output_dir / "plan.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        _convert(small_data_dir, output_dir)
    (output_dir / "plan.json").write_text('{"config": []}')
    with pytest.raises(ValueError, match=r"conditions is not set, now .*; and 4 more"):
        _convert(small_data_dir, output_dir)


@pytest.mark.slow
def test_overwrite_removes_only_what_the_converter_wrote(small_data_dir, converted, tmp_path):
    output_dir = shutil.copytree(converted, tmp_path / "r")
    others = [
        "notes.txt",
        "lumbar_spine.json",
        "other-test.tfrecord-00000-of-00001",
        "x.labels.txt",
    ]
    for name in others:
        (output_dir / name).write_text("mine")
    (output_dir / "lumbar_spine-test.tfrecord-00009-of-00010").write_bytes(b"old")
    _convert(small_data_dir, output_dir, is_overwritten=True)
    found = _bytes_of(output_dir)
    assert {name: found.pop(name) for name in others} == dict.fromkeys(others, b"mine")
    assert found == _bytes_of(converted)


def test_foreign_directory_is_refused(small_data_dir, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and holds no conversion"):
        _convert(small_data_dir, tmp_path)


def test_second_converter_is_refused(small_data_dir, tmp_path):
    source = sources.open_source(small_data_dir)
    slot = job.Slot(index=0, count=2)
    with lock.lock_directory(tmp_path):
        with pytest.raises(ValueError, match="another converter is at work"):
            _convert(small_data_dir, tmp_path)
        with pytest.raises(ValueError, match="another converter is at work"):
            job.convert_slot(source, tmp_path, _SETTINGS, slot, num_workers=1)
    assert list(tmp_path.iterdir()) == []


_AS_ON_MACOS = """
import fcntl, os, runpy, sys
import urllib.request  # takes the system as it is
del os.sched_getaffinity, fcntl.F_OFD_SETLK
sys.platform = "darwin"  # so workers are spawned, and watch for their parent's end by themselves
sys.argv = sys.argv[1:]
if __name__ == "__main__":
    runpy.run_module("spine_tf.convert", run_name="__main__", alter_sys=True)
"""


@pytest.mark.slow
def test_slot_is_written_without_what_linux_alone_has(converted, small_data_dir, tmp_path):
    (tmp_path / "macos.py").write_text(_AS_ON_MACOS)
    flags = [f"--data_dir={small_data_dir}", f"--output_dir={tmp_path / 'r'}"]
    flags += ["--levels=l3_l4,l4_l5", "--num_slices=3", "--roi_px=16", "--roi_mm=16"]
    for part in ("--shards=0/1", "--finalize"):
        command = [sys.executable, tmp_path / "macos.py", "spine_tf.convert", *flags, part]
        subprocess.run(command, check=True, capture_output=True)
    assert _bytes_of(tmp_path / "r") == _bytes_of(converted)


def test_slot_is_refused_twice_and_others_are_not(small_data_dir, tmp_path):
    source = sources.open_source(small_data_dir)
    wanted = plan.make_plan(source, _SETTINGS)
    output_directory.write_plan(tmp_path, wanted)
    with lock.lock_slot(tmp_path / "plan.json", 1):
        job.convert_slot(source, tmp_path, _SETTINGS, job.Slot(index=0, count=2), num_workers=1)
        with pytest.raises(ValueError, match="another converter is at work on slot 1"):
            job.convert_slot(source, tmp_path, _SETTINGS, job.Slot(index=1, count=2), num_workers=1)
    with lock.lock_directory(tmp_path, is_shared=True), pytest.raises(ValueError, match="at work"):
        _convert(small_data_dir, tmp_path)


@pytest.mark.parametrize(("index", "count"), [(2, 2), (-1, 2), (0, 0)])
def test_slot_that_does_not_exist_is_refused(index, count):
    with pytest.raises(ValueError, match=f"slot {index} of {count}"):
        job.Slot(index=index, count=count)


def test_finalize_without_a_directory_is_refused(small_data_dir, tmp_path):
    with pytest.raises(ValueError, match="does not exist; expected the slots' output"):
        job.finish(sources.open_source(small_data_dir), tmp_path / "no", _SETTINGS)


@pytest.fixture
def spoilt_data_dir(small_data_dir, tmp_path):
    """40 of 160 rows can't be converted: 20 files missing or spoilt, two rows on each."""
    data_dir = shutil.copytree(small_data_dir, tmp_path / "spoilt")
    for study in range(100, 120):
        path = data_dir / f"train_images/{study}/{study * 10}/2.dcm"
        path.unlink() if study % 2 else path.write_bytes(b"spoilt")
    return data_dir


@pytest.mark.slow
def test_too_many_rejects_end_without_a_manifest(spoilt_data_dir, tmp_path):
    roi_config = dataclasses.replace(_SETTINGS.roi, num_slices=1)
    single = dataclasses.replace(_SETTINGS, roi=roi_config)
    with pytest.raises(finalize.TooManyRejects, match=r"40 of 160 rows .*not_dicom 20") as caught:
        _convert(spoilt_data_dir, tmp_path / "r", single)
    assert caught.value.exit_status == 3
    assert not output_directory.is_complete(tmp_path / "r")
    assert len(_rejects(tmp_path / "r")) == 40
    dataset = _convert(spoilt_data_dir, tmp_path / "r", single, max_reject_fraction=0.25)
    assert dataset.rejects == {"missing_file": 20, "not_dicom": 20}
    assert verify.verify(tmp_path / "r").num_examples == 120
    first = _rejects(tmp_path / "r")[0]
    assert first == {
        "key": "100/1000/2/left_subarticular_stenosis/l4_l5",
        "reason": "not_dicom",
        "detail": "no DICM prefix at byte 128",
        "file": "train_images/100/1000/2.dcm",
    }


def test_missing_labels_and_exclusions_are_no_rejects(small_data_dir, tmp_path):
    data_dir = shutil.copytree(small_data_dir, tmp_path / "data")
    path = data_dir / "train.csv"
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join(
            [
                lines[0],
                *(f"{study},,,,,,,,,,,,,,,,,,,,,,,,," for study in range(100, 130)),
                *lines[31:],
            ]
        )
    )
    exclude = tmp_path / "exclude.csv"
    exclude.write_text("severity,key\n3,130/1300/2/left_subarticular_stenosis/l4_l5\n")
    conversion = dataclasses.replace(_SETTINGS, exclude=exclude)
    dataset = _convert(data_dir, tmp_path / "r", conversion, max_reject_fraction=0.0)
    assert dataset.rejects == {"excluded": 1, "no_label": 120}
    assert len(_rejects(tmp_path / "r")) == 121
    assert sum(part.num_examples for part in dataset.shards) == 39


@pytest.mark.slow
def test_split_whose_rows_are_all_rejected_has_no_file(small_data_dir, tmp_path):
    data_dir = shutil.copytree(small_data_dir, tmp_path / "data")
    conversion = dataclasses.replace(_SETTINGS, num_folds=20)
    wanted = plan.make_plan(sources.open_source(data_dir), conversion)
    for row in wanted.shards[3].rows:
        shutil.rmtree(data_dir / f"train_images/{row.study_id}", ignore_errors=True)
    dataset = _convert(data_dir, tmp_path / "r", conversion, max_reject_fraction=0.5)
    assert "fold_3" not in dataset.splits
    assert "fold_3" not in dataset.class_counts
    assert not list((tmp_path / "r").glob("*fold_3*"))
    assert verify.verify(tmp_path / "r").num_shards == 20
    assert _convert(data_dir, tmp_path / "r", conversion) == dataset


def test_no_record_at_all_is_refused(small_data_dir, tmp_path):
    data_dir = shutil.copytree(small_data_dir, tmp_path / "data")
    shutil.rmtree(data_dir / "train_images")
    (data_dir / "train_images").mkdir()
    with pytest.raises(ValueError, match="no row gave a record"):
        _convert(data_dir, tmp_path / "r", max_reject_fraction=1.0)


def test_no_row_at_all_is_refused(small_data_dir, tmp_path):
    conversion = dataclasses.replace(_SETTINGS, conditions=("spinal_canal_stenosis",))
    there = (
        "left_subarticular_stenosis at l3_l4, l4_l5; right_subarticular_stenosis at l3_l4, l4_l5"
    )
    with pytest.raises(ValueError, match=f"has no row for --conditions spinal_.*; it has {there}$"):
        _convert(small_data_dir, tmp_path / "r", conversion)
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_empty_folds_are_said(small_data_dir, converted, tmp_path):
    assert "without a record" not in finalize.summarize(manifest.read_manifest(converted))
    path = tmp_path / "folds.csv"
    rows = [f"{study},{2 * (study % 2)}" for study in range(100, 140)]
    path.write_text("\n".join(["study_id,fold", *rows]))
    conversion = dataclasses.replace(_SETTINGS, folds_csv=path, num_folds=4)
    dataset = _convert(small_data_dir, tmp_path / "r", conversion)
    assert "without a record: fold_1, fold_3" in finalize.summarize(dataset).splitlines()
    many = dataclasses.replace(_SETTINGS, num_folds=50, test_fraction=0.01)
    said = finalize.summarize(_convert(small_data_dir, tmp_path / "many", many))
    assert "without a record: fold_40, fold_41" in said
    assert "fold_49, test" in said


@pytest.mark.slow
def test_what_is_odd_in_the_csvs_is_said(small_data_dir, tmp_path):
    data_dir = shutil.copytree(small_data_dir, tmp_path / "data")
    path = data_dir / "train.csv"
    header, first, second, *rest = path.read_text().splitlines()
    path.write_text("\n".join([header, first, "0" + second, *rest, *[f"{n}.0" for n in range(30)]]))
    dataset = _convert(data_dir, tmp_path / "r")
    said = finalize.summarize(dataset)
    assert dataset.rejects == {"bad_id": 4}
    assert "train.csv, line 3: study_id is '0101', expected an integer without" in said
    assert (dataset.details["unreadable_rows"], len(dataset.details["notes"])) == (31, 20)
    assert "and 12 more like these" in said


@pytest.mark.slow
def test_excluded_keys_of_no_row_are_said(small_data_dir, tmp_path):
    exclude = tmp_path / "exclude.csv"
    exclude.write_text("key,detail\n,a notice\n0100/1000/2/left_subarticular_stenosis/l4_l5,\n")
    dataset = _convert(
        small_data_dir, tmp_path / "r", dataclasses.replace(_SETTINGS, exclude=exclude)
    )
    assert "--exclude has 1 keys that no row" in finalize.summarize(dataset)
    assert dataset.rejects == {}


@pytest.mark.slow
def test_folds_csv_decides_the_splits(small_data_dir, tmp_path):
    path = tmp_path / "folds.csv"
    rows = [f"{study},{'test' if study < 104 else study % 2}" for study in range(100, 140)]
    path.write_text("\n".join(["study_id,fold", *rows]))
    conversion = dataclasses.replace(_SETTINGS, folds_csv=path, num_folds=2)
    dataset = _convert(small_data_dir, tmp_path / "r", conversion)
    assert [dataset.num_examples(split) for split in dataset.splits] == [72, 72, 16]
    path.write_text("\n".join(["study_id,fold", *reversed(rows)]))
    with pytest.raises(ValueError, match="folds_csv is"):
        _convert(small_data_dir, tmp_path / "r", conversion)


@pytest.mark.slow
def test_study_has_the_same_fold_whatever_is_converted(small_data_dir, converted, tmp_path):
    conversion = dataclasses.replace(_SETTINGS, levels=("l3_l4",))
    _convert(small_data_dir, tmp_path / "r", conversion)

    def splits(path):
        parts = json.loads((path / "plan.json").read_text())["shards"]
        return {key.split("/")[0]: part["split"] for part in parts for key in part["keys"]}

    assert splits(tmp_path / "r") == splits(converted)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"num_folds": 1}, "--num_folds is 1"),
        ({"test_fraction": 1.0}, "--test_fraction is 1.0"),
        ({"conditions": ("pain",)}, "--conditions has 'pain'"),
        ({"levels": ()}, "--levels is ''"),
    ],
)
def test_bad_settings_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        dataclasses.replace(_SETTINGS, **changes)


def test_missing_csv_of_an_option_is_named(small_data_dir, tmp_path):
    conversion = dataclasses.replace(_SETTINGS, folds_csv=tmp_path / "no.csv")
    with pytest.raises(ValueError, match=r"no\.csv does not exist"):
        _convert(small_data_dir, tmp_path / "r", conversion)


def test_nothing_of_the_patient_is_written(make_data_set, tmp_path):
    secrets = {
        "PatientName": "DOE^JANE",
        "PatientID": "SECRETID7",
        "PatientBirthDate": "19610203",
        "StudyDate": "20240506",
        "InstitutionName": "GENERAL HOSPITAL",
        "ReferringPhysicianName": "HOUSE^GREGORY",
        "StudyInstanceUID": "1.2.826.77.88.99",
        "SeriesInstanceUID": "1.2.826.77.88.98",
        "SOPInstanceUID": "1.2.826.77.88.97",
        "AccessionNumber": "ACC445566",
        "StudyDescription": "LUMBAR OF JANE",
        "PatientComments": "lives in Springfield",
    }
    data = make_data_set(tmp_path / "data")
    spoilt = {
        "PixelSpacing": None,
        "BitsAllocated": 24,
        "Rows": 100,
        "ImageOrientationPatient": None,
    }
    for study in range(1, 9):
        changes = {list(spoilt)[study - 5]: list(spoilt.values())[study - 5]} if study > 4 else {}
        data.add_image(study, study, 1, **secrets, **changes)
        data.add_row(study, study, 1)
    output_dir = tmp_path / "out"
    dataset = _convert(data.write(), output_dir, max_reject_fraction=0.9)
    assert sum(dataset.rejects.values()) == 4
    for name, content in _bytes_of(output_dir).items():
        for secret in secrets.values():
            assert secret.encode() not in content, (name, secret)
        assert str(tmp_path).encode() not in content, name


def _read_with_tensorflow(output_dir):
    """What a user without this package writes."""
    import tensorflow as tf

    spec = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "window": tf.io.FixedLenFeature([2], tf.float32),
        "key": tf.io.FixedLenFeature([], tf.string),
    }
    found = {}
    for path in sorted(output_dir.glob("*.tfrecord-*")):
        for record in tf.data.TFRecordDataset(str(path)):
            values = tf.io.parse_single_example(record, spec)
            image = tf.reshape(tf.io.decode_raw(values["image"], tf.uint16), [16, 16, 3])
            found[values["key"].numpy()] = (image.numpy(), int(values["label"]))
    return found


@pytest.mark.slow
def test_tfds_and_tensorflow_read_every_split(converted):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(converted))
    dataset = manifest.read_manifest(converted)
    by_hand = _read_with_tensorflow(converted)
    assert len(by_hand) == 160
    assert builder.info.features["label"].names == list(labels.SEVERITIES)
    for split, elements in builder.as_dataset().items():
        read = list(elements)
        assert len(read) == dataset.num_examples(split) == builder.info.splits[split].num_examples
        for values in read:
            image, label = by_hand[values["key"].numpy()]
            np.testing.assert_array_equal(values["image"].numpy(), image)
            assert int(values["label"]) == label


def _run(*arguments, **options):
    return subprocess.run(
        ["warm-python", "-m", "spine_tf.convert", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.mark.slow
def test_program_converts_and_shows_what_it_did(small_data_dir, converted, tmp_path):
    flags = ["--levels=all", "--roi_px=16", "--roi_mm=16", "--num_slices=3", "--workers=2"]
    finished = _run(f"--data_dir={small_data_dir}", f"--output_dir={tmp_path / 'r'}", *flags)
    assert finished.returncode == 0, finished.stderr
    assert "fold_0" in finished.stdout
    assert "160 rows in 6 shards" in finished.stderr
    assert "not converted: none" in finished.stdout
    again = _run(f"--data_dir={small_data_dir}", f"--output_dir={tmp_path / 'r'}", *flags)
    assert again.returncode == 0
    assert "is complete already" in again.stderr
    for part in tmp_path.glob("r/*.tfrecord-*"):
        assert part.read_bytes() == (converted / part.name).read_bytes()
    flags.append("--window=series")
    other = _run(f"--data_dir={small_data_dir}", f"--output_dir={tmp_path / 'r'}", *flags)
    assert other.returncode == 1
    assert "window is 'slice', now 'series'" in other.stderr


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal(small_data_dir, tmp_path):
    terminal, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 100))
    flags = [f"--data_dir={small_data_dir}", f"--output_dir={tmp_path / 'r'}", "--workers=1"]
    command = [sys.executable, "-m", "spine_tf.convert", *flags]
    finished = subprocess.run(command, stderr=slave, capture_output=False, check=False)
    os.close(slave)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert finished.returncode == 0
    assert "converting: 100%" in shown
    assert "ROI/s" in shown


def test_log_goes_to_its_folder_and_not_into_the_records(small_data_dir, tmp_path):
    logs = tmp_path / "logs"
    flags = [f"--data_dir={small_data_dir}", f"--output_dir={tmp_path / 'r'}", "--workers=1"]
    finished = _run(*flags, f"--log_dir={logs}")
    assert finished.returncode == 0, finished.stderr
    assert "rows in 6 shards" not in finished.stderr
    assert any("rows in 6 shards" in path.read_text() for path in logs.iterdir())
    assert not any("log" in path.name for path in (tmp_path / "r").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "match"),
    [
        (["--data_dir="], "--data_dir is missing; see --help"),
        (["--output_dir="], "--output_dir is missing; see --help"),
        (["--data_dir=/no/such"], "--data_dir /no/such does not exist"),
        (["--conditions=pain"], "--conditions has 'pain'"),
        (["--levels=l4_l5,l4_l5"], "expected each name once"),
        (["--roi_px=3"], "roi_px is 3"),
        (["--num_slices=2"], "num_slices is 2, expected an odd number"),
        (["--workers=0"], "--workers is 0"),
        (["--shards=2"], "--shards is '2', expected i/N"),
        (["--shards=3/3"], "slot 3 of 3"),
        (["--shards=0/3", "--finalize"], "exclude each other"),
        (["--shards=0/3", "--overwrite"], "--overwrite is not possible beside"),
        (["--engine=beam", "--workers=2"], "--workers has no effect beside --engine beam"),
        (["--beam_args=--x=1"], "--beam_args has no effect without --engine beam"),
        (["--finalize", "--workers=2"], "have no effect beside --finalize"),
        (["--engine=beam", "--beam_args=--runner=NoRunner"], "NoRunner"),
        (["--folds_csv=f.csv", "--test_fraction=0.1"], "--test_fraction has no effect beside"),
        (["--folds_csv=f.csv", "--seed=1"], "--seed has no effect beside"),
        (["--folds_csv=/no/f.csv"], "/no/f.csv does not exist"),
        (["--max_reject_fraction=2"], "--max_reject_fraction is 2"),
        (["stray"], "'stray' is not a flag"),
    ],
)
def test_program_refuses_in_one_sentence(small_data_dir, tmp_path, flags, match):
    finished = _run(f"--data_dir={small_data_dir}", f"--output_dir={tmp_path / 'r'}", *flags)
    assert finished.returncode == 1
    assert match in finished.stderr
    assert "Traceback" not in finished.stderr
    assert finished.stderr.count("error:") == 1


def test_program_ends_with_3_after_too_many_rejects(spoilt_data_dir, tmp_path):
    finished = _run(f"--data_dir={spoilt_data_dir}", f"--output_dir={tmp_path / 'r'}")
    assert finished.returncode == 3
    assert "--max_reject_fraction allows 0.05" in finished.stderr
