"""One examination in a hospital: whose, on which scanner, and the series that were scanned.

Patients come back: every fourth examination is a follow-up of the one before. Vendors, languages
and further series are dealt in turn, so that few examinations have all of them.
"""

import dataclasses
import types
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from spine_tf.synthesis import (
    patient as patient_module,
    phantom_config,
    protocol,
    scan_kinds,
    wording,
)

_EXTRAS_EACH = 4
_FOLLOW_UP_EVERY, _STRIPPED_EVERY, _NO_T1_EVERY, _MULTI_FRAME_EVERY = 4, 6, 9, 5
_NO_WORDS_EVERY = 7
_CERVICAL_MM, _PELVIS_MM = 330.0, -130.0
_CERVICAL_SCALE = 0.8
_FEW = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Visit:
    """What the series of one examination share.

    Attributes:
        index: number of the examination, from 0.
        patient: who was scanned.
        identity: under which name.
        vendor: whose scanner.
        language: what descriptions are written in; None where there are none.
        is_stripped: the export says neither times nor kinds of sequences, as the RSNA files.
        study_uid, frame_uid: UIDs of the examination and of its coordinates.
        date: YYYYMMDD.
        accession: number of the order.
    """

    index: int
    patient: patient_module.Patient
    identity: wording.Identity
    vendor: wording.Vendor
    language: str | None
    is_stripped: bool
    study_uid: str
    frame_uid: str
    date: str
    accession: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Image:
    """One image of a series.

    Attributes:
        drawn: the slice of the phantom that is seen on it.
        placed: where its header says it lies.
        kind: settings; a series may have images of two.
        stack: index of its stack of parallel slices in the series.
        acquisition: from 1.
    """

    drawn: protocol.Slice
    placed: protocol.Slice
    kind: scan_kinds.ScanKind
    stack: int = 0
    acquisition: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scan:
    """One series.

    Attributes:
        name: name of the kind of scan.
        kind: what it is.
        number: in the examination.
        series_uid: UID of the series.
        images: in the order of their instance numbers.
        is_multi_frame: all images are in one file.
    """

    name: str
    kind: scan_kinds.ScanKind
    number: int
    series_uid: str
    images: tuple[Image, ...]
    is_multi_frame: bool = False


def make_visit(config: phantom_config.PhantomConfig, index: int) -> Visit:
    """Draws examination `index`: a follow-up has the patient of the one before."""
    is_follow_up = index % _FOLLOW_UP_EVERY == _FOLLOW_UP_EVERY - 1
    patient_rng = np.random.default_rng([config.seed, 1, index - is_follow_up])
    rng = np.random.default_rng([config.seed, 2, index])
    vendor = wording.VENDORS[(config.seed + index) % len(wording.VENDORS)]
    is_stripped = (index + 1) % _STRIPPED_EVERY == 0
    has_words = not is_stripped and (index + 1) % _NO_WORDS_EVERY != 0
    return Visit(
        index=index,
        patient=patient_module.make_patient(patient_rng),
        identity=wording.draw_identity(patient_rng),
        vendor=vendor,
        language=str(rng.choice(wording.LANGUAGES)) if has_words else None,
        is_stripped=is_stripped,
        study_uid=draw_uid(vendor.uid_root, rng),
        frame_uid=draw_uid(vendor.uid_root, rng),
        date=f"20{19 + is_follow_up}{rng.integers(1, 13):02}{rng.integers(1, 29):02}",
        accession=f"ACC{rng.integers(10**7, 10**8)}",
    )


def draw_uid(root: str, rng: np.random.Generator) -> str:
    """Returns a UID below a root, of at most 64 characters."""
    return root + ".".join(str(part) for part in rng.integers(1, 10**9, 4))


def make_scans(
    visit: Visit, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> tuple[Scan, ...]:
    """Draws the series of an examination, in the order in which they were scanned."""
    return tuple(
        Scan(
            name=name,
            kind=kind,
            number=number,
            series_uid=draw_uid(visit.vendor.uid_root, rng),
            images=_make_images(visit, kind, config, rng),
            is_multi_frame=name == "t2" and visit.index % _MULTI_FRAME_EVERY == 1,
        )
        for number, (name, kind) in enumerate(_chosen_kinds(visit, rng), start=1)
    )


def _chosen_kinds(
    visit: Visit, rng: np.random.Generator
) -> Iterator[tuple[str, scan_kinds.ScanKind]]:
    yield "localizer", scan_kinds.LOCALIZER
    for name, kinds in scan_kinds.CORE.items():
        if name != "t1" or (visit.index + 1) % _NO_T1_EVERY:
            yield name, kinds[int(rng.integers(len(kinds)))]
    extras = list(scan_kinds.EXTRAS.items())
    first = visit.index * _EXTRAS_EACH
    for place in range(first, first + _EXTRAS_EACH):
        name, kind = extras[place % len(extras)]
        # Where no header says what a series is, no one can ask to find out about the others.
        if not visit.is_stripped or name == "stir":
            yield name, kind


def _make_images(
    visit: Visit,
    kind: scan_kinds.ScanKind,
    config: phantom_config.PhantomConfig,
    rng: np.random.Generator,
) -> tuple[Image, ...]:
    images = PLANES[kind.planes](visit.patient, config, rng)
    images = [dataclasses.replace(image, kind=kind) for image in images]
    if kind.has_second_echo:
        later = [dataclasses.replace(image, kind=scan_kinds.SECOND_ECHO) for image in images]
        images = [image for pair in zip(images, later, strict=True) for image in pair]
    return tuple(
        dataclasses.replace(image, acquisition=acquisition)
        for acquisition in range(1, kind.repeats + 1)
        for image in images
    )


_Planes = Callable[
    [patient_module.Patient, phantom_config.PhantomConfig, np.random.Generator], list[Image]
]


def _images(slices: list[protocol.Slice], per_stack: int | None = None) -> list[Image]:
    return [
        Image(
            drawn=plane,
            placed=plane,
            kind=scan_kinds.LOCALIZER,
            stack=index // per_stack if per_stack else 0,
        )
        for index, plane in enumerate(slices)
    ]


def _sagittal(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Image]:
    slices = protocol.sagittal_stack(patient, config, rng)
    return _images(slices[::-1] if rng.random() < 0.5 else slices)


def _thin(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Image]:
    finer = dataclasses.replace(config, sagittal_slices=2 * config.sagittal_slices)
    return _sagittal(patient, finer, rng)


def _few_slices(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Image]:
    images = _sagittal(patient, config, rng)
    middle = len(images) // 2
    return images[middle - 1 : middle - 1 + _FEW]


def _tilted(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Image]:
    slices = protocol.angled_stacks(patient, config, rng)
    return _images(slices, config.axial_slices_per_level)


def _straight(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Image]:
    return _images(protocol.straight_stack(patient, config, rng))


def _two_discs(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Image]:
    """Many slices at the two lowest discs alone, tilted with each."""
    finer = dataclasses.replace(config, axial_slices_per_level=config.axial_slices_per_level + 1)
    count = finer.axial_slices_per_level
    return _images(protocol.angled_stacks(patient, finer, rng)[-2 * count :], count)


def _cervical(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Image]:
    return [
        dataclasses.replace(image, placed=_moved(image.placed, _CERVICAL_MM, _CERVICAL_SCALE))
        for image in _sagittal(patient, config, rng)
    ]


def _pelvis(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Image]:
    return [
        dataclasses.replace(image, placed=_moved(image.placed, _PELVIS_MM, 1.0))
        for image in _straight(patient, config, rng)
    ]


def _moved(plane: protocol.Slice, up_mm: float, scale: float) -> protocol.Slice:
    x, y, z = plane.position
    spacing = round(plane.spacing[0] * scale, 6), round(plane.spacing[1] * scale, 6)
    return dataclasses.replace(plane, position=(x, y, round(z + up_mm, 6)), spacing=spacing)


def _coronal(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Image]:
    """Slices that are turned by a right angle in the header alone: nothing is read off them."""
    return [
        dataclasses.replace(image, placed=_turned(image.placed, 90.0, float(offset)))
        for offset, image in enumerate(_sagittal(patient, config, rng))
    ]


def _turning(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Image]:
    """Projections from all around, each a stack of its own."""
    return [
        dataclasses.replace(image, placed=_turned(image.placed, 30.0 * index, 0.0), stack=index)
        for index, image in enumerate(_sagittal(patient, config, rng))
    ]


def _turned(plane: protocol.Slice, degrees: float, along: float) -> protocol.Slice:
    """A slice turned about the patient's long axis, and moved along its normal by 4 mm a step."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    turned = dataclasses.replace(
        plane,
        row_direction=_rounded(turn @ plane.row_direction),
        column_direction=_rounded(turn @ plane.column_direction),
    )
    origin = np.array([0.0, 0.0, plane.position[2]]) - 100 * np.array(turned.row_direction)
    return dataclasses.replace(turned, position=_rounded(origin + 4 * along * turned.normal))


def _rounded(vector: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 6) + 0.0 for value in vector)
    return x, y, z


def _three_planes(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Image]:
    """One slice a plane, or one in all."""
    sagittal = _sagittal(patient, config, rng)[config.sagittal_slices // 2]
    if rng.random() < 0.5:
        return [sagittal]
    axial = _straight(patient, config, rng)[0]
    coronal = dataclasses.replace(sagittal, placed=_turned(sagittal.placed, 90.0, 0.0))
    return [
        dataclasses.replace(image, stack=index)
        for index, image in enumerate((sagittal, coronal, axial))
    ]


PLANES: Mapping[str, _Planes] = types.MappingProxyType(
    {
        "sagittal": _sagittal,
        "thin": _thin,
        "few": _few_slices,
        "tilted": _tilted,
        "straight": _straight,
        "discs": _two_discs,
        "cervical": _cervical,
        "pelvis": _pelvis,
        "coronal": _coronal,
        "turned": _turning,
        "three": _three_planes,
    }
)
