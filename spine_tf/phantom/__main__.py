"""Writes synthetic lumbar spine studies in the RSNA 2024 layout."""

import os
import pathlib
import time

from absl import flags, logging

from spine_tf.phantom import dataset, settings
from tfrecords import program

_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "New or empty directory.", required=True)
_NUM_STUDIES = flags.DEFINE_integer("num_studies", 60, "Studies of the train side.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of everything random.")
_WORKERS = flags.DEFINE_integer("workers", os.cpu_count() or 1, "Processes.")


def main() -> None:
    """Writes the data set that the flags describe."""
    config = settings.PhantomConfig(num_studies=_NUM_STUDIES.value, seed=_SEED.value)
    output_dir = pathlib.Path(_OUTPUT_DIR.value)
    start = time.monotonic()
    dataset.write_studies(config, output_dir, workers=_WORKERS.value)
    logging.info(
        "%d train and %d test studies in %.1f s",
        config.num_studies,
        config.num_test_studies,
        time.monotonic() - start,
    )
    print(f"studies: {output_dir}")


if __name__ == "__main__":
    program.run(
        main, usage="Synthetic studies: python -m spine_tf.phantom --output_dir D [--num_studies N]"
    )
