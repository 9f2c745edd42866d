"""The program that prints configurations."""

import json
import pathlib
import subprocess

import pytest

from spine_tf.configuration import config, model_configs, overrides


def _run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = ["warm-python", "-m", "spine_tf.config", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done


@pytest.mark.parametrize("family", model_configs.MODEL_CONFIGS)
def test_json_is_what_train_reads_and_equals_the_default(
    family: str, tmp_path: pathlib.Path
) -> None:
    # One program a family, the tasks in turn: each combination's own JSON is in test_config.
    tasks = model_configs.MODEL_CONFIGS[family].tasks
    task = tasks[len(family) % len(tasks)]
    path = tmp_path / "config.json"
    path.write_text(_run(f"--task={task}", f"--model={family}", "--json").stdout)
    assert config.read_config(path) == config.default_config(task, family)


def test_every_field_is_a_line_that_set_takes_and_has_a_meaning() -> None:
    printed = _run("--task=multiclass", "--model=slices", "--set=model.dropout=0.2", "--seed=3")
    lines = printed.stdout.splitlines()
    given = [line for line in lines if "=" in line.split(" ")[0] and line[0] != " "]
    made = overrides.apply(
        config.default_config("multiclass", "slices"), ["model.dropout=0.2", "seed=3"]
    )
    assert [line.partition("=")[0] for line in given] == list(
        dict.fromkeys(each.name for each in config.describe(made))
    )
    settable = [line for line in given if not line.startswith("model.family=")]
    assert overrides.apply(config.default_config("multiclass", "slices"), settable) == made
    assert "    fraction dropped before the head. (number, 0.0 to 0.95)" in lines
    assert lines[-1].startswith("next: python -m spine_tf.train --records_dir=")


def test_configuration_that_can_not_be_is_refused(tmp_path: pathlib.Path) -> None:
    wrong = _run("--task=binary", "--model=dense", "--set=model.dropuot=0.2", status=1)
    assert "; did you mean model.dropout?; there are task, model.family, " in wrong.stderr
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"task": "binary"}))
    assert "no model family" in _run(f"--config={path}", status=1).stderr
