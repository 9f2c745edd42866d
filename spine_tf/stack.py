"""Stacks runs by what they said out of fold: `python -m spine_tf.stack`."""

import pathlib

from absl import flags

from spine_tf import cli
from tfrecords import program

_RUN_DIRS = flags.DEFINE_list(
    "run_dirs", None, "At least two runs of train --val_fold all on the same folds; required."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Where the stack is written; must not exist; required."
)


def main() -> None:
    """Stacks the runs that the flags name."""
    if not _RUN_DIRS.value:
        raise ValueError("--run_dirs is missing; see --help")
    output_dir = program.require_output_dir(_OUTPUT_DIR)

    from spine_tf.stacking import stacking

    found = stacking.stack([pathlib.Path(name) for name in _RUN_DIRS.value], output_dir)
    against = found.against_members
    for name in ("accuracy", "log_loss", "weighted_log_loss"):
        print(
            f"{name.replace('_', ' ')}: {found.summary.metrics[name].in_words()}, against the mean "
            f"of the runs {against.differences[name].change_in_words()}"
        )
    if against.competition is not None:
        print(f"competition: {against.competition['mean'].change_in_words()} against that mean")
    print(found.directory)
    report_dir = cli.beside(output_dir, "report")
    cli.print_next("evaluate", run_dir=found.directory, report_dir=report_dir)


if __name__ == "__main__":
    program.run(
        main,
        usage="Learns one answer a row from what several runs said of its level out of fold.\n\n"
        "%s --run_dirs A,B,C --output_dir S",
    )
