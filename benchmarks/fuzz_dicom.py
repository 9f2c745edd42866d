"""Mutates DICOM files by the thousand: each must decode or be rejected with a reason code.

python benchmarks/fuzz_dicom.py [--num 5000] [--seed 0]

Ends with 1 where anything else is raised, a file takes longer than 20 s, or the process more than
400 MB. A crash of JPEG's decoders is `bad_pixels`; one of the RLE decoder ends the process, and the
last line says which file it was.
"""

import collections
import io
import logging
import pathlib
import random
import re
import sys
import time
import warnings
from collections.abc import Mapping

import convert_data
import numpy as np
import pydicom
from absl import app, flags
from pydicom import uid
from pydicom.data import get_testdata_file

from spine_tf.crops import roi
from spine_tf.dicom import elements, header, pixels, reasons

_NUM = flags.DEFINE_integer("num", 5000, "Spoilt files of each whole one.")
_SEED = flags.DEFINE_integer("seed", 0, "Of what is spoilt.")

_MAX_SECONDS, _MAX_MEGABYTES = 20.0, 400
_TESTDATA = (
    "MR_small",
    "MR_small_RLE",
    "MR_small_implicit",
    "MR_small_bigendian",
    "MR_small_jp2klossless",
    "MR_small_jpeg_ls_lossless",
    "JPGExtended",
)
_HOSTILE = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff\xff\0\0")


def main(_: list[str]) -> None:
    """Mutates every base file and prints what became of it."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    is_good = True
    for name, data in base_files().items():
        outcomes, slowest = fuzz(name, data, _NUM.value, _SEED.value)
        megabytes = _peak_megabytes()
        print(f"{name}: {dict(outcomes)}, slowest {slowest:.2f} s, {megabytes} MB", flush=True)
        is_good &= slowest < _MAX_SECONDS and megabytes < _MAX_MEGABYTES
        is_good &= not any(outcome.startswith("RAISED") for outcome in outcomes)
    sys.exit(not is_good)


def _peak_megabytes() -> int:
    """The largest memory of this program; getrusage would count its parent's at the fork."""
    status = pathlib.Path("/proc/self/status").read_text("ascii")
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) // 1024


def base_files() -> Mapping[str, bytes]:
    """Whole files to start from, by name."""
    generator = np.random.default_rng(0)
    dataset = convert_data.make_dicom(convert_data.make_pixels(generator, 96))
    files = {"rle": _bytes_of(dataset)}
    dataset.decompress(decoding_plugin="pylibjpeg")
    dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    files["deflated"] = _bytes_of(dataset)
    for name in _TESTDATA:
        with open(str(get_testdata_file(f"{name}.dcm")), "rb") as file:  # noqa: PTH123
            files[name] = file.read()
    return files


def fuzz(name: str, data: bytes, num: int, seed: int) -> tuple[collections.Counter[str], float]:
    """Returns outcome -> files, and the longest time of one."""
    outcomes: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    for index in range(num):
        spoilt = mutate(random.Random(f"{seed}/{name}/{index}"), data)
        start = time.monotonic()
        outcome = decode(spoilt)
        slowest = max(slowest, time.monotonic() - start)
        outcomes[outcome] += 1
        if outcome.startswith("RAISED"):
            print(f"{name}, seed {seed}, file {index}: {outcome}", flush=True)
    return outcomes, slowest


def decode(data: bytes) -> str:
    """Returns "ok", a reason code, or what was raised."""
    try:
        found = elements.read_elements(data)
        slice_header = header.parse_header(found)
        array = pixels.decode(found, slice_header)
        roi.window(pixels.stored_values(array, slice_header, slice_header))
    except reasons.Rejected as rejected:
        return rejected.reason.value
    except BaseException as err:  # noqa: BLE001 - a finding is whatever is raised
        return f"RAISED {type(err).__name__}: {err}"
    return "ok"


def mutate(generator: random.Random, data: bytes) -> bytes:
    """Flips, overwrites, removes and inserts bytes, mostly in the header; cuts one in six."""
    spoilt = bytearray(data)
    for _ in range(generator.choice((1, 1, 2, 4, 16))):
        end = min(len(spoilt), 1500) if generator.random() < 0.5 else len(spoilt)
        _mutate_once(generator, spoilt, generator.randrange(max(end, 1)))
    if generator.random() < 1 / 6:
        del spoilt[generator.randrange(len(spoilt) + 1) :]
    return bytes(spoilt)


def _mutate_once(generator: random.Random, spoilt: bytearray, where: int) -> None:
    kind = generator.randrange(5)
    if kind == 0 and where < len(spoilt):
        spoilt[where] ^= 1 << generator.randrange(8)
    elif kind == 1:
        spoilt[where : where + 1] = generator.randbytes(1)
    elif kind == 2:
        spoilt[where : where + 4] = generator.choice(_HOSTILE)
    elif kind == 3:
        spoilt[where : where + generator.randrange(1, 64)] = b""
    else:
        spoilt[where:where] = generator.randbytes(generator.randrange(1, 9))


def _bytes_of(dataset: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


if __name__ == "__main__":
    app.run(main)
