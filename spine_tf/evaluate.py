"""Evaluates trained runs: `python -m spine_tf.evaluate`."""

import logging as std_logging
import pathlib
from typing import Any

from absl import flags, logging

from spine_tf import cli, flags as flags_module, labels
from spine_tf.configuration import directory_kind
from tfrecords import program

_RUN_DIRS = flags_module.run_dirs(
    "A run of train, or a stack; a,b,... compares several, in pairs with the first; required."
)
_RECORDS_DIR = flags_module.records_dir(
    "The records of the run, or others for an external validation; required for one run. Without "
    "it runs and stacks are compared out of fold, row by row."
)
_REPORT_DIR = flags.DEFINE_string(
    "report_dir", None, "Where the report is written; one of the same runs is replaced; required."
)
_SPLIT = flags.DEFINE_enum(
    "split",
    None,
    ["test", "val", "oof"],
    "test (the default), val (the fold held out), or oof (all folds, after --val_fold all).",
)
_DATA_DIR = flags_module.data_dir(
    "What the records were converted from: adds the baseline from other labels."
)
_CONTROLS = flags.DEFINE_bool(
    "controls",
    False,
    "Check that no study and no crop lies in two splits, and train once on shuffled labels.",
)
_TTA = flags.DEFINE_integer(
    "tta",
    1,
    "Test-time augmentation: average the image's answer and those of this many copies less one, "
    "changed as in training.",
)
_ENSEMBLE = flags.DEFINE_bool(
    "ensemble",
    False,
    "Evaluate the runs of --run_dir a,b,... as one model: the mean of those of their models that "
    "did not see an example's study.",
)
_EVIDENCE = flags.DEFINE_bool("evidence", True, "Draw evidence maps beside the crops.")
_NUM_RESAMPLES = flags.DEFINE_integer("num_resamples", 1000, "Resamples of the bootstrap.")
_VERIFY = flags_module.verify()
_SEED = flags_module.seed("the bootstrap and the controls")


def main() -> None:
    """Evaluates as the flags say."""
    run_dirs = flags_module.require_dirs(_RUN_DIRS)
    report_dir = flags_module.require_report_dir(_REPORT_DIR)
    data_dir = program.path(_DATA_DIR)
    stacks = [path for path in run_dirs if directory_kind.of(path) is directory_kind.Kind.STACK]
    records_dir = program.path(_RECORDS_DIR)
    if stacks and records_dir is not None:
        raise ValueError(
            f"--records_dir has no effect beside {stacks[0]}, a stack, which is measured out of "
            "fold: leave it out"
        )
    if records_dir is None and not stacks and len(run_dirs) == 1:
        records_dir = program.require_path(_RECORDS_DIR)
    runs = [path for path in run_dirs if path not in stacks]
    flags_module.require_kinds(run_dir=runs, records_dir=records_dir, data_dir=data_dir)

    # TensorFlow is imported only now: flags are checked before the seconds that it takes.
    from spine_tf.evaluation import evaluation
    from tfrecords import records

    # Every member traces its own graphs, which TensorFlow takes for one function traced too often.
    std_logging.getLogger("tensorflow").setLevel(std_logging.ERROR)
    options = evaluation.Options(
        split=_SPLIT.value,
        seed=_SEED.value,
        num_resamples=_NUM_RESAMPLES.value,
        has_evidence=_EVIDENCE.value,
        has_controls=_CONTROLS.value,
        data_dir=data_dir,
        num_augmented=_TTA.value,
    )
    if records_dir is None:
        _finish(_compare_rows(run_dirs, stacks, report_dir, options), run_dirs, report_dir)
        return
    source = records.open_records(records_dir, verifies=_VERIFY.value)
    if _ENSEMBLE.value:
        result = evaluation.evaluate_ensemble(run_dirs, source, report_dir, options)
        _log(result.analysis.summary.split, result.analysis.summary)
        page = result.page
    elif len(run_dirs) > 1:
        compared = evaluation.compare(run_dirs, source, report_dir, options)
        page = _log_all(compared)
    else:
        shuffled = _train_control(run_dirs[0], source) if _CONTROLS.value else None
        result = evaluation.evaluate(run_dirs[0], source, report_dir, options, shuffled)
        _log(result.analysis.summary.split, result.analysis.summary)
        page = result.page
    _finish(page, run_dirs, report_dir)


def _compare_rows(
    run_dirs: list[pathlib.Path],
    stacks: list[pathlib.Path],
    report_dir: pathlib.Path,
    options: Any,
) -> pathlib.Path:
    """Sets runs and stacks side by side out of fold; a stack alone beside the mean of its runs."""
    from spine_tf.evaluation import row_comparison
    from spine_tf.stacking import member_mean

    if _ENSEMBLE.value:
        raise ValueError("--ensemble needs --records_dir: its models have to be asked")
    if len(run_dirs) == 1:
        named = member_mean.beside(stacks[0])
    else:
        names = [path.resolve().name for path in run_dirs]
        if len(set(names)) < len(names):
            names = [str(path) for path in run_dirs]
        named = [(name, row_comparison.read(p)) for name, p in zip(names, run_dirs, strict=True)]
    return _log_all(row_comparison.compare(named, run_dirs, report_dir, options))


def _log_all(compared: Any) -> pathlib.Path:
    for name, found in compared.analysis.runs.items():
        _log(name, found)
    return compared.page


def _finish(page: pathlib.Path, run_dirs: list[pathlib.Path], report_dir: pathlib.Path) -> None:
    print(page)
    export_dir = cli.beside(report_dir, "export")
    cli.print_next("export", run_dir=run_dirs, export_dir=export_dir)


def _train_control(run_dir: pathlib.Path, source: Any) -> Any:
    from spine_tf.evaluation import shuffled_labels
    from spine_tf.runs import run
    from spine_tf.training import trainer

    trained = run.load_run(run_dir)
    if trained.config.task not in labels.TASKS:
        raise ValueError(f"--controls are of single crops, {run_dir} grades levels: leave them out")
    # A run of all folds has no held-out one of its own: the first that it has stands for them.
    held_out = trained.provenance["val_split"] or trained.provenance["folds"][0]
    logging.info("training on shuffled labels, at most %d epochs", shuffled_labels.MAX_EPOCHS)
    return shuffled_labels.run_control(
        trainer.hold_out(trained.config, held_out),
        source,
        seed=_SEED.value,
        num_resamples=_NUM_RESAMPLES.value,
    )


def _log(name: str, found: Any) -> None:
    words = [
        f"{metric.replace('_', ' ')} {found.metrics[metric].in_words()}"
        for metric in ("accuracy", "balanced_accuracy", "log_loss")
    ]
    logging.info("%s: %s", name, ", ".join(words))


if __name__ == "__main__":
    program.run(
        main,
        usage="Evaluates a run and writes a report with figures, intervals and crops.\n\n"
        "%s --run_dir W --records_dir R --report_dir P [--split oof]",
    )
