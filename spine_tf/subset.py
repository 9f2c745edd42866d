"""Writes a smaller data set of the same layout, to carry elsewhere."""

import pathlib

from absl import flags, logging

from tfrecords import program

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder or zip file in the RSNA layout.")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "The smaller data set.")
_CONDITIONS = flags.DEFINE_list(
    "conditions",
    "left_subarticular_stenosis,right_subarticular_stenosis",
    "Conditions whose images are taken, or all.",
)
_LEVELS = flags.DEFINE_list("levels", "l4_l5", "Levels whose images are taken, or all.")
_NUM_SLICES = flags.DEFINE_integer("num_slices", 1, "The most slices a crop is to have, odd.")

_WINDOW = flags.DEFINE_enum(
    "window", "slice", ["slice", "series", "crop"], "As in convert; series takes whole series."
)


def main() -> None:
    """Writes the subset that the flags describe."""
    from spine_tf import labels
    from spine_tf.conversion import subset
    from spine_tf.rsna import sources

    data_dir = pathlib.Path(program.require("data_dir", _DATA_DIR.value))
    output_dir = pathlib.Path(program.require("output_dir", _OUTPUT_DIR.value))
    written = subset.write_subset(
        sources.open_source(data_dir),
        output_dir,
        conditions=_names(_CONDITIONS.value, labels.CONDITIONS),
        levels=_names(_LEVELS.value, labels.LEVELS),
        num_slices=_NUM_SLICES.value,
        window=_WINDOW.value,
    )
    logging.info(
        "%d images, %d of them hard links, %.1f MB",
        written.num_images,
        written.num_linked,
        written.num_bytes / 1e6,
    )
    print(f"data set: {output_dir}")


def _names(given: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    return known if given == ["all"] else tuple(given)


if __name__ == "__main__":
    program.run(
        main, usage="A smaller data set: python -m spine_tf.subset --data_dir D --output_dir S"
    )
