import csv
import io
import os
import subprocess
import zipfile

import pytest

from spine_tf import labels
from spine_tf.auditing import audit, audit_page, finding, point_checks
from spine_tf.pages import page_origin
from spine_tf.rsna import sources

LEFT, RIGHT = "left_subarticular_stenosis", "right_subarticular_stenosis"
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def run(data_set):
    return audit.audit(sources.open_source(data_set.write()))


def places(audited, kind):
    return [item.place for item in audited.findings if item.kind is kind]


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([5, 4, 3, 2, 1], []),
        ([], []),
        ([3], []),
        ([4, 5, 3, 2, 1], [0, 1]),  # exchanged: either could be wrong
        ([5, 4, 9, 2, 1], [2]),  # astray: the others agree
        ([5, 4, 0, 2, 1], [2]),
        ([1, 2, 3], [0, 1, 2]),  # upside down: nothing agrees
        ([5, 5, 3], [0, 1]),  # one place for two levels
    ],
)
def test_out_of_order_names_what_some_longest_run_is_without(heights, expected):
    assert point_checks.out_of_order(heights) == expected


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (17.0, None),
        (-17.0, finding.Kind.SIDES_SWAPPED),
        (4.0, finding.Kind.PAIR_TOO_CLOSE),
        (-4.0, finding.Kind.PAIR_TOO_CLOSE),  # too close to say that sides are swapped
        (60.0, finding.Kind.PAIR_TOO_FAR),
        (-60.0, finding.Kind.PAIR_TOO_FAR),
    ],
)
def test_pairs_are_judged_by_their_distance(distance, expected):
    assert (
        point_checks.judge_pair(distance, point_checks.Limits(closest=5, farthest=40)) == expected
    )


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_sides_are_those_of_the_patient_not_of_the_image(data_set, direction):
    data_set.add_image(1, 2, 1, orientation=(direction, 0.0, 0.0, 0.0, 1.0, 0.0))
    data_set.add_row(1, 2, 1, LEFT, x=50)
    data_set.add_row(1, 2, 1, RIGHT, x=20)

    swapped = places(run(data_set), finding.Kind.SIDES_SWAPPED)

    assert len(swapped) == (0 if direction > 0 else 2)


def test_pair_is_compared_across_series(data_set):
    data_set.add_image(1, 2, 1)
    data_set.add_image(1, 3, 1, position=(0.0, 0.0, 2.0))
    left = data_set.add_row(1, 2, 1, LEFT, x=20)
    right = data_set.add_row(1, 3, 1, RIGHT, x=50)

    assert places(run(data_set), finding.Kind.SIDES_SWAPPED) == [left, right]


def test_level_order_ignores_how_slices_are_numbered(data_set):
    """Head is up in the image: points go down it from level to level, over reversed slices."""
    for instance in (1, 2, 3):
        position = (4.0 * instance, 0.0, 100.0)
        image = {"orientation": SAGITTAL, "position": position}
        data_set.add_image(1, 2, instance, description="Sagittal T2/STIR", **image)
    keys = [
        data_set.add_row(1, 2, 3 - index % 3, labels.CONDITIONS[0], level, y=15 + 9 * height)
        for index, (level, height) in enumerate(zip(labels.LEVELS, (0, 1, 3, 2, 4), strict=True))
    ]

    assert places(run(data_set), finding.Kind.LEVEL_ORDER) == sorted(keys[2:4])


def test_bad_rows_and_images_are_findings(data_set):
    data_set.add_image(1, 2, 1)
    data_set.add_image(1, 2, 2, orientation=None, position=(0.0, 0.0, 4.0))
    data_set.image_path(1, 2, 3).write_bytes(b"no image")
    usable = data_set.add_row(1, 2, 1, LEFT, "l1_l2")
    repeated = data_set.add_row(1, 2, 2, LEFT, "l1_l2")
    not_dicom = data_set.add_row(1, 2, 3, LEFT, "l2_l3")
    absent = data_set.add_row(1, 2, 9, LEFT, "l3_l4")
    duplicate = data_set.add_row(1, 2, 1, LEFT, "l1_l2", x=40)
    senseless = data_set.add_row(1, 2, 1, LEFT, "l4_l5", x="nan")

    audited = run(data_set)

    assert places(audited, finding.Kind.REPEATED_POINT) == [repeated]
    assert places(audited, finding.Kind.UNUSABLE_IMAGE) == [not_dicom]
    assert places(audited, finding.Kind.MISSING_IMAGE) == [absent]
    assert places(audited, finding.Kind.UNUSABLE_ROW) == [duplicate, senseless]
    assert places(audited, finding.Kind.NO_GEOMETRY) == ["1/2"]
    # The usable row stays, though a duplicate has the same key.
    assert audited.keys == {not_dicom, absent, senseless}
    assert usable == duplicate


def test_lines_that_cannot_be_read_or_contradict_others_are_found(data_set):
    for study in (1, 2, 3):
        data_set.add_image(study, study * 10, 1)
        data_set.add_row(study, study * 10, 1)
    directory = data_set.write()
    path = directory / "train.csv"
    header, first, second, third = path.read_text().splitlines()
    lines = [header, first, first.replace("Normal/Mild", "Severe"), "0" + second, third, third]
    path.write_text("\n".join(lines))
    path = directory / "train_series_descriptions.csv"
    path.write_text(path.read_text() + "3,30,Sagittal T1\n")

    audited = audit.audit(sources.open_source(directory))

    assert places(audited, finding.Kind.CONFLICTING_LINE) == ["1", "3/30"]
    assert places(audited, finding.Kind.UNREADABLE_LINE) == [""]
    rows = [f"{study}/{study * 10}/1/{LEFT}/l4_l5" for study in (1, 2, 3)]
    assert places(audited, finding.Kind.UNUSABLE_ROW) == rows
    reasons = [item.detail for item in audited.findings if item.place in rows]
    assert [each.partition(":")[0] for each in reasons] == [
        "conflicting_labels",
        "bad_id",
        "conflicting_series",
    ]
    assert "conflicting_line" in audit.summarize(audited)


def test_files_and_series_that_do_not_fit_are_notices(data_set):
    data_set.add_image(1, 2, 1)
    data_set.add_image(1, 2, 4, position=(0.0, 0.0, 4.0))
    data_set.add_image(1, 3, 1, description="Localizer")
    data_set.image_path(1, 9, 1).parent.mkdir()
    data_set.image_path(1, 9, 1).write_bytes(b"")
    (data_set.directory / "train_images/.DS_Store").write_bytes(b"")
    data_set.series[1, 4] = "Axial T2"

    audited = run(data_set)

    assert places(audited, finding.Kind.INSTANCE_GAP) == ["1/2"]
    assert places(audited, finding.Kind.EXTRA_SERIES) == ["1/9"]
    assert places(audited, finding.Kind.MISSING_SERIES) == ["1/4"]
    assert places(audited, finding.Kind.EXTRA_FILE) == [""]
    assert places(audited, finding.Kind.UNKNOWN_DESCRIPTION) == ["1/3"]
    assert not audited.keys


def test_stacks_of_one_series_that_differ_are_a_notice(data_set):
    data_set.add_image(1, 2, 1)
    data_set.add_image(1, 2, 2, spacing=(0.4, 0.4), position=(0.0, 0.0, 4.0))
    data_set.add_row(1, 2, 1, LEFT, "l1_l2")
    data_set.add_row(1, 2, 2, LEFT, "l2_l3")

    (mixed,) = [item for item in run(data_set).findings if item.kind is finding.Kind.MIXED_STACKS]

    assert mixed.detail == "2 spacings on 2 annotated slices"


def test_folder_and_zip_give_the_same_findings(data_set, tmp_path):
    data_set.add_image(1, 2, 1)
    data_set.add_row(1, 2, 1, LEFT, x=4.0, y=5.0)
    data_set.add_row(1, 2, 7, RIGHT)
    (data_set.directory / "train_images/1/notes.txt").write_text("x")
    folder = run(data_set)
    path = tmp_path / "d.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for file in data_set.directory.rglob("*"):
            if file.is_file():
                opened.write(file, file.relative_to(data_set.directory))

    zipped = audit.audit(sources.open_source(path))

    assert zipped.findings == folder.findings
    assert {item.kind for item in zipped.findings} == {
        finding.Kind.PLACEHOLDER_POINT,
        finding.Kind.MISSING_IMAGE,
        finding.Kind.EXTRA_FILE,
    }


def test_links_that_lead_in_a_circle_end(data_set):
    data_set.add_image(1, 2, 1)
    images_dir = data_set.directory / "train_images"
    (images_dir / "1/loop").symlink_to(images_dir)

    assert run(data_set).findings == []


def test_names_that_are_no_utf8_are_named_and_hold_nothing_up(data_set, tmp_path):
    """A name of a Latin-1 machine, in the data and above them; every program goes on."""
    data_set.add_image(1, 2, 1)
    data_set.add_row(1, 2, 1)
    data_dir = data_set.write()
    for folder, name in (("1/2", b"Bild_\xe4.dcm"), ("1", b"\xff[1]%s")):
        (data_dir / "train_images" / folder / os.fsdecode(name)).touch()
    moved = data_dir.rename(data_dir.with_name(os.fsdecode(b"M\xe4rz")))
    source = sources.open_source(moved)
    for _ in range(2):  # the second finds the page of the first
        origin = page_origin.describe([moved])
        page_origin.require_own(tmp_path / "report" / audit_page.PAGE_FILE, origin)
        audit_page.write(
            tmp_path / "report", audit.audit(source), source, name=moved.name, origin=origin
        )
    table = finding.read_findings(tmp_path / "report" / audit_page.CSV_FILE)
    extra = table[table["finding"] == "extra_file"]["detail"].tolist()
    assert sorted(extra) == [r"1 file: Bild_\udce4.dcm", r"1 file: \udcff[1]%s"]
    page = (tmp_path / "report" / audit_page.PAGE_FILE).read_text("utf-8")
    assert r"Bild_\udce4.dcm" in page
    assert r"M\udce4rz" in page
    assert source.instances(1, 2) == [1]
    assert sources.read_header(source, "train_images/1/2/1.dcm").rows > 0


def test_table_has_one_line_a_finding(data_set):
    data_set.add_image(1, 2, 1)
    key = data_set.add_row(1, 2, 1, LEFT, x=400.0)

    (row,) = csv.DictReader(io.StringIO(finding.to_csv(run(data_set).findings)))

    assert row == {
        "key": key,
        "finding": "off_image",
        "severity": "error",
        "detail": "x 400.0, y 32.0 on 72 columns and 64 rows",
        "file": "train_images/1/2/1.dcm",
        "place": key,
    }


def test_summary_counts_findings_and_studies(data_set):
    for study in (1, 2):
        data_set.add_image(study, 2, 1)
        data_set.add_row(study, 2, 1, LEFT, x=400.0)
        data_set.add_row(study, 2, 1, LEFT, "l1_l2", y=400.0)

    lines = audit.summarize(run(data_set)).splitlines()

    assert lines[1].split() == ["error", "off_image", "4", "2"]
    assert lines[2].startswith("with an error: 4 of 4 rows; convert --exclude")


def test_summary_of_rows_of_the_other_side_leads_to_no_conversion(data_set):
    data_set.rows.append([7, 70, 6, "Left Subarticular Stenosis", "L4/L5", 1, 1])
    data_set.add_image(1, 2, 1)
    words = "with an error: 1 of 1 row; there is nothing to convert, since unknown_series: "
    assert words in audit.summarize(run(data_set))


def test_summary_of_a_clean_data_set_says_so(data_set):
    data_set.add_image(1, 2, 1)
    data_set.add_row(1, 2, 1)

    assert audit.summarize(run(data_set)) == "nothing is wrong with 1 row of 1 study"


def test_every_kind_has_a_meaning_and_errors_come_first():
    severities = [kind.severity for kind in finding.Kind]

    assert all(kind.meaning.endswith(".") for kind in finding.Kind)
    assert severities == sorted(severities, key=list(finding.Severity).index)


def test_pixels_that_cannot_be_decoded_cost_a_picture_not_the_page(data_set, tmp_path):
    path = data_set.add_image(1, 2, 1)
    key = data_set.add_row(1, 2, 1, LEFT, x=1e30, y=-1e30)
    data_set.add_image(1, 2, 2, position=(0.0, 0.0, 4.0))
    data_set.add_row(1, 2, 2, LEFT, "l1_l2", x=-1e30, y=1e30)
    source = sources.open_source(data_set.write())
    audited = audit.audit(source)
    path.write_bytes(path.read_bytes()[:700])

    audit_page.write(tmp_path / "new/report", audited, source, name="<b>")

    text = (tmp_path / "new/report/audit.html").read_text()
    assert text.count("<img") == 2
    assert text.replace("<wbr>", "").count(key) == 1
    assert "&lt;b&gt;" in text


def test_program_says_what_was_found_and_where_it_lies(data_set, tmp_path):
    data_set.add_image(1, 2, 1)
    data_set.add_row(1, 2, 1, LEFT, x=5.0, y=5.0)
    flags = ["--data_dir", str(data_set.write()), "--report_dir", str(tmp_path / "p")]

    result = start(*flags, "--workers=1")

    assert result.returncode == 0, result.stderr
    assert "placeholder_point" in result.stdout
    assert "with an error: 1 of 1 row;" in result.stdout
    assert {path.name for path in (tmp_path / "p").iterdir()} == {"audit.csv", "audit.html"}


@pytest.mark.slow
def test_audit_of_another_data_set_is_not_replaced(data_set, make_data_set, tmp_path):
    other = make_data_set(tmp_path / "other" / "data")
    for data in (data_set, other):
        data.add_image(1, 2, 1)
        data.add_row(1, 2, 1)
    flags = ["--report_dir", str(tmp_path / "p"), "--workers=1"]
    data_set.write()
    for _ in range(2):
        assert start("--data_dir", str(data_set.directory), *flags).returncode == 0

    result = start("--data_dir", str(other.write()), *flags)

    assert result.returncode == 1
    assert "audit.html is of data (" in result.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [(["--data_dir", "/nowhere"], "does not exist"), (["--workers", "0"], "--workers is 0")],
)
def test_user_errors_are_one_sentence(data_set, tmp_path, flags, message):
    data_set.add_image(1, 2, 1)
    directory = data_set.write()

    result = start("--data_dir", str(directory), "--report_dir", str(tmp_path / "p"), *flags)

    assert result.returncode == 1
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "p").exists()


def test_missing_csv_or_column_is_named(data_set):
    data_set.add_image(1, 2, 1)
    data_set.add_row(1, 2, 1)
    source = sources.open_source(data_set.write())
    path = data_set.directory / "train_label_coordinates.csv"

    path.write_text(path.read_text().replace(",x,", ",abscissa,"))
    with pytest.raises(ValueError, match="no column 'x'"):
        audit.audit(source)
    path.unlink()
    with pytest.raises(ValueError, match="has no train_label_coordinates"):
        audit.audit(source)


def start(*flags):
    command = ["warm-python", "-m", "spine_tf.audit", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)
