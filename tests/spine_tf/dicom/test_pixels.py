"""Slices of every kind: the same stored values whatever the encoding, or a reason."""

import io
import struct
import zlib

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.data import get_testdata_file

from spine_tf.dicom import elements, header, pixels, reasons

_PIXELS = np.random.default_rng(0).integers(0, 4096, (64, 72)).astype(np.uint16)


def _bytes(dataset):
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _decode(data):
    """Returns the header and the stored values."""
    found = elements.read_elements(data)
    slice_header = header.parse_header(found)
    array = pixels.decode(found, slice_header)
    return slice_header, pixels.stored_values(array, slice_header, slice_header)


def _padding(data):
    """Which pixels are padding."""
    found = elements.read_elements(data)
    return pixels.decode(found, header.parse_header(found)).is_padding


def _stored(data):
    return _decode(data)[1]


def _testdata(name):
    path = get_testdata_file(f"{name}.dcm")
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_implicit",
        "MR_small_bigendian",
        "MR_small_expb",
        "MR_small_padded",
        "MR_small_RLE",
        "MR_small_jp2klossless",
        "MR_small_jpeg_ls_lossless",
    ],
)
def test_encodings_of_one_image_are_equal(name):
    np.testing.assert_array_equal(_stored(_testdata(name)), _stored(_testdata("MR_small")))


@pytest.mark.parametrize(
    "syntax", [uid.RLELossless, uid.ExplicitVRLittleEndian, uid.JPEG2000Lossless]
)
def test_pixels_are_those_that_were_saved(make_slice, syntax):
    dataset = make_slice(_PIXELS, transfer_syntax=uid.ExplicitVRLittleEndian)
    if syntax != uid.ExplicitVRLittleEndian:
        dataset.compress(syntax, encoding_plugin="pylibjpeg")
    found, values = _decode(_bytes(dataset))
    np.testing.assert_array_equal(values, _PIXELS)
    assert found.shape == (64, 72)
    assert found.spacing == (0.5, 0.5)
    assert found.orientation == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def test_walk_and_pydicom_see_the_same(make_slice):
    data = _bytes(make_slice(_PIXELS, spacing=(0.3, 0.7), RescaleSlope="2", RescaleIntercept="-5"))
    walked, parsed = elements.walk(data), elements._parse(data)
    assert walked is not None
    assert walked.values == parsed.values
    assert header.parse_header(walked) == header.parse_header(parsed)


def test_deflated_file_is_read(make_slice):
    dataset = make_slice(_PIXELS, transfer_syntax=uid.ExplicitVRLittleEndian)
    dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    np.testing.assert_array_equal(_stored(_bytes(dataset)), _PIXELS)


@pytest.mark.parametrize(
    ("array", "changes", "expected"),
    [
        pytest.param([0, 5, 4095], {}, [0, 5, 4095], id="as stored"),
        pytest.param([0, 5, 4095], {"RescaleSlope": "0.001"}, [0, 5, 4095], id="slope"),
        pytest.param([0, 5, 4095], {"RescaleIntercept": "-1024"}, [0, 5, 4095], id="intercept"),
        pytest.param(
            [0, 5, 4095],
            {"PhotometricInterpretation": "MONOCHROME1"},
            [4095, 4090, 0],
            id="monochrome 1",
        ),
        pytest.param([0, 5, 4095], {"RescaleSlope": "-1"}, [4095, 4090, 0], id="negative slope"),
        pytest.param(
            [0, 5, 4095],
            {"RescaleSlope": "-1", "PhotometricInterpretation": "MONOCHROME1"},
            [0, 5, 4095],
            id="both",
        ),
        pytest.param([0xF005, 7, 0x1FFF], {}, [5, 7, 4095], id="bits above those stored"),
    ],
)
def test_stored_values_of_unsigned_pixels(make_slice, array, changes, expected):
    data = _bytes(make_slice(np.array([array], np.uint16), **changes))
    assert _stored(data).tolist() == [expected]


@pytest.mark.parametrize(
    ("dtype", "bits", "array", "expected"),
    [
        (np.int16, 12, [-2048, 0, 2047], [0, 2048, 4095]),
        (np.int16, 16, [-32768, 0, 32767], [0, 32768, 65535]),
        (np.uint16, 16, [0, 1, 65535], [0, 1, 65535]),
        (np.uint8, 8, [0, 1, 255], [0, 1, 255]),
        (np.int8, 8, [-128, 0, 127], [0, 128, 255]),
    ],
)
@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.ExplicitVRLittleEndian])
def test_stored_values_by_sign_and_bits(make_slice, dtype, bits, array, expected, syntax):
    # Two rows, so that the rows of 8-bit pixels have an even length together.
    image = np.array([array, array], dtype)
    data = _bytes(make_slice(image, bits_stored=bits, transfer_syntax=syntax))
    assert _stored(data).tolist() == [expected, expected]


def test_signed_pixels_may_be_inverted(make_slice):
    image = np.array([[-2048, 2047]], np.int16)
    data = _bytes(make_slice(image, PhotometricInterpretation="MONOCHROME1"))
    assert _stored(data).tolist() == [[4095, 0]]


def test_neighbour_comes_to_the_scale_of_the_annotated_slice(make_slice):
    own = make_slice(np.array([[100, 200]], np.uint16), RescaleSlope="2", RescaleIntercept="0")
    other = make_slice(np.array([[100, 200]], np.uint16), RescaleSlope="4", RescaleIntercept="10")
    reference, _ = _decode(_bytes(own))
    found = elements.read_elements(_bytes(other))
    slice_header = header.parse_header(found)
    values = pixels.stored_values(pixels.decode(found, slice_header), slice_header, reference)
    assert values.tolist() == [[205, 405]]


_PADDINGS = [
    # dtype, bits stored, padding and limit with their VR, pixels, stored values (None: padding)
    pytest.param(np.uint16, 12, (0, "US"), None, [0, 5, 4095], [None, 5, 4095], id="zero"),
    pytest.param(np.uint16, 16, (65535, "US"), None, [0, 5, 65535], [0, 5, None], id="highest"),
    pytest.param(
        np.int16, 16, (-2000, "SS"), None, [-2000, 0, 9], [None, 32768, 32777], id="signed"
    ),
    pytest.param(
        np.int16, 16, (63536, "US"), None, [-2000, 0, 9], [None, 32768, 32777], id="another VR"
    ),
    pytest.param(
        np.int16, 12, (-32768, "SS"), None, [-32768, 0, 9], [None, 2048, 2057], id="no 12 bits"
    ),
    pytest.param(
        np.uint16, 12, (0xFFFF, "US"), None, [0xFFFF, 4095, 9], [None, 4095, 9], id="a whole cell"
    ),
    pytest.param(
        np.uint16, 12, (7, "US"), None, [0x1007, 7, 9], [None, None, 9], id="beside an overlay"
    ),
    pytest.param(np.uint16, 12, (7, "US"), (9, "US"), [6, 8, 10], [6, None, 10], id="range"),
    pytest.param(np.uint16, 12, (9, "US"), (7, "US"), [7, 9, 10], [None, None, 10], id="downwards"),
    pytest.param(
        np.int16,
        12,
        (-32768, "SS"),
        (-2000, "SS"),
        [-2001, -9, -32768],
        [None, 2039, None],
        id="range from beyond 12 bits",
    ),
    pytest.param(np.uint8, 8, (255, "US"), None, [0, 9, 255, 1], [0, 9, None, 1], id="8 bits"),
    pytest.param(np.uint8, 8, (999, "US"), None, [0, 9, 231, 1], [0, 9, 231, 1], id="no 8 bits"),
]


@pytest.mark.parametrize(("dtype", "bits", "padding", "limit", "array", "expected"), _PADDINGS)
@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.ExplicitVRLittleEndian, "by pydicom"])
def test_padding_is_no_tissue_and_zero(
    make_slice, dtype, bits, padding, limit, array, expected, syntax
):
    by_pydicom = syntax == "by pydicom"
    dataset = make_slice(
        np.array([array], dtype),
        bits_stored=bits,
        transfer_syntax=uid.ExplicitVRLittleEndian if by_pydicom else syntax,
    )
    dataset.add_new(0x00280120, padding[1], padding[0])
    if limit:
        dataset.add_new(0x00280121, limit[1], limit[0])
    if by_pydicom:
        dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    data = _bytes(dataset)
    is_padding = [value is None for value in expected]
    found = _padding(data)
    assert (found is not None) == any(is_padding)
    assert found is None or found.tolist() == [is_padding]
    assert _stored(data).tolist() == [[value or 0 for value in expected]]


@pytest.mark.parametrize(
    "changes", [{"PhotometricInterpretation": "MONOCHROME1"}, {"RescaleSlope": "-1"}]
)
def test_padding_is_zero_where_pixels_are_inverted(make_slice, changes):
    data = _bytes(make_slice(np.array([[0, 5, 4095]], np.uint16), PixelPaddingValue=0, **changes))
    assert _stored(data).tolist() == [[0, 4090, 0]]
    assert _padding(data).tolist() == [[True, False, False]]


def test_padding_of_big_endian_and_implicit_files_is_found(make_slice):
    for syntax in (uid.ExplicitVRBigEndian, uid.ImplicitVRLittleEndian):
        dataset = make_slice(
            np.array([[1, 258]], np.uint16), transfer_syntax=uid.ExplicitVRLittleEndian
        )
        dataset.PixelPaddingValue = 258
        if syntax == uid.ExplicitVRBigEndian:
            dataset.PixelData = np.array([[1, 258]], ">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        assert _stored(_bytes(dataset)).tolist() == [[1, 0]]


def test_empty_padding_value_is_none(make_slice):
    dataset = make_slice(_PIXELS, PixelPaddingRangeLimit=4)
    dataset.add_new(0x00280120, "US", None)
    data = _bytes(dataset)
    np.testing.assert_array_equal(_stored(data), _PIXELS)
    assert _padding(data) is None


@pytest.mark.parametrize(
    ("dtype", "bits", "high_bit", "array", "expected"),
    [
        pytest.param(np.uint16, 12, 15, [0x0000, 0x0051, 0xFFFF], [0, 5, 4095], id="left"),
        pytest.param(np.uint16, 10, 12, [0x0008, 0xE01F, 0x1FFF], [1, 3, 1023], id="between"),
        pytest.param(np.int16, 12, 15, [-32768, 0x000F, 32767], [0, 2048, 4095], id="left, signed"),
        pytest.param(
            np.int16, 12, 13, [4 * -5 + 3, 4 * 5, 0x4004], [2043, 2053, 2049], id="bits above"
        ),
        pytest.param(np.uint8, 6, 7, [0x04, 0xFF, 0x00, 0x09], [1, 63, 0, 2], id="8 bits"),
    ],
)
@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.ExplicitVRLittleEndian])
def test_high_bit_says_where_the_value_is(
    make_slice, dtype, bits, high_bit, array, expected, syntax
):
    image = np.array([array], dtype)
    data = _bytes(make_slice(image, bits_stored=bits, transfer_syntax=syntax, HighBit=high_bit))
    assert _stored(data).tolist() == [expected]


def test_padding_is_compared_with_the_value_that_is_left_aligned(make_slice):
    image = np.array([[0x0050, 0x0060, 0xFFF0]], np.uint16)
    data = _bytes(make_slice(image, HighBit=15, PixelPaddingValue=5))
    assert _stored(data).tolist() == [[0, 6, 4095]]


def test_high_bit_of_a_codec_is_refused_where_its_samples_have_no_cells(make_slice):
    dataset = make_slice(_PIXELS, transfer_syntax=uid.ExplicitVRLittleEndian)
    dataset.compress(uid.JPEG2000Lossless, encoding_plugin="pylibjpeg")
    dataset.HighBit = 15
    with pytest.raises(reasons.Rejected, match="unsupported_pixels: HighBit is 15 in JPEG 2000"):
        _decode(_bytes(dataset))


@pytest.mark.parametrize(
    ("own", "other", "array", "expected"),
    [
        pytest.param({}, {"dtype": np.int16}, [-300, 0, 7], [0, 0, 7], id="signed by unsigned"),
        pytest.param(
            {"dtype": np.int16}, {}, [0, 7, 4095], [2048, 2055, 6143], id="unsigned by signed"
        ),
        pytest.param(
            {"dtype": np.int16, "bits": 16},
            {"dtype": np.int16, "bits": 12},
            [-2048, 0, 7],
            [30720, 32768, 32775],
            id="signed by signed of more bits",
        ),
        pytest.param(
            {},
            {"dtype": np.int16, "RescaleIntercept": "300"},
            [-300, 0, 7],
            [0, 300, 307],
            id="signed with an intercept",
        ),
        pytest.param(
            {"PhotometricInterpretation": "MONOCHROME1"},
            {},
            [0, 7, 4095],
            [0, 7, 4095],
            id="other monochrome",
        ),
        pytest.param(
            {},
            {"PhotometricInterpretation": "MONOCHROME1", "bits": 16},
            [65535, 65528, 61440],
            [0, 7, 4095],
            id="monochrome 1 of more bits",
        ),
    ],
)
def test_neighbour_of_another_encoding_means_what_the_reference_means(
    make_slice, own, other, array, expected
):
    def make(values, dtype=np.uint16, bits=12, **changes):
        image = np.array([values]).astype(dtype)
        return _bytes(make_slice(image, bits_stored=bits, **changes))

    reference, _ = _decode(make([0, 0, 0], **own))
    found = elements.read_elements(make(array, **other))
    slice_header = header.parse_header(found)
    values = pixels.stored_values(pixels.decode(found, slice_header), slice_header, reference)
    assert values.tolist() == [expected]


def _reason(data):
    with pytest.raises(reasons.Rejected) as caught:
        _decode(data)
    return caught.value.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Rows": None}, "bad_header"),
        ({"Columns": 0}, "bad_header"),
        ({"BitsAllocated": None}, "bad_header"),
        ({"BitsStored": 17}, "bad_header"),
        ({"HighBit": 10}, "bad_header"),
        ({"HighBit": 16}, "bad_header"),
        ({"PixelPaddingValue": [1, 2]}, "bad_header"),
        ({"BitsAllocated": 32}, "unsupported_pixels"),
        ({"BitsAllocated": 1}, "unsupported_pixels"),
        ({"Rows": 65535, "Columns": 65535}, "image_too_large"),
        ({"Rows": 65}, "bad_pixels"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"NumberOfFrames": "2"}, "multi_frame"),
        ({"NumberOfFrames": "-1"}, "bad_header"),
        ({"PixelSpacing": None}, "no_spacing"),
        ({"PixelSpacing": [0, 1]}, "no_spacing"),
        ({"PixelSpacing": [1, 1e9]}, "no_spacing"),
        ({"PixelData": None}, "no_pixels"),
        ({"RescaleSlope": "0"}, "bad_header"),
        ({"RescaleIntercept": "1e300"}, "bad_header"),
        ({"PixelData": b"\0\0\0\0"}, "bad_pixels"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_spoilt_slice_has_its_reason(make_slice, changes, reason):
    syntax = uid.ExplicitVRLittleEndian
    assert _reason(_bytes(make_slice(_PIXELS, transfer_syntax=syntax, **changes))) == reason


@pytest.mark.parametrize("frames", ["0", "", "00", "01", "1"])
def test_slice_that_counts_its_one_frame_oddly_is_read(make_slice, frames):
    plain = _bytes(
        make_slice(_PIXELS, transfer_syntax=uid.ExplicitVRLittleEndian, NumberOfFrames="1")
    )
    element = b"\x28\0\x08\0IS\2\0"
    assert element + b"1 " in plain
    found = plain.replace(element + b"1 ", element + frames.encode().ljust(2))
    np.testing.assert_array_equal(_decode(found)[1], _decode(plain)[1])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MR_truncated", "bad_pixels"),
        ("rtplan", "no_pixels"),
        ("examples_jpeg2k", "colour"),
        ("rtdose_rle", "multi_frame"),
        ("no_meta", "not_dicom"),
        ("meta_missing_tsyntax", "not_dicom"),
        ("liver_1frame", "unsupported_pixels"),
    ],
)
def test_file_that_is_no_grey_slice_has_its_reason(name, reason):
    assert _reason(_testdata(name)) == reason


@pytest.mark.parametrize("data", [b"", b"\0" * 132, b"GIF89a" * 100, b"\0" * 128 + b"DICM"])
def test_noise_is_no_dicom(data):
    assert _reason(data) in ("not_dicom", "bad_header")


def _with_rle_header(make_slice, count, offsets):
    data = _bytes(make_slice(_PIXELS))
    position = data.index(struct.pack("<2I", 2, 64))
    lie = struct.pack("<16I", count, *offsets, *[0] * (15 - len(offsets)))
    return data[:position] + lie + data[position + 64 :]


@pytest.mark.parametrize(
    ("count", "offsets"),
    [
        (2, (64, 10**9)),
        (2, (64, 64)),
        (2, (64, 63)),
        (2, (0, 80)),
        (1, (64,)),
        (3, (64, 80, 90)),
        (0, ()),
        (2**32 - 1, (64, 80)),
    ],
)
def test_rle_header_that_lies_is_refused(make_slice, count, offsets):
    assert _reason(_with_rle_header(make_slice, count, offsets)) == "bad_pixels"


def test_cut_off_rle_frame_is_refused(make_slice):
    data = _bytes(make_slice(_PIXELS))
    for size in range(len(data) - 900, len(data) - 10, 97):
        assert _reason(data[:size]) == "bad_pixels"


def test_fragment_that_claims_more_than_there_is_is_refused():
    """Decoders would take what there is for the whole of it."""
    data = bytearray(_testdata("MR_small_jp2klossless"))
    position = data.index(b"\xff\x4f\xff\x51") - 4
    (length,) = struct.unpack_from("<I", data, position)
    struct.pack_into("<I", data, position, length + 100)
    with pytest.raises(reasons.Rejected, match=r"bad_pixels.*cut off or damaged"):
        _decode(bytes(data))


@pytest.mark.slow
def test_deflate_bomb_is_refused_within_its_bound(make_slice):
    dataset = make_slice(_PIXELS, transfer_syntax=uid.ExplicitVRLittleEndian)
    data = _bytes(dataset)
    dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    deflated = _bytes(dataset)
    meta_end = deflated.index(uid.DeflatedExplicitVRLittleEndian.encode())
    meta_end = 144 + struct.unpack_from("<I", deflated, 140)[0]
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(data[-1000:] + bytes(2**27)) + deflater.flush()
    assert len(bomb) < 2**19
    assert _reason(deflated[:meta_end] + bomb) == "file_too_large"


def test_missing_plugin_is_named(make_slice, monkeypatch):
    decoder = pydicom.pixels.get_decoder(uid.JPEG2000Lossless)
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {"pylibjpeg": ("pylibjpeg-openjpeg>=2.0",)})
    with pytest.raises(reasons.Rejected, match=r"no_decoder.*JPEG 2000.*pylibjpeg-openjpeg"):
        _decode(_testdata("MR_small_jp2klossless"))


def test_unknown_transfer_syntax_is_refused(make_slice):
    data = _bytes(make_slice(_PIXELS))
    unknown = data.replace(uid.RLELossless.encode(), b"1.2.840.10008.1.2.9")
    assert len(data) == len(unknown)
    assert _reason(unknown) == "no_decoder"


def test_missing_orientation_is_no_error_yet(make_slice):
    found, _ = _decode(_bytes(make_slice(_PIXELS, orientation=None, position=None)))
    assert (found.orientation, found.position) == (None, None)


@pytest.mark.parametrize("orientation", [(0.0,) * 6, (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)])
def test_orientation_that_is_none_is_none(make_slice, orientation):
    found, _ = _decode(_bytes(make_slice(_PIXELS, orientation=orientation)))
    assert found.orientation is None


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.DeflatedExplicitVRLittleEndian])
def test_acquisition_is_read(make_slice, syntax):
    dataset = make_slice(
        _PIXELS,
        transfer_syntax=uid.RLELossless
        if syntax == uid.RLELossless
        else uid.ExplicitVRLittleEndian,
        SeriesInstanceUID="1.2.3.4",
        EchoTime="9.8000001",
        EchoNumbers="2",
        ImageType=["DERIVED ", "PRIMARY", "M"],
        TemporalPositionIdentifier="3",
        DiffusionBValue=500.0,
    )
    dataset.file_meta.TransferSyntaxUID = syntax
    found, _ = _decode(_bytes(dataset))
    assert found.acquisition == header.Acquisition(
        series_uid="1.2.3.4",
        echo_time=(9.8,),
        echo_numbers=(2.0,),
        image_type=("DERIVED", "PRIMARY", "M"),
        temporal_position=(3.0,),
        b_value=500.0,
    )
    assert "1.2.3.4" not in repr(found)


def test_hints_differ_with_what_they_are_of(make_slice):
    usual = make_slice(_PIXELS, AcquisitionNumber="1", TriggerTime="30")
    others = [
        make_slice(_PIXELS, AcquisitionNumber="2", TriggerTime="30"),
        make_slice(_PIXELS, AcquisitionNumber="1", TriggerTime="60"),
        make_slice(_PIXELS, AcquisitionNumber="1", TriggerTime="30", RescaleSlope="2"),
        make_slice(_PIXELS.astype(np.int16), AcquisitionNumber="1", TriggerTime="30"),
    ]
    found = [_decode(_bytes(dataset))[0] for dataset in (usual, *others)]
    for other in found[1:]:
        assert sum(a != b for a, b in zip(found[0].hints, other.hints, strict=True)) == 1
        assert other.acquisition == found[0].acquisition


def test_attribute_that_tells_nothing_is_no_reason_to_refuse(make_slice):
    """A sequence where a number belongs, and a b-value that is no number."""
    dataset = make_slice(_PIXELS, transfer_syntax=uid.ExplicitVRLittleEndian)
    dataset.add_new(0x00180081, "SQ", [pydicom.Dataset()])
    dataset.add_new(0x00189087, "FD", float("nan"))
    found, values = _decode(_bytes(dataset))
    np.testing.assert_array_equal(values, _PIXELS)
    assert found.acquisition == header.Acquisition()


def test_rejected_survives_pickling():
    import pickle

    rejected = pickle.loads(pickle.dumps(reasons.Rejected(reasons.Reason.COLOUR, "x")))
    assert (rejected.reason, rejected.detail) == (reasons.Reason.COLOUR, "x")
