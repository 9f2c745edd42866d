"""Spoilt files by the hundred (by the thousand in benchmarks/fuzz_dicom.py), and spoilt CSVs."""

import pathlib
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings, strategies as st
from pydicom.data import get_testdata_file

from spine_tf.dicom import elements, header, pixels, reasons
from spine_tf.rsna import annotations, sources

_FUZZER = pathlib.Path(__file__).parents[3] / "benchmarks" / "fuzz_dicom.py"


@pytest.mark.slow
def test_spoilt_files_decode_or_have_a_reason():
    finished = subprocess.run(
        [sys.executable, _FUZZER, "--num=60", "--seed=7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    assert finished.stdout.count("slowest") == 9


def _claim(name, marker, offset, claim):
    """A test file whose codestream claims another size than the header."""
    with pathlib.Path(get_testdata_file(f"{name}.dcm")).open("rb") as file:
        data = bytearray(file.read())
    position = data.index(marker, 1000) + offset
    data[position : position + len(claim)] = claim
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        _claim("MR_small_jp2klossless", b"\xff\x4f\xff\x51", 8, struct.pack(">II", 30000, 30000)),
        _claim("MR_small_jpeg_ls_lossless", b"\xff\xf7", 5, struct.pack(">HH", 30000, 30000)),
        _claim("JPGExtended", b"\xff\xc1", 5, struct.pack(">HH", 30000, 30000)),
    ],
    ids=["JPEG 2000", "JPEG-LS", "JPEG"],
)
def test_codestream_that_claims_another_size_is_not_decoded(data):
    found = elements.read_elements(data)
    slice_header = header.parse_header(found)
    with pytest.raises(reasons.Rejected, match=r"says \(30000, 30000\), the header"):
        pixels.decode(found, slice_header)


_FIELD = st.one_of(
    st.sampled_from(["1", "10", "2", "Left Subarticular Stenosis", "L4/L5", "3.5", "", "nan"]),
    st.text(max_size=5),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(_FIELD, min_size=0, max_size=9), max_size=6))
def test_every_selected_row_is_used_or_rejected(tmp_path_factory, rows):
    """Whatever the fields are: counted once, and never an exception of another kind."""
    directory = tmp_path_factory.mktemp("csv")
    (directory / "train_images").mkdir()
    (directory / "train.csv").write_text(
        "study_id,left_subarticular_stenosis_l4_l5\n1,Severe\n2,Moderate\n"
    )
    (directory / "train_series_descriptions.csv").write_text(
        "study_id,series_id,series_description\n1,10,Axial T2\n"
    )
    header_row = "study_id,series_id,instance_number,condition,level,x,y"
    quoted = [",".join('"' + f.replace('"', '""') + '"' for f in row) for row in rows]
    path = directory / "train_label_coordinates.csv"
    path.write_bytes("\n".join([header_row, *quoted]).encode("utf-8", errors="surrogatepass"))
    found = annotations.read_annotations(
        sources.open_source(directory),
        conditions=("left_subarticular_stenosis",),
        levels=("l4_l5",),
    )
    blank = sum(not any(field.strip() for field in row) for row in rows)
    assert len(found.rows) + len(found.rejects) == len(rows) - blank


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300))
def test_csv_of_noise_raises_nothing_but_value_error(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("csv")
    (directory / "train_images").mkdir()
    for name in ("train.csv", "train_series_descriptions.csv", "train_label_coordinates.csv"):
        (directory / name).write_bytes(data)
    with pytest.raises(ValueError, match=r"train"):
        annotations.read_annotations(sources.open_source(directory))
