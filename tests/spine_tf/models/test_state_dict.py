"""State dictionaries of PyTorch are read as they were saved; anything else is refused by name."""

import pathlib
import pickle
import resource
import struct

import numpy as np
import pytest

from spine_tf.models import state_dict

_MAGIC = 0x1950A86A20F9469CFC6C
_SIZES = {"protocol_version": 1001, "little_endian": True}
_NUMBERS = np.arange(12, dtype=np.float32)


def _operations(value: object) -> bytes:
    """What pushes a value: its pickle without the mark of the protocol and the stop."""
    return pickle.dumps(value, protocol=2)[2:-1]


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _storage(*, key: object = "7", kind: str = "FloatStorage", num_values: int = 12) -> bytes:
    head = _operations("storage") + _name("torch", kind) + _operations(key)
    return b"(" + head + _operations("cpu") + _operations(num_values) + _operations(None) + b"tQ"


def _tensor(
    storage: bytes,
    *,
    shape: object = (3, 4),
    strides: object = (4, 1),
    offset: object = 0,
) -> bytes:
    view = b"".join(_operations(value) for value in (offset, shape, strides, False))
    hooks = _name("collections", "OrderedDict") + b")R"
    return _name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + view + hooks + b"tR"


def _pickle(**entries: bytes) -> bytes:
    """A dictionary of tensors in the order and with the operations of torch.save."""
    items = b"".join(_operations(name) + value for name, value in entries.items())
    return b"\x80\x02" + _name("collections", "OrderedDict") + b")R(" + items + b"u."


def _values(values: np.ndarray) -> bytes:
    return struct.pack("<q", values.size) + values.tobytes()


def _file(dictionary: bytes, storages: dict[str, np.ndarray], sizes: object = _SIZES) -> bytes:
    header = b"".join(pickle.dumps(value, protocol=2) for value in (_MAGIC, 1001, sizes))
    keys = pickle.dumps(sorted(storages), protocol=2)
    return header + dictionary + keys + b"".join(_values(storages[key]) for key in sorted(storages))


def _read(tmp_path: pathlib.Path, content: bytes) -> dict[str, np.ndarray]:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    return state_dict.read_state_dict(path)


def test_tensors_are_views_of_their_storages(tmp_path: pathlib.Path) -> None:
    dictionary = _pickle(
        plain=_tensor(_storage()),
        # As TensorFlow's kernels lie after a conversion.
        turned=_tensor(_storage(), shape=(4, 3), strides=(1, 4)),
        part=_tensor(_storage(), shape=(2,), strides=(4,), offset=5),
        scalar=_tensor(_storage(key="3", kind="LongStorage", num_values=1), shape=(), strides=()),
        empty=_tensor(_storage(), shape=(0, 4)),
    )
    found = _read(tmp_path, _file(dictionary, {"3": np.array([41]), "7": _NUMBERS}))
    table = _NUMBERS.reshape(3, 4)
    expected = {
        "plain": table,
        "turned": table.T,
        "part": _NUMBERS[[5, 9]],
        "scalar": np.array(41),
        "empty": np.zeros((0, 4), np.float32),
    }
    assert [*found] == [*expected]
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
        assert found[name].flags.c_contiguous


_WHOLE = _file(_pickle(a=_tensor(_storage())), {"7": _NUMBERS})


@pytest.mark.parametrize("length", range(len(_WHOLE)))
def test_no_part_of_a_file_is_read(length: int, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"weights.pth can't be read as a PyTorch state dict: "):
        _read(tmp_path, _WHOLE[:length])


@pytest.mark.parametrize(
    "asking",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # a memo of 2^31 places
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",  # a bytearray
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",  # bytes
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b".",  # a frame
        b"\x80\x02" + b"(" * 10**5 + b"t" * 10**5 + b".",  # nested
        b"\x80\x02K\x00q\x00" + b"h\x00h\x00\x86q\x00" * 10**4 + b"Q.",  # 2^10000 leaves
    ],
)
def test_small_file_that_asks_for_gigabytes_is_refused(
    asking: bytes, tmp_path: pathlib.Path
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"weights.pth can't be read as a PyTorch state dict: "):
        _read(tmp_path, asking + _WHOLE)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024


@pytest.mark.parametrize("module_and_name", [("os", "system"), ("torch", "HalfStorage")])
def test_other_names_are_refused_and_not_imported(
    module_and_name: tuple[str, str], tmp_path: pathlib.Path
) -> None:
    call = _name(*module_and_name) + b"(" + _operations(f"touch {tmp_path}/ran") + b"tR"
    content = _file(_pickle(a=call), {})
    with pytest.raises(ValueError, match=rf"it names {'.'.join(module_and_name)}, expected float"):
        _read(tmp_path, content)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 and so on", r"format of PyTorch 1.6 and later; save it with torch.save"),
        (pickle.dumps(5) * 3, "does not begin as PyTorch's little-endian files do"),
        (_file(_pickle(), {}, sizes={"little_endian": False}), "does not begin as PyTorch's"),
        (_file(pickle.dumps([1]), {}), "it holds a list, expected a dictionary of tensors"),
        (
            _file(_pickle(epoch=_operations(3)), {}),
            "'epoch' is of type int, expected a named tensor",
        ),
        (_file(_pickle(a=_tensor(_storage(key=7))), {}), r"refers to \('storage', .*, 7, 'cpu'"),
        (_file(_pickle(a=_tensor(_storage(num_values=-1))), {}), r"refers to .*'cpu', -1, None\)"),
        (_file(_pickle(a=_tensor(_operations("7"))), {}), r"a tensor is \('7', 0, .*expected its"),
        (_WHOLE + b"\0", "57 bytes follow for 1 storages, its tensors need 56 for 1"),
        (_file(_pickle(a=_tensor(_storage())), {"8": _NUMBERS}), "56 bytes follow for 1 storages"),
        (
            _WHOLE[: -_NUMBERS.nbytes - 8] + struct.pack("<q", 11) + _NUMBERS.tobytes(),
            "storage 7 has 11 values, its tensor says 12",
        ),
    ],
)
def test_what_is_no_state_dict_says_why(
    content: bytes, message: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(ValueError, match=message):
        _read(tmp_path, content)


@pytest.mark.parametrize(
    "view",
    [
        {"offset": 1},
        {"shape": (4, 4)},
        {"strides": (5, 1)},
        {"offset": -1},
        {"strides": (-4, 1)},
        {"shape": (-1, 4)},
        # A value that is repeated makes a small file a large tensor.
        {"shape": (1_000_000, 1_000_000), "strides": (0, 0)},
    ],
)
def test_tensor_outside_its_storage_is_refused(
    view: dict[str, object], tmp_path: pathlib.Path
) -> None:
    content = _file(_pickle(a=_tensor(_storage(), **view)), {"7": _NUMBERS})
    with pytest.raises(ValueError, match=r"a of shape .* does not lie inside its storage of 12"):
        _read(tmp_path, content)
