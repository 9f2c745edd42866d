import pathlib

import numpy as np

from spine_tf.configuration import config, overrides
from spine_tf.runs import run_directory
from spine_tf.scoring import predictions, summary
from spine_tf.training import results


def test_interval_of_a_run_is_the_reports_whatever_seed_it_was_trained_with(
    tmp_path: pathlib.Path,
) -> None:
    made = overrides.apply(config.default_config("binary", "simple"), ["seed=7"])
    generator = np.random.default_rng(0)
    severe = generator.uniform(size=30)
    found = predictions.Predictions(
        keys=tuple(f"{row}/1/1/spinal_canal_stenosis/l4_l5" for row in range(30)),
        labels=np.arange(30) % 2,
        probabilities=np.stack([1.0 - severe, severe], axis=1),
    )
    predictions.write_csv(tmp_path / run_directory.OUT_OF_FOLD_FILE, found, made.task_spec)

    results.join_seeds(made, tmp_path, {7: tmp_path})

    written = summary.read(tmp_path / run_directory.METRICS_FILE)
    evaluated = summary.summarize(found, made.task_spec, "oof")
    assert written.metrics["accuracy"] == evaluated.metrics["accuracy"]
    assert written.metrics["accuracy"].has_interval
