"""The kinds of record that a conversion writes, by name, and the one that a directory holds."""

from collections.abc import Mapping
from typing import Any

ROI, LEVEL, SAGITTAL, AXIAL = "roi", "level", "sagittal", "axial"

# What a record of each shows; how it is made is in spine_tf/conversion, a file a kind.
NAMES = {
    ROI: "one region of interest, with its grade",
    LEVEL: "all views of one level, with their grades",
    SAGITTAL: "a sagittal slice, with its canal and foramen points",
    AXIAL: "an axial slice around a level, with its recess points",
}


def of(config: Mapping[str, Any]) -> str:
    """Returns the kind of the records of a manifest's configuration; one that says none is roi."""
    return str(config.get("kind", ROI))


def require(config: Mapping[str, Any], wanted: str, place: str) -> None:
    """Raises ValueError where a directory holds records of another kind.

    Args:
        config: of its manifest.
        wanted: the kind that is needed.
        place: what the user named, such as the directory.
    """
    found = of(config)
    if found != wanted:
        raise ValueError(
            f"{place} holds records of the kind {found} ({NAMES.get(found, 'unknown here')}), "
            f"expected {wanted} ({NAMES[wanted]}): make them with convert --kind {wanted}"
        )
