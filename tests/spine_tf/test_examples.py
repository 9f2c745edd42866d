"""The examples in the docstrings of what a user calls from Python, run one after another."""

import doctest
import io
import pathlib
import shutil

import pytest

from spine_tf.auditing import audit
from spine_tf.conversion import job, rejects
from spine_tf.evaluation import evaluation
from spine_tf.models import families
from spine_tf.runs import run
from spine_tf.serving import bundle, prediction
from spine_tf.training import dataset, trainer
from tuner import leaderboard

# Each finds what those before it have written: a data set becomes records, a run, an export.
_CALLS = (
    audit.audit,
    job.convert,
    rejects.read_rejects,
    dataset.open_dataset,
    families.build_model,
    trainer.train,
    run.load_run,
    evaluation.evaluate,
    bundle.export,
    prediction.predict,
    leaderboard.read_leaderboard,
)


@pytest.mark.slow
def test_examples_run_and_give_what_they_say(
    small_data_dir: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(small_data_dir, tmp_path / "data")
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "leaderboard.csv").write_text(leaderboard.to_csv([], num_folds=1))
    monkeypatch.chdir(tmp_path)
    for call in _CALLS:
        name = f"{call.__module__}.{call.__name__}"
        (example,) = doctest.DocTestFinder(recurse=False).find(call, name, globs={})
        assert example.examples, f"{name} has no example"
        said = io.StringIO()
        failed = doctest.DocTestRunner(verbose=False).run(example, out=said.write).failed
        assert not failed, said.getvalue()
