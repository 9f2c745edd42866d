"""Draws every augmentation at three strengths: `python -m spine_tf.augment`."""

from absl import flags, logging

from spine_tf import cli, flags as flags_module
from tfrecords import program

_RECORDS_DIR = flags_module.records_dir()
_PNG = flags.DEFINE_string("png", "augmentation.png", "The picture that is written.")
_SEED = flags_module.seed("the changes", lower_bound=0)


def main() -> None:
    """Draws as the flags say."""
    records_dir = program.require_path(_RECORDS_DIR)
    path = program.require_output_file(_PNG, begins=b"\x89PNG")
    flags_module.require_kinds(records_dir=records_dir)

    # TensorFlow is imported only now: flags are checked before the seconds that it takes.
    from spine_tf.augmentation import sheet
    from tfrecords import records

    sheet.write(records.open_records(records_dir), path, seed=_SEED.value)
    logging.info("the picture is %s", path)
    cli.print_next_training(records_dir)


if __name__ == "__main__":
    program.run(
        main,
        usage="Draws every augmentation at three strengths.\n\n"
        "%s --records_dir R --png augmentation.png",
    )
