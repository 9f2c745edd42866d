"""A user's own search space: a Python file with `declare(hp, config)`."""

import pathlib
import runpy

from tuner import presets


def get_space(name: str) -> presets.Declare:
    """Returns the search space of that name.

    Args:
        name: a preset, or the path of a Python file.

    Raises:
        ValueError: no preset and no file, or a file that does not define `declare`.
    """
    if name in presets.PRESETS:
        return presets.PRESETS[name]
    if not name.endswith(".py"):
        raise ValueError(
            f"--space is {name!r}, expected {', '.join(presets.PRESETS)}, or the path of a .py file"
        )
    return _read(pathlib.Path(name))


def _read(path: pathlib.Path) -> presets.Declare:
    if not path.is_file():
        raise ValueError(f"--space is {path}, which is no file")
    try:
        defined = runpy.run_path(str(path))
    except (SyntaxError, ImportError, NameError, AttributeError, TypeError) as err:
        raise ValueError(f"{path} can't be run: {type(err).__name__}: {err}") from err
    declare = defined.get("declare")
    if not callable(declare):
        raise ValueError(
            f"{path} has no function declare(hp, config): it declares hyperparameters named after "
            "fields, such as hp.Float('model.dropout', 0.0, 0.5)"
        )
    return declare
