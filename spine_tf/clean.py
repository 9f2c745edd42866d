"""Finds labels that are probably wrong: `python -m spine_tf.clean`."""

import logging as std_logging

from absl import flags

from spine_tf import cli, flags as flags_module
from tfrecords import program

_RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "A run of train --val_fold all, whose models judge the labels; required."
)
_RECORDS_DIR = flags_module.records_dir("The records that it was trained on; required.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Where review, page and halves are written; must hold no review; required."
)
_ALLOW_UNSKILLED = flags.DEFINE_bool(
    "allow_unskilled",
    False,
    "Judge also by models that are right no more often than the most frequent class.",
)


def main() -> None:
    """Judges the labels of the run's records."""
    run_dir = program.require_path(_RUN_DIR)
    records_dir = program.require_path(_RECORDS_DIR)
    output_dir = program.require_output_dir(_OUTPUT_DIR)
    flags_module.require_kinds(run_dir=run_dir, records_dir=records_dir)

    # TensorFlow is imported only now: flags are checked before the seconds that it takes.
    from spine_tf.label_review import cleaning
    from tfrecords import records

    # Every member traces its own graphs, which TensorFlow takes for one function traced too often.
    std_logging.getLogger("tensorflow").setLevel(std_logging.ERROR)
    found = cleaning.clean(
        run_dir,
        records.open_records(records_dir),
        output_dir,
        allows_unskilled=_ALLOW_UNSKILLED.value,
    )
    print(f"{'label':14}{'rows':>8}{'flagged':>9}{'agreed':>9}")
    for row in found.numbers.classes:
        figures = f"{row.num_rows:>8}{row.num_flagged:>9}{row.agreement:>9.3f}"
        print(f"{row.name:14}{figures}")
    print(f"page: {found.page}")
    print(f"review: {found.review}")
    if found.mild_split is not None:
        print(f"halves of Moderate: {found.mild_split}, for --set data.mild_split=")
    cli.print_next(
        "train",
        records_dir=records_dir,
        config=run_dir / "config.json",
        set=f"data.label_review.path={found.review}",
        val_fold="all",
        run_dir=cli.beside(output_dir, "run"),
    )


if __name__ == "__main__":
    program.run(
        main,
        usage="Judges each label by models that did not train on it.\n\n"
        "%s --run_dir W --records_dir R --output_dir D",
    )
