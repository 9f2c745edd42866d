"""House rules that hold over all packages."""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

import spine_tf
import tfrecords
import tuner

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
    "labels",
    "configuration",
    "processes",
    "pages",
    "dicom",
    "rsna",
    "crops",
    "synthesis",
    "conversion",
    "auditing",
    "scoring",
    "augmentation",
    "models",
    "runs",
    "training",
    "evaluation",
    "label_review",
    "serving",
    "reproduction",
    "ablation",
)
_WITHOUT_TENSORFLOW = (
    "spine_tf.labels, spine_tf.configuration.config, spine_tf.convert, spine_tf.conversion.job, "
    "spine_tf.auditing.audit_page, spine_tf.crops.record, spine_tf.synthesis.dataset, "
    "spine_tf.scoring.summary, spine_tf.training.cure, spine_tf.label_review.quality, "
    "spine_tf.ablation.ablation, tfrecords.shard, tfrecords.example, tfrecords.records"
)
_PROGRAMS = (
    "spine_tf.phantom",
    "spine_tf.convert",
    "spine_tf.subset",
    "spine_tf.audit",
    "spine_tf.augment",
    "tfrecords",
    "spine_tf.train",
    "tuner",
    "spine_tf.evaluate",
    "spine_tf.clean",
    "spine_tf.ablate",
    "spine_tf.reproduce",
    "spine_tf.export",
    "spine_tf.predict",
    "spine_tf.cli",
)


def _files(package: str) -> list[pathlib.Path]:
    return sorted(_PACKAGES[package].rglob("*.py"))


def _imports(path: pathlib.Path) -> list[str]:
    modules = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            modules.extend(f"{node.module}.{alias.name}" for alias in node.names)
    return modules


@pytest.mark.parametrize("package", _PACKAGES)
def test_imports_point_down_between_packages(package: str) -> None:
    for path in _files(package):
        ours = {name.split(".")[0] for name in _imports(path)} & set(_PACKAGES)
        assert ours <= _MAY_IMPORT[package], path


def test_imports_point_down_inside_spine_tf() -> None:
    rank = {name: index for index, name in enumerate(_ROOMS)}
    for path in _files("spine_tf"):
        own = path.relative_to(_PACKAGES["spine_tf"]).parts[0].removesuffix(".py")
        if own not in rank:  # a program
            continue
        for name in _imports(path):
            parts = name.split(".")
            if parts[0] == "spine_tf" and len(parts) > 1 and parts[1] not in (own, "__version__"):
                assert rank[parts[1]] < rank[own], f"{path} imports {name}"


def test_modules_import_each_other_in_no_cycle() -> None:
    names = {_module_name(path): path for package in _PACKAGES for path in _files(package)}
    graph = {
        name: {imported for imported in _imports(path) if imported in names}
        for name, path in names.items()
    }
    order = tuple(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) == len(names)


def _module_name(path: pathlib.Path) -> str:
    package = next(root for root in _PACKAGES.values() if path.is_relative_to(root))
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def test_programs_are_not_imported() -> None:
    programs = {name for name in _PROGRAMS if name.startswith("spine_tf.")}
    for package in _PACKAGES:
        for path in _files(package):
            assert not programs & set(_imports(path)), path


def test_conversion_path_imports_no_tensorflow() -> None:
    code = f"import sys, {_WITHOUT_TENSORFLOW}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("module", _PROGRAMS)
def test_help_names_flags_and_imports_no_tensorflow(module: str) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{module}', '--help']\n"
        f"try: runpy.run_module('{module}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    if module != "spine_tf.cli":
        assert b"--" in result.stdout
