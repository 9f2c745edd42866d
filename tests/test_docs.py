"""README and docs: their commands run, or are marked as needing what is not here; tables are true.

A fenced block says what it is by its first word: `sh` is commands, `python` code, both of which run
in the order of the page, on phantom studies. `needs=...` marks what can't run in a test: of those
commands the programs, flags, fields, extras and targets are checked.
"""

import ast
import configparser
import dataclasses
import functools
import itertools
import os
import pathlib
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

import keras_tuner
import pytest

import spine_tf
from spine_tf import cli
from spine_tf.auditing import finding
from spine_tf.configuration import config, model_configs, overrides, roi_config
from spine_tf.crops import record
from spine_tf.dicom import reasons
from spine_tf.localization import gate
from spine_tf.rsna import annotations, sources
from spine_tf.studies import outcome
from tuner import space_presets

_ROOT = pathlib.Path(__file__).parents[1]
_README = _ROOT / "README.md"
_DATA = _ROOT / "docs" / "data.md"
_PAGES = (_README, *sorted((_ROOT / "docs").glob("*.md")))
_LANGUAGES = {"sh", "python", "text", "csv", "json"}
_NEEDS = {"install", "gpu", "kaggle", "cluster", "real-data", "hours", "server"}
_MAX_PICTURE_BYTES = 200_000
# What absl gives every program.
_ABSL_FLAGS = {"help", "helpfull", "log_dir", "verbosity"}

# What makes each program quick. A flag that is given twice counts as given last.
_ROWS = ("--conditions=all", "--levels=all", "--roi_px=32", "--num_folds=3")
_SMALL_MODEL = ("--set=model.input_px=16", "--set=model.filters=[4]")
_BRIEF = (*_SMALL_MODEL, "--set=data.inner_fold=none", "--set=training.epochs=1")
_SMALLER: Mapping[str, Sequence[str]] = {
    "spine_tf.phantom": ("--num_studies=5",),
    "spine_tf.convert": _ROWS,
    "spine_tf.train": ("--epochs=1", *_BRIEF),
    "spine_tf.clean": ("--allow_unskilled",),
    "spine_tf.evaluate": ("--noevidence", "--num_resamples=20"),
    "tuner": ("--max_trials=1", "--max_epochs=1", *_SMALL_MODEL),
    "spine_tf.ablate": (*_ROWS, *_BRIEF),
    "spine_tf.reproduce": (
        *("--conditions=all", "--models=simple", "--tasks=multiclass"),
        *_BRIEF,
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Block:
    """A fenced block: where it is, its first word, its `name=value` words, what it holds."""

    page: pathlib.Path
    line: int
    language: str
    options: Mapping[str, str]
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}, line {self.line}"


def _blocks(page: pathlib.Path) -> list[_Block]:
    text = page.read_text("utf-8")
    found = []
    for match in re.finditer(r"^```(.*)\n((?:(?!```).*\n)*)```$", text, re.MULTILINE):
        language, *words = match[1].split() or [""]
        found.append(
            _Block(
                page=page,
                line=text.count("\n", 0, match.start()) + 1,
                language=language,
                options=dict(word.split("=", 1) for word in words),
                text=match[2],
            )
        )
    return found


def _blocks_of_all() -> Iterator[_Block]:
    for page in _PAGES:
        yield from _blocks(page)


def _name(page: pathlib.Path) -> str:
    return page.stem


def _write_tools(directory: pathlib.Path, scripts: Mapping[str, str]) -> None:
    directory.mkdir()
    for name, script in scripts.items():
        path = directory / name
        path.write_text(f"#!/usr/bin/env bash\n{script}", "utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _environment(tools: pathlib.Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}


# ---- What runs.


def _quick_python() -> str:
    cases = [
        f'"-m {module}") set -- "$@" {shlex.join(flags)} ;;' for module, flags in _SMALLER.items()
    ]
    return "\n".join(['case "${1-} ${2-}" in', *cases, "esac", 'exec warm-python "$@"', ""])


def _script(page: pathlib.Path, data_dir: pathlib.Path) -> str:
    """All that runs of a page, in order, as one shell script; `D=` is the phantom studies."""
    lines = ["set -euo pipefail"]
    for block in _blocks(page):
        if "needs" in block.options or block.language not in ("sh", "python"):
            continue
        lines.append(f"echo '==== {block.place}' >&2")
        if "file" in block.options:
            lines.append(f"cat > {block.options['file']} <<'END_OF_FILE'\n{block.text}END_OF_FILE")
        elif block.language == "sh":
            text = re.sub(r"^D=\S+", f"D={data_dir}", block.text, flags=re.MULTILINE)
            # One variant beside the base; a flag that may be repeated can't be said anew.
            lines.append(re.sub(r"(--factors \w+=\w+)\S+", r"\1", text))
        else:
            lines.append(f"python - <<'END_OF_PYTHON'\n{block.text}END_OF_PYTHON")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def phantom_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("phantom") / "data"
    command = [sys.executable, "-m", "spine_tf.phantom", f"--output_dir={directory}"]
    subprocess.run([*command, *_SMALLER["spine_tf.phantom"]], check=True, capture_output=True)
    return directory


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_commands_and_code_run_in_order(
    page: pathlib.Path, phantom_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    _write_tools(tmp_path / "tools", {"python": _quick_python()})
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    script = _script(page, phantom_dir)
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=work_dir,
        env=_environment(tmp_path / "tools"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-6000:]


# ---- What can't run here.

# Says where it was called and with what, a line a call, words apart by the unit separator.
_RECORDER = 'printf "%s\\x1f" "$(basename "$0")" "$@" >> "$CALLS"; echo >> "$CALLS"\n'
_RECORDERS = {
    **dict.fromkeys(("python", "python3", "pip", "make", "spine-tf", "docker"), _RECORDER),
    "sbatch": 'for word in "$@"; do case "$word" in *" "*) bash -c "$word" ;; esac; done\n',
}


def _calls(blocks: Sequence[_Block], directory: pathlib.Path) -> list[list[str]]:
    """The words of every command in the blocks, after all that a shell makes of them."""
    _write_tools(directory / "tools", _RECORDERS)
    calls = directory / "calls"
    calls.touch()
    text = "\n".join(block.text for block in blocks if block.language == "sh")
    environment = {
        **_environment(directory / "tools"),
        "CALLS": str(calls),
        "SLURM_ARRAY_TASK_ID": "0",
    }
    work_dir = directory / "work"
    work_dir.mkdir()
    (work_dir / "benchmarks").mkdir()
    subprocess.run(
        ["bash", "-c", text], cwd=work_dir, env=environment, capture_output=True, check=False
    )
    return [line.split("\x1f")[:-1] for line in calls.read_text("utf-8").splitlines()]


@functools.cache
def _flags_of_program(module: str) -> frozenset[str]:
    result = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
    )
    names = re.findall(r"^ +--(\[no\])?(\w+):", result.stdout, re.MULTILINE)
    negated = {f"no{name}" for optional, name in names if optional}
    return frozenset({name for _, name in names} | negated | _ABSL_FLAGS)


def _flags_of_benchmark(path: pathlib.Path) -> frozenset[str]:
    found = re.findall(r'flags\.DEFINE_(\w+)\(\s*"(\w+)"', path.read_text("utf-8"))
    return frozenset(
        {name for _, name in found} | {f"no{name}" for kind, name in found if kind == "bool"}
    )


def _check_flags(arguments: Sequence[str], known: frozenset[str]) -> None:
    for argument, following in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        if argument.startswith("-"):
            name, equals, value = argument.removeprefix("--").partition("=")
            assert name in known, f"{arguments} has --{name}"
            if name == "set":
                _check_field(value if equals else following)


def _check_field(text: str) -> None:
    field = overrides.parse(text).field
    assert any(field in config.field_names(family) for family in model_configs.MODEL_CONFIGS), text


def _check_call(command: str, arguments: list[str]) -> None:
    modules = {program.module for program in cli.PROGRAMS.values()}
    match command, *arguments:
        case ("python" | "python3", "-m", "venv", _):
            pass
        case ("python" | "python3", "-m", "pip", *rest) | ("pip", *rest):
            _check_pip(rest)
        case "python", "-m", module, *rest:
            assert module in modules, module
            _check_flags(rest, _flags_of_program(module))
        case "spine-tf", name, *rest:
            _check_flags(rest, _flags_of_program(cli.PROGRAMS[name].module))
        case "python", path, *rest:
            script = _ROOT / "benchmarks" / pathlib.Path(path).name
            assert script.is_file(), path
            _check_flags(rest, _flags_of_benchmark(script))
        case "make", *targets:
            rules = re.findall(r"^(\w+):", (_ROOT / "Makefile").read_text(), re.MULTILINE)
            assert set(targets) <= set(rules), targets


def _check_pip(arguments: Sequence[str]) -> None:
    setup = configparser.ConfigParser()
    setup.read(_ROOT / "setup.cfg")
    extras = [name for word in arguments for name in re.findall(r"\[(.+)\]", word)]
    for name in ",".join(extras).split(","):
        assert not name or name in setup["options.extras_require"], name


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_commands_that_need_more_name_what_there_is(
    page: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    blocks = [block for block in _blocks(page) if "needs" in block.options]
    calls = _calls(blocks, tmp_path)
    assert bool(calls) == any(block.language == "sh" for block in blocks)
    for command, *arguments in calls:
        _check_call(command, arguments)


def test_checks_of_commands_find_what_is_not_there() -> None:
    for call in (
        ["python", "-m", "spine_tf.nothing"],
        ["python", "-m", "spine_tf.train", "--epoch=3"],
        ["python", "-m", "spine_tf.train", "--set", "model.drop=0"],
        ["python", "benchmarks/nothing.py"],
        ["python", "benchmarks/feed.py", "--nothing"],
        ["make", "nothing"],
        ["pip", "install", ".[nothing]"],
    ):
        with pytest.raises(AssertionError):
            _check_call(call[0], call[1:])


def test_example_of_a_search_space_declares_fields(tmp_path: pathlib.Path) -> None:
    blocks = _blocks(_ROOT / "docs" / "programs.md")
    (example,) = [block for block in blocks if block.options.get("file") == "my_space.py"]
    (tmp_path / "my_space.py").write_text(example.text, "utf-8")
    declare = space_presets.get_space(str(tmp_path / "my_space.py"))
    hyperparameters = keras_tuner.HyperParameters()
    declare(hyperparameters, config.default_config("multiclass", "residual"))
    assert set(hyperparameters.values) == {"training.learning_rate", "model.filters"}
    assert set(hyperparameters.values) <= set(config.field_names("residual"))


def test_code_that_needs_more_is_python() -> None:
    for block in _blocks_of_all():
        if block.language == "python":
            compile(block.text, block.place, "exec")


# ---- How the pages are written.


def test_blocks_say_what_they_are() -> None:
    for block in _blocks_of_all():
        assert block.language in _LANGUAGES, block.place
        assert set(block.options) <= {"needs", "file"}, block.place
        assert block.options.get("needs") in {None, *_NEEDS}, block.place


def test_no_command_stands_outside_a_block_of_commands() -> None:
    for page in _PAGES:
        lines = "".join(block.text for block in _blocks(page) if block.language != "sh")
        assert not re.findall(r"^(?:\$|python|pip|make|spine-tf) .*", lines, re.MULTILINE), (
            page.name
        )
        prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.M)
        assert not re.findall(r"\n\n(?: {4}|\t)\S.*", prose), page.name
        assert "```" not in prose, page.name


def test_readme_is_read_in_five_minutes() -> None:
    assert len(_README.read_text("utf-8").splitlines()) <= 200


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_links_lead_somewhere() -> None:
    for page in _PAGES:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
            if link.startswith("https://"):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            assert target.exists(), f"{page.name}: {link}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
                assert anchor in map(_slug, headings), f"{page.name}: {link}"


def test_pictures_are_small() -> None:
    pictures = [path for path in (_ROOT / "docs").iterdir() if path.suffix == ".png"]
    assert pictures
    for path in pictures:
        assert path.stat().st_size < _MAX_PICTURE_BYTES, path


def test_named_files_exist() -> None:
    for page in _PAGES:
        for name in re.findall(r"`([\w/]+/[\w/]+\.py)`", page.read_text("utf-8")):
            rooted = name.startswith(("spine_tf/", "tfrecords/", "tuner/", "tests/", "benchmarks/"))
            path = _ROOT / name if rooted else _ROOT / "spine_tf" / name
            assert path.is_file(), f"{page.name}: {name}"


# ---- Tables that say what the code says.


def _rows(page: pathlib.Path, heading: str) -> list[tuple[str, ...]]:
    """The cells of the first table below a heading, backticks taken off."""
    text = page.read_text("utf-8")
    assert f"\n{heading}\n" in text, f"{page.name} has no heading {heading!r}"
    lines = text[text.index(f"\n{heading}\n") :].splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip().strip("`") for cell in line.strip("|").split("|")))
    return rows


def test_readme_lists_the_programs() -> None:
    expected = [(name, item.module, item.purpose) for name, item in cli.PROGRAMS.items()]
    assert _rows(_README, "## The programs") == expected


def test_every_program_is_described_in_the_order_of_the_table() -> None:
    headings = re.findall(r"^## (\w+)$", (_ROOT / "docs" / "programs.md").read_text(), re.MULTILINE)
    assert headings == list(cli.PROGRAMS)


def test_families_are_described() -> None:
    rows = _rows(_ROOT / "docs" / "programs.md", "### Families")
    assert [row[0] for row in rows] == list(model_configs.MODEL_CONFIGS)


def test_reasons_are_those_of_the_code() -> None:
    source = pathlib.Path(reasons.__file__).read_text("utf-8")
    expected = re.findall(r'^    [A-Z_]+ = "(\w+)"  # (.*)$', source, re.MULTILINE)
    assert [code for code, _ in expected] == list(reasons.Reason)
    assert _rows(_ROOT / "docs" / "data.md", "## Rows that give no record") == expected


def test_what_organize_leaves_out_is_what_the_code_does() -> None:
    source = pathlib.Path(outcome.__file__).read_text("utf-8")
    expected = re.findall(r'^    [A-Z_]+ = "(\w+)"  # (.*)$', source, re.MULTILINE)
    assert [code for code, _ in expected] == list(outcome.Reason)
    (own,) = re.findall(r"^Left out is .*?(\|.*?)\n\n[^|]", _DATA.read_text("utf-8"), re.M | re.S)
    rows = [
        tuple(cell.strip("` ") for cell in row.strip("|").split("|")) for row in own.split("\n")
    ]
    assert rows[2:] == expected


def test_flags_and_reasons_of_points_are_those_of_the_code() -> None:
    page = _ROOT / "docs" / "data.md"
    text = page.read_text("utf-8")
    for code in (*gate.Doubt, *gate.Missing):
        assert f"| `{code.value}` | {code.meaning} |" in text


def test_findings_are_those_of_the_code() -> None:
    expected = [(kind.value, kind.severity.value, kind.meaning) for kind in finding.Kind]
    assert _rows(_ROOT / "docs" / "data.md", "## What an audit finds") == expected


def test_fields_of_a_record_are_those_of_the_code() -> None:
    cells = [row[0] for row in _rows(_ROOT / "docs" / "data.md", "## A records directory")]
    fields = record.record_schema(roi_config.RoiConfig(num_slices=3))
    assert set("`, `".join(cells).split("`, `")) == {feature.name for feature in fields.features}


def test_rooms_are_those_of_the_code() -> None:
    root = pathlib.Path(spine_tf.__file__).parent
    rows = _rows(_ROOT / "docs" / "architecture.md", "## Rooms")
    assert {name for name, _ in rows} == {path.parent.name for path in root.glob("*/__init__.py")}
    for index, (name, purpose) in enumerate(rows):
        below = {earlier for earlier, _ in rows[:index]}
        sources_of_room = [path.read_text("utf-8") for path in (root / name).glob("*.py")]
        imported = re.findall(r"from spine_tf\.(\w+) import", "\n".join(sources_of_room))
        assert set(imported) - {name} <= below, name
        docstring = ast.get_docstring(ast.parse((root / name / "__init__.py").read_text())) or ""
        assert purpose == docstring.splitlines()[0], name


def test_csv_examples_are_a_data_set(tmp_path: pathlib.Path) -> None:
    for block in _blocks(_ROOT / "docs" / "data.md"):
        if "file" in block.options:
            (tmp_path / block.options["file"]).write_text(block.text, "utf-8")
    (tmp_path / "train_images").mkdir()
    found = annotations.read_annotations(
        sources.open_source(tmp_path),
        conditions=("left_subarticular_stenosis", "right_subarticular_stenosis"),
        levels=("l4_l5",),
    )
    assert len(found.rows) == 2
    assert not found.rejects
