"""What a page was made of, written into it, so that no page takes the place of another's."""

import hashlib
import html
import os
import pathlib
import re
from collections.abc import Sequence

from tfrecords import regular_file

# It stands in the head.
_HEAD_BYTES = 2**16
_WRITTEN = re.compile(r'<meta name="origin" content="([^"]*)">')


def describe(paths: Sequence[pathlib.Path]) -> str:
    """Returns the names of what a page is made of, told apart by a hash of where each lies."""
    return ", ".join(f"{_shown(path.resolve().name)} ({_digest(path)})" for path in paths)


def describe_unnamed(path: pathlib.Path) -> str:
    """Returns the same of a place whose name may be a patient's."""
    return f"studies ({_digest(path)})"


def _shown(name: str) -> str:
    """The name as a page can hold it: bytes that are no UTF-8 stand there by escapes."""
    return name.encode("utf-8", errors="backslashreplace").decode("utf-8")


def _digest(path: pathlib.Path) -> str:
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]


def require_own(page: pathlib.Path, origin: str) -> None:
    """Refuses to replace a page that was made of something else.

    A page that doesn't say what it was made of, as earlier ones didn't, may be replaced.

    Raises:
        ValueError: the page is there and another's.
    """
    if not page.is_file():
        return
    found = _WRITTEN.search(
        regular_file.read_beginning(page, _HEAD_BYTES).decode("utf-8", errors="replace")
    )
    written = html.unescape(found.group(1)) if found else origin
    if written != origin:
        raise ValueError(
            f"{page} is of {written}, not of {origin}: choose another --report_dir, or remove it"
        )
