"""What consoles and people call a series, by vendor and language, and whose it is: all made up."""
# Descriptions are in the letters of their language.
# ruff: noqa: RUF001

import dataclasses
import types
from collections.abc import Mapping

import numpy as np

from spine_tf.synthesis import scan_kinds

LANGUAGES = ("en", "de", "fr", "es", "nl", "ru", "ja")

_PLANES: Mapping[str, Mapping[str, str]] = types.MappingProxyType(
    {
        "sagittal": {"en": "sag", "ru": "саг", "ja": "矢状断"},
        "axial": {"en": "ax", "de": "tra", "nl": "tra", "ru": "акс", "ja": "横断"},
        "coronal": {"en": "cor", "ru": "кор", "ja": "冠状断"},
        "three": {"en": "3-plane", "de": "3 Ebenen", "ja": ""},
    }
)
_REGIONS: Mapping[str, Mapping[str, str]] = types.MappingProxyType(
    {
        "lumbar": {
            "en": "L-spine",
            "de": "LWS",
            "fr": "rachis lombaire",
            "es": "col. lumbar",
            "nl": "LWK",
            "ru": "поясничный отдел",
            "ja": "腰椎",
        },
        "cervical": {
            "en": "C-spine",
            "de": "HWS",
            "fr": "rachis cervical",
            "es": "col. cervical",
            "nl": "CWK",
            "ru": "шейный отдел",
            "ja": "頸椎",
        },
        "pelvis": {
            "en": "pelvis",
            "de": "Becken",
            "fr": "bassin",
            "es": "pelvis",
            "nl": "bekken",
            "ru": "таз",
            "ja": "骨盤",
        },
    }
)
_AGENT = {"en": "+C", "de": "KM", "fr": "gado", "es": "Gd", "nl": "Gd", "ru": "КУ", "ja": "造影"}
_BODY_PARTS = {"lumbar": "LSPINE", "cervical": "CSPINE", "pelvis": "PELVIS"}

# Families of names; every one a person of no hospital.
_FAMILY = ("Muster", "Exemple", "Ejemplo", "Voorbeeld", "Specimen", "Образцов", "Nemo", "Beispiel")
_GIVEN = ("Erika", "Jean", "Ana", "Jan", "Alex", "Мария", "Hana", "Otto")
_HOSPITALS = ("Klinikum Nirgendwo", "Hopital Imaginaire", "Hospital Inventado", "Nowhere General")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vendor:
    """How one vendor's scanners fill a header.

    Attributes:
        manufacturer, model: as in the header.
        uid_root: what its scanners' UIDs begin with.
        image_type: ImageType of an ordinary image.
        pattern: what a description is made by: {weighting}, {plane}, {region}.
        weighting_form: how T1 and T2 are spelled.
        is_upper: descriptions are in capitals.
        has_body_part: BodyPartExamined is filled in.
    """

    manufacturer: str
    model: str
    uid_root: str
    image_type: tuple[str, ...]
    pattern: str
    weighting_form: str = "{}"
    is_upper: bool = False
    has_body_part: bool = True


VENDORS = (
    Vendor(
        manufacturer="SIEMENS",
        model="Aera",
        uid_root="1.3.12.2.1107.5.2.",
        image_type=("ORIGINAL", "PRIMARY", "M", "ND", "NORM"),
        pattern="{weighting}_tse_{plane}_{region}",
    ),
    Vendor(
        manufacturer="Philips Medical Systems",
        model="Ingenia",
        uid_root="1.3.46.670589.11.",
        image_type=("ORIGINAL", "PRIMARY", "M_SE", "M", "SE"),
        pattern="{weighting}_TSE {plane} {region}",
        weighting_form="s{}W",
        has_body_part=False,
    ),
    Vendor(
        manufacturer="GE MEDICAL SYSTEMS",
        model="SIGNA Artist",
        uid_root="1.2.840.113619.2.",
        image_type=("ORIGINAL", "PRIMARY", "OTHER"),
        pattern="{plane} {weighting} FSE {region}",
        is_upper=True,
    ),
    Vendor(
        manufacturer="TOSHIBA",
        model="Vantage",
        uid_root="1.2.392.200036.9116.",
        image_type=("ORIGINAL", "PRIMARY"),
        pattern="{weighting} {plane} {region}",
    ),
    Vendor(
        manufacturer="Hitachi, Ltd.",
        model="OASIS",
        uid_root="1.2.392.200036.9123.",
        image_type=("ORIGINAL", "PRIMARY", "OTHER"),
        pattern="{region} {plane} {weighting}",
        is_upper=True,
        has_body_part=False,
    ),
)


def describe(kind: scan_kinds.ScanKind, vendor: Vendor, language: str | None) -> str:
    """Returns a series' description; empty where nobody writes any, but for other body parts.

    A series of another part that neither description nor BodyPartExamined names is one that no
    header tells, so that one always has its region's name.
    """
    if language is None:
        return _in(_REGIONS[kind.region], "en") if kind.region != "lumbar" else ""
    weighting = _in(kind.words, language)
    if weighting in ("t1", "t2"):
        weighting = vendor.weighting_form.format(weighting)
    text = vendor.pattern.format(
        weighting=weighting,
        plane=_in(_PLANES[kind.plane_word], language),
        region=_in(_REGIONS[kind.region], language),
    )
    text = f"{text} {_AGENT[language]}" if kind.has_agent else text
    return text.upper() if vendor.is_upper else text


def describe_study(language: str | None) -> str:
    """Returns the description of an examination."""
    return "" if language is None else f"MRI {_REGIONS['lumbar'][language]}"


def body_part(kind: scan_kinds.ScanKind, vendor: Vendor) -> str:
    """Returns BodyPartExamined; empty where the vendor leaves it out."""
    return _BODY_PARTS[kind.region] if vendor.has_body_part else ""


def _in(words: Mapping[str, str], language: str) -> str:
    return words.get(language, words["en"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """A made-up patient."""

    name: str
    patient_id: str
    birth_date: str
    sex: str
    hospital: str


def draw_identity(rng: np.random.Generator) -> Identity:
    """Draws a patient that nobody is."""
    return Identity(
        name=f"{rng.choice(_FAMILY)}^{rng.choice(_GIVEN)}",
        patient_id=f"PID{rng.integers(10**7, 10**8)}",
        birth_date=f"{rng.integers(1930, 2004)}{rng.integers(1, 13):02}{rng.integers(1, 29):02}",
        sex=str(rng.choice(["F", "M"])),
        hospital=str(rng.choice(_HOSPITALS)),
    )
