"""A study in a received zip: found as organize finds it, in memory; and zips that are none."""

import io
import re
import struct
import zipfile

import pytest

from spine_tf.rsna import sources
from spine_tf.studies import held, identities, intake


@pytest.fixture
def series(tmp_path, add_series):
    """Five slices of one study."""
    return [path.read_bytes() for path in add_series(tmp_path / "pile", num_slices=5)]


def _zip(files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def _hold(data, **options):
    return held.hold(data, check=lambda: None, **options)


def test_study_is_the_one_that_organize_finds(tmp_path, series, monkeypatch):
    monkeypatch.setattr(identities.secrets, "token_hex", lambda size: "11" * size)
    monkeypatch.setattr(identities.secrets, "token_bytes", lambda size: b"\x11" * size)
    data = _zip({f"names/of/{number}": each for number, each in enumerate(series)})
    study = _hold(data)
    with intake.opened(tmp_path / "pile", num_workers=0) as taken_in:
        source = taken_in.source
        names = {name: source.read(name) for name in source.image_names()}
        text = source.read("test_series_descriptions.csv").decode()
    assert study.images.files == names
    ((series_id, kind),) = study.series.items()
    assert f"{study.study_id},{series_id},{kind}" in text
    assert study.images.instances(study.study_id, series_id) == [1, 2, 3, 4, 5]
    first = f"test_images/{study.study_id}/{series_id}/1.dcm"
    assert sources.read_header(study.images, first).position is not None
    with pytest.raises(FileNotFoundError):
        study.images.read("test_images/1/1/1.dcm")


def test_ids_are_others_each_time(series):
    data = _zip({str(number): each for number, each in enumerate(series)})
    assert _hold(data).study_id != _hold(data).study_id


def _bomb():
    """One that says, in its directory, that a member has 4 GiB."""
    data = bytearray(_zip({"x": bytes(1000)}))
    at = data.index(b"PK\1\2") + 24
    data[at : at + 4] = struct.pack("<I", 2**32 - 2)
    return bytes(data)


def _encrypted(data):
    at = data.index(b"PK\1\2") + 8
    return data[:at] + b"\1" + data[at + 1 :]


def test_zip_of_more_than_is_taken_is_refused_before_it_is_unpacked(series):
    sentence = r"unpacks to 4294967294 bytes, expected at most 2147483648"
    with pytest.raises(held.TooMuch, match=sentence):
        _hold(_bomb())
    many = _zip({str(number): b"" for number in range(300)})
    with pytest.raises(held.TooMuch, match="has 300 members, expected at most 200"):
        _hold(many, limits=held.Limits(num_members=200))
    data = _zip({str(number): each for number, each in enumerate(series)})
    with pytest.raises(held.TooMuch, match=r"have \d+ pixels, expected at most 9"):
        _hold(data, limits=held.Limits(num_pixels=9))


def test_zip_without_one_study_says_why(series, tmp_path, add_series):
    other = [
        path.read_bytes()
        for path in add_series(tmp_path / "other", "1.2.77", "1.2.77.1", num_slices=5)
    ]
    both = {str(number): each for number, each in enumerate([*series, *other])}
    for data, sentence in [
        (b"a report", "is no zip file, or not all of one"),
        (_zip({"x": series[0]})[:-30], "is no zip file, or not all of one"),
        (_zip({}), "left out: 0 files: send all images of a study"),
        (_zip({"x": b"text"}), r"left out: 1 file \(1 not_dicom: no DICM prefix"),
        (_zip({"../../x": series[0]}), r"\(1 unsafe_name: its name leads out"),
        (_zip({"x": _zip({"y": series[0]})}), r"\(1 archive: a zip file"),
        (_encrypted(_zip({"x": series[0]})), r"\(1 unreadable_file: holds x, which is encrypted"),
        (_zip({"x": series[0]}), r"\(1 too_few: 1 slice, expected 5 or more\): send all"),
        (_zip(both), "there are 2 studies of lumbar MRI in it, expected one"),
    ]:
        with pytest.raises(ValueError, match=sentence) as caught:
            _hold(data)
        assert re.search("Doe|1[.]2[.]", str(caught.value)) is None


def test_check_ends_the_work(series):
    class Ended(Exception):
        pass

    left = iter(range(3))

    def check():
        if next(left, None) is None:
            raise Ended

    data = _zip({str(number): each for number, each in enumerate(series)})
    with pytest.raises(Ended):
        held.hold(data, check=check)


def test_members_of_one_name_are_told_apart_quickly(series):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for each in series:
            archive.writestr("IM", each)
    assert len(_hold(made.getvalue()).images.files) == 5
