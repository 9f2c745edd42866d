"""What became of a file of a pile: kept, or left out for one of these reasons."""

import dataclasses
import enum

from spine_tf.dicom import reasons


class Reason(enum.StrEnum):
    """Why a file is left out, beside the reasons of `dicom.reasons`. docs/data.md has them too."""

    # Places in the pile.
    LINK = "link"  # a symbolic link: what it leads to is read where it lies, or not given
    SPECIAL_FILE = "special_file"  # a pipe, a socket or a device
    UNSAFE_NAME = "unsafe_name"  # a member of a zip whose name leads out of it
    ARCHIVE = "archive"  # a zip file in the pile: unpack it, or give it as --dicom_dir

    # Images.
    OTHER_MODALITY = "other_modality"  # no MR image
    NO_STUDY = "no_study"  # StudyInstanceUID is missing
    DUPLICATE = "duplicate"  # another file is the same instance of the same series
    SAME_PIXELS = "same_pixels"  # another series has the same pixels at the same places
    LOCALIZER = "localizer"  # made to plan others by
    DERIVED = "derived"  # computed from others: reformatted, subtracted, a map, a screenshot
    PROJECTION = "projection"  # a maximum intensity projection
    DIFFUSION = "diffusion"  # diffusion weighted
    OTHER_BODY_PART = "other_body_part"  # of no lumbar spine, says the header
    TOO_FEW = "too_few"  # fewer slices than --min_slices
    OTHER_KIND = "other_kind"  # none of the three kinds of series


AnyReason = Reason | reasons.Reason


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Why something is left out.

    Attributes:
        reason: the code.
        detail: in our own words and numbers, never text of a header: it could be a name.
    """

    reason: AnyReason
    detail: str


def of_reject(rejected: reasons.Rejected) -> LeftOut:
    """Returns the same, of what `dicom` rejects."""
    return LeftOut(reason=rejected.reason, detail=rejected.detail)
