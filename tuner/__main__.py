"""Searches architectures and hyperparameters: `python -m tuner`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags, logging

from spine_tf import cli, flags as flags_module
from spine_tf.configuration import config
from tfrecords import program, records
from tuner import search_settings, space_presets

if TYPE_CHECKING:
    from tuner import leaderboard, search

_RECORDS_DIR = flags_module.records_dir()
_TASK = flags_module.task(search_settings.TASKS)
_MODELS = flags_module.models((), "to search; required without --config")
_SEARCH_DIR = flags.DEFINE_string("search_dir", None, "Where the search is written; required.")
_ORACLE = flags.DEFINE_enum(
    "oracle", "bayesian", ["bayesian", "random", "hyperband", "grid"], "What proposes trials."
)
_OBJECTIVE = flags.DEFINE_string(
    "objective",
    "log_loss",
    "Figure of the fold held out: log_loss, balanced_accuracy, auc, weighted_log_loss (the "
    "competition's), accuracy, brier, quadratic_kappa; of task landmarks log_loss, level_right, "
    "slice_error.",
)
_SPACE = flags.DEFINE_string(
    "space", "small", "small, full, or a Python file with declare(hp, config)."
)
_MAX_TRIALS = flags.DEFINE_integer("max_trials", 30, "Trials of the whole search.")
_MAX_MINUTES = flags_module.max_minutes()
_MAX_EPOCHS = flags.DEFINE_integer("max_epochs", None, "Epochs of a training.")
_MAX_DISK_MB = flags.DEFINE_float("max_disk_mb", None, "Size of the search directory.")
_MAX_PARAMETERS = flags.DEFINE_integer("max_parameters", None, "Larger models are refused.")
_FOLDS = flags.DEFINE_integer("folds", 1, "The objective is the mean over folds 0 to N - 1.")
_WORKERS = flags.DEFINE_integer("workers", 1, "Processes that train on this machine.")
_PRUNE = flags.DEFINE_boolean("prune", True, "Stop bad trials by their learning curve.")
_CONFIG = flags_module.config(" to start from")
_SET = flags_module.changes(
    ", for every family that has the field", more="; such a field is not searched"
)
_RETRAIN = flags.DEFINE_boolean("retrain", False, "Then train the best one on all folds.")
_VERIFY = flags_module.verify()
_RESUME = flags_module.resume("search in search_dir")
_OVERWRITE = flags_module.overwrite("search")
_SEED = flags_module.configured_seed("the oracle and the models")

_USAGE = """Searches architectures and hyperparameters with Keras Tuner.

%s --records_dir R --task binary|multiclass|multiclass_split|levels|landmarks
   --models dense,residual --search_dir S
   [--oracle bayesian|random|hyperband|grid] [--max_trials 30] [--max_minutes M]
   [--folds 1] [--workers 1] [--set field=value] [--resume | --overwrite] ...
"""


def main() -> None:
    """Runs the search and says where its results lie."""
    settings = _make_settings()
    logging.info(
        "searching %s on %s: %s oracle, %s space, %s",
        *(", ".join(settings.bases), settings.records_dir, settings.oracle),
        *(settings.space_name, settings.objective.name),
    )
    search_settings.check_folds(
        records.open_records(settings.records_dir), settings.folds, settings.task
    )
    _warn_of_few_trials(settings)
    # Keras Tuner brings TensorFlow: 6 s that a wrong flag should not cost.
    from tuner import search

    result = search.run(settings, resume=_RESUME.value, overwrite=_OVERWRITE.value)
    _report(settings, result)
    if _RETRAIN.value and result.ranked is not None:
        run_dir = search.retrain(
            settings.search_dir, settings.records_dir, verifies=settings.verifies
        )
        print(f"Retrained:          {run_dir}, out-of-fold figures in metrics.json")
        cli.print_next_of_run(run_dir, settings.records_dir, task=settings.task, split="oof")


def _warn_of_few_trials(settings: search_settings.Settings) -> None:
    if settings.max_trials < len(settings.bases):
        logging.warning(
            "--max_trials is %d, but --models names %d families: at least %d of them will not be "
            "tried at all",
            *(settings.max_trials, len(settings.bases), len(settings.bases) - settings.max_trials),
        )


def _make_settings() -> search_settings.Settings:
    path = program.path(_CONFIG)
    start = config.read_config(path) if path else None
    goal = search_settings.Objective(name=_OBJECTIVE.value)
    declare = space_presets.get_space(_SPACE.value)
    seed = _SEED.value
    bases, fixed = search_settings.make_bases(
        _TASK.value,
        _MODELS.value,
        start=start,
        settings=_SET.value,
        seed=seed,
        max_epochs=_MAX_EPOCHS.value,
        monitor=goal.monitor,
    )
    search_dir = program.require_output_dir(_SEARCH_DIR)
    records_dir = program.require_path(_RECORDS_DIR)
    flags_module.require_kinds(records_dir=records_dir)
    return search_settings.Settings(
        search_dir=search_dir,
        records_dir=records_dir,
        task=next(iter(bases.values())).task,
        bases=bases,
        fixed=fixed,
        declare=declare,
        space_name=_SPACE.value,
        objective=goal,
        oracle=_ORACLE.value,
        folds=_FOLDS.value,
        seed=seed if seed is not None else next(iter(bases.values())).seed,
        workers=_WORKERS.value,
        max_trials=_MAX_TRIALS.value,
        max_minutes=_MAX_MINUTES.value,
        max_disk_mb=_MAX_DISK_MB.value,
        max_parameters=_MAX_PARAMETERS.value,
        prune=_PRUNE.value,
        verifies=_VERIFY.value,
    )


def _report(settings: search_settings.Settings, result: "search.Result") -> None:
    if result.ranked is None:
        print(f"This worker's part has ended: {result.ended_by}.")
        return
    best = result.ranked[0] if result.ranked else None
    print(f"The search ended: {result.ended_by}.")
    if best is None or best.score is None:
        raise ValueError(
            f"none of {len(result.ranked)} trials has a score{_first_reason(result.ranked)}; all "
            f"reasons are in {settings.search_dir}/leaderboard.csv"
        )
    error = "" if best.score.error is None else f" +- {best.score.error:.2g}"
    print(f"Best: trial {best.trial_id}, {best.family}, ", end="")
    folds = "fold_0" if settings.folds == 1 else f"{settings.folds} folds"
    print(f"{settings.objective.name} {best.score.value:.4g}{error}, ", end="")
    print(f"the best of {len(result.ranked)} on {folds}")
    print(f"Leaderboard:        {settings.search_dir}/leaderboard.csv")
    print(f"Page:               {settings.search_dir}/search.html")
    print(f"Best configuration: {settings.search_dir}/best.json")
    if not _RETRAIN.value:
        cli.print_next(
            "train",
            records_dir=settings.records_dir,
            config=settings.search_dir / "best.json",
            val_fold="all",
            run_dir=cli.beside(settings.search_dir, "run"),
        )


def _first_reason(ranked: "Sequence[leaderboard.Entry]") -> str:
    reasons = (entry.outcome.reason for entry in ranked if entry.outcome is not None)
    first = next(filter(None, reasons), None)
    return f", the first for this reason: {first}" if first else ""


if __name__ == "__main__":
    program.run(main, usage=_USAGE)
