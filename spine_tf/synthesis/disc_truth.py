"""All discs that sagittal series of a patient show, graded or not, under their true names."""

import dataclasses

from spine_tf import labels
from spine_tf.synthesis import patient as patient_module, protocol, sequence

COLUMNS = (
    *("series_id", "disc", "level"),
    *("canal_instance", "canal_x", "canal_y", "disc_instance", "disc_x", "disc_y"),
)
_CANAL_V = 8.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a series shows a disc, or the canal behind it.

    Attributes:
        series_id: of the series.
        disc: its name by count from above, as `L6/S1`.
        level: what it is called when the lowest formed disc is L5/S1; empty above L1/L2 and below.
        canal, center: of the canal at the disc and of the disc; None where that is off the image.
    """

    series_id: int
    disc: str
    level: str
    canal: protocol.Found | None
    center: protocol.Found | None

    def cells(self) -> tuple[object, ...]:
        """Returns the values of COLUMNS; what is off the image is empty."""
        return (
            *(self.series_id, self.disc, self.level),
            *_cells_of(self.canal),
            *_cells_of(self.center),
        )


def _cells_of(found: protocol.Found | None) -> tuple[object, ...]:
    if found is None:
        return "", "", ""
    return found.place + 1, f"{found.x:.6f}", f"{found.y:.6f}"


def find(
    patient: patient_module.Patient, all_series: tuple[protocol.Series, ...]
) -> tuple[Place, ...]:
    """Returns the discs of a patient in all sagittal series, each from head to feet."""
    places = [
        _place(patient, series, index)
        for series in all_series
        if series.description != sequence.AXIAL_T2
        for index in range(len(patient.disc_s))
    ]
    return tuple(place for place in places if place.canal or place.center)


def _place(patient: patient_module.Patient, series: protocol.Series, index: int) -> Place:
    s, depth = float(patient.disc_s[index]), patient.build.depth[index] * patient.body_width
    level = index - patient.build.num_above
    is_graded = 0 <= level < len(labels.LEVELS)
    behind = sum(patient.canal_walls(level)) / 2 if is_graded else _CANAL_V
    return Place(
        series_id=series.series_id,
        disc=patient.build.disc_name(index),
        level=labels.LEVELS[level] if is_graded else "",
        canal=series.find(patient.position(0.0, behind, s)),
        center=series.find(patient.position(0.0, -depth / 2, s)),
    )
