"""The series among a study's images: one acquisition in one plane, its slices in order."""

import dataclasses
import hashlib
import itertools
import math
from collections.abc import Iterable, Sequence

from spine_tf.dicom import (
    elements,
    geometry as geometry_module,
    header as header_module,
    stacks as stacks_module,
)
from spine_tf.studies import pile_image, plane as plane_module, stack as stack_module

# Planes nearer than this are one plane, shown twice.
_SAME_PLANE_MM = 0.01
# Digits of mm to which places are compared.
_DIGITS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """Stacks of one acquisition in one plane, such as a slab a disc, that show no plane twice.

    Attributes:
        images: those of all stacks, stack by stack along the patient's axis, each along its normal.
        stacks: how many.
        largest: the images of the largest stack.
        plane: one of plane.PLANES.
        identity: what tells it from the others of its study.
    """

    images: tuple[pile_image.Image, ...]
    stacks: int
    largest: tuple[pile_image.Image, ...]
    plane: str
    identity: tuple[object, ...]

    @property
    def geometry(self) -> str:
        """A hash of where and how finely it lies in the patient: alike where pixels may be."""
        digest = hashlib.sha256()
        for each in self.images:
            header = each.header
            values = (*(header.position or ()), *(header.orientation or ()), *header.spacing)
            digest.update(repr(([round(v, _DIGITS) + 0.0 for v in values], header.shape)).encode())
        return digest.hexdigest()


def find_series(images: Sequence[pile_image.Image]) -> list[Series]:
    """Divides the images of a study into series, in the order of their instance numbers."""
    images = sorted(images, key=_order)
    by_uid: dict[str, dict[int, header_module.Header]] = {}
    for number, image in enumerate(images):
        header = image.header
        by_uid.setdefault(header.acquisition.series_uid, {})[number] = header
    groups: list[list[list[pile_image.Image]]] = []
    for headers in by_uid.values():
        mine: list[list[list[pile_image.Image]]] = []
        for stack in stacks_module.split(headers):
            _add([images[number] for number in stack.numbers], mine)
        groups += mine
    ordinals: dict[tuple[object, ...], int] = {}
    return [_make_series(group, ordinals) for group in groups]


def _order(image: pile_image.Image) -> tuple[float, int, str, str, int]:
    """Sorts images as they were taken; names of files, often hashes, come last."""
    number = image.number(pile_image.INSTANCE_NUMBER)
    instance = image.text(pile_image.SOP_INSTANCE)
    # A longer UID of the same root ends in a larger number.
    return (
        math.inf if number is None else number,
        len(instance),
        instance,
        image.file,
        image.frame,
    )


def _add(stack: list[pile_image.Image], groups: list[list[list[pile_image.Image]]]) -> None:
    """Puts a stack to the first of its acquisition and plane that doesn't show the same planes."""
    for group in groups:
        first = group[0][0].header
        if (
            stacks_module.is_same_acquisition(first, stack[0].header)
            and first.frame_of_reference == stack[0].header.frame_of_reference
            and _plane(first) == _plane(stack[0].header)
            and not any(_is_on_same_planes(stack, other) for other in group)
        ):
            group.append(stack)
            return
    groups.append([stack])


def _is_on_same_planes(one: list[pile_image.Image], other: list[pile_image.Image]) -> bool:
    first = one[0].header
    if not geometry_module.has_same_orientation(first, other[0].header):
        return False
    direction = geometry_module.normal(first.orientation or ())
    offsets = sorted(
        (geometry_module.position_along(direction, image.header.position or ()), side)
        for side, images in enumerate((one, other))
        for image in images
    )
    return any(
        a[1] != b[1] and b[0] - a[0] <= _SAME_PLANE_MM for a, b in itertools.pairwise(offsets)
    )


def _make_series(
    group: list[list[pile_image.Image]], ordinals: dict[tuple[object, ...], int]
) -> Series:
    plane = _plane(group[0][0].header)
    axis = plane_module.PLANES.index(plane)
    group.sort(key=lambda stack: min((i.header.position or ())[axis] for i in stack))
    largest = max(group, key=len)
    acquisition = dataclasses.astuple(group[0][0].header.acquisition)
    identity = *acquisition, plane
    ordinals[identity] = ordinals.get(identity, 0) + 1
    return Series(
        images=tuple(itertools.chain(*group)),
        stacks=len(group),
        largest=tuple(largest),
        plane=plane,
        identity=(*identity, ordinals[identity]),
    )


def _plane(header: header_module.Header) -> str:
    return plane_module.of(geometry_module.normal(header.orientation or ()))


def make_stack(images: Sequence[pile_image.Image]) -> stack_module.Stack:
    """Returns a stack's images with what their headers say; the middle one is asked first."""
    middle = len(images) // 2
    asked = [images[middle], *images]
    header = images[middle].header
    row_x, row_y, row_z, column_x, column_y, column_z = header.orientation or ()
    return stack_module.Stack(
        files=tuple(image.file for image in images),
        positions=tuple(image.header.position or (0.0, 0.0, 0.0) for image in images),
        orientation=(row_x, row_y, row_z, column_x, column_y, column_z),
        pixel_spacing=header.spacing,
        rows=header.rows,
        columns=header.columns,
        modality=_capitals(_text(asked, pile_image.MODALITY)),
        manufacturer=_capitals(_text(asked, pile_image.MANUFACTURER)),
        body_part=_capitals(_text(asked, pile_image.BODY_PART)),
        study_description=_text(asked, pile_image.STUDY_DESCRIPTION),
        series_description=_text(asked, pile_image.SERIES_DESCRIPTION),
        protocol_name=_text(asked, pile_image.PROTOCOL_NAME),
        sequence_name=_text(asked, elements.SEQUENCE_NAME),
        image_type=header.acquisition.image_type or None,
        scanning_sequence=_words(asked, pile_image.SCANNING_SEQUENCE),
        sequence_variant=_words(asked, pile_image.SEQUENCE_VARIANT),
        scan_options=_words(asked, pile_image.SCAN_OPTIONS),
        acquisition_type=_capitals(_text(asked, pile_image.ACQUISITION_TYPE)),
        echo_time=_number(asked, elements.ECHO_TIME),
        repetition_time=_number(asked, pile_image.REPETITION_TIME),
        inversion_time=_number(asked, elements.INVERSION_TIME),
        slice_thickness=_number(asked, pile_image.SLICE_THICKNESS),
        flip_angle=_number(asked, pile_image.FLIP_ANGLE),
        echo_train_length=_number(asked, pile_image.ECHO_TRAIN_LENGTH),
        contrast_agent=_text(asked, pile_image.CONTRAST_AGENT),
        b_value=next((b for b in map(_b_value, asked) if b is not None), None),
        frame_of_reference=header.frame_of_reference or None,
    )


def _text(images: Iterable[pile_image.Image], tag: int) -> str | None:
    return next((text for image in images if (text := image.text(tag))), None)


def _words(images: Iterable[pile_image.Image], tag: int) -> tuple[str, ...] | None:
    return next((words for image in images if (words := image.words(tag))), None)


def _number(images: Iterable[pile_image.Image], tag: int) -> float | None:
    return next((n for image in images if (n := image.number(tag)) is not None), None)


def _capitals(text: str | None) -> str | None:
    return text.upper() if text else None


# GE adds this to b-values of newer releases.
_GE_OFFSET = 1e9


def _b_value(image: pile_image.Image) -> float | None:
    """The standard's attribute, else Siemens', GE's or Philips' own."""
    if image.header.acquisition.b_value is not None:
        return image.header.acquisition.b_value
    siemens = image.number(elements.SIEMENS_B_VALUE)
    if siemens is not None:
        return siemens
    ge = image.number(elements.GE_B_VALUE)
    if ge is not None:
        return ge % _GE_OFFSET
    return image.single(elements.PHILIPS_B_VALUE)
