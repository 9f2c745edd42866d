"""Trains one model: `python -m spine_tf.train`."""

import pathlib

from absl import flags, logging

from spine_tf import cli, flags as flags_module
from spine_tf.configuration import config, overrides
from tfrecords import program

_RECORDS_DIR = flags_module.records_dir()
_RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Where the run is written; must not exist; required."
)
_CONFIGURATION = flags_module.Configuration()
_VAL_FOLD = flags.DEFINE_string(
    "val_fold",
    None,
    "Fold that is held out, i for fold_i (0 if not in the configuration), or all in turn.",
)
_EPOCHS = flags.DEFINE_integer("epochs", None, "Most epochs; overrides the configuration.")
_NUM_SEEDS = flags.DEFINE_integer(
    "num_seeds",
    1,
    "An ensemble: all folds, each with this many seeds, from --seed on.",
    1,
    1000,
)
_CALLBACKS = flags.DEFINE_string(
    "callbacks",
    None,
    "Python file with make_callbacks(config), which returns a list of Keras callbacks.",
)
_VERIFY = flags_module.verify()
_RESUME = flags_module.resume("interrupted run in run_dir")


def main() -> None:
    """Trains as the flags say."""
    records_dir = program.require_path(_RECORDS_DIR)
    run_dir = program.require_output_dir(_RUN_DIR)
    val_fold = _val_fold()
    run_config = _read_config(run_dir)
    flags_module.require_kinds(records_dir=records_dir)

    # TensorFlow is imported only now: flags are checked before the seconds that it takes.
    from spine_tf.training import keras_callbacks, trainer
    from tfrecords import records

    callbacks_path = program.path(_CALLBACKS)
    callbacks = keras_callbacks.read_file(callbacks_path) if callbacks_path else None
    source = records.open_records(records_dir, verifies=_VERIFY.value)
    if _NUM_SEEDS.value > 1:
        trainer.train_all_seeds(
            run_config,
            source,
            run_dir,
            num_seeds=_NUM_SEEDS.value,
            resume=_RESUME.value,
            callbacks=callbacks,
        )
    elif val_fold == "all":
        trainer.train_all_folds(
            run_config, source, run_dir, resume=_RESUME.value, callbacks=callbacks
        )
    else:
        trainer.train(run_config, source, run_dir, resume=_RESUME.value, callbacks=callbacks or ())
    logging.info("the run is in %s", run_dir)
    split = "oof" if val_fold == "all" else "val"
    cli.print_next_of_run(run_dir, records_dir, task=run_config.task, split=split)


def _val_fold() -> str | None:
    """What is held out; an ensemble of seeds is one of all folds too."""
    if _NUM_SEEDS.value == 1:
        return _VAL_FOLD.value
    if _VAL_FOLD.value not in (None, "all"):
        raise ValueError(
            f"--num_seeds is {_NUM_SEEDS.value}, which takes --val_fold all, not {_VAL_FOLD.value}"
        )
    return "all"


def _read_config(run_dir: pathlib.Path) -> config.Config:
    base = _CONFIGURATION.base(resumed=run_dir / "config.json" if _RESUME.value else None)
    changes = _CONFIGURATION.changes()
    if _VAL_FOLD.value not in (None, "all"):
        changes.append(f"data.val_fold={_VAL_FOLD.value}")
    if _EPOCHS.value is not None:
        changes.append(f"training.epochs={_EPOCHS.value}")
    return overrides.apply(base, changes)


if __name__ == "__main__":
    program.run(
        main,
        usage="Trains a classifier on converted records.\n\n"
        "%s --records_dir R --task binary --model dense --run_dir W",
    )
