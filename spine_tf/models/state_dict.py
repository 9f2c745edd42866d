"""State dictionaries of PyTorch, read without it: the file format of releases before 1.6.

Such a file is five pickles and then numbers: a magic number, the protocol, the machine's sizes, the
dictionary, whose tensors only refer to their storages, the storages' keys, and each storage as a
count and that many values (torch/serialization.py, `_legacy_save`).
"""

import collections
import dataclasses
import io
import math
import pathlib
import pickle
import reprlib
import struct
import types
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import numpy as np

from tfrecords import regular_file

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_ZIP_MAGIC = b"PK\x03\x04"
_COUNT = struct.Struct("<q")


def read_state_dict(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a file by name; nothing that the file names is imported or run.

    Raises:
        ValueError: the file is damaged, of another format, or holds anything but a dictionary of
            float32 and int64 tensors.
    """
    with io.BufferedReader(cast(io.RawIOBase, regular_file.open_file(path))) as file:
        try:
            return _read(file)
        # A damaged pickle may raise any of these.
        except (
            pickle.UnpicklingError,
            AttributeError,
            EOFError,
            IndexError,
            KeyError,
            MemoryError,
            OverflowError,
            RecursionError,
            TypeError,
            ValueError,
            struct.error,
        ) as err:
            raise ValueError(f"{path} can't be read as a PyTorch state dict: {err}") from err


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Storage:
    key: str
    dtype: np.dtype
    num_values: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Tensor:
    """A view of a storage; offset and strides count values."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _read(file: "io.BufferedReader[Any]") -> dict[str, np.ndarray]:
    if file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC:
        raise ValueError(
            "it has the format of PyTorch 1.6 and later; save it with "
            "torch.save(..., _use_new_zipfile_serialization=False)"
        )
    file.seek(0)
    unpickler = _Unpickler(file)
    header = unpickler.load(), unpickler.load(), unpickler.load()
    if header[:2] != (_MAGIC, _PROTOCOL) or not header[2]["little_endian"]:
        raise ValueError("it does not begin as PyTorch's little-endian files do")
    tensors = unpickler.load()
    if not isinstance(tensors, dict):
        raise ValueError(f"it holds a {type(tensors).__name__}, expected a dictionary of tensors")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise ValueError(
                f"{name!r} is of type {type(tensor).__name__}, expected a named tensor"
            )
    values = _read_storages(file, unpickler.load(), unpickler.storages)
    return {name: _view(name, tensor, values) for name, tensor in tensors.items()}


class _Unpickler(pickle._Unpickler):
    """Reads what a state dict consists of and refuses every other name.

    The one in Python: that in C makes its memo as long as the file asks for, filled with zeros. A
    bytearray, which would be that too, is unknown to it.

    Attributes:
        storages: those that tensors have referred to so far, by key.
    """

    def __init__(self, file: "io.BufferedReader[Any]") -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    dispatch: ClassVar[dict[int, Any]] = {
        code: function
        for code, function in pickle._Unpickler.dispatch.items()
        if code != pickle.BYTEARRAY8[0]
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise ValueError(f"it names {module}.{name}, expected float32 and int64 tensors only")
        return _ADMITTED[module, name]

    def persistent_load(self, pid: object) -> _Storage:
        match pid:
            case ("storage", np.dtype() as dtype, str(key), str(), int(num_values), None) if (
                num_values >= 0
            ):
                return self.storages.setdefault(
                    key, _Storage(key=key, dtype=dtype, num_values=num_values)
                )
        raise ValueError(f"a tensor refers to {reprlib.repr(pid)}, expected a storage")


def _make_tensor(
    storage: object, offset: object, shape: object, strides: object, *_: object
) -> _Tensor:
    match storage, offset, shape, strides:
        case _Storage(), int(), tuple(), tuple() if len(shape) == len(strides):
            return _Tensor(storage=storage, offset=offset, shape=shape, strides=strides)
    raise ValueError(
        f"a tensor is {(storage, offset, shape, strides)}, expected its storage, offset, shape and "
        "strides"
    )


_ADMITTED: Mapping[tuple[str, str], object] = types.MappingProxyType(
    {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _make_tensor,
        ("torch", "FloatStorage"): np.dtype("<f4"),
        ("torch", "LongStorage"): np.dtype("<i8"),
    }
)


def _read_storages(
    file: "io.BufferedReader[Any]", keys: list[str], storages: Mapping[str, _Storage]
) -> dict[str, np.ndarray]:
    """Returns storage key -> its values, one-dimensional."""
    start = file.tell()
    found = file.seek(0, 2) - start
    expected = sum(_COUNT.size + s.dtype.itemsize * s.num_values for s in storages.values())
    if found != expected or sorted(keys) != sorted(storages):
        raise ValueError(
            f"{found} bytes follow for {len(keys)} storages, its tensors need {expected} for "
            f"{len(storages)}"
        )
    file.seek(start)
    values = {}
    for key in keys:
        (num_values,) = _COUNT.unpack(file.read(_COUNT.size))
        if num_values != storages[key].num_values:
            raise ValueError(
                f"storage {key} has {num_values} values, its tensor says {storages[key].num_values}"
            )
        dtype = storages[key].dtype
        values[key] = np.frombuffer(file.read(dtype.itemsize * num_values), dtype)
    return values


def _view(name: str, tensor: _Tensor, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns a copy of a tensor, contiguous, after a check that it lies inside its storage."""
    storage = values[tensor.storage.key]
    sizes = (tensor.offset, *tensor.shape, *tensor.strides)
    last = tensor.offset + sum(
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    if min(sizes) < 0 or max(last, math.prod(tensor.shape) - 1) >= len(storage):
        raise ValueError(
            f"{name} of shape {tensor.shape}, strides {tensor.strides} and offset {tensor.offset} "
            f"does not lie inside its storage of {len(storage)} values"
        )
    strides = [stride * storage.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides).copy()
