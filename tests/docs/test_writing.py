"""How README and docs are written: blocks, links, pictures, names of files."""

import pathlib
import re
from collections.abc import Callable

_LANGUAGES = {"sh", "python", "text", "csv", "json", "dockerfile"}
_NEEDS = {"install", "gpu", "kaggle", "cluster", "real-data", "hours", "server"}
_MAX_PICTURE_BYTES = 200_000


def test_blocks_say_what_they_are(page: pathlib.Path, blocks_of: Callable) -> None:
    for block in blocks_of(page):
        assert block.language in _LANGUAGES, block.place
        assert set(block.options) <= {"needs", "file"}, block.place
        assert block.options.get("needs") in {None, *_NEEDS}, block.place


def test_no_command_stands_outside_a_block_of_commands(
    page: pathlib.Path, blocks_of: Callable
) -> None:
    lines = "".join(block.text for block in blocks_of(page) if block.language != "sh")
    assert not re.findall(r"^(?:\$|python|pip|make|spine-tf) .*", lines, re.MULTILINE)
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.M)
    assert not re.findall(r"\n\n(?: {4}|\t)\S.*", prose)
    assert "```" not in prose


def test_readme_is_read_in_five_minutes(root: pathlib.Path) -> None:
    assert len((root / "README.md").read_text("utf-8").splitlines()) <= 200


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_links_lead_somewhere(page: pathlib.Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in map(_slug, headings), link


def test_pictures_are_small(root: pathlib.Path) -> None:
    pictures = [path for path in (root / "docs").iterdir() if path.suffix == ".png"]
    assert pictures
    for path in pictures:
        assert path.stat().st_size < _MAX_PICTURE_BYTES, path


def test_named_files_exist(page: pathlib.Path, root: pathlib.Path) -> None:
    for name in re.findall(r"`([\w/]+/[\w/]+\.py)`", page.read_text("utf-8")):
        rooted = name.startswith(("spine_tf/", "tfrecords/", "tuner/", "tests/", "benchmarks/"))
        path = root / name if rooted else root / "spine_tf" / name
        assert path.is_file(), name
