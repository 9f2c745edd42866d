"""What hospitals scan beside the three series that are graded, and with which settings.

Times are those of clinical protocols at 1.5 and 3 tesla. What makes a series hard to name is here
on purpose: T1 of fluid-attenuated inversion recovery has a TR of 2 s, STIR a TE between those of T1
and T2, a 3-D T2 a TR of 1 s, diffusion the TE of a T2.
"""
# Descriptions are in the letters of their language.
# ruff: noqa: RUF001

import dataclasses
import types
from collections.abc import Mapping
from typing import Any

from spine_tf.synthesis import sequence

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScanKind:
    """One kind of series.

    Attributes:
        truth: its kind, one of the three, or the word for what it is instead: OTHER_TRUTHS.
        weighting: a name of sequence.SIGNALS.
        planes: which slices: a name of examination.PLANES.
        echo_ms, repetition_ms: lowest and highest TE and TR.
        inversion_ms: lowest and highest TI; None without inversion.
        scanning: ScanningSequence.
        image_type: ImageType where it isn't the vendor's usual one.
        words: what a description says beside the plane, by language; `en` stands for those missing.
        region: `lumbar`, `cervical` or `pelvis`.
        plane_word: a name of wording.PLANES.
        has_agent: after a contrast agent.
        b_value: strength of the diffusion weighting, s/mm^2.
        has_second_echo: images of SECOND_ECHO are between this one's, in one series.
        is_3d: MRAcquisitionType.
        repeats: how often the series is acquired, under one UID.
    """

    truth: str
    weighting: str
    planes: str
    echo_ms: Range
    repetition_ms: Range
    inversion_ms: Range | None = None
    scanning: tuple[str, ...] = ("SE",)
    image_type: tuple[str, ...] | None = None
    words: Mapping[str, str]
    region: str = "lumbar"
    plane_word: str = "sagittal"
    has_agent: bool = False
    b_value: float | None = None
    has_second_echo: bool = False
    is_3d: bool = False
    repeats: int = 1


OTHER_TRUTHS = (
    "localizer",
    "derived",
    "projection",
    "diffusion",
    "other_part",
    "proton_density",
    "other_plane",
    "other_weighting",
    "few_slices",
    "colour",
    "no_image",
    "damaged",
    "directory",
    "not_dicom",
)

_T1_TIMES: Mapping[str, Range] = {"echo_ms": (7.0, 16.0), "repetition_ms": (420.0, 820.0)}
_T2_TIMES: Mapping[str, Range] = {"echo_ms": (82.0, 130.0), "repetition_ms": (2300.0, 5200.0)}
_T1, _T2, _STIR = {"en": "t1"}, {"en": "t2"}, {"en": "stir", "de": "tirm"}
_RU_T1, _RU_T2 = {"ru": "Т1"}, {"ru": "Т2"}  # Cyrillic letters, as written there
_DERIVED = ("DERIVED", "SECONDARY", "MPR", "CSA MPR", "", "CSAPARALLEL", "M", "ND")
_PROJECTION = ("DERIVED", "SECONDARY", "PROJECTION IMAGE")


def _t1(planes: str = "sagittal", truth: str = sequence.SAGITTAL_T1, **more: Any) -> ScanKind:
    values: dict[str, Any] = dict(weighting="t1", words=_T1 | _RU_T1, **_T1_TIMES) | more
    return ScanKind(truth=truth, planes=planes, **values)


def _t2(planes: str, truth: str = sequence.SAGITTAL_T2, **more: Any) -> ScanKind:
    values: dict[str, Any] = dict(weighting="t2", words=_T2 | _RU_T2, **_T2_TIMES) | more
    return ScanKind(truth=truth, planes=planes, **values)


def _axial(planes: str, truth: str = sequence.AXIAL_T2, **more: Any) -> ScanKind:
    return _t2(planes, truth, **(dict(weighting="axial", plane_word="axial") | more))


_STIR_MORE: Mapping[str, Any] = dict(
    weighting="stir",
    words=_STIR,
    echo_ms=(28.0, 75.0),
    repetition_ms=(2800.0, 5200.0),
    inversion_ms=(130.0, 225.0),
    scanning=("SE", "IR"),
)

# What stands in for one of the three in some studies.
CORE: Mapping[str, tuple[ScanKind, ...]] = types.MappingProxyType(
    {
        "t1": (
            _t1(),
            _t1(),
            _t1(
                words={"en": "t1 flair"},
                echo_ms=(8.0, 26.0),
                repetition_ms=(1900.0, 2600.0),
                inversion_ms=(720.0, 960.0),
                scanning=("SE", "IR"),
            ),
        ),
        "t2": (
            _t2("sagittal"),
            _t2("sagittal"),
            _t2("thin", repetition_ms=(900.0, 1300.0), words={"en": "t2 space 3d"}, is_3d=True),
        ),
        "axial": (_axial("tilted"), _axial("straight"), _axial("tilted")),
    }
)

# Further series, dealt to studies in turn.
EXTRAS: Mapping[str, ScanKind] = types.MappingProxyType(
    {
        "stir": _t2("sagittal", **_STIR_MORE),
        "t1_contrast": _t1(weighting="t1_contrast", has_agent=True),
        "cervical": _t2("cervical", "other_part", region="cervical"),
        "axial_t1": _t1("straight", "other_weighting", plane_word="axial"),
        "pd": _t2(
            "sagittal",
            "proton_density",
            weighting="pd",
            words={"en": "pd", "fr": "dp", "es": "dp"},
            echo_ms=(12.0, 28.0),
        ),
        "diffusion": _t2(
            "sagittal",
            "diffusion",
            weighting="diffusion",
            words={"en": "dwi b800", "de": "ep2d_diff"},
            echo_ms=(62.0, 95.0),
            scanning=("EP", "SE"),
            b_value=800.0,
        ),
        "adc": _t2(
            "sagittal",
            "derived",
            weighting="diffusion",
            words={"en": "adc"},
            image_type=("DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND", "NORM"),
            scanning=("EP", "SE"),
        ),
        "mpr": _t2("sagittal", "derived", words={"en": "mpr t2"}, image_type=_DERIVED),
        "mip": _t2("turned", "projection", words={"en": "mip myelo"}, image_type=_PROJECTION),
        "pelvis": _axial("pelvis", "other_part", region="pelvis"),
        "dual_echo": _t2(
            "sagittal",
            "proton_density",
            weighting="pd",
            words={"en": "pd/t2", "de": "pd+t2"},
            echo_ms=(12.0, 28.0),
            has_second_echo=True,
        ),
        "repeated": _t2("sagittal", repeats=2),
        "discs": _axial("discs"),
        "coronal": _t2("coronal", "other_plane", plane_word="coronal"),
        "few": _t2("few", "few_slices"),
    }
)

LOCALIZER = ScanKind(
    truth="localizer",
    weighting="t2",
    planes="three",
    echo_ms=(3.0, 6.0),
    repetition_ms=(6.0, 12.0),
    scanning=("GR",),
    words={
        "en": "localizer",
        "de": "localizer",
        "fr": "repérage",
        "es": "localizador",
        "nl": "survey",
        "ja": "位置決め",
        "ru": "локалайзер",
    },
    plane_word="three",
)
SECOND_ECHO = _t2("sagittal")
