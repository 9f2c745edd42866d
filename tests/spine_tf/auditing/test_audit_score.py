"""The audit against errors that were planted: how many it finds, and what it finds besides."""

import csv
import dataclasses
import json
import pathlib
import struct
import subprocess

import numpy as np
import pytest
from pydicom import uid

from spine_tf.auditing import audit, finding
from spine_tf.conversion import plan as plan_module
from spine_tf.rsna import sources
from spine_tf.synthesis import (
    error_planting,
    patient as patient_module,
    phantom,
    phantom_config,
    protocol,
    study,
)

NUM_STUDIES = 120
CONFIG = phantom_config.PhantomConfig(axial_slices_per_level=4, sagittal_slices=15)
KINDS = {
    "placeholder_point": finding.Kind.PLACEHOLDER_POINT,
    "off_image": finding.Kind.OFF_IMAGE,
    "level_order": finding.Kind.LEVEL_ORDER,
    "side_swap": finding.Kind.SIDES_SWAPPED,
    "close_pair": finding.Kind.PAIR_TOO_CLOSE,
    "canal_on_t1": finding.Kind.UNEXPECTED_SERIES,
    "coordinate_without_label": finding.Kind.COORDINATE_WITHOUT_LABEL,
    "label_without_coordinate": finding.Kind.LABEL_WITHOUT_COORDINATE,
    "missing_image": finding.Kind.MISSING_IMAGE,
}


def draw_study(index: int, images_dir: pathlib.Path, *, kind: str | None) -> study.Study:
    """A phantom's study with one planted error, and images without pixels."""
    study_id = 1000 + index
    rng = np.random.default_rng([index, 7])
    patient = patient_module.make_patient(rng)
    all_series = protocol.make_series(patient, CONFIG, 100 * study_id, rng)
    case = study.read_study(patient, all_series, rng)
    errors: tuple[error_planting.PlantedError, ...] = ()
    if kind is not None:
        case, errors = plant(case, all_series, study_id, kind)
    for series in all_series:
        used = {m.instance_number for m in case.annotations if m.series_id == series.series_id}
        for number in sorted({1} | used):
            if (series.series_id, number) not in case.removed:
                write_header(images_dir, series, number, study_id)
    return study.Study(
        study_id=study_id,
        latents=patient.latents,
        shown=patient.shown,
        grades=case.grades,
        series=tuple((series.series_id, series.description) for series in all_series),
        annotations=case.annotations,
        planted_errors=errors,
        planted_oddities=(),
        spelled_id=str(study_id),
    )


def plant(case, all_series, study_id, kind):
    """Draws until the error is of this kind and changes something."""
    for seed in range(1000):
        rng = np.random.default_rng([study_id, seed])
        after, errors = error_planting.plant(case, all_series, study_id, rng)
        if errors and errors[0].kind == kind:
            return after, errors
    raise ValueError(f"{kind} is never planted")


def write_header(images_dir, series, number, study_id):
    """A hundred times faster than a whole image: thousands are needed."""
    plane = series.slices[number - 1]
    path = images_dir / f"{study_id}/{series.series_id}/{number}.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    elements = [
        element(0x0002, 0x0010, b"UI", uid.ExplicitVRLittleEndian.encode()),
        element(0x0020, 0x0032, b"DS", decimals(plane.position)),
        element(0x0020, 0x0037, b"DS", decimals((*plane.row_direction, *plane.column_direction))),
        element(0x0028, 0x0010, b"US", struct.pack("<H", plane.shape[0])),
        element(0x0028, 0x0011, b"US", struct.pack("<H", plane.shape[1])),
        element(0x0028, 0x0030, b"DS", decimals(plane.spacing)),
        element(0x0028, 0x0100, b"US", struct.pack("<H", 16)),
        struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 2) + bytes(2),
    ]
    path.write_bytes(bytes(128) + b"DICM" + b"".join(elements))


def element(group, number, vr, value):
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def decimals(values):
    return "\\".join(f"{value:.9g}" for value in values).encode()


def write_data_set(directory: pathlib.Path, kinds: list[str | None]) -> list[study.Study]:
    directory.mkdir()
    studies = []
    with phantom.open_tables(directory, phantom.TRAIN_TABLES) as add:
        for index, kind in enumerate(kinds):
            studies.append(draw_study(index, directory / "train_images", kind=kind))
            add(studies[-1])
    return studies


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """120 studies, ten of each kind of error and thirty without, and what the audit says."""
    directory = tmp_path_factory.mktemp("planted") / "d"
    kinds = [*error_planting.KINDS, None, None, None]
    studies = write_data_set(directory, (kinds * (NUM_STUDIES // len(kinds)))[:NUM_STUDIES])
    planted = [error for item in studies for error in item.planted_errors]
    return directory, planted, audit.audit(sources.open_source(directory))


def key_of(error: error_planting.PlantedError) -> str:
    ids = f"{error.study_id}/{error.series_id}/{error.instance_number}"
    return f"{ids}/{error.condition}/{error.level}"


def place_of(error: error_planting.PlantedError) -> str:
    """What a finding about it names: the row, or a label's target where there is no row."""
    if error.kind == "label_without_coordinate":
        return f"{error.study_id}/{error.condition}/{error.level}"
    return key_of(error)


@pytest.mark.parametrize("kind", KINDS)
def test_every_planted_error_is_found(scored, kind):
    _, planted, audited = scored

    wanted = {place_of(error) for error in planted if error.kind == kind}
    found = {item.place for item in audited.findings if item.kind is KINDS[kind]}

    assert len(wanted) >= 10
    assert wanted <= found


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_found_was_planted(scored, kind):
    _, planted, audited = scored

    found = [item for item in audited.findings if item.kind is KINDS[kind]]
    wanted = {place_of(error) for error in planted if error.kind == kind}
    precision = sum(item.place in wanted for item in found) / len(found)

    # A pair that is too close doesn't say which of the two points is wrong: both are named. And
    # annotators leave out labels and coordinates of their own, as in the real data.
    bounds = {"close_pair": 0.5, "coordinate_without_label": 0.3, "label_without_coordinate": 0.3}
    assert precision >= bounds.get(kind, 1.0)


def test_every_row_with_an_error_lies_in_a_planted_target(scored):
    _, planted, audited = scored

    targets = {(error.study_id, error.level) for error in planted}
    of_keys = {(int(key.split("/")[0]), key.split("/")[-1]) for key in audited.keys}

    assert of_keys <= targets


def test_gaps_of_the_tables_are_those_of_the_csvs(scored):
    directory, _, audited = scored
    rows = list(csv.DictReader((directory / "train_label_coordinates.csv").open()))
    grades = list(csv.DictReader((directory / "train.csv").open()))

    def target(row):
        condition = row["condition"].lower().replace(" ", "_")
        return row["study_id"], f"{condition}_{row['level'].lower().replace('/', '_')}"

    placed = {target(row) for row in rows}
    labelled = {
        (row["study_id"], name)
        for row in grades
        for name in row
        if name != "study_id" and row[name]
    }
    counts = {kind: len(found) for kind, found in finding.by_kind(audited.findings).items()}

    assert counts[finding.Kind.COORDINATE_WITHOUT_LABEL] == len(placed - labelled)
    assert counts[finding.Kind.LABEL_WITHOUT_COORDINATE] == len(labelled - placed)


@pytest.mark.slow
def test_studies_without_errors_have_none(tmp_path):
    write_data_set(tmp_path / "d", [None] * 60)

    audited = audit.audit(sources.open_source(tmp_path / "d"))

    assert audited.num_rows > 1400
    assert audited.keys == frozenset()
    assert {item.kind.severity for item in audited.findings} == {finding.Severity.NOTICE}


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["warm-python", "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_conversion_leaves_out_what_the_audit_found(tmp_path):
    config = phantom_config.PhantomConfig(
        num_studies=10,
        num_test_studies=0,
        with_errors=True,
        axial_px=(64,),
        axial_fov_mm=(50.0, 50.0),
        axial_slices_per_level=1,
        sagittal_px=(64,),
        sagittal_slices=3,
    )
    phantom.write_studies(config, tmp_path / "d", num_workers=2)
    flags = ["--data_dir", str(tmp_path / "d")]

    audited = run("spine_tf.audit", *flags, "--report_dir", str(tmp_path / "p"))
    all_rows = ["--conditions", "all", "--levels", "all", "--test_fraction", "0", "--roi_px", "32"]
    converted = run(
        "spine_tf.convert",
        *flags,
        *all_rows,
        *("--output_dir", str(tmp_path / "r"), "--exclude", str(tmp_path / "p/audit.csv")),
    )

    assert audited.returncode == 0, audited.stderr
    assert converted.returncode == 0, converted.stderr
    keys = {row["key"] for row in csv.DictReader((tmp_path / "p/audit.csv").open())} - {""}
    rejects = list(csv.DictReader((tmp_path / "r/rejects.csv").open()))
    assert keys
    assert {row["key"] for row in rejects if row["reason"] == "excluded"} == keys
    assert {row["reason"] for row in rejects} <= {"excluded", "no_label"}
    planted = json.loads((tmp_path / "d/truth.json").read_text())["planted_errors"]
    assert {error["kind"] for error in planted} & KINDS.keys()


def test_exclusion_changes_the_plan_by_the_keys_alone(scored, tmp_path):
    directory, _, audited = scored
    path = tmp_path / "audit.csv"
    path.write_text(finding.to_csv(audited.findings))
    everything = plan_module.Settings(
        conditions=tuple(f"{side}_subarticular_stenosis" for side in ("left", "right")),
        levels=("l4_l5",),
    )

    source = sources.open_source(directory)
    before = plan_module.make_plan(source, everything)
    after = plan_module.make_plan(source, dataclasses.replace(everything, exclude=path))

    def keys(plan):
        return {row.key for shard in plan.shards for row in shard.rows}

    assert keys(before) - keys(after) == keys(before) & audited.keys
    assert keys(after)
