"""JPEG, JPEG-LS and JPEG 2000: guards before the decoders, and decoders that may die."""

import functools
import importlib
import os
import pathlib
import signal
import tempfile

import gdcm
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings, strategies as st
from pydicom import encaps, uid
from pydicom.data import get_testdata_file

from spine_tf.dicom import elements, header, jpeg, reasons

# The functions that a child process runs are those of the tests of processes.
_TASKS_DIR = pathlib.Path(__file__).parents[1] / "processes"


@pytest.fixture(autouse=True, scope="module")
def end_decoder():
    yield
    jpeg._decoder_of(os.getpid()).end()


def _slice(name):
    """Returns the syntax, the codestream and the header of one of pydicom's files."""
    return _slice_of(pathlib.Path(str(get_testdata_file(f"{name}.dcm"))))


def _slice_of(path):
    found = elements.read_elements(path.read_bytes())
    (frame,) = encaps.generate_frames(found.dataset.PixelData, number_of_frames=1)
    return uid.UID(found.transfer_syntax), frame, header.parse_header(found)


def _lossless():
    """MR_small as lossless JPEG, which pydicom's files hold in colour alone."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(get_testdata_file("MR_small.dcm")))
    reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    change.Change()
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "lossless.dcm")
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.Write()
        return _slice_of(path)


_SLICES = {
    "JPEG Extended": _slice("JPGExtended"),
    "JPEG Lossless": _lossless(),
    "JPEG-LS": _slice("MR_small_jpeg_ls_lossless"),
    "JPEG 2000": _slice("MR_small_jp2klossless"),
}


@pytest.mark.parametrize("name", ["JPEG Lossless", "JPEG-LS", "JPEG 2000"])
def test_lossless_codestreams_hold_the_same_pixels(name):
    expected = pydicom.dcmread(get_testdata_file("MR_small.dcm")).pixel_array
    np.testing.assert_array_equal(jpeg.decode(*_SLICES[name]), expected)


def test_12_bits_of_jpeg_extended_are_decoded():
    values = jpeg.decode(*_SLICES["JPEG Extended"])
    # pylibjpeg-libjpeg 2.5 has them within 1, and 244 there.
    assert (values.dtype, values.shape) == (np.uint16, (1024, 256))
    assert (values.min(), values.max()) == (0, 264)
    assert values[420, 140] == pytest.approx(244, abs=1)


def test_signed_pixels_come_out_signed():
    syntax, frame, slice_header = _slice("JPEG2000")
    expected = pydicom.dcmread(get_testdata_file("JPEG2000.dcm")).pixel_array
    assert expected.min() < 0
    np.testing.assert_array_equal(jpeg.decode(syntax, frame, slice_header), expected)


_JP2 = bytes.fromhex("0000000c6a5020200d0a870a00000014667479706a703220000000006a703220")


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("JPEG 2000", lambda frame: _JP2 + frame, "begins with 0000000c, expected ff4fff51"),
        ("JPEG 2000", lambda frame: b"\0" + frame, "begins with 00ff4fff, expected ff4fff51"),
        ("JPEG 2000", lambda frame: b"", "begins with , expected ff4fff51"),
        ("JPEG-LS", lambda frame: b"\xff\x4f\xff\x51" + frame, "begins with ff4f, expected ffd8"),
        ("JPEG Lossless", lambda frame: frame[2:], "begins with ff.., expected ffd8"),
    ],
)
def test_codestream_that_begins_as_none_may_is_not_decoded(name, spoil, message, monkeypatch):
    syntax, frame, slice_header = _SLICES[name]
    monkeypatch.setattr(jpeg, "_decoder_of", None)  # it is not even asked
    with pytest.raises(reasons.Rejected, match=f"bad_pixels.*{message}"):
        jpeg.decode(syntax, spoil(frame), slice_header)


@pytest.mark.parametrize("name", _SLICES)
def test_half_a_codestream_is_no_image(name):
    syntax, frame, slice_header = _SLICES[name]
    with pytest.raises(reasons.Rejected, match=r"bad_pixels.*can't be decoded"):
        jpeg.decode(syntax, frame[: len(frame) // 2], slice_header)


@pytest.mark.parametrize("name", ["JPEG Extended", "JPEG Lossless", "JPEG-LS"])
def test_missing_decoder_is_named_with_its_extra(name, monkeypatch):
    decoder = pydicom.pixels.get_decoder(_SLICES[name][0])
    # What else can decode it doesn't count: its pixels could differ.
    monkeypatch.setattr(decoder, "_available", {"pylibjpeg": None})
    with pytest.raises(
        reasons.Rejected,
        match=r"no_decoder: JPEG.* needs python-gdcm: pip install 'spine-tf\[jpeg\]'",
    ):
        jpeg.decode(*_SLICES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", _SLICES)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_spoilt_codestream_is_decoded_or_rejected(name, data):
    """Whatever it does to its decoder: some of these end gdcm by SIGABRT or SIGSEGV."""
    syntax, frame, slice_header = _SLICES[name]
    spoilt = bytearray(frame)
    for _ in range(data.draw(st.integers(1, 4))):
        end = data.draw(st.sampled_from([min(300, len(spoilt)), len(spoilt)]))
        where = data.draw(st.integers(0, end - 1))
        removed = data.draw(st.integers(0, 20))
        spoilt[where : where + removed] = data.draw(st.binary(max_size=8))
    try:
        values = jpeg.decode(syntax, bytes(spoilt), slice_header)
    except reasons.Rejected as rejected:
        assert rejected.reason is reasons.Reason.BAD_PIXELS
    else:
        assert values.ndim in (2, 3)


def test_death_of_the_decoder_is_a_reject(monkeypatch):
    monkeypatch.syspath_prepend(_TASKS_DIR)
    decoder = jpeg.Decoder(importlib.import_module("child_tasks").crash)
    monkeypatch.setattr(jpeg, "_decoder_of", lambda process_id: decoder)
    with pytest.raises(
        reasons.Rejected,
        match=r"bad_pixels: JPEG-LS.* can't be decoded \(the decoder was killed by SIGSEGV\)",
    ):
        jpeg.decode(*_SLICES["JPEG-LS"])


def test_decoder_that_was_killed_is_asked_once_more(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(_TASKS_DIR)
    tasks = importlib.import_module("child_tasks")
    decoder = jpeg.Decoder(functools.partial(tasks.be_killed_once, tmp_path / "was here"))
    assert decoder.ask() == "answered"
    decoder.end()
    decoder = jpeg.Decoder(functools.partial(tasks.be_killed_once, tmp_path / "no" / "such"))
    assert "was killed by SIGKILL" in decoder.ask()


def test_decoder_that_never_ends_is_a_reject(monkeypatch):
    monkeypatch.syspath_prepend(_TASKS_DIR)
    monkeypatch.setattr(jpeg, "_MOST_SECONDS", 0.5)
    decoder = jpeg.Decoder(importlib.import_module("child_tasks").hang)
    monkeypatch.setattr(jpeg, "_decoder_of", lambda process_id: decoder)
    with pytest.raises(reasons.Rejected, match=r"bad_pixels.*\(not done after 0.5 s\)"):
        jpeg.decode(*_SLICES["JPEG-LS"])


def test_decoder_lives_on_and_a_dead_one_is_replaced():
    expected = jpeg.decode(*_SLICES["JPEG-LS"])
    first = jpeg._decoder_of(os.getpid())._child
    jpeg.decode(*_SLICES["JPEG-LS"])
    assert jpeg._decoder_of(os.getpid())._child is first
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    np.testing.assert_array_equal(jpeg.decode(*_SLICES["JPEG-LS"]), expected)
    assert jpeg._decoder_of(os.getpid())._child.pid != first.pid


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe0\xff\xff" + bytes(20),
        b"\xff\xd8" + b"\xff" * 50,
        b"\xff\xd8\xff\xda\0\2" + bytes(20),
        b"\xff\x4f\xff\x51\0",
        b"noise" * 20,
    ],
)
def test_codestream_without_a_size_has_none(data):
    assert jpeg.codestream_shape(data) is None


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_codestream_of_noise_raises_nothing(data):
    for start in (b"\xff\xd8", b"\xff\x4f\xff\x51"):
        found = jpeg.codestream_shape(start + data)
        assert found is None or len(found) == 2
