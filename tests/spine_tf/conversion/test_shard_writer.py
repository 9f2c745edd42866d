"""A shard knows what it was made of: what is mended is converted, what was whole stays."""

import dataclasses
import json
import shutil
import zipfile

import pytest

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.conversion import finalize, job, plan, shard_writer
from spine_tf.rsna import sources

_ROI = roi_config.RoiConfig(roi_px=16, roi_mm=16.0, num_slices=3)
_SETTINGS = plan.Settings(
    conditions=labels.CONDITIONS[3:],
    levels=("l3_l4", "l4_l5"),
    roi=_ROI,
    num_folds=4,
    test_fraction=0.0,
)
_SINGLE = dataclasses.replace(_SETTINGS, roi=dataclasses.replace(_ROI, num_slices=1))
_BY_SERIES = dataclasses.replace(
    _SETTINGS, roi=dataclasses.replace(_ROI, num_slices=1, window="series")
)


def _convert(data_dir, output_dir, conversion=_SETTINGS, **options):
    source = sources.open_source(data_dir)
    return job.convert(source, output_dir, conversion, **{"num_workers": 1, **options})


def _bytes_of(path):
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def _written_at(path):
    return {file.name: file.stat().st_mtime_ns for file in path.glob("*.tfrecord-*[0-9]")}


def _shards_of(data_dir, conversion, study):
    """The shards that a study's rows are in."""
    wanted = plan.make_plan(sources.open_source(data_dir), conversion)
    return {p.file for p in wanted.shards if any(row.study_id == study for row in p.rows)}


@pytest.fixture(scope="module")
def whole_dir(make_data_set, tmp_path_factory):
    """Eight studies of three slices in four folds, two rows on one slice and one beside it."""
    data = make_data_set(tmp_path_factory.mktemp("whole") / "data")
    for study in range(100, 108):
        for instance in (1, 2, 3):
            data.add_image(study, study * 10, instance, position=(0.0, 0.0, 4.0 * instance))
        for condition in labels.CONDITIONS[3:]:
            data.add_row(study, study * 10, 2, condition, x=30.25)
        data.add_row(study, study * 10, 1, level="l3_l4")
    return data.write()


@pytest.fixture(scope="module")
def expected(whole_dir, tmp_path_factory):
    """What each configuration gives where nothing is missing."""
    made = {}
    for name, conversion in (("3", _SETTINGS), ("1", _SINGLE), ("series", _BY_SERIES)):
        path = tmp_path_factory.mktemp("expected") / name
        _convert(whole_dir, path, conversion)
        made[name] = _bytes_of(path)
    return made


@pytest.mark.parametrize("limit", [pytest.param(0, id="all"), pytest.param(4000, id="some")])
def test_records_that_wait_on_disk_are_the_same(limit, whole_dir, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(shard_writer, "_MAX_BYTES_IN_MEMORY", limit)
    _convert(whole_dir, tmp_path / "on_disk", num_workers=0)
    assert _bytes_of(tmp_path / "on_disk") == expected["3"]


@pytest.fixture
def data_dir(whole_dir, tmp_path):
    return shutil.copytree(whole_dir, tmp_path / "data")


def _image(data_dir, study, instance):
    return data_dir / f"train_images/{study}/{study * 10}/{instance}.dcm"


def _remove(path):
    path.unlink()


def _truncate(path):
    path.write_bytes(path.read_bytes()[:700])


def _empty(path):
    path.write_bytes(b"")


def _garble(path):
    """As many bytes as before."""
    path.write_bytes(b"x" * path.stat().st_size)


def _link_to_nowhere(path):
    path.unlink()
    path.symlink_to("nowhere")


def _directory(path):
    path.unlink()
    path.mkdir()


def _put_back(path, content):
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(content)


_SPOILERS = [
    _remove,
    _truncate,
    _garble,
    *(
        pytest.param(each, marks=pytest.mark.slow)
        for each in (_empty, _link_to_nowhere, _directory)
    ),
]


@pytest.mark.parametrize("spoil", _SPOILERS)
@pytest.mark.parametrize(("conversion", "name"), [(_SETTINGS, "3"), (_SINGLE, "1")])
def test_mended_images_are_converted_and_whole_shards_stay(
    data_dir, expected, tmp_path, spoil, conversion, name
):
    image = _image(data_dir, 100, 2)
    content = image.read_bytes()
    spoil(image)
    with pytest.raises(finalize.TooManyRejects, match="finished shards stay"):
        _convert(data_dir, tmp_path / "r", conversion, max_reject_fraction=0.0)
    before = _written_at(tmp_path / "r")
    _put_back(image, content)
    _convert(data_dir, tmp_path / "r", conversion, max_reject_fraction=0.0)
    after = _written_at(tmp_path / "r")
    changed = {shard for shard in before if after[shard] != before[shard]}
    assert changed == _shards_of(data_dir, conversion, 100)
    assert _bytes_of(tmp_path / "r") == expected[name]


def test_more_rejects_allowed_after_mending_gives_all_records(data_dir, expected, tmp_path):
    content = _image(data_dir, 100, 2).read_bytes()
    _image(data_dir, 100, 2).unlink()
    with pytest.raises(finalize.TooManyRejects):
        _convert(data_dir, tmp_path / "r", max_reject_fraction=0.0)
    _image(data_dir, 100, 2).write_bytes(content)
    _convert(data_dir, tmp_path / "r", max_reject_fraction=0.9)
    assert _bytes_of(tmp_path / "r") == expected["3"]


def test_rows_that_stay_rejected_make_no_shard_anew(data_dir, tmp_path):
    _image(data_dir, 100, 2).unlink()
    _garble(_image(data_dir, 101, 3))  # of no row but as a neighbour
    with pytest.raises(finalize.TooManyRejects):
        _convert(data_dir, tmp_path / "r", max_reject_fraction=0.0)
    before = _written_at(tmp_path / "r")
    _convert(data_dir, tmp_path / "r", max_reject_fraction=0.9)
    assert _written_at(tmp_path / "r") == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil", [_remove, *(pytest.param(e, marks=pytest.mark.slow) for e in (_truncate, _garble))]
)
@pytest.mark.parametrize(
    ("conversion", "name"), [(_SETTINGS, "3"), (_BY_SERIES, "series"), (_SINGLE, "1")]
)
def test_neighbour_that_came_late_is_in_the_crops(
    data_dir, expected, tmp_path, spoil, conversion, name
):
    """Instance 1 of study 100 has no row left, so nothing is rejected for it."""
    _drop_rows(data_dir, "100,1000,1,")
    complete = tmp_path / "complete"
    _convert(data_dir, complete, conversion)
    late = _image(data_dir, 100, 1)
    content = late.read_bytes()
    spoil(late)
    slot = job.Slot(index=0, count=1)
    source = sources.open_source(data_dir)
    job.convert_slot(source, tmp_path / "r", conversion, slot, num_workers=1)
    before = _written_at(tmp_path / "r")
    _put_back(late, content)
    _convert(data_dir, tmp_path / "r", conversion)
    assert _bytes_of(tmp_path / "r") == _bytes_of(complete)
    changed = {s for s, time in _written_at(tmp_path / "r").items() if time != before[s]}
    # A single slice by its own window doesn't care for its neighbours.
    assert changed == (set() if name == "1" else _shards_of(data_dir, conversion, 100))


def _drop_rows(data_dir, start):
    path = data_dir / "train_label_coordinates.csv"
    kept = [line for line in path.read_text().splitlines() if not line.startswith(start)]
    path.write_text("\n".join(kept) + "\n")


@pytest.mark.slow
def test_image_that_vanished_is_rejected_as_in_a_new_conversion(data_dir, tmp_path):
    slot = job.Slot(index=0, count=1)
    source = sources.open_source(data_dir)
    job.convert_slot(source, tmp_path / "r", _SETTINGS, slot, num_workers=1)
    _image(data_dir, 100, 2).unlink()
    dataset = _convert(data_dir, tmp_path / "r", max_reject_fraction=0.5)
    assert dataset.rejects == {"missing_file": 2}
    _convert(data_dir, tmp_path / "new", max_reject_fraction=0.5)
    assert _bytes_of(tmp_path / "r") == _bytes_of(tmp_path / "new")


def test_complete_directory_is_not_looked_at_again(data_dir, tmp_path):
    _image(data_dir, 100, 2).unlink()
    _convert(data_dir, tmp_path / "r", max_reject_fraction=0.5)
    before = _bytes_of(tmp_path / "r")
    shutil.copy(_image(data_dir, 100, 1), _image(data_dir, 100, 2))
    _convert(data_dir, tmp_path / "r")
    assert _bytes_of(tmp_path / "r") == before


@pytest.mark.slow
def test_array_job_over_mended_images_asks_for_its_slots_again(data_dir, expected, tmp_path):
    content = _image(data_dir, 100, 2).read_bytes()
    _image(data_dir, 100, 2).unlink()
    source = sources.open_source(data_dir)

    def run_slots():
        for index in (0, 1):
            slot = job.Slot(index=index, count=2)
            job.convert_slot(source, tmp_path / "r", _SETTINGS, slot, num_workers=1)

    run_slots()
    with pytest.raises(finalize.TooManyRejects):
        job.finish(source, tmp_path / "r", _SETTINGS, max_reject_fraction=0.0)
    _image(data_dir, 100, 2).write_bytes(content)
    with pytest.raises(ValueError, match=r"images of 1 of 4 shards, .* run every slot of --shards"):
        job.finish(source, tmp_path / "r", _SETTINGS, max_reject_fraction=0.9)
    run_slots()
    job.finish(source, tmp_path / "r", _SETTINGS, max_reject_fraction=0.0)
    assert _bytes_of(tmp_path / "r") == expected["3"]


def test_copies_of_the_images_on_other_machines_are_the_same_images(
    data_dir, whole_dir, expected, tmp_path
):
    for index, place in enumerate((whole_dir, data_dir)):
        slot = job.Slot(index=index, count=2)
        source = sources.open_source(place)
        job.convert_slot(source, tmp_path / "r", _SETTINGS, slot, num_workers=1)
    job.finish(sources.open_source(data_dir), tmp_path / "r", _SETTINGS)
    assert _bytes_of(tmp_path / "r") == expected["3"]


def test_zip_that_was_made_again_is_read_again(data_dir, expected, tmp_path):
    def pack():
        with zipfile.ZipFile(tmp_path / "data.zip", "w") as opened:
            for file in sorted(data_dir.rglob("*")):
                opened.write(file, str(file.relative_to(data_dir)))

    content = _image(data_dir, 100, 2).read_bytes()
    _truncate(_image(data_dir, 100, 2))
    pack()
    with pytest.raises(finalize.TooManyRejects):
        _convert(tmp_path / "data.zip", tmp_path / "r", max_reject_fraction=0.0)
    _image(data_dir, 100, 2).write_bytes(content)
    pack()
    _convert(tmp_path / "data.zip", tmp_path / "r", max_reject_fraction=0.0)
    assert _bytes_of(tmp_path / "r") == expected["3"]


def test_shard_whose_note_says_nothing_of_images_is_written_again(data_dir, expected, tmp_path):
    slot = job.Slot(index=0, count=1)
    source = sources.open_source(data_dir)
    job.convert_slot(source, tmp_path / "r", _SETTINGS, slot, num_workers=1)
    for path in (tmp_path / "r").glob("*.tfrecord-*.json"):
        values = json.loads(path.read_text())
        del values["images"]
        path.write_text(json.dumps(values))
    _convert(data_dir, tmp_path / "r")
    assert _bytes_of(tmp_path / "r") == expected["3"]
