"""Changes one thing at a time and measures it: `python -m spine_tf.ablate`."""

import typing

from absl import flags, logging

from spine_tf import cli, conversion_flags, flags as flags_module, labels
from tfrecords import program

if typing.TYPE_CHECKING:
    from spine_tf.ablation import design

_DATA_DIR = flags_module.data_dir()
_WORK_DIR = flags_module.work_dir()
_CONFIGURATION = flags_module.Configuration(
    task_names=labels.WHOLE_TASKS,
    of=" of the base",
    changed=" of the base, and of every family that has the field",
    seeded="the first training",
)
_CONVERSION = conversion_flags.Conversion("to look at", of="; the base's", seed_name="folds_seed")
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
    "presets",
    [],
    "Studies, some of preprocessing, region, order, architectures, augmentation, sampling, loss.",
)
_SEEDS = flags.DEFINE_integer("seeds", 1, "Trainings of each variant, with different seeds.")
_MAX_MINUTES = flags_module.max_minutes("; a training that is running then is not lost")
_RESUME = flags_module.resume("ablation in work_dir")
_WORKERS = flags_module.Workers("Processes that convert; all cores if not given.")


def main() -> None:
    """Runs the ablation that the flags describe."""
    data_dir = program.require_path(_DATA_DIR)
    work_dir = program.require_output_dir(_WORK_DIR)
    if _MAX_MINUTES.value is not None and not _MAX_MINUTES.value > 0:  # nor NaN
        raise ValueError(f"--max_minutes is {_MAX_MINUTES.value}, expected more than 0")
    wanted = _design()
    flags_module.require_kinds(data_dir=data_dir)

    # What draws and computes is imported only when the flags are in order.
    from spine_tf.ablation import ablation, ablation_table
    from spine_tf.rsna import sources

    found = ablation.run(
        wanted,
        sources.open_source(data_dir),
        work_dir,
        is_resumed=_RESUME.value,
        num_workers=_WORKERS.number(),
        max_minutes=_MAX_MINUTES.value,
    )
    logging.info(
        "%d finished, %d failed, %d not run",
        *(
            found.count(status)
            for status in (ablation_table.FINISHED, ablation_table.FAILED, ablation_table.NOT_RUN)
        ),
    )
    print(found.text)
    print(found.page)
    if found.count(ablation_table.FINISHED) < len(found.rows):
        cli.print_next("ablate", *program.given(_RESUME), resume=True)
    base = found.rows[0]
    if base.status == ablation_table.FAILED:
        raise ValueError(
            f"the base could not be trained ({base.reason}): mend that and run the same command "
            "with --resume"
        )


def _design() -> "design.Design":
    from spine_tf.ablation import design, variant

    variants = variant.read_variants(_FACTORS.value, _VARIANT.value, _PRESETS.value)
    if not variants and not _RESUME.value:
        raise ValueError("nothing varies: give --factors, --variant or --presets")
    conversion = _CONVERSION.settings()
    return design.Design(
        base=design.make_base(
            _CONFIGURATION.base(), _CONFIGURATION.changes(), conversion, variants
        ),
        conversion=conversion,
        variants=variants,
        num_seeds=_SEEDS.value,
    )


if __name__ == "__main__":
    program.run(
        main,
        usage="Changes one thing at a time from a base and compares in pairs, out of fold.\n\n"
        "%s --data_dir D --work_dir W --task multiclass --model residual "
        "--factors roi_mm=30,50,70 --factors window=slice,crop",
    )
