"""Tables of README and docs say what the code says, and their examples are what it reads."""

import ast
import pathlib
import re
from collections.abc import Callable

import spine_tf
from spine_tf import cli
from spine_tf.auditing import finding
from spine_tf.configuration import model_configs, roi_config
from spine_tf.crops import record
from spine_tf.dicom import reasons
from spine_tf.localization import gate
from spine_tf.rsna import annotations, sources
from spine_tf.studies import outcome

_DOCS = pathlib.Path(__file__).parents[2] / "docs"


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
    assert _rows(_DOCS.parent / "README.md", "## The programs") == expected


def test_every_program_is_described_in_the_order_of_the_table() -> None:
    headings = re.findall(r"^## (\w+)$", (_DOCS / "programs.md").read_text(), re.MULTILINE)
    assert headings == list(cli.PROGRAMS)


def test_families_are_described() -> None:
    rows = _rows(_DOCS / "programs.md", "### Families")
    assert [row[0] for row in rows] == list(model_configs.MODEL_CONFIGS)


def test_reasons_are_those_of_the_code() -> None:
    source = pathlib.Path(reasons.__file__).read_text("utf-8")
    expected = re.findall(r'^    [A-Z_]+ = "(\w+)"  # (.*)$', source, re.MULTILINE)
    assert [code for code, _ in expected] == list(reasons.Reason)
    assert _rows(_DOCS / "data.md", "## Rows that give no record") == expected


def test_what_organize_leaves_out_is_what_the_code_does() -> None:
    source = pathlib.Path(outcome.__file__).read_text("utf-8")
    expected = re.findall(r'^    [A-Z_]+ = "(\w+)"  # (.*)$', source, re.MULTILINE)
    assert [code for code, _ in expected] == list(outcome.Reason)
    (own,) = re.findall(
        r"^Left out is .*?(\|.*?)\n\n[^|]", (_DOCS / "data.md").read_text("utf-8"), re.M | re.S
    )
    rows = [
        tuple(cell.strip("` ") for cell in row.strip("|").split("|")) for row in own.split("\n")
    ]
    assert rows[2:] == expected


def test_flags_and_reasons_of_points_are_those_of_the_code() -> None:
    page = _DOCS / "data.md"
    text = page.read_text("utf-8")
    for code in (*gate.Doubt, *gate.Missing):
        assert f"| `{code.value}` | {code.meaning} |" in text


def test_findings_are_those_of_the_code() -> None:
    expected = [(kind.value, kind.severity.value, kind.meaning) for kind in finding.Kind]
    assert _rows(_DOCS / "data.md", "## What an audit finds") == expected


def test_fields_of_a_record_are_those_of_the_code() -> None:
    cells = [row[0] for row in _rows(_DOCS / "data.md", "## A records directory")]
    fields = record.record_schema(roi_config.RoiConfig(num_slices=3))
    assert set("`, `".join(cells).split("`, `")) == {feature.name for feature in fields.features}


def test_rooms_are_those_of_the_code() -> None:
    root = pathlib.Path(spine_tf.__file__).parent
    rows = _rows(_DOCS / "architecture.md", "## Rooms")
    assert {name for name, _ in rows} == {path.parent.name for path in root.glob("*/__init__.py")}
    for index, (name, purpose) in enumerate(rows):
        below = {earlier for earlier, _ in rows[:index]}
        sources_of_room = [path.read_text("utf-8") for path in (root / name).glob("*.py")]
        imported = re.findall(r"from spine_tf\.(\w+) import", "\n".join(sources_of_room))
        assert set(imported) - {name} <= below, name
        docstring = ast.get_docstring(ast.parse((root / name / "__init__.py").read_text())) or ""
        assert purpose == docstring.splitlines()[0], name


def test_csv_examples_are_a_data_set(blocks_of: Callable, tmp_path: pathlib.Path) -> None:
    for block in blocks_of(_DOCS / "data.md"):
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
