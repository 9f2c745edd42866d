"""House rules that hold over all packages."""

import ast
import collections
import functools
import graphlib
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

import spine_tf
import tfrecords
import tuner
from spine_tf import cli

_PACKAGES = {
    module.__name__: pathlib.Path(module.__file__).parent for module in (tfrecords, spine_tf, tuner)
}
_MAY_IMPORT = {
    "tfrecords": {"tfrecords"},
    "spine_tf": {"tfrecords", "spine_tf"},
    "tuner": {"tfrecords", "spine_tf", "tuner"},
}
# From the ground up: a room knows only the rooms before it.
_ROOMS = (
    "configuration",
    "processes",
    "pages",
    "dicom",
    "rsna",
    "studies",
    "crops",
    "synthesis",
    "conversion",
    "auditing",
    "scoring",
    "augmentation",
    "models",
    "runs",
    "training",
    "localization",
    "readings",
    "evaluation",
    "label_review",
    "stacking",
    "serving",
    "web",
    "reproduction",
    "ablation",
)
_ROOMS_WITHOUT_TENSORFLOW = _ROOMS[: _ROOMS.index("augmentation")]
_MODULES_WITHOUT_TENSORFLOW = (
    "spine_tf.labels",
    "spine_tf.conversion_flags",
    "spine_tf.flags",
    "spine_tf.convert",
    "spine_tf.training.reviewed_labels",
    "spine_tf.localization.localization",
    "spine_tf.readings.report_directory",
    "spine_tf.label_review.quality",
    "spine_tf.serving.verification",
    "spine_tf.serving.prediction",
    "spine_tf.web.service",
    "spine_tf.ablation.ablation",
    "tfrecords.shard",
    "tfrecords.example",
    "tfrecords.records",
)
_PROGRAMS = tuple(program.module for program in cli.PROGRAMS.values())
# Their main modules: a package is run by its __main__.
_PROGRAM_MODULES = {
    name if name.startswith("spine_tf.") else f"{name}.__main__" for name in _PROGRAMS
}
_FLAGS = {"spine_tf.conversion_flags", "spine_tf.flags"}
_FOR_PROGRAMS = {"spine_tf.cli", *_FLAGS}
_RANK = {name: rank for rank, name in enumerate(("labels", *_ROOMS))}


def _modules() -> dict[str, pathlib.Path]:
    return {
        ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for root in _PACKAGES.values()
        for path in sorted(root.rglob("*.py"))
    }


_MODULES = _modules()


@functools.cache
def _nodes(name: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(_MODULES[name].read_text("utf-8"))))


def _aliases(name: str) -> Iterator[tuple[str, str | None]]:
    """Yields what a module imports, and as what."""
    for node in _nodes(name):
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.asname) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", alias.asname) for alias in node.names)


def _imports(name: str) -> set[str]:
    """Returns those of our modules that a module imports."""
    return {imported for imported, _ in _aliases(name)} & set(_MODULES)


def _room(name: str) -> str:
    """Returns the folder that a module lies in, or the module where it lies in none."""
    return ".".join(name.split(".")[:2])


@pytest.mark.parametrize("package", _PACKAGES)
def test_imports_point_down_between_packages(package: str) -> None:
    for name in _MODULES:
        if name.split(".")[0] == package:
            ours = {imported.split(".")[0] for imported, _ in _aliases(name)} & set(_PACKAGES)
            assert ours <= _MAY_IMPORT[package], name


def test_imports_point_down_inside_spine_tf() -> None:
    for name in _MODULES:
        own = _room(name).removeprefix("spine_tf.")
        if own not in _RANK:  # a program
            continue
        for imported in _imports(name):
            room = _room(imported).removeprefix("spine_tf.")
            if imported.startswith("spine_tf.") and room != own:
                assert _RANK[room] < _RANK[own], f"{name} imports {imported}"


def test_folders_import_each_other_in_no_cycle() -> None:
    graph: dict[str, set[str]] = collections.defaultdict(set)
    for name in _MODULES:
        graph[_room(name)] |= {_room(imported) for imported in _imports(name)} - {_room(name)}
    assert set(graphlib.TopologicalSorter(graph).static_order()) == set(graph)


def test_modules_import_each_other_in_no_cycle() -> None:
    graph = {name: _imports(name) for name in _MODULES}
    assert len(tuple(graphlib.TopologicalSorter(graph).static_order())) == len(_MODULES)


def test_root_holds_programs_and_what_they_share() -> None:
    root = _PACKAGES["spine_tf"]
    found = {path.name for path in root.iterdir() if path.name != "__pycache__"}
    programs = {f"{name.partition('.')[2]}.py" for name in _PROGRAMS if "." in name}
    shared = {"__init__.py", "py.typed", "cli.py", "conversion_flags.py", "flags.py", "labels.py"}
    assert found == programs | shared | set(_ROOMS)


def test_every_folder_says_what_it_is() -> None:
    for room in _ROOMS:
        assert ast.get_docstring(
            ast.parse((_PACKAGES["spine_tf"] / room / "__init__.py").read_text())
        )


def test_tests_stand_in_rooms_of_the_same_names() -> None:
    here = pathlib.Path(__file__).parent / "spine_tf"
    assert {path.parent.name for path in here.glob("*/test_*.py")} <= set(_ROOMS)
    at_the_root = {path.stem.removeprefix("test_") for path in here.glob("test_*.py")}
    assert not at_the_root & {name.rpartition(".")[2] for name in _MODULES if name.count(".") == 2}


def test_module_names_are_unique_but_for_a_program_and_what_it_runs() -> None:
    places = collections.defaultdict(list)
    for name, path in _MODULES.items():
        if path.stem not in ("__init__", "__main__"):
            places[path.stem].append(name)
    for names in places.values():
        library = [name for name in names if name not in _PROGRAM_MODULES]
        assert len(library) <= 1, names


def test_alias_is_the_modules_own_name() -> None:
    for name in _MODULES:
        for imported, alias in _aliases(name):
            if imported in _MODULES and alias is not None:
                assert alias == f"{imported.rpartition('.')[2]}_module", f"{name}: {imported}"


def test_programs_and_what_is_theirs_are_imported_by_programs_alone() -> None:
    for name in _MODULES:
        imported = _imports(name)
        assert not imported & _PROGRAM_MODULES, name
        if name not in _PROGRAM_MODULES | _FLAGS:
            assert not imported & _FOR_PROGRAMS, name


def test_programs_alone_define_flags_and_print() -> None:
    for name in _MODULES:
        if name in _PROGRAM_MODULES:
            continue
        for node in _nodes(name):
            if isinstance(node, ast.Attribute) and node.attr.startswith("DEFINE_"):
                assert name in _FLAGS, f"{name}, line {node.lineno}"
            if isinstance(node, ast.Name):
                assert node.id != "print", f"{name}, line {node.lineno}"


def _run(code: str) -> None:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()


def test_import_of_the_shared_flags_defines_none() -> None:
    _run(
        "from absl import app, flags, logging\n"
        "before = set(flags.FLAGS)\n"
        "import spine_tf.conversion_flags\n"
        "assert set(flags.FLAGS) == before\n"
    )


def test_ground_floor_imports_no_tensorflow() -> None:
    rooms = tuple(f"spine_tf.{room}." for room in _ROOMS_WITHOUT_TENSORFLOW)
    modules = [name for name in _MODULES if name.startswith(rooms)]
    assert modules
    names = ", ".join([*modules, *_MODULES_WITHOUT_TENSORFLOW])
    _run(f"import sys, {names}\nassert 'tensorflow' not in sys.modules")


def test_conversion_and_what_it_stands_on_import_no_pandas() -> None:
    rooms = tuple(f"spine_tf.{room}." for room in _ROOMS[: _ROOMS.index("scoring")])
    names = ", ".join(name for name in _MODULES if name.startswith(rooms))
    _run(f"import sys, spine_tf.convert, {names}\nassert 'pandas' not in sys.modules")


@pytest.mark.parametrize("module", (*_PROGRAMS, "spine_tf.cli"))
def test_help_names_flags_and_imports_no_tensorflow(module: str) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{module}', '--help']\n"
        f"try: runpy.run_module('{module}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "assert not {'tensorflow', 'matplotlib'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    if module != "spine_tf.cli":
        assert b"--" in result.stdout
