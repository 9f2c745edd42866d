"""What runs answer with, grades or points, before a model of them is loaded."""

import pathlib
from collections.abc import Sequence

from spine_tf.configuration import config, model_configs
from spine_tf.runs import run_directory


def are_of_points(run_dirs: Sequence[pathlib.Path]) -> bool:
    """Says whether runs find points; where nothing says what they do, they don't.

    Raises:
        ValueError: some do and some don't, or a configuration can't be read.
    """
    found = [_is_of_points(path) for path in run_dirs]
    if any(found) and not all(found):
        path = run_dirs[found.index(True)]
        raise ValueError(f"{path} finds points, other runs grade: export them apart")
    return all(found)


def _is_of_points(run_dir: pathlib.Path) -> bool:
    path = run_dir / run_directory.CONFIG_FILE
    if not path.is_file():
        return False
    return isinstance(config.read_config(path).model, model_configs.UNetConfig)
