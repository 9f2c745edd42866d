"""JPEG, JPEG-LS and JPEG 2000: codestreams are checked, then decoded in a process of its own.

Their decoders are written in C and C++, and what a damaged or hostile file does to them is not for
this process to bear: the other one's death is a reject.
"""

import faulthandler
import functools
import os
import pathlib
import struct
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from pydicom import encaps, pixels, uid

from spine_tf.dicom import elements, header, reasons
from spine_tf.processes import child

# JPEG, JPEG-LS, JPEG 2000 and High-Throughput JPEG 2000 (PS3.6, table A-1).
PREFIX = "1.2.840.10008.1.2.4."

# One decoder for each syntax, whatever else is installed: of lossy images no two decoders make
# the same pixels. gdcm comes with the extra, pylibjpeg-openjpeg with the package.
_GDCM, _OPENJPEG = "gdcm", "pylibjpeg"
_GDCM_SYNTAXES = frozenset(
    {
        uid.JPEGBaseline8Bit,
        uid.JPEGExtended12Bit,
        uid.JPEGLossless,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.JPEGLSNearLossless,
    }
)
# pydicom doesn't hand 12-bit images of this name to gdcm, which decodes them all the same, within 1
# of the reference: it goes by the codestream.
_ALIASES = {uid.JPEGExtended12Bit: uid.JPEGBaseline8Bit}

_START_OF_IMAGE = b"\xff\xd8"
_START_OF_CODESTREAM = b"\xff\x4f\xff\x51"
_SIZE_SEGMENT = struct.Struct(">4xHHIIII")

# SOF0 to SOF15 without DHT, JPG and DAC (ITU T.81, table B.1), and JPEG-LS's SOF55.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_STANDALONE = frozenset(range(0xD0, 0xD8)) | {0x01}

_MAX_ATTEMPTS = 2
_MOST_SECONDS = 60.0


def decode(syntax: uid.UID, frame: bytes, slice_header: header.Header) -> np.ndarray:
    """Returns the pixels of a codestream, (rows, columns) if it keeps what its head says.

    Args:
        syntax: the transfer syntax, one that pydicom knows a decoder for.
        frame: the codestream.
        slice_header: the slice's header; its shape must be the codestream's.

    Raises:
        reasons.Rejected: it can't be decoded, or the decoder is not installed.
    """
    _check_is_decodable(syntax)
    _check_codestream(syntax, frame, slice_header)
    options = {
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "rows": slice_header.rows,
        "columns": slice_header.columns,
        "bits_allocated": slice_header.bits_allocated,
        "bits_stored": slice_header.bits_stored,
        "pixel_representation": int(slice_header.is_signed),
    }
    answer = _decoder_of(os.getpid()).ask(str(syntax), frame, options)
    if isinstance(answer, str):
        raise _bad_pixels(f"{syntax.name} can't be decoded ({answer})")
    return answer


def _check_is_decodable(syntax: uid.UID) -> None:
    decoder = pixels.get_decoder(syntax)
    if _plugin(syntax) in decoder.available_plugins:
        return
    need = f"{syntax.name} needs one of: {'; '.join(decoder.missing_dependencies)}"
    if syntax in _GDCM_SYNTAXES:
        need = f"{syntax.name} needs python-gdcm: pip install 'spine-tf[jpeg]'"
    raise reasons.Rejected(reasons.Reason.NO_DECODER, need)


def _plugin(syntax: uid.UID) -> str:
    return _GDCM if syntax in _GDCM_SYNTAXES else _OPENJPEG


def _check_codestream(syntax: uid.UID, frame: bytes, slice_header: header.Header) -> None:
    start = _START_OF_IMAGE if syntax in _GDCM_SYNTAXES else _START_OF_CODESTREAM
    if not frame.startswith(start):
        # A JP2 file's boxes overflow a buffer of OpenJPEG 2.5.2 (CVE-2025-54874); PS3.5, A.4.4
        # allows none.
        raise _bad_pixels(
            f"{syntax.name} that begins with {frame[: len(start)].hex()}, expected {start.hex()}"
        )
    shape = codestream_shape(frame)
    if shape != slice_header.shape:
        raise _bad_pixels(f"{syntax.name} says {shape}, the header {slice_header.shape}")


def codestream_shape(data: bytes) -> tuple[int, int] | None:
    """Returns what a JPEG, JPEG-LS or JPEG 2000 codestream says of its own size.

    Decoders believe it, not the DICOM header: a stream that claims 20,000 x 20,000 pixels takes
    2 GB and a minute and a half before anyone can compare. So it is compared first.

    Returns:
        Rows and columns, or None where it has no readable header.
    """
    if data.startswith(_START_OF_IMAGE):
        return _read_jpeg(data)
    return _read_jpeg_2000(data) if data.startswith(_START_OF_CODESTREAM) else None


def _read_jpeg(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _FRAME_MARKERS:
            rows, columns = struct.unpack_from(">HH", data, position + 5)
            return rows, columns
        # Fill bytes and markers without a segment take no length.
        if marker == 0xFF:
            position += 1
        elif marker in _STANDALONE:
            position += 2
        else:
            position += 2 + max(struct.unpack_from(">H", data, position + 2)[0], 2)
    return None


def _read_jpeg_2000(data: bytes) -> tuple[int, int] | None:
    if _SIZE_SEGMENT.size > len(data):
        return None
    _, _, right, bottom, left, top = _SIZE_SEGMENT.unpack_from(data)
    return bottom - top, right - left


@functools.lru_cache(maxsize=1)
def _decoder_of(process_id: int) -> "Decoder":
    """The decoder of this process: a fork has its parent's memory, and needs one of its own."""
    return Decoder(_answer_all)


class Decoder:
    """A process that decodes one image after the other; it is started by the first."""

    def __init__(self, answer: Callable[[child.Connection], None]) -> None:
        """Args: `answer` is what the process does, from the first request to the last."""
        self._answer = answer
        self._lock = threading.Lock()
        self._child: child.Child | None = None

    def ask(self, *request: Any) -> np.ndarray | str:
        """Returns the pixels, or why there are none.

        A crash is the image's fault. What was killed, for want of memory or with the thread that
        started it, is started anew and asked once more.
        """
        with self._lock:
            for _ in range(_MAX_ATTEMPTS):
                decoder = self._started()
                try:
                    return self._ask(decoder, request)
                except ChildProcessError as err:
                    ending = f"the decoder {err}"
                    if not decoder.is_killed:
                        break
                except TimeoutError:
                    self.end()
                    return f"not done after {_MOST_SECONDS:g} s"
        return ending

    def _started(self) -> child.Child:
        if self._child is None or not self._child.is_alive:
            self.end()
            # What the decoders say of a damaged file would fill the log.
            self._child = child.Child(
                self._answer, start_method=child.start_method(), log_path=pathlib.Path(os.devnull)
            )
        return self._child

    def _ask(self, decoder: child.Child, request: tuple[Any, ...]) -> np.ndarray | str:
        decoder.send(request)
        if not decoder.connection.poll(_MOST_SECONDS):
            raise TimeoutError
        return decoder.receive()

    def end(self) -> None:
        """Ends the process, if there is one."""
        if self._child is not None:
            self._child.end()
            self._child = None


def _answer_all(caller: child.Connection) -> None:
    import resource  # Windows has none, and its users are told before anything else.

    # A crash is an answer: no stack on stderr, no image of a patient in a core file.
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            request = caller.recv()
        except EOFError:
            return
        caller.send(_answer(*request))


def _answer(syntax: str, frame: bytes, options: dict[str, Any]) -> np.ndarray | str:
    """Returns the pixels or the name of an error; where the decoder crashes, nothing."""
    known = uid.UID(syntax)
    try:
        array, _ = pixels.get_decoder(_ALIASES.get(known, known)).as_array(
            encaps.encapsulate([frame], has_bot=False),
            raw=True,
            decoding_plugin=_plugin(known),
            **options,
        )
    except elements.PARSE_ERRORS as err:
        return type(err).__name__
    return array


def _bad_pixels(detail: str) -> reasons.Rejected:
    return reasons.Rejected(reasons.Reason.BAD_PIXELS, detail)
