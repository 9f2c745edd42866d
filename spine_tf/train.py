"""Trains one model: `python -m spine_tf.train`."""

import pathlib

from absl import flags, logging

from spine_tf import labels
from spine_tf.configuration import config, model_configs, overrides
from tfrecords import program

_RECORDS_DIR = flags.DEFINE_string("records_dir", None, "Directory that spine_tf.convert wrote.")
_RUN_DIR = flags.DEFINE_string("run_dir", None, "Where the run is written; must not exist.")
_TASK = flags.DEFINE_enum("task", None, list(labels.TASKS), "Which classes are told apart.")
_MODEL = flags.DEFINE_enum("model", None, list(model_configs.MODEL_CONFIGS), "Model family.")
_CONFIG = flags.DEFINE_string(
    "config", None, "Configuration JSON: a run's config.json or a search's best.json."
)
_SET = flags.DEFINE_multi_string(
    "set", [], "One field of the configuration, such as model.dropout=0.3; may be repeated."
)
_VAL_FOLD = flags.DEFINE_string(
    "val_fold", None, "Fold that is held out (0 if not in the configuration), or all in turn."
)
_EPOCHS = flags.DEFINE_integer("epochs", None, "Most epochs; overrides the configuration.")
_SEED = flags.DEFINE_integer("seed", None, "Seed of everything random; overrides likewise.")
_NUM_SEEDS = flags.DEFINE_integer(
    "num_seeds", 1, "With --val_fold all: train with this many seeds, from --seed on.", 1, 1000
)
_RESUME = flags.DEFINE_bool("resume", False, "Go on with the interrupted run in run_dir.")


def main() -> None:
    """Trains as the flags say."""
    records_dir = program.require("records_dir", _RECORDS_DIR.value)
    run_dir = pathlib.Path(program.require("run_dir", _RUN_DIR.value))
    if _NUM_SEEDS.value > 1 and _VAL_FOLD.value != "all":
        raise ValueError(
            f"--num_seeds is {_NUM_SEEDS.value}, which takes --val_fold all, not {_VAL_FOLD.value}"
        )
    run_config = _read_config(run_dir)

    # TensorFlow is imported only now: flags are checked before the seconds that it takes.
    from spine_tf.training import cross_validation, trainer
    from tfrecords import records

    source = records.open_records(records_dir)
    if _NUM_SEEDS.value > 1:
        cross_validation.train_all_seeds(
            run_config, source, run_dir, num_seeds=_NUM_SEEDS.value, resume=_RESUME.value
        )
    elif _VAL_FOLD.value == "all":
        cross_validation.train_all_folds(run_config, source, run_dir, resume=_RESUME.value)
    else:
        trainer.train(run_config, source, run_dir, resume=_RESUME.value)
    logging.info("the run is in %s", run_dir)


def _read_config(run_dir: pathlib.Path) -> config.Config:
    path = pathlib.Path(_CONFIG.value) if _CONFIG.value else None
    if path is None and _MODEL.value is None and _RESUME.value:
        path = run_dir / "config.json"
    if path is not None:
        run_config = config.read_config(path)
        _refuse_contradictions(run_config, path)
    else:
        task = program.require("task", _TASK.value)
        run_config = config.default_config(task, program.require("model", _MODEL.value))
    settings = list(_SET.value)
    if _VAL_FOLD.value not in (None, "all"):
        settings.append(f"data.val_fold={_VAL_FOLD.value}")
    if _EPOCHS.value is not None:
        settings.append(f"training.epochs={_EPOCHS.value}")
    if _SEED.value is not None:
        settings.append(f"seed={_SEED.value}")
    return overrides.apply(run_config, settings)


def _refuse_contradictions(run_config: config.Config, path: pathlib.Path) -> None:
    for flag, given, found in (
        ("--task", _TASK.value, run_config.task),
        ("--model", _MODEL.value, run_config.model.family),
    ):
        if given is not None and given != found:
            raise ValueError(f"{flag} is {given}, but {path} says {found}: leave out one of them")


if __name__ == "__main__":
    program.run(
        main,
        usage="Trains a classifier on converted records.\n\n"
        "python -m spine_tf.train --records_dir R --task binary --model dense --run_dir W",
    )
