"""Writes a smaller data set of the same layout, to carry elsewhere."""

from absl import flags, logging

from spine_tf import cli, conversion_flags, flags as flags_module
from tfrecords import program, words

_DATA_DIR = flags_module.data_dir()
_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "The smaller data set; required.")
_ROWS = conversion_flags.Rows("whose images are taken")
_NUM_SLICES = conversion_flags.num_slices("The most slices a crop is to have, odd.")
_WINDOW = conversion_flags.window("As in convert; series takes whole series.")


def main() -> None:
    """Writes the subset that the flags describe."""
    from spine_tf.conversion import subset
    from spine_tf.rsna import sources

    data_dir = program.require_path(_DATA_DIR)
    output_dir = program.require_output_dir(_OUTPUT_DIR)
    flags_module.require_kinds(data_dir=data_dir)
    written = subset.write_subset(
        sources.open_source(data_dir),
        output_dir,
        conditions=_ROWS.conditions,
        levels=_ROWS.levels,
        num_slices=_NUM_SLICES.value,
        window=_WINDOW.value,
    )
    logging.info(
        "%s, %d of them hard links, %.1f MB",
        words.counted(written.num_images, "image"),
        written.num_linked,
        written.num_bytes / 1e6,
    )
    print(f"data set: {output_dir}")
    same = program.given(_DATA_DIR, _OUTPUT_DIR)
    records_dir = cli.beside(output_dir, "records")
    cli.print_next("convert", *same, data_dir=output_dir, output_dir=records_dir)


if __name__ == "__main__":
    program.run(main, usage="A smaller data set: %s --data_dir D --output_dir S")
