"""One finding in a spine: a fracture, metal, an operation, something round in a body."""

import dataclasses

FRACTURE, SCREWS, CAGE, LAMINECTOMY, FOCUS = "fracture", "screws", "cage", "laminectomy", "focus"
KINDS = (FRACTURE, SCREWS, CAGE, LAMINECTOMY, FOCUS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lesion:
    """One finding.

    Attributes:
        kind: of KINDS.
        index: of the vertebra, or of the disc that holds a cage.
        size: millimetres: of a pressed end plate, of a screw's void, of a focus.
        place: -1 to 1 in u, v and s of a body: of a focus.
        tissue: of a focus.
    """

    kind: str
    index: int
    size: float
    place: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tissue: str = "air"
