"""The home directory in a path that a shell has left as it was written."""

import os
import pathlib
import re

# A path, or what a setting's name stands before: model.weights=~/weights.h5.
_PATH = re.compile(r"((?:[\w.:]+=)?)(~.*)", re.DOTALL)


def expand(text: str, name: str) -> str:
    """Returns a text with the home directory for ~ or ~user at its beginning, or behind field=.

    Args:
        text: a path, or any other text.
        name: the flag's name, for the message.

    Raises:
        ValueError: there is no such user, nor a file of that name.
    """
    found = _PATH.fullmatch(text)
    if found is None:
        return text
    field, path = found.groups()
    expanded = os.path.expanduser(path)  # noqa: PTH111
    if expanded.startswith("~") and not pathlib.Path(path).exists():
        raise ValueError(
            f"{name} is {text}, and there is no user {path[1:].partition('/')[0]!r} here: write "
            f"{field}./{path} for a folder of that name"
        )
    return field + expanded
