"""Changes one thing at a time and measures it: `python -m spine_tf.ablate`."""

import pathlib
import typing

from absl import flags, logging

from spine_tf import labels
from spine_tf.configuration import model_configs
from spine_tf.processes import pool
from tfrecords import program

if typing.TYPE_CHECKING:
    from spine_tf.ablation import settings, variant
    from spine_tf.conversion import plan

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder or zip file in the RSNA layout.")
_WORK_DIR = flags.DEFINE_string("work_dir", None, "Where everything is written.")
_TASK = flags.DEFINE_enum("task", None, list(labels.WHOLE_TASKS), "Which classes are told apart.")
_MODEL = flags.DEFINE_enum("model", None, list(model_configs.MODEL_CONFIGS), "The base's family.")
_CONFIG = flags.DEFINE_string("config", None, "Configuration JSON of the base, such as best.json.")
_SET = flags.DEFINE_multi_string(
    "set",
    [],
    "field=value of the base, and of every family that has the field, or family:field=value of one "
    "alone; may be repeated.",
)
_FACTORS = flags.DEFINE_multi_string(
    "factors",
    [],
    "field=value,value,...: one variant a value. A field of the region of interest (roi_mm, "
    "roi_px, num_slices, mirror_right, window), model (the family), or one of the configuration.",
)
_VARIANT = flags.DEFINE_multi_string(
    "variant", [], "name:field=value,field=value: one variant that changes several fields."
)
_PRESETS = flags.DEFINE_list(
    "presets", [], "Studies: preprocessing, order, architectures, augmentation, sampling, loss."
)
_SEEDS = flags.DEFINE_integer("seeds", 1, "Trainings of each variant, with different seeds.")
_SEED = flags.DEFINE_integer("seed", None, "First seed; overrides the configuration.")
_MAX_MINUTES = flags.DEFINE_float(
    "max_minutes", None, "Time of this call; a training that is running then is not lost."
)
_RESUME = flags.DEFINE_bool("resume", False, "Go on with the ablation in work_dir.")
_CONDITIONS = flags.DEFINE_list(
    "conditions",
    "left_subarticular_stenosis,right_subarticular_stenosis",
    "Conditions to look at, or all.",
)
_LEVELS = flags.DEFINE_list("levels", "l4_l5", "Levels to look at, or all.")
_ROI_MM = flags.DEFINE_float("roi_mm", 50.0, "The base's side of a crop in millimetres.")
_ROI_PX = flags.DEFINE_integer("roi_px", 128, "The base's side of a crop in pixels.")
_NUM_SLICES = flags.DEFINE_integer("num_slices", 1, "The base's slices of a crop, odd.")
_MIRROR_RIGHT = flags.DEFINE_bool("mirror_right", True, "The base flips crops of one side.")
_WINDOW = flags.DEFINE_enum("window", "slice", ["slice", "series", "crop"], "The base's window.")
_NUM_FOLDS = flags.DEFINE_integer("num_folds", 5, "Folds.")
_TEST_FRACTION = flags.DEFINE_float(
    "test_fraction", 0.15, "Part of the studies that is set aside and not opened."
)
_FOLDS_CSV = flags.DEFINE_string("folds_csv", None, "study_id,fold: decides the folds.")
_FOLDS_SEED = flags.DEFINE_integer("folds_seed", 0, "Seed of the folds.")
_EXCLUDE = flags.DEFINE_string("exclude", None, "CSV with a column key: rows to leave out.")
_WORKERS = flags.DEFINE_integer("workers", None, "Processes that convert; all cores if not given.")


def main() -> None:
    """Runs the ablation that the flags describe."""
    data_dir = pathlib.Path(program.require("data_dir", _DATA_DIR.value))
    work_dir = pathlib.Path(program.require("work_dir", _WORK_DIR.value))
    if _MAX_MINUTES.value is not None and _MAX_MINUTES.value <= 0:
        raise ValueError(f"--max_minutes is {_MAX_MINUTES.value}, expected more than 0")
    wanted = _settings()

    # What draws and computes is imported only when the flags are in order.
    from spine_tf.ablation import ablation, table
    from spine_tf.rsna import sources

    found = ablation.run(
        wanted,
        sources.open_source(data_dir),
        work_dir,
        is_resumed=_RESUME.value,
        num_workers=_WORKERS.value or pool.num_cpus(),
        max_minutes=_MAX_MINUTES.value,
    )
    logging.info(
        "%d finished, %d failed, %d not run",
        *(found.count(status) for status in (table.FINISHED, table.FAILED, table.NOT_RUN)),
    )
    print(found.text)
    print(found.page)
    base = found.rows[0]
    if base.status == table.FAILED:
        raise ValueError(
            f"the base could not be trained ({base.reason}): mend that and run the same command "
            "with --resume"
        )


def _settings() -> "settings.Settings":
    from spine_tf.ablation import settings

    variants = settings.read_variants(_FACTORS.value, _VARIANT.value, _PRESETS.value)
    if not variants and not _RESUME.value:
        raise ValueError("nothing varies: give --factors, --variant or --presets")
    if _FOLDS_CSV.value and flags.FLAGS["test_fraction"].present:
        raise ValueError("--test_fraction has no effect beside --folds_csv: leave one out")
    conversion = _conversion()
    return settings.Settings(
        base=_base(conversion, variants),
        conversion=conversion,
        variants=variants,
        num_seeds=_SEEDS.value,
    )


def _base(conversion: "plan.Settings", variants: "tuple[variant.Variant, ...]") -> "variant.Base":
    from spine_tf.ablation import settings
    from spine_tf.configuration import config

    if _CONFIG.value:
        base_config = config.read_config(pathlib.Path(_CONFIG.value))
        for flag, given, found in (
            ("--task", _TASK.value, base_config.task),
            ("--model", _MODEL.value, base_config.model.family),
        ):
            if given is not None and given != found:
                raise ValueError(f"{flag} is {given}, but {_CONFIG.value} says {found}")
    else:
        base_config = config.default_config(
            program.require("task", _TASK.value), program.require("model", _MODEL.value)
        )
    changes = list(_SET.value)
    if _SEED.value is not None:
        changes.append(f"seed={_SEED.value}")
    return settings.make_base(base_config, changes, conversion, variants)


def _conversion() -> "plan.Settings":
    from spine_tf.configuration import roi_config
    from spine_tf.conversion import plan

    return plan.Settings(
        conditions=_names(_CONDITIONS.value, labels.CONDITIONS),
        levels=_names(_LEVELS.value, labels.LEVELS),
        roi=roi_config.RoiConfig(
            roi_mm=_ROI_MM.value,
            roi_px=_ROI_PX.value,
            num_slices=_NUM_SLICES.value,
            mirror_right=_MIRROR_RIGHT.value,
            window=_WINDOW.value,
        ),
        num_folds=_NUM_FOLDS.value,
        test_fraction=_TEST_FRACTION.value,
        seed=_FOLDS_SEED.value,
        folds_csv=pathlib.Path(_FOLDS_CSV.value) if _FOLDS_CSV.value else None,
        exclude=pathlib.Path(_EXCLUDE.value) if _EXCLUDE.value else None,
    )


def _names(given: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    return known if given == ["all"] else tuple(given)


if __name__ == "__main__":
    program.run(
        main,
        usage="Changes one thing at a time from a base and compares in pairs, out of fold.\n\n"
        "python -m spine_tf.ablate --data_dir D --work_dir W --task multiclass --model residual "
        "--factors roi_mm=30,50,70 --factors window=slice,crop",
    )
