"""What one server takes: bytes, files, pixels, seconds, and how many at once."""

import dataclasses

from spine_tf.studies import held


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """Upper bounds, each with a sentence where it is reached.

    Attributes:
        num_upload_bytes: of one zip.
        contents: what may be in it.
        upload_seconds: until all of it has come.
        silent_seconds: between two parts of it.
        reading_seconds: of one study, from the zip to its grades.
        num_readings: studies that are read at the same time.
        num_waiting: others that wait for that.
        num_studies: that are open in pages.
        num_held_bytes: of all zips and studies in memory.
        kept_seconds: that an open study is kept after it was last asked for.
        min_slices: that a series of a study must have.
    """

    num_upload_bytes: int = 2**30
    contents: held.Limits = dataclasses.field(default_factory=held.Limits)
    upload_seconds: float = 600.0
    silent_seconds: float = 30.0
    reading_seconds: float = 120.0
    num_readings: int = 1
    num_waiting: int = 16
    num_studies: int = 16
    num_held_bytes: int = 2**32
    kept_seconds: float = 900.0
    min_slices: int = 5
