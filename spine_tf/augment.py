"""Draws every augmentation at three strengths: `python -m spine_tf.augment`."""

import pathlib

from absl import flags, logging

from tfrecords import program

_RECORDS_DIR = flags.DEFINE_string("records_dir", None, "Directory that spine_tf.convert wrote.")
_PNG = flags.DEFINE_string("png", "augmentation.png", "The picture that is written.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the changes.", lower_bound=0)


def main() -> None:
    """Draws as the flags say."""
    records_dir = program.require("records_dir", _RECORDS_DIR.value)
    path = pathlib.Path(_PNG.value)

    # TensorFlow is imported only now: flags are checked before the seconds that it takes.
    from spine_tf.augmentation import sheet
    from tfrecords import records

    sheet.write(records.open_records(records_dir), path, seed=_SEED.value)
    logging.info("the picture is %s", path)


if __name__ == "__main__":
    program.run(
        main,
        usage="Draws every augmentation at three strengths.\n\n"
        "python -m spine_tf.augment --records_dir R --png augmentation.png",
    )
