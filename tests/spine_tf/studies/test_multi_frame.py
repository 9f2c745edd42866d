"""Frames of enhanced MR become classic images: the same pixels, with their place and times."""

import functools
import io
import pathlib

import numpy as np
import pydicom
import pytest
from pydicom import encaps, uid
from rle import rle

from spine_tf.dicom import elements, header, pixels, reasons
from spine_tf.studies import multi_frame

_SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]


def _first(data, num_bytes):
    return data[:num_bytes]


def _sequence(**values):
    item = pydicom.Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return pydicom.Sequence([item])


def _frame_groups(number):
    return {
        "PlanePositionSequence": _sequence(ImagePositionPatient=[4.0 * number, 1.5, -2.0]),
        "MREchoSequence": _sequence(EffectiveEchoTime=12.5),
        "MRImageFrameTypeSequence": _sequence(FrameType=["ORIGINAL", "PRIMARY", "T1", "NONE"]),
    }


def _shared_groups():
    timing = {"RepetitionTime": 650.0, "FlipAngle": 90.0}
    return {
        "PlaneOrientationSequence": _sequence(ImageOrientationPatient=_SAGITTAL),
        "PixelMeasuresSequence": _sequence(PixelSpacing=[0.5, 0.75], SliceThickness=4.0),
        "MRTimingAndRelatedParametersSequence": _sequence(**timing),
        "MRModifierSequence": _sequence(InversionRecovery="YES", InversionTimes=[160.0]),
        "PixelValueTransformationSequence": _sequence(RescaleSlope=2, RescaleIntercept=-1),
        "FrameAnatomySequence": _sequence(
            AnatomicRegionSequence=_sequence(CodeMeaning="Lumbar spine")
        ),
    }


def make_enhanced(make_slice, values, syntax=uid.ExplicitVRLittleEndian):
    """Returns an Enhanced MR file of uint16 (frames, rows, columns)."""
    dataset = make_slice(
        values[0],
        spacing=None,
        position=None,
        orientation=None,
        transfer_syntax=uid.ExplicitVRLittleEndian,
    )
    dataset.SOPClassUID = uid.EnhancedMRImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = uid.EnhancedMRImageStorage
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.NumberOfFrames = len(values)
    dataset.EchoPulseSequence = "SPIN"
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "P", "1.2", "1.2.3"
    frames = values.astype(">u2" if syntax == uid.ExplicitVRBigEndian else "<u2")
    dataset.PixelData = frames.tobytes()
    dataset.SharedFunctionalGroupsSequence = _sequence(**_shared_groups())
    dataset.PerFrameFunctionalGroupsSequence = pydicom.Sequence(
        [_sequence(**_frame_groups(number))[0] for number in range(len(values))]
    )
    if syntax == uid.RLELossless:
        encoded = [rle.encode_frame(frame.tobytes(), *frame.shape, 1, 16, "<") for frame in frames]
        dataset.PixelData = encaps.encapsulate(encoded)
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.fixture
def values():
    return np.random.default_rng(0).integers(0, 4000, (5, 8, 6)).astype(np.uint16)


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ExplicitVRLittleEndian,
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.RLELossless,
    ],
)
def test_frames_keep_their_pixels_and_get_their_place_and_times(make_slice, values, syntax):
    data = make_enhanced(make_slice, values, syntax)
    headers = multi_frame.read_headers(data)
    found = multi_frame.read_frames(data, [1, 2, 3, 4, 5])
    assert len(headers) == 5
    for number, file in found.items():
        source = elements.read_elements(file)
        of_frame = header.parse_header(source)
        assert np.array_equal(pixels.decode(source, of_frame).values, values[number - 1])
        read = functools.partial(_first, headers[number - 1])
        alone = elements.read_beginning(read, frozenset(), 2**20)
        assert header.parse_header(alone) == of_frame
        assert of_frame.position == (4.0 * (number - 1), 1.5, -2.0)
        assert of_frame.spacing == (0.5, 0.75)
        assert (of_frame.slope, of_frame.intercept) == (2.0, -1.0)
        assert of_frame.acquisition.echo_time == (12.5,)
        image = pydicom.dcmread(io.BytesIO(file))
        assert (image.RepetitionTime, image.InversionTime, image.FlipAngle) == (650, 160, 90)
        assert image.ScanningSequence == ["SE", "IR"]
        assert image.BodyPartExamined == "LUMBAR SPINE"
        assert image.PatientID == "P"
        assert "NumberOfFrames" not in image


def test_frames_have_instance_uids_of_their_own_that_stay(make_slice, values):
    data = make_enhanced(make_slice, values)
    found = [
        {pydicom.dcmread(io.BytesIO(file)).SOPInstanceUID for file in frames.values()}
        for frames in (multi_frame.read_frames(data, [1, 2, 3]) for _ in range(2))
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 3


def test_file_without_its_functional_groups_is_no_set_of_images(make_slice, values):
    data = make_enhanced(make_slice, values)
    spoilt = pydicom.dcmread(io.BytesIO(data))
    del spoilt.PerFrameFunctionalGroupsSequence[2]
    file = io.BytesIO()
    spoilt.save_as(file)
    with pytest.raises(reasons.Rejected, match=r"4 functional groups, which say .* of 5 frames"):
        multi_frame.read_headers(file.getvalue())


def test_frames_that_would_fill_the_memory_are_no_set_of_images(make_slice, values, monkeypatch):
    data = make_enhanced(make_slice, values)
    one = len(multi_frame.read_headers(data)[0])
    monkeypatch.setattr(multi_frame, "_MAX_HEADERS", 4 * one)
    with pytest.raises(reasons.Rejected, match=r"the headers of its frames take more than \d+ byt"):
        multi_frame.read_headers(data)
    monkeypatch.setattr(multi_frame, "_MAX_HEADERS", 6 * one)
    assert len(multi_frame.read_frames(data, [5])) == 1


def test_file_that_is_cut_off_gives_a_reason(make_slice, values):
    data = make_enhanced(make_slice, values)
    with pytest.raises(reasons.Rejected, match="the frames' pixels can't be told apart"):
        multi_frame.read_frames(data[:-40], [5])
    for length in range(140, len(data) - len(values.tobytes()), 97):
        with pytest.raises(reasons.Rejected):
            multi_frame.read_frames(data[:length], [1])


@pytest.mark.slow
def test_enhanced_file_is_organized_as_its_frames(tmp_path, make_slice, organize, add_series):
    pile_dir = tmp_path / "pile"
    add_series(pile_dir)
    values = np.random.default_rng(1).integers(0, 900, (6, 24, 20)).astype(np.uint16)
    (pile_dir / "enhanced").write_bytes(make_enhanced(make_slice, values))
    found = organize(pile_dir, tmp_path / "S")
    assert found.num_series["Sagittal T2/STIR"] == 2
    (row,) = [
        line
        for line in (tmp_path / "S/series.csv").read_text().splitlines()
        if "TI 160 ms as in STIR" in line
    ]
    folder = pathlib.Path(tmp_path / "S/test_images", *row.split(",")[:2])
    for number, frame in enumerate(values[::-1], start=1):  # the normal runs to the right
        image = pydicom.dcmread(folder / f"{number}.dcm")
        assert np.array_equal(image.pixel_array, frame)
