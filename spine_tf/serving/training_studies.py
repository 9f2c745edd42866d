"""train_studies.json: which studies a served model was trained on, as digests of their ids.

A figure on such a study says nothing of new ones, so whoever predicts them is told. The ids
themselves stay with the run: an export is passed on.
"""

import hashlib
import pathlib
from collections.abc import Iterable

from tfrecords import atomic, json_object

FILE = "train_studies.json"


def write(directory: pathlib.Path, studies: Iterable[int]) -> None:
    """Writes the digests of study ids."""
    atomic.write_json(directory / FILE, {"sha256": sorted({_digest(study) for study in studies})})


def known_of(directory: pathlib.Path, studies: Iterable[int]) -> list[int]:
    """Returns those of the studies that the model was trained on.

    Args:
        directory: an export; one that was written before there was such a file knows none.
        studies: ids.

    Raises:
        ValueError: the file is damaged.
    """
    path = directory / FILE
    if not path.exists():
        return []
    content = json_object.read(path, expected="what export writes", mend="export again")
    digests = content.get("sha256")
    if not isinstance(digests, list):
        raise ValueError(f"{path} has sha256 {digests!r}, expected a list: export again")
    known = {digest for digest in digests if isinstance(digest, str)}
    return sorted(study for study in set(studies) if _digest(study) in known)


def _digest(study: int) -> str:
    return hashlib.sha256(str(study).encode()).hexdigest()
