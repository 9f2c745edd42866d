"""Evaluates trained runs: `python -m spine_tf.evaluate`."""

import logging as std_logging
import pathlib

from absl import flags, logging

from tfrecords import program

_RUN_DIR = flags.DEFINE_list("run_dir", None, "A run of spine_tf.train; a,b,... compares several.")
_RECORDS_DIR = flags.DEFINE_string(
    "records_dir", None, "The records of the run, or others for an external validation."
)
_REPORT_DIR = flags.DEFINE_string("report_dir", None, "Where the report is written.")
_SPLIT = flags.DEFINE_enum(
    "split",
    None,
    ["test", "val", "oof"],
    "test (the default), val (the fold held out), or oof (all folds, after --val_fold all).",
)
_NUM_RESAMPLES = flags.DEFINE_integer("num_resamples", 1000, "Resamples of the bootstrap.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the bootstrap.")
_EVIDENCE = flags.DEFINE_bool("evidence", True, "Draw evidence maps beside the crops.")


def main() -> None:
    """Evaluates as the flags say."""
    run_dirs = [pathlib.Path(name) for name in _RUN_DIR.value or []]
    if not run_dirs:
        program.require("run_dir", None)
    records_dir = program.require("records_dir", _RECORDS_DIR.value)
    report_dir = pathlib.Path(program.require("report_dir", _REPORT_DIR.value))

    # TensorFlow is imported only now: flags are checked before the seconds that it takes.
    from spine_tf.evaluation import session
    from tfrecords import records

    # Every member traces its own graphs, which TensorFlow takes for one function traced too often.
    std_logging.getLogger("tensorflow").setLevel(std_logging.ERROR)
    options = session.Options(
        split=_SPLIT.value,
        seed=_SEED.value,
        num_resamples=_NUM_RESAMPLES.value,
        has_evidence=_EVIDENCE.value,
    )
    source = records.open_records(records_dir)
    result = session.evaluate(run_dirs[0], source, report_dir, options)
    for name in ("accuracy", "balanced_accuracy", "log_loss"):
        figure = result.analysis["metrics"][name]
        logging.info("%s %s", name.replace("_", " "), _in_words(figure))
    print(result.page)


def _in_words(figure: dict[str, float | None]) -> str:
    if figure["value"] is None:
        return "is undefined"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} (95 % interval {figure['low']:.3f} to {figure['high']:.3f})"


if __name__ == "__main__":
    program.run(
        main,
        usage="Evaluates a run and writes a report with figures, intervals and crops.\n\n"
        "python -m spine_tf.evaluate --run_dir W --records_dir R --report_dir P [--split oof]",
    )
