"""Why a row gives no record: a fixed vocabulary, written to rejects.csv and to reports."""

import dataclasses
import enum


class Reason(enum.StrEnum):
    """A reason code. docs/data.md has a table of these comments."""

    # Rows of the coordinates CSV.
    BAD_ROW = "bad_row"  # more or fewer fields than columns, or a line break inside a field
    UNKNOWN_CONDITION = "unknown_condition"  # no condition of that name
    UNKNOWN_LEVEL = "unknown_level"  # no level of that name
    BAD_ID = "bad_id"  # an id, here or in a CSV, is no plain integer from 0 to 2^63 - 1: no 012
    BAD_COORDINATE = "bad_coordinate"  # x or y is not a finite number
    BAD_CONFIDENCE = "bad_confidence"  # confidence or numbering in --points is no probability
    UNKNOWN_STUDY = "unknown_study"  # the study has no row in train.csv
    UNKNOWN_SERIES = "unknown_series"  # the series is not in the series CSV
    WRONG_STUDY = "wrong_study"  # the series CSV gives the series to another study
    CONFLICTING_SERIES = "conflicting_series"  # the series CSV describes it twice, differently
    CONFLICTING_PATIENT = "conflicting_patient"  # train.csv gives the study to two patients
    CONFLICTING_LABELS = "conflicting_labels"  # train.csv grades the target twice, differently
    BAD_LABEL = "bad_label"  # train.csv holds something that is no severity
    DUPLICATE = "duplicate"  # an earlier row has the same key
    NO_LABEL = "no_label"  # train.csv has no severity there; listed, but no reject
    EXCLUDED = "excluded"  # listed by --exclude; listed, but no reject

    # Files.
    MISSING_FILE = "missing_file"  # the image is not there
    UNREADABLE_FILE = "unreadable_file"  # the image is there and can't be read
    FILE_TOO_LARGE = "file_too_large"  # more than 64 MiB
    NOT_DICOM = "not_dicom"  # no DICOM file
    BAD_HEADER = "bad_header"  # an attribute that is needed is missing or makes no sense
    NO_PIXELS = "no_pixels"  # the file holds no image
    MULTI_FRAME = "multi_frame"  # more than one frame
    COLOUR = "colour"  # more than one sample a pixel, or a palette
    UNSUPPORTED_PIXELS = "unsupported_pixels"  # not integers of 8 or 16 bits
    IMAGE_TOO_LARGE = "image_too_large"  # more than 2^24 pixels
    NO_DECODER = "no_decoder"  # no installed plugin decodes the transfer syntax
    BAD_PIXELS = "bad_pixels"  # the pixel data are truncated or can't be decoded
    ALL_PADDING = "all_padding"  # no pixel of the image, or of the window, is tissue

    # Geometry.
    NO_SPACING = "no_spacing"  # PixelSpacing is missing or outside 0.001 to 100 mm
    NO_ORIENTATION = "no_orientation"  # the side or the neighbours can't be told without it
    SIDE_UNKNOWN = "side_unknown"  # neither rows nor the normal lie within 45 degrees of left-right
    OFF_IMAGE = "off_image"  # the coordinate is not on the image


# Listed in rejects.csv, counted neither as rejects nor as rows.
HARMLESS = frozenset({Reason.NO_LABEL, Reason.EXCLUDED})


class Rejected(Exception):
    """Raised where a row or an image can't be used; callers turn it into a `Reject`.

    The detail holds our own words and numbers, never text of a DICOM header: it could be a name.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["Rejected"], tuple[Reason, str]]:
        return type(self), (self.reason, self.detail)


@dataclasses.dataclass(frozen=True, kw_only=True, order=True)
class Reject:
    """A row that gives no record.

    Attributes:
        key: study/series/instance/condition/level, as far as it could be read.
        reason: the code.
        detail: what came and what was expected.
        file: the image, relative to the data folder; empty if the row names none.
    """

    key: str
    reason: Reason
    detail: str
    file: str = ""
