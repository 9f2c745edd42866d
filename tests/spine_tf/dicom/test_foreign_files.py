"""pydicom's own test files, of many makers and of none: the right pixels, or a reason."""

import pathlib
import shutil
import warnings

import gdcm
import numpy as np
import pydicom
import pydicom.data
import pytest
from pydicom import errors, uid

from spine_tf.configuration import roi_config
from spine_tf.crops import cutting
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations, sources

_FILES = sorted(
    path
    for path in (pathlib.Path(pydicom.data.__file__).parent / "test_files").rglob("*")
    if path.is_file()
)
_REGION = roi_config.RoiConfig(roi_px=32, roi_mm=20.0)
_CONDITION, _LEVEL = 0, 3


def _read(path):
    """What pydicom makes of a file; None where it makes nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(path)
        except errors.InvalidDicomError:
            return None


def _center(dataset):
    rows, columns = getattr(dataset, "Rows", 1) or 1, getattr(dataset, "Columns", 1) or 1
    return float(columns // 2), float(rows // 2)


@pytest.fixture(scope="module")
def answers(make_data_set, tmp_path_factory):
    """A crop or a reject of every file, by its place in _FILES."""
    data = make_data_set(tmp_path_factory.mktemp("foreign") / "data")
    rows = []
    for number, path in enumerate(_FILES):
        place = data.image_path(1, number, 1)
        place.parent.mkdir(parents=True)
        shutil.copy(path, place)
        x, y = _center(_read(path))
        row = annotations.Annotation(
            study_id=1,
            series_id=number,
            instance_number=1,
            condition=_CONDITION,
            level=_LEVEL,
            x=x,
            y=y,
            label=None,
        )
        rows.append(row)
    source = sources.Folder(directory=data.directory, side="train")
    return dict(enumerate(cutting.read_crops(source, rows, _REGION)))


def _pixels(path, dataset):
    """The pixels by pydicom; those of 12-bit lossy JPEG, which it gives to no decoder, by GDCM."""
    if dataset.file_meta.TransferSyntaxUID != uid.JPEGExtended12Bit:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dataset.pixel_array.astype(int)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    data = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(data, "<u2").reshape(dataset.Rows, dataset.Columns).astype(int)


def _stored(path, dataset):
    """The stored values that a record holds, by another reader and plain arithmetic."""
    array = _pixels(path, dataset)
    span = 2**dataset.BitsStored
    padding = getattr(dataset, "PixelPaddingValue", None)
    is_padding = np.zeros(array.shape, bool)
    if padding is not None:
        ends = [padding, getattr(dataset, "PixelPaddingRangeLimit", padding)]
        is_padding = (array >= min(ends)) & (array <= max(ends))
    if dataset.PixelRepresentation:
        array += span // 2
    slope = float(getattr(dataset, "RescaleSlope", 1) or 1)
    if (dataset.PhotometricInterpretation == "MONOCHROME1") != (slope < 0):
        array = span - 1 - array
    return np.where(is_padding, 0, array)


@pytest.mark.parametrize("number", range(len(_FILES)), ids=[path.name for path in _FILES])
def test_file_gives_the_right_pixels_or_a_reason(answers, number):
    answer = answers[number]
    if isinstance(answer, reasons.Reject):
        assert answer.reason in reasons.Reason
        assert len(answer.detail) > 3
    else:
        dataset = _read(_FILES[number])
        np.testing.assert_array_equal(answer.stack[0], _stored(_FILES[number], dataset))
        assert answer.spacing == tuple(np.array(dataset.PixelSpacing, np.float32).tolist())


def test_files_that_are_one_grey_slice_are_not_rejected(answers):
    crops = {
        _FILES[number].name
        for number, answer in answers.items()
        if not isinstance(answer, reasons.Reject)
    }
    assert len(crops) >= 25
    assert {"MR_small.dcm", "MR_small_RLE.dcm", "CT_small.dcm", "JPEG2000.dcm"} <= crops
