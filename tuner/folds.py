"""The splits that a search may open: the folds, never the test split."""

from spine_tf.training import fold_roles
from tfrecords import records as records_module


def fold_names(records: records_module.Records) -> tuple[str, ...]:
    """Returns the folds of a records directory that have examples, in order."""
    return fold_roles.fold_splits(records)


def check_folds(records: records_module.Records, folds: int) -> None:
    """Raises ValueError if a records directory has fewer folds than are asked for."""
    names = fold_names(records)
    if len(names) < 2:
        raise ValueError(
            f"{records.directory} has {len(names)} folds with examples, a search needs two: one to "
            "train on and one to score: convert with --num_folds 2 or more, or more studies"
        )
    if folds > len(names):
        raise ValueError(
            f"--folds is {folds}, but {records.directory} has {len(names)} folds: lower it"
        )
