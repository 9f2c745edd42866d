"""What becomes of a study's images: series are found, left out with a reason, or named."""

import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from spine_tf.dicom import elements, header as header_module, pixels, reasons
from spine_tf.studies import (
    exclusion,
    identities as identities_module,
    outcome,
    pile as pile_module,
    pile_image,
    series as series_module,
    series_kind,
)
from tfrecords import words

# Slices that are decoded to see what a series shows.
_NUM_SEEN = 5
# A slab at a disc has a few slices; what has one on each of many planes turns about an axis.
_MIN_SLAB = 2

Images = Sequence[tuple[pile_module.File, pile_image.Image]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decided:
    """A series and what was decided of it.

    Attributes:
        series_id: by the key.
        images: (file, frame) in order along the normal.
        left_out: why it is not kept; None where it is.
        kind: as `series_kind` names it; "" where it is left out.
        confidence: how sure that is, 0 to 1.
        reason: for kind or leaving out, in our own words.
        rank: what orders the series of one kind, the best first.
        geometry: equal where pixels may be.
        plane, stacks: as of `series.Series`.
        rows, columns, spacing: shape of the largest stack's slices, and their pixels' size in mm.
    """

    series_id: int
    images: tuple[tuple[str, int], ...]
    left_out: outcome.LeftOut | None
    kind: str
    confidence: float
    reason: str
    rank: tuple[object, ...]
    geometry: str
    plane: str
    stacks: int
    rows: int
    columns: int
    spacing: tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A study and its series.

    Attributes:
        study_id, patient_id: by the key.
        key: what told it apart, see `pile_image.Image.study`.
        accession_numbers: those that its files have.
        folders: those that its files lie in, whole and their last part alone.
        series_uids: the original of each series, by id.
        series: by kind, those of one kind by rank, the best first.
    """

    study_id: int
    patient_id: int
    key: str
    accession_numbers: tuple[str, ...]
    folders: tuple[str, ...]
    series_uids: dict[int, str]
    series: tuple[Decided, ...]


def decide_study(
    images: Images,
    *,
    pile: pile_module.Pile,
    identities: identities_module.Identities,
    min_slices: int,
) -> Study:
    """Decides the images of one study."""
    with pile_image.quiet():
        return _decide_study(images, pile, identities, min_slices)


def _decide_study(
    images: Images,
    pile: pile_module.Pile,
    identities: identities_module.Identities,
    min_slices: int,
) -> Study:
    first, files = images[0][1], {file.name: file for file, _ in images}
    found = series_module.find_series([image for _, image in images])
    ids = [identities.of("series", first.study, *each.identity) for each in found]
    decided = [
        _decide(each, series_id, files, pile, min_slices)
        for each, series_id in zip(found, ids, strict=True)
    ]
    of_patient = ("patient", first.patient) if first.patient else ("study", first.study)
    accession_numbers = {image.text(pile_image.ACCESSION_NUMBER) for _, image in images}
    uids = [each.images[0].text(elements.SERIES_UID) for each in found]
    return Study(
        study_id=identities.of("study", first.study),
        patient_id=identities.of(*of_patient),
        key=first.study,
        accession_numbers=tuple(sorted(accession_numbers - {""})),
        folders=tuple(sorted(set(itertools.chain(*map(_folders, files))))),
        series_uids=dict(zip(ids, uids, strict=True)),
        series=tuple(sorted(decided, key=lambda each: (each.kind, *each.rank))),
    )


def _folders(file: str) -> Iterator[str]:
    for folder in pathlib.PurePosixPath(file.replace("\\", "/")).parents:
        yield from {str(folder), folder.name} - {"", "."}


def _decide(
    found: series_module.Series,
    series_id: int,
    files: dict[str, pile_module.File],
    pile: pile_module.Pile,
    min_slices: int,
) -> Decided:
    stack = series_module.make_stack(found.largest)
    left_out = exclusion.why_left_out(stack) or _why_too_few(found, min_slices)
    decision = None
    if left_out is None:
        decision = series_kind.decide(stack, make_reader(found.largest, files, pile))
        if decision.kind is None:
            left_out = outcome.LeftOut(reason=outcome.Reason.OTHER_KIND, detail=decision.reason)
    is_named = decision is not None and left_out is None
    return Decided(
        series_id=series_id,
        images=tuple((image.file, image.frame) for image in found.images),
        left_out=left_out,
        kind=(decision.kind or "") if decision else "",
        confidence=decision.confidence if decision else 1.0,
        reason=decision.reason
        if decision and not left_out
        else left_out.detail
        if left_out
        else "",
        rank=series_kind.rank(stack, decision, num_images=len(found.images))
        if is_named and decision
        else (),
        geometry=found.geometry,
        plane=found.plane,
        stacks=found.stacks,
        rows=stack.rows,
        columns=stack.columns,
        spacing=stack.pixel_spacing,
    )


def _why_too_few(found: series_module.Series, min_slices: int) -> outcome.LeftOut | None:
    """Slices count over all stacks, such as slabs; one stack has to have two."""
    if len(found.images) < min_slices:
        detail = f"{words.counted(len(found.images), 'slice')}, expected {min_slices} or more"
    elif len(found.largest) < min(_MIN_SLAB, min_slices):
        detail = f"no more than {len(found.largest)} of {len(found.images)} slices are parallel"
    else:
        return None
    return outcome.LeftOut(reason=outcome.Reason.TOO_FEW, detail=detail)


def make_reader(
    images: Sequence[pile_image.Image],
    files: dict[str, pile_module.File],
    pile: pile_module.Pile,
) -> Callable[[], list[np.ndarray]]:
    """Returns what reads the central slices, float32 (rows, columns) each, stored values."""
    start = max(0, (len(images) - _NUM_SEEN) // 2)
    central = images[start : start + _NUM_SEEN]

    def read() -> list[np.ndarray]:
        found = []
        for _, _, data in pile_image.read_files(pile, [(files[i.file], i.frame) for i in central]):
            decoded = _decode(data)
            # What can't be decoded is left to the conversion, which says what is wrong.
            if decoded is not None:
                header, of_slice = decoded
                values = pixels.stored_values(of_slice, header, header)
                found.append(values.astype(np.float32))
        return found

    return read


def _decode(
    data: bytes | reasons.Rejected,
) -> tuple[header_module.Header, pixels.Decoded] | None:
    if isinstance(data, reasons.Rejected):
        return None
    try:
        source = elements.read_elements(data)
        header = header_module.parse_header(source)
        return header, pixels.decode(source, header)
    except reasons.Rejected:
        return None


def hash_pixels(
    images: Sequence[tuple[pile_module.File, int]], *, pile: pile_module.Pile
) -> str | None:
    """Returns a hash of the pixels of a series, whatever their encoding; None where unreadable."""
    digest = hashlib.sha256()
    with pile_image.quiet():
        for _, _, data in pile_image.read_files(pile, images):
            decoded = _decode(data)
            if decoded is None:
                return None
            digest.update(np.ascontiguousarray(decoded[1].values, "<i4").tobytes())
    return digest.hexdigest()
