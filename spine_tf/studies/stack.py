"""A stack: what one acquisition shows on parallel planes, with what its headers say of it."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """Slices of one acquisition on parallel planes, of one shape and spacing.

    What a header doesn't say, or says so that nobody can read it, is None. Texts are as they stand
    in the file, stripped; code strings (image type, sequences, modality, body part) in capitals.
    They may name a patient: they are looked at, and never written, logged or shown.

    Attributes:
        files: names of the slices in the pile, in order along the normal (row x column); those of
            one multi-frame file share it.
        positions: mm in the patient of each slice's first pixel, ascending along the normal.
        orientation: cosines of the direction along a row, then along a column; axes point to the
            patient's left, back and head.
        pixel_spacing: mm between rows and between columns.
        rows, columns: height and width of every slice in pixels.
        modality, manufacturer, body_part: such as MR, SIEMENS, LSPINE.
        study_description, series_description, protocol_name, sequence_name: free texts.
        image_type: such as ("ORIGINAL", "PRIMARY", "M").
        scanning_sequence, sequence_variant, scan_options: code strings.
        acquisition_type: "2D" or "3D".
        echo_time, repetition_time, inversion_time, slice_thickness: ms, ms, ms, mm.
        flip_angle: degrees.
        echo_train_length: echoes an excitation.
        contrast_agent: its name; None where there is none or it is empty.
        b_value: strength of the diffusion weighting, s/mm^2, as the standard's attribute or a
            vendor's own says it.
        frame_of_reference: UID of the patient's coordinates.
    """

    files: tuple[str, ...]
    positions: tuple[tuple[float, float, float], ...]
    orientation: tuple[float, float, float, float, float, float]
    pixel_spacing: tuple[float, float]
    rows: int
    columns: int
    modality: str | None = None
    manufacturer: str | None = None
    body_part: str | None = None
    study_description: str | None = None
    series_description: str | None = None
    protocol_name: str | None = None
    sequence_name: str | None = None
    image_type: tuple[str, ...] | None = None
    scanning_sequence: tuple[str, ...] | None = None
    sequence_variant: tuple[str, ...] | None = None
    scan_options: tuple[str, ...] | None = None
    acquisition_type: str | None = None
    echo_time: float | None = None
    repetition_time: float | None = None
    inversion_time: float | None = None
    slice_thickness: float | None = None
    flip_angle: float | None = None
    echo_train_length: float | None = None
    contrast_agent: str | None = None
    b_value: float | None = None
    frame_of_reference: str | None = None

    def __post_init__(self) -> None:
        if not self.files or len(self.files) != len(self.positions):
            raise ValueError(
                f"a stack of {len(self.files)} files at {len(self.positions)} positions, expected "
                "as many, at least one"
            )

    @property
    def normal(self) -> np.ndarray:
        """The unit vector along row x column, float64 (3,)."""
        direction = np.cross(self.orientation[:3], self.orientation[3:])
        return direction / np.linalg.norm(direction)
