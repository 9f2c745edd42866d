"""Writes examinations as a hospital exports them: `write_pile(config, output_dir)`.

Below the output directory stand `pile/`, any order of files of several patients among things that
are no images, and `truth.csv`, which says of each file what it is. An image may lie in two files.
"""

import copy
import dataclasses
import functools
import hashlib
import pathlib
import shutil
import tempfile
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pydicom
import tqdm
from pydicom import fileset, uid

from spine_tf.processes import pool
from spine_tf.synthesis import (
    examination,
    imaging,
    phantom,
    phantom_config,
    scan_header,
    scan_kinds,
    sequence,
)

PILE, TRUTH_CSV = "pile", "truth.csv"
_NUM_FOLDERS = 4
_NUM_COPIES = 3
_CUT_BYTES = 500
_DISC_EVERY, _NAMED_EVERY, _DAMAGED_EVERY = 3, 4, 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
    """What one file of a pile is: a row of truth.csv.

    Attributes:
        file: its name in the pile.
        truth: one of the three kinds of series, or one of scan_kinds.OTHER_TRUTHS.
        scan: name of the kind of scan; empty where the file is none.
        acquisition: number of the acquisition in its series, from 1.
        stack: number of the stack of parallel slices in the series, from 0.
        frames: images in the file.
        copy: 1 where another file holds the same image.
        patient_id, patient_name, accession_number: made up.
        study_uid, series_uid, sop_uid: as in the header.
    """

    file: str
    truth: str
    scan: str = ""
    acquisition: int = 1
    stack: int = 0
    frames: int = 1
    copy: int = 0
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_uid: str = ""
    series_uid: str = ""
    sop_uid: str = ""


def write_pile(
    config: phantom_config.PhantomConfig, output_dir: pathlib.Path, *, num_workers: int = 1
) -> None:
    """Writes `config.num_studies` examinations; the same bytes for any number of workers.

    `truth.csv` comes last: a directory without it is not complete.

    Args:
        config: how many, with which seed, and the sizes of their images.
        output_dir: a new or empty directory.
        num_workers: processes that draw and write examinations.

    Raises:
        ValueError: the directory is not empty.
    """
    phantom.require_empty(output_dir)
    pile_dir = output_dir / PILE
    pile_dir.mkdir(parents=True)
    write = functools.partial(_write_visit, config, pile_dir)
    indices = range(config.num_studies)
    results: Iterable[list[Truth]] = map(write, indices)
    if num_workers > 1:
        results = pool.run_tasks(
            write,
            indices,
            num_workers=num_workers,
            name_of=lambda index: f"examination {index}",
            is_in_order=True,
        )
    with phantom.open_tables(output_dir, (_TRUTH_TABLE,)) as add:
        for rows in tqdm.tqdm(results, total=len(indices), desc="examinations", disable=None):
            add(rows)
        add(list(_write_junk(pile_dir)))


_TRUTH_TABLE = phantom.Table(
    name=TRUTH_CSV,
    columns=tuple(field.name for field in dataclasses.fields(Truth)),
    rows_of=lambda rows: map(dataclasses.astuple, rows),
)


def _write_visit(
    config: phantom_config.PhantomConfig, pile_dir: pathlib.Path, index: int
) -> list[Truth]:
    visit = examination.make_visit(config, index)
    rng = np.random.default_rng([config.seed, 3, index])
    objects = list(_make_objects(visit, examination.make_scans(visit, config, rng), config, rng))
    rows = _write_objects(objects, visit, pile_dir)
    rows += _write_copies(objects, visit, pile_dir)
    if index % _DAMAGED_EVERY == 0:
        rows.append(_write_damaged(objects[-1], visit, pile_dir))
    return rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Object:
    """A DICOM object and what it is; the file's name is not known yet."""

    dataset: pydicom.Dataset
    truth: Truth

    @property
    def is_image(self) -> bool:
        return "PixelData" in self.dataset


def _make_objects(
    visit: examination.Visit,
    scans: Sequence[examination.Scan],
    config: phantom_config.PhantomConfig,
    rng: np.random.Generator,
) -> Iterator[_Object]:
    scanner = imaging.Scanner(visit.patient, rng)
    for scan in scans:
        yield from _scan_objects(visit, scan, scanner, rng)
    series_uid, sop_uid = (examination.draw_uid(visit.vendor.uid_root, rng) for _ in range(2))
    screenshot = scan_header.make_screenshot(visit, series_uid=series_uid, sop_uid=sop_uid)
    yield _Object(dataset=screenshot, truth=_truth(visit, screenshot, truth="colour"))
    series_uid, sop_uid = (examination.draw_uid(visit.vendor.uid_root, rng) for _ in range(2))
    report = scan_header.make_report(visit, series_uid=series_uid, sop_uid=sop_uid)
    yield _Object(dataset=report, truth=_truth(visit, report, truth="no_image"))


def _scan_objects(
    visit: examination.Visit,
    scan: examination.Scan,
    scanner: imaging.Scanner,
    rng: np.random.Generator,
) -> Iterator[_Object]:
    kinds = list({id(image.kind): image.kind for image in scan.images}.values())
    contrasts = [_draw_contrast(kind, rng) for kind in kinds]
    settings = [scan_header.draw_settings(kind, rng) for kind in kinds]
    pixels = [
        scanner.image(image.drawn, contrasts[kinds.index(image.kind)], rng) for image in scan.images
    ]
    if scan.is_multi_frame:
        sop_uid = examination.draw_uid(visit.vendor.uid_root, rng)
        dataset = scan_header.make_multi_frame(
            visit, scan, settings[0], np.stack(pixels), sop_uid=sop_uid
        )
        yield _Object(dataset=dataset, truth=_scan_truth(visit, dataset, scan, scan.images[0]))
        return
    for number, (image, cells) in enumerate(zip(scan.images, pixels, strict=True), start=1):
        dataset = scan_header.make_image(
            visit,
            scan,
            image,
            settings[kinds.index(image.kind)],
            cells,
            instance_number=number,
            sop_uid=examination.draw_uid(visit.vendor.uid_root, rng),
        )
        yield _Object(dataset=dataset, truth=_scan_truth(visit, dataset, scan, image))


def _draw_contrast(kind: scan_kinds.ScanKind, rng: np.random.Generator) -> sequence.Sequence:
    is_axial = kind.plane_word == "axial"
    description = sequence.AXIAL_T2 if is_axial else sequence.SAGITTAL_T2
    return sequence.draw_weighting(description, kind.weighting, rng)


def _scan_truth(
    visit: examination.Visit,
    dataset: pydicom.Dataset,
    scan: examination.Scan,
    image: examination.Image,
) -> Truth:
    return dataclasses.replace(
        _truth(visit, dataset, truth=image.kind.truth),
        scan=scan.name,
        acquisition=image.acquisition,
        stack=image.stack,
        frames=len(scan.images) if scan.is_multi_frame else 1,
    )


def _truth(visit: examination.Visit, dataset: pydicom.Dataset, *, truth: str) -> Truth:
    return Truth(
        file="",
        truth=truth,
        patient_id=visit.identity.patient_id,
        patient_name=visit.identity.name,
        accession_number=visit.accession,
        study_uid=visit.study_uid,
        series_uid=dataset.SeriesInstanceUID,
        sop_uid=dataset.SOPInstanceUID,
    )


def _write_objects(
    objects: Sequence[_Object], visit: examination.Visit, pile_dir: pathlib.Path
) -> list[Truth]:
    """Writes each object once: on a disc with a DICOMDIR, by name, or among those of others."""
    rows = []
    if visit.index % _DISC_EVERY == _DISC_EVERY - 1:
        rows += _write_disc(
            [item for item in objects if item.is_image], pile_dir / f"CD{visit.index:04}"
        )
        objects = [item for item in objects if not item.is_image]
    for number, item in enumerate(objects):
        is_named = visit.index % _NAMED_EVERY == _NAMED_EVERY - 1
        name = _hashed_name(item.dataset.SOPInstanceUID)
        if is_named:
            name = f"EXPORT/{visit.identity.name}/{visit.accession}/IM-{number:04}.dcm"
        rows.append(_save(item, pile_dir, name))
    return rows


def _hashed_name(key: str) -> str:
    """A place as archives give it, which says nothing of patient, series or order."""
    digest = hashlib.sha256(key.encode()).hexdigest().upper()
    return f"DICOM/0000A{int(digest, 16) % _NUM_FOLDERS}/{digest[:8]}"


def _save(item: _Object, pile_dir: pathlib.Path, name: str) -> Truth:
    path = pile_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    item.dataset.save_as(path, enforce_file_format=True)
    return dataclasses.replace(item.truth, file=name)


def _write_disc(objects: Sequence[_Object], disc_dir: pathlib.Path) -> list[Truth]:
    """Writes images as a patient's disc has them, its directory beside them."""
    shutil.rmtree(disc_dir, ignore_errors=True)  # a worker that died may have begun it
    with tempfile.TemporaryDirectory() as staging:
        disc = fileset.FileSet()
        disc.ID, disc.UID = "DISC", uid.UID(f"{objects[0].dataset.StudyInstanceUID}.1")
        for item in objects:
            disc.add(_staged(item.dataset, pathlib.Path(staging)))
        disc.write(disc_dir)
    root = disc_dir.parent.resolve()  # pydicom keeps paths absolute, links followed
    names = {
        instance.SOPInstanceUID: pathlib.Path(instance.path).resolve().relative_to(root)
        for instance in disc
    }
    rows = [
        dataclasses.replace(item.truth, file=names[item.dataset.SOPInstanceUID].as_posix())
        for item in objects
    ]
    return [*rows, Truth(file=f"{disc_dir.name}/DICOMDIR", truth="directory")]


def _staged(dataset: pydicom.Dataset, staging_dir: pathlib.Path) -> pathlib.Path:
    path = staging_dir / str(dataset.SOPInstanceUID)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _write_copies(
    objects: Sequence[_Object], visit: examination.Visit, pile_dir: pathlib.Path
) -> list[Truth]:
    """Writes some images twice: the same bytes, and sent again with another header."""
    copied = [item for item in objects if item.truth.scan == "axial"][:_NUM_COPIES]
    rows = []
    for number, item in enumerate(copied):
        dataset = copy.deepcopy(item.dataset)
        if number == 0:
            dataset.InstitutionName = "sent again"
        again = _Object(dataset=dataset, truth=dataclasses.replace(item.truth, copy=1))
        rows.append(_save(again, pile_dir, _hashed_name(f"{dataset.SOPInstanceUID} copy")))
    return rows


def _write_damaged(item: _Object, visit: examination.Visit, pile_dir: pathlib.Path) -> Truth:
    """Writes the beginning of an object: a transfer that was cut off."""
    name = _hashed_name(f"{item.dataset.SOPInstanceUID} damaged")
    row = _save(item, pile_dir, name)
    path = pile_dir / name
    path.write_bytes(path.read_bytes()[:_CUT_BYTES])
    return dataclasses.replace(row, truth="damaged")


def _write_junk(pile_dir: pathlib.Path) -> Iterator[Truth]:
    for name, content in _JUNK.items():
        path = pile_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        yield Truth(file=name, truth="not_dicom")


_JUNK: Mapping[str, bytes] = types.MappingProxyType(
    {
        "README.TXT": b"Double click VIEWER.EXE\r\n",
        "AUTORUN.INF": b"[autorun]\r\nopen=VIEWER\\VIEWER.EXE\r\n",
        "VIEWER/VIEWER.EXE": b"MZ" + bytes(200),
        "REPORT.PDF": b"%PDF-1.4\n%%EOF\n",
        "DICOM/Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(200),
        "DICOM/.DS_Store": b"\0\0\0\1Bud1" + bytes(200),
        "DICOM/0000A1/._00000001": b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(200),
        "DICOM/0000A2/EMPTY": b"",
    }
)
