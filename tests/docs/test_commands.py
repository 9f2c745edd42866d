"""The commands and the code of README and docs run in the order of their page."""

import pathlib
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

# What makes each program quick. A flag that is given twice counts as given last.
_ROWS = ("--conditions=all", "--levels=all", "--roi_px=16", "--num_folds=3")
_SMALL_MODEL = ("--set=model.input_px=16", "--set=model.filters=[4]")
_BRIEF = (*_SMALL_MODEL, "--set=data.inner_fold=none", "--set=training.epochs=1")
# Those of the first entry that the words begin with.
_SMALLER: Mapping[str, Sequence[str]] = {
    "-m spine_tf.phantom ": ("--num_studies=2",),
    "-m spine_tf.convert ": _ROWS,
    # Of one fold; the other runs are of all.
    "-m spine_tf.train --records_dir records --config ": ("--epochs=1", "--val_fold=0", *_BRIEF),
    "-m spine_tf.train ": ("--epochs=1", *_BRIEF),
    "-m spine_tf.clean ": ("--allow_unskilled",),
    "-m spine_tf.evaluate ": ("--noevidence", "--num_resamples=20"),
    # tests/spine_tf/serving/test_bundle.py writes and reads the others.
    "-m spine_tf.export --run_dir runs/residual --export_dir export --formats ": (
        "--formats=onnx",
    ),
    "-m tuner ": ("--max_trials=1", "--max_epochs=1", *_SMALL_MODEL),
    "-m spine_tf.ablate ": (*_ROWS, *_BRIEF),
    "-m spine_tf.reproduce ": (
        *("--conditions=all", "--models=simple", "--tasks=multiclass"),
        *_BRIEF,
    ),
}


def _quick_python(data_dir: pathlib.Path) -> str:
    """Studies that are drawn as those of `data_dir` were are copied from there."""
    drawn = f'"-m spine_tf.phantom --output_dir data "*) exec cp -r {data_dir} data ;;'
    cases = [
        f'"{beginning}"*) set -- "$@" {shlex.join(flags)} ;;'
        for beginning, flags in _SMALLER.items()
    ]
    return "\n".join(['case "$*" in', drawn, *cases, "esac", 'exec warm-python "$@"', ""])


def _script(blocks: Iterable[Any], data_dir: pathlib.Path) -> str:
    """All that runs of the blocks, in order, as one shell script; `D=` is the phantom studies."""
    lines = ["set -euo pipefail"]
    for block in blocks:
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
    command = ["warm-python", "-m", "spine_tf.phantom", f"--output_dir={directory}"]
    subprocess.run([*command, "--num_studies=5"], check=True, capture_output=True)
    return directory


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_commands_and_code_run_in_order(
    page: pathlib.Path,
    blocks_of: Callable,
    with_tools: Callable,
    phantom_dir: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    script = _script(blocks_of(page), phantom_dir)
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=work_dir,
        env=with_tools({"python": _quick_python(phantom_dir)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-6000:]
