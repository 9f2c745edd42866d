"""Keras Tuner's private names stand in one file."""

import ast
import importlib.metadata
import pathlib

import pytest

import tuner
from tuner import adapter

_FILES = sorted(pathlib.Path(tuner.__file__).parent.glob("*.py"))
_OTHERS = [path for path in _FILES if path.name != "adapter.py"]


@pytest.mark.parametrize("path", _OTHERS, ids=lambda path: path.name)
def test_only_the_adapter_imports_what_keras_tuner_does_not_promise(path: pathlib.Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("keras_tuner"), ast.unparse(node)
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            assert not any(name.startswith("keras_tuner.") for name in names), names


@pytest.mark.parametrize("path", _OTHERS, ids=lambda path: path.name)
def test_only_the_adapter_uses_private_names_of_others(path: pathlib.Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    own |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    own |= {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    private = {name for name in used if name.startswith("_") and not name.startswith("__")}
    assert private - {"_exit"} <= own, "os._exit apart, none of them is this file's"


def test_release_is_pinned() -> None:
    setup = (pathlib.Path(__file__).parents[2] / "setup.cfg").read_text("utf-8")
    assert "    keras-tuner==1.4.8\n" in setup
    assert "keras-tuner==1.4.8" in (adapter.__doc__ or "")
    assert importlib.metadata.version("keras-tuner") == "1.4.8"
