"""A stack beside what it has to beat: the mean of its members."""

import pathlib

from spine_tf.evaluation import row_comparison
from spine_tf.stacking import members as members_module, stack_directory, stacking


def beside(directory: pathlib.Path) -> list[row_comparison.Named]:
    """Returns the mean of a stack's members and the stack, out of fold, by name.

    Raises:
        ValueError: it is no stack, or its members are not what it learned from.
    """
    members = members_module.read(stack_directory.read(directory).run_dirs)
    mean = row_comparison.evaluated(stacking.mean_of(members), members[0].task)
    return [("members", mean), (directory.resolve().name, row_comparison.read(directory))]
