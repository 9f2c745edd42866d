"""A trial that really runs out of memory is recorded with its reason, and the search goes on."""

import csv
import pathlib
import resource
import subprocess
import sys

import pytest

_SPACE = """
def declare(hp, config):
    hp.Choice("model.filters", ["[4096, 4096]", "[4]"])
"""
# A worker of TensorFlow maps 3 to 4 GiB; the large model's optimiser alone wants 1.8 GiB more.
_ADDRESS_SPACE = 5 * 2**30


@pytest.mark.slow
def test_real_lack_of_memory_is_a_failed_trial(
    records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    space = tmp_path / "space.py"
    space.write_text(_SPACE)
    search_dir = tmp_path / "s"
    command = [sys.executable, "-m", "tuner", "--task=binary", "--models=simple", "--oracle=grid"]
    command += [f"--records_dir={records_dir}", f"--search_dir={search_dir}", f"--space={space}"]
    command += ["--max_trials=3", "--max_epochs=1", "--set=training.batch_size=16"]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE,) * 2),
    )
    assert result.returncode == 0, result.stderr
    with (search_dir / "leaderboard.csv").open(newline="") as file:
        rows = {row["hp.model.filters"]: row for row in csv.DictReader(file)}
    assert rows["[4]"]["status"] == "completed", "which came after it"
    assert rows["[4096, 4096]"]["status"] == "failed"
    assert "out of memory" in rows["[4096, 4096]"]["reason"]
