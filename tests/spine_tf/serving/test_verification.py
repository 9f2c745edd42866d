"""An export that was received: taken as it was made, or refused before anything looks at it."""

import contextlib
import hashlib
import itertools
import json
import math
import os
import pathlib
import shutil
import socket
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from spine_tf.configuration import roi_config
from spine_tf.serving import spec, verification

_SPEC = spec.Spec(
    task="multiclass",
    conditions=("spinal_canal_stenosis",),
    levels=("l4_l5",),
    class_prior=(0.5, 0.25, 0.25),
    roi=roi_config.RoiConfig(),
)
_MODEL = "saved_model/1/saved_model.pb"
_FILES = (
    *(_MODEL, "saved_model/1/variables/variables.index", "golden/outputs.npz", "model_card.md"),
    *("localizer/localizer.json", "localizer/axial/saved_model/1/saved_model.pb"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Files as an export has them; what is in the model is not looked at."""
    directory = tmp_path_factory.mktemp("made") / "e"
    for name in _FILES:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(name.encode() * 99)
    (directory / "saved_model/1/assets").mkdir()
    spec.write(directory, _SPEC)
    verification.write_checksums(directory)
    return directory


@pytest.fixture
def export_dir(made: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return shutil.copytree(made, tmp_path / "e")


def _contents(directory: pathlib.Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_copy_is_what_was_made_and_goes_with_the_block(export_dir: pathlib.Path) -> None:
    everything = _contents(export_dir)
    with verification.verified(export_dir, has_all_formats=True) as received:
        assert _contents(received.directory).items() <= everything.items()
        assert received.num_files == len(everything) - 1 == len(_contents(received.directory))
        assert received.directory.stat().st_mode & 0o077 == 0
    assert not received.directory.exists()
    with verification.verified(export_dir) as received:
        assert spec.read(received.directory) == _SPEC
        assert not (received.directory / "golden").exists()


def test_list_of_sha256sum_in_either_mode_is_taken(export_dir: pathlib.Path) -> None:
    path = export_dir / "SHA256SUMS"
    path.write_text(path.read_text().replace("  ", " *").upper().lower(), newline="\r\n")
    with verification.verified(export_dir) as received:
        assert received.num_files == len(_FILES) + 2


def test_error_of_the_block_names_the_export(export_dir: pathlib.Path) -> None:
    with (
        pytest.raises(ValueError, match=f"^{export_dir}/labels.json is odd$"),
        verification.verified(export_dir) as received,
    ):
        raise ValueError(f"{received.directory}/labels.json is odd")


def test_export_behind_a_link_of_the_users_is_taken(export_dir: pathlib.Path) -> None:
    link = export_dir.with_name("latest")
    link.symlink_to(export_dir)
    with verification.verified(link):
        pass


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "golden/._outputs.npz", "desktop.ini"])
def test_what_a_desktop_leaves_is_passed_over(export_dir: pathlib.Path, name: str) -> None:
    (export_dir / name).write_bytes(b"\0\0\0\1Bud1")
    with verification.verified(export_dir, has_all_formats=True) as received:
        assert not (received.directory / name).exists()


def _link(target: str) -> Callable[[pathlib.Path], None]:
    return lambda path: path.symlink_to(target)


def _bind(path: pathlib.Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # a socket's address may have 107 bytes
    try:
        server.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)
        server.close()


@pytest.mark.parametrize(
    ("name", "add"),
    [
        ("saved_model/2", _link("1")),
        ("saved_model/2", _link("/tmp")),
        ("saved_model/2", lambda path: path.mkdir()),
        ("saved_model/2", lambda path: shutil.copytree(path.with_name("1"), path)),
        ("saved_model/2", lambda path: path.write_text("")),
        ("saved_model/1/assets.extra", lambda path: path.mkdir()),
        ("saved_model/1/saved_model.cpb", lambda path: path.write_text("chunked")),
        ("1", _link("saved_model/1")),
        ("more", os.mkfifo),
        ("golden/more", _bind),
        (".DS_Store", _link("/etc/hostname")),
        (".DS_Store", lambda path: path.mkdir()),
        ("._more", os.mkfifo),
        ("Labels.json", lambda path: path.write_text("{}")),
        ("labels.json.tmp-12", lambda path: path.write_text("{}")),
        ("broken", _link("nowhere")),
    ],
)
def test_what_is_not_listed_is_refused(
    export_dir: pathlib.Path, name: str, add: Callable[[pathlib.Path], None]
) -> None:
    add(export_dir / name)
    with (
        pytest.raises(ValueError, match=f"{export_dir}/{name}.*: remove it"),
        verification.verified(export_dir),
    ):
        pass


def _replace(by: Callable[[pathlib.Path], None]) -> Callable[[pathlib.Path], None]:
    def replace(path: pathlib.Path) -> None:
        path.rename(next(up for up in path.parents if up.name == "e").with_name("away"))
        by(path)

    return replace


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        (_MODEL, lambda path: path.write_bytes(b"x"), "was changed: its sha256 is"),
        (_MODEL, lambda path: path.unlink(), "is missing, SHA256SUMS lists it"),
        ("golden/outputs.npz", lambda path: os.truncate(path, 5), "was changed"),
        (
            "golden/outputs.npz",
            _replace(_link("../../away")),
            "is a link, expected the file",
        ),
        ("golden/outputs.npz", _replace(os.mkfifo), "is no regular file, expected one"),
        ("golden/outputs.npz", _replace(os.mkdir), "holds nothing that SHA256SUMS lists"),
        ("saved_model/1", _replace(_link("../../away")), "1 is not listed"),
        ("SHA256SUMS", lambda path: path.unlink(), "has no SHA256SUMS: expected a directory"),
        ("SHA256SUMS", _replace(_link("../away")), "is a link"),
        ("SHA256SUMS", _replace(os.mkfifo), "is no regular file"),
        ("SHA256SUMS", lambda path: os.truncate(path, 2**21), "has more than 1048576 bytes"),
    ],
)
def test_what_is_not_as_it_was_is_refused(
    export_dir: pathlib.Path, name: str, spoil: Callable[[pathlib.Path], None], message: str
) -> None:
    spoil(export_dir / name)
    with (
        pytest.raises((ValueError, OSError), match=message) as raised,
        verification.verified(export_dir),
    ):
        pass
    assert str(export_dir) in str(raised.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no digest here", "is not '<sha256>  <file>'"),
        (f"{'0' * 63}  labels", "is not '<sha256>  <file>'"),
        (f"{'0' * 64}  ../elsewhere", "expected a file below the directory"),
        (f"{'0' * 64}  /etc/passwd", "expected a file below the directory"),
        (f"{'0' * 64}  golden/./outputs.npz", "expected a file below the directory"),
        (f"{'0' * 64}  golden//outputs.npz", "expected a file below the directory"),
        (f"{'0' * 64}  golden\\outputs.npz", "expected a file below the directory"),
        (f"{'0' * 64}  lab\u202eels.json", "expected a file below the directory"),
        (f"{'0' * 64}  labels.json", "names 'labels.json' again"),
        (f"{'0' * 64}  Labels.JSON", "names 'Labels.JSON' again, perhaps in other letters"),
        (f"{'0' * 64}  SHA256SUMS", "names the list itself"),
        (f"{'0' * 64}  saved_model/2/saved_model.pb", "a model beside saved_model/1"),
        (f"{'0' * 64}  saved_model/2/variables/variables.index", "a model beside saved_model/1"),
        (f"{'0' * 64}  Saved_Model/1/x", "a model beside saved_model/1"),
        (f"{'0' * 64}  1/saved_model.pbtxt", "a model beside saved_model/1"),
        (f"{'0' * 64}  localizer/axial/saved_model/2/saved_model.pb", "a model beside saved_model"),
        (f"{'0' * 64}  more.txt", "more.txt is missing"),
    ],
)
def test_list_of_more_than_an_export_has_is_refused(
    export_dir: pathlib.Path, line: str, message: str
) -> None:
    with (export_dir / "SHA256SUMS").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=message), verification.verified(export_dir):
        pass


@pytest.mark.parametrize("name", ["labels.json", "preprocess.json", _MODEL])
def test_list_of_less_than_an_export_has_is_refused(export_dir: pathlib.Path, name: str) -> None:
    (export_dir / name).unlink()
    verification.write_checksums(export_dir)
    with (
        pytest.raises(ValueError, match=f"does not list {name}, which every export has"),
        verification.verified(export_dir),
    ):
        pass


_NAMES = [*_FILES, "labels.json", "SHA256SUMS"]
_NOWHERE = st.just(0.0)
_SPOILT = st.one_of(
    st.tuples(st.sampled_from(["flip", "cut"]), st.sampled_from(_NAMES), st.floats(0, 1)),
    st.tuples(st.just("drop"), st.sampled_from([*_NAMES, "saved_model", "golden"]), _NOWHERE),
    st.tuples(st.just("swap"), st.sampled_from(list(itertools.permutations(_FILES, 2))), _NOWHERE),
    st.tuples(st.just("add"), st.text("/.1_Saevdml", min_size=1, max_size=12), _NOWHERE),
)


def _spoil(directory: pathlib.Path, kind: str, what: Any, share: float) -> None:
    if kind == "swap":
        first, second = (directory / name for name in what)
        if first.is_file() and second.is_file():
            first.rename(directory / "third")
            second.rename(first)
            (directory / "third").rename(second)
        return
    path = directory / what.lstrip("/")
    if kind == "drop" and path.exists():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif kind == "add" and directory.resolve() in path.resolve().parents and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("more")
    elif kind in ("flip", "cut") and path.is_file():
        data = bytearray(path.read_bytes())
        place = min(int(share * len(data)), len(data) - 1)
        if kind == "flip":
            data[place] ^= 1 + int(share * 254)
        path.write_bytes(data[:place] if kind == "cut" else data)


@settings(max_examples=30, deadline=None)
@given(st.lists(_SPOILT, min_size=1, max_size=3))
def test_spoilt_export_is_refused_or_as_it_was_made(made: pathlib.Path, spoilt: list) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = shutil.copytree(made, pathlib.Path(folder) / "e")
        for each in spoilt:
            with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
                _spoil(directory, *each)
        try:
            with verification.verified(directory, has_all_formats=True) as received:
                found = _contents(received.directory)
        except ValueError as err:
            assert str(directory) in str(err)
        else:
            digests = {name: hashlib.sha256(data).digest() for name, data in found.items()}
            expected = _contents(made)
            del expected["SHA256SUMS"]
            assert digests == {n: hashlib.sha256(d).digest() for n, d in expected.items()}


_ODD = st.sampled_from(
    [None, True, -1, 0, 1e308, math.inf, math.nan, "", "x", "../x", [], {}, [[]], [0.5], "binary"]
)
_FIELDS = [
    *(("labels.json", name) for name in ("format_version", "task", "classes", "columns")),
    *(("labels.json", name) for name in ("class_prior", "conditions", "levels")),
    *(("preprocess.json", name) for name in ("format_version", "roi", "roi.roi_px", "roi.roi_mm")),
    *(("preprocess.json", name) for name in ("roi.num_slices", "roi.window", "roi.mirror_right")),
]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(_FIELDS), _ODD, st.booleans())
def test_list_that_fits_other_values_makes_them_no_better(
    made: pathlib.Path, place: tuple[str, str], value: Any, is_dropped: bool
) -> None:
    """Whoever changes a file can change the list: what the files say is checked all the same."""
    file, (*inside, name) = place[0], place[1].split(".")
    with tempfile.TemporaryDirectory() as folder:
        directory = shutil.copytree(made, pathlib.Path(folder) / "e")
        values = json.loads((directory / file).read_bytes())
        holder = values["roi"] if inside else values
        holder.pop(name, None)
        if not is_dropped:
            holder[name] = value
        (directory / file).write_text(json.dumps(values))
        verification.write_checksums(directory)
        try:
            with verification.verified(directory) as received:
                found = spec.read(received.directory)
        except ValueError as err:
            assert f"{directory / file}: " in str(err) or f"{directory / file} has no" in str(err)
        else:
            assert getattr(found.roi, name) == holder.get(name, "slice")
