"""README and docs as their tests read them: pages, and the fenced blocks in them.

A block says what it is by its first word: `sh` is commands, `python` code, both of which run in the
order of the page, on phantom studies. `needs=...` marks what can't run in a test: of those commands
the programs, flags, fields, extras and targets are checked. A test of a `page` is run for each.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Callable, Mapping

import pytest

_ROOT = pathlib.Path(__file__).parents[2]
_PAGES = (_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md")))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: where it is, its first word, its `name=value` words, what it holds."""

    page: pathlib.Path
    line: int
    language: str
    options: Mapping[str, str]
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}, line {self.line}"


def _blocks(page: pathlib.Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = []
    for match in re.finditer(r"^```(.*)\n((?:(?!```).*\n)*)```$", text, re.MULTILINE):
        language, *words = match[1].split() or [""]
        found.append(
            Block(
                page=page,
                line=text.count("\n", 0, match.start()) + 1,
                language=language,
                options=dict(word.split("=", 1) for word in words),
                text=match[2],
            )
        )
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test of a `page` for each of them."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", _PAGES, ids=[page.stem for page in _PAGES])


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    """Where README and the folder docs lie."""
    return _ROOT


@pytest.fixture(scope="session")
def blocks_of() -> Callable[[pathlib.Path], list[Block]]:
    """Returns the blocks of a page, in its order."""
    return _blocks


@pytest.fixture
def with_tools(tmp_path: pathlib.Path) -> Callable[[Mapping[str, str]], dict[str, str]]:
    """Writes scripts of bash, by name, and returns an environment that finds them first."""

    def with_tools(scripts: Mapping[str, str]) -> dict[str, str]:
        directory = tmp_path / "tools"
        directory.mkdir()
        for name, script in scripts.items():
            path = directory / name
            path.write_text(f"#!/usr/bin/env bash\n{script}", "utf-8")
            path.chmod(0o755)
        return {**os.environ, "PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"}

    return with_tools
