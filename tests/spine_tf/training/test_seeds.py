import json
import pathlib
import subprocess

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.evaluation import held_out
from spine_tf.runs import run, run_directory
from spine_tf.scoring import predictions
from tfrecords import records

_TASK = labels.get_task("binary")


def _train(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["warm-python", "-m", "spine_tf.train", "--task=binary", "--model=simple"]
    command += ["--set=model.filters=[4,8]", "--set=training.batch_size=8", "--epochs=2"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def seeds_dir(records_dir: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("seeds") / "w"
    arguments = (f"--records_dir={records_dir}", f"--run_dir={directory}")
    result = _train(*arguments, "--num_seeds=2", "--seed=4")
    assert result.returncode == 0, result.stderr
    return directory


@pytest.mark.slow
def test_answers_are_the_mean_of_the_seeds_and_the_spread_is_reported(
    seeds_dir: pathlib.Path,
) -> None:
    parts = [predictions.read_csv(seeds_dir / f"seed_{seed}" / "oof.csv", _TASK) for seed in (4, 5)]
    joined = predictions.read_csv(seeds_dir / "oof.csv", _TASK)
    assert not np.array_equal(parts[0].probabilities, parts[1].probabilities)
    np.testing.assert_allclose(
        joined.probabilities, np.mean([part.probabilities for part in parts], axis=0), atol=1e-6
    )
    figures = json.loads((seeds_dir / "metrics.json").read_text())
    of_seeds = [
        json.loads((seeds_dir / f"seed_{seed}" / "metrics.json").read_text())["metrics"]
        for seed in (4, 5)
    ]
    spread = figures["seeds"]["metrics"]["log_loss"]
    assert figures["seeds"]["values"] == [4, 5]
    assert spread["values"] == pytest.approx([each["log_loss"]["value"] for each in of_seeds])
    assert spread["standard_deviation"] == pytest.approx(np.std(spread["values"], ddof=1))


@pytest.mark.slow
def test_members_know_the_fold_they_did_not_see(
    seeds_dir: pathlib.Path, records_dir: pathlib.Path
) -> None:
    loaded = run.load_run(seeds_dir)
    assert [member.fold for member in loaded.members] == ["fold_0", "fold_1", "fold_2"] * 2
    source = records.open_records(records_dir)
    found = held_out.load(loaded, source, "oof").evaluated
    inside = np.array(found.splits) == "fold_1"
    examples = records.load_examples(source, ["fold_1"], _TASK.severities)
    np.testing.assert_allclose(
        loaded.without_fold("fold_1").predict(examples.normalized()),
        found.predictions.probabilities[inside],
        atol=1e-6,
    )


@pytest.mark.slow
def test_finished_seeds_are_kept_and_a_third_is_another_run(
    seeds_dir: pathlib.Path, records_dir: pathlib.Path
) -> None:
    arguments = (f"--records_dir={records_dir}", f"--run_dir={seeds_dir}", "--val_fold=all")
    (seeds_dir / "metrics.json").unlink()
    weights = (seeds_dir / "seed_4/fold_0/model.keras").stat().st_mtime_ns
    result = _train(*arguments, "--num_seeds=2", "--seed=4", "--resume")
    assert result.returncode == 0, result.stderr
    assert run_directory.is_run(seeds_dir)
    assert (seeds_dir / "seed_4/fold_0/model.keras").stat().st_mtime_ns == weights
    refused = _train(*arguments, "--num_seeds=3", "--seed=4", "--resume")
    assert refused.returncode == 1
    assert "seeds is [4, 5], now [4, 5, 6]" in refused.stderr


def test_seeds_without_all_folds_are_refused(
    records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    arguments = (f"--records_dir={records_dir}", f"--run_dir={tmp_path / 'w'}", "--val_fold=1")
    result = _train(*arguments, "--num_seeds=2")
    assert result.returncode == 1
    assert "--num_seeds is 2, which takes --val_fold all" in result.stderr
