import csv
import dataclasses
import io
import json
import subprocess
from typing import Any

import pytest

from spine_tf.configuration import config, pretrained_configs
from spine_tf.evaluation import label_baseline
from spine_tf.reproduction import experiment, reproduction_table
from spine_tf.scoring import figure, summary
from tfrecords import records

SUBARTICULAR = {
    "conditions": ["left_subarticular_stenosis", "right_subarticular_stenosis"],
    "levels": ["l4_l5"],
}


def _figure(value):
    return figure.Figure(value=value, low=value - 0.1, high=value + 0.1)


def _found(accuracy):
    baseline = summary.Baseline(metrics={"accuracy": _figure(0.4), "log_loss": _figure(1.0)})
    summarized = summary.Summary(
        task="binary",
        split="oof",
        classes=("Normal/Mild", "Severe"),
        num_examples=100,
        num_studies=50,
        class_counts={"Normal/Mild": 60, "Severe": 40},
        confidence=0.95,
        num_resamples=1000,
        seed=0,
        metrics={
            "accuracy": _figure(accuracy),
            "log_loss": _figure(0.5),
            "balanced_accuracy": _figure(accuracy),
        },
        per_class={},
        confusion_matrix=(),
        class_prior_from="training",
        baselines={"majority": baseline, "labels": baseline},
    )
    return {split: dataclasses.replace(summarized, split=split) for split in ("oof", "test")}


GROUPS = [
    reproduction_table.make_row("binary", "dense", _found(0.8), 12.4),
    reproduction_table.make_row("binary", "residual", _found(0.7), 20.0),
    reproduction_table.failed_row("binary", "resnet50", "no network"),
]


def test_table_has_models_then_each_baseline_once_then_the_report(tmp_path):
    found = reproduction_table.write(tmp_path, GROUPS, SUBARTICULAR)

    models = [row.model for row in found.rows]
    assert models == ["dense", "residual", "resnet50", "labels only", "majority", "the report"]
    assert [row.model for row in found.failed] == ["resnet50"]
    assert "| binary | dense | 80.0\u202f% (70.0 to 90.0) | 0.500 (0.400 to 0.600) |" in found.text
    assert "| binary | resnet50 | not trained: no network |" in found.text
    assert "| binary | the report |  |  | 91.7\u202f% |" in found.text
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "accuracy_binary.svg",
        "accuracy_binary.png",
    }
    page = found.page.read_text()
    assert "Not a medical device" in page
    assert 'href="reports/binary/dense/oof/report.html"' in page
    assert "comparison/report.html" in page
    assert (
        "comparison/report.html"
        not in reproduction_table.write(tmp_path, GROUPS[1:], SUBARTICULAR).page.read_text()
    )


def test_table_as_csv_reads_back(tmp_path):
    reproduction_table.write(tmp_path, GROUPS, SUBARTICULAR)

    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))

    assert float(rows[0]["oof_accuracy_low"]) == pytest.approx(0.7)
    assert (rows[0]["seconds"], rows[2]["reason"]) == ("12.4", "no network")
    assert rows[-1]["test_accuracy"] == "0.917"


def test_report_is_called_comparable_only_where_the_region_is_the_same():
    same = reproduction_table.comparability(SUBARTICULAR)
    other = reproduction_table.comparability(
        {"conditions": ["spinal_canal_stenosis"], "levels": ["l1_l2"]}
    )

    assert "a landmark" in same
    assert "spinal canal at L1/L2: not comparable" in other


def test_change_reaches_the_families_that_have_the_field():
    wanted = experiment.Experiment(
        families=("simple", "residual"), changes=("model.units=5", "training.epochs=3")
    )

    simple: Any = wanted.make_config("binary", "simple").model
    assert simple.units == 5
    assert wanted.make_config("binary", "residual").training.epochs == 3


def test_fast_is_small_and_needs_no_download():
    fast = experiment.Experiment(is_fast=True).make_config("multiclass", "resnet50")

    assert isinstance(fast.model, pretrained_configs.ResNet50Config)
    assert (fast.model.weights, fast.model.input_px, fast.training.epochs) == ("none", 32, 1)


def test_fast_converts_small_crops_for_few_folds_unless_told_otherwise():
    rows: dict[str, Any] = {"conditions": ("spinal_canal_stenosis",), "levels": ("l4_l5",)}
    for wanted, expected in (
        (experiment.Experiment(seed=3), (128, 5)),
        (experiment.Experiment(seed=3, is_fast=True), (64, 3)),
    ):
        made = wanted.make_conversion(**rows)
        assert (made.roi.roi_px, made.num_folds) == expected
        assert (made.conditions, made.levels, made.seed) == (*rows.values(), 3)
        assert wanted.make_conversion(**rows, num_folds=4).num_folds == 4


def test_change_of_one_family_leaves_the_others_alone():
    wanted = experiment.Experiment(changes=("training.epochs=9", "resnet50:training.epochs=2"))
    epochs = {
        family: wanted.make_config("binary", family).training.epochs for family in wanted.families
    }
    assert epochs == {"simple": 9, "dense": 9, "densenet": 9, "residual": 9, "resnet50": 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"families": ("vgg",)}, "--models has 'vgg'"),
        ({"families": ("simple", "simple")}, "each name once"),
        ({"tasks": ()}, "each name once"),
        ({"num_trials": -1}, "--search is -1"),
        ({"num_trials": 3, "is_fast": True}, "--fast has no search"),
        ({"families": ("simple",), "changes": ("model.growth_rate=4",)}, "no chosen model has"),
        ({"changes": ("training.epochs=0",)}, "training.epochs is 0"),
        ({"changes": ("dense:model.growth_rate=4",)}, "no field 'model.growth_rate'"),
        ({"families": ("dense",), "changes": ("simple:model.units=4",)}, "no chosen model has"),
    ],
)
def test_settings_that_can_not_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        experiment.Experiment(**changes)


def test_finished_run_of_another_configuration_is_refused_and_a_missing_one_may_change(tmp_path):
    wanted = experiment.Experiment(tasks=("binary",), families=("simple", "resnet50"))
    stored = experiment.run_dir(tmp_path, "binary", "simple") / "config.json"
    stored.parent.mkdir(parents=True)
    stored.write_text(json.dumps(config.to_dict(wanted.make_config("binary", "simple"))))

    experiment.require_same_runs(wanted, tmp_path)
    mended = dataclasses.replace(wanted, changes=("model.weights=none",))
    experiment.require_same_runs(mended, tmp_path)
    seeded = dataclasses.replace(wanted, seed=5)
    with pytest.raises(ValueError, match=r"seed is 0, now 5\): give --seed=0 to go on, remove"):
        experiment.require_same_runs(seeded, tmp_path)
    values = config.to_dict(wanted.make_config("binary", "simple"))
    values["training"]["epochs"], values["model"]["filters"] = 61, [4, 8]
    stored.write_text(json.dumps(values))
    message = (
        r"simple/config.json says otherwise .* \(model.filters is \[4, 8\], now \[16, 32, 64\]; "
        r"training.epochs is 61, now 60\): give --set 'simple:model.filters=\[4, 8\]' "
        r"--set 'simple:training.epochs=61' to go on"
    )
    with pytest.raises(ValueError, match=message):
        experiment.require_same_runs(wanted, tmp_path)
    mending = ("simple:model.filters=[4, 8]", "simple:training.epochs=61")
    experiment.require_same_runs(dataclasses.replace(wanted, changes=mending), tmp_path)
    values["training"]["of_old"] = 1
    stored.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"no field 'training.of_old'.*another version wrote it"):
        experiment.require_same_runs(wanted, tmp_path)


@pytest.mark.slow
def test_page_in_a_browser(browser, tmp_path):
    groups = [
        *GROUPS,
        reproduction_table.make_row("multiclass", "dense", _found(0.6), 5.0),
        reproduction_table.failed_row("multiclass", "residual", "<script> & no memory"),
    ]
    path = reproduction_table.write(tmp_path, groups, SUBARTICULAR).page

    browser.open(path)

    assert browser.requested() == [path.as_uri()]
    assert browser.logged() == []
    assert "Not a medical device" in browser.driver.find_element("id", "disclaimer").text
    sizes = browser.driver.execute_script(
        "return [...document.querySelectorAll('section')].map(s => [s.id, s.clientHeight > 50])"
    )
    assert sizes == [["binary", True], ["multiclass", True], ["notes", True]]
    charts = browser.driver.execute_script(
        "return [...document.querySelectorAll('figure svg')].map("
        "s => [s.clientWidth > 200, s.querySelectorAll('*').length > 10])"
    )
    assert charts == [[True, True]] * 2
    assert "<script> & no memory" in browser.driver.find_element("id", "multiclass").text
    for width in (400, 1400):
        assert browser.faults(width) == []
    for scheme in ("dark", "light"):
        browser.set_scheme(scheme)
        assert browser.contrast("section") > 7.0


@pytest.fixture(scope="module")
def data_dir(records_dir, tmp_path_factory):
    """train.csv of the studies in the synthetic records."""
    directory = tmp_path_factory.mktemp("data")
    (directory / "train_images").mkdir()
    source = records.open_records(records_dir)
    studies = [values["study_id"] for values in records.iterate(source, source.splits)]
    names = [f"{condition}_{level}" for condition, level in label_baseline.TARGETS]
    lines = [",".join(["study_id", *names])]
    lines += [",".join([str(study), *["Moderate"] * len(names)]) for study in studies]
    (directory / "train.csv").write_text("\n".join(lines))
    return directory


@pytest.mark.slow
def test_reproduction_fills_the_table_and_goes_on_where_it_stopped(records_dir, data_dir, tmp_path):
    from spine_tf.reproduction import reproduction

    wanted = experiment.Experiment(
        tasks=("binary",),
        families=("simple", "residual", "resnet50"),
        changes=(
            "training.epochs=1",
            "model.filters=[4]",
            "model.weights=/nowhere/weights.h5",
            "training.loss=cross_entropy",
        ),
        is_fast=True,
    )
    source = records.open_records(records_dir)

    first = reproduction.reproduce(wanted, source, tmp_path, data_dir)
    model = tmp_path / "runs" / "binary" / "simple" / "fold_0" / "model.keras"
    page = tmp_path / "reports" / "binary" / "simple" / "test" / "report.html"
    written = [path.stat().st_mtime_ns for path in (model, page)]
    again = reproduction.reproduce(wanted, source, tmp_path, data_dir)

    assert [row.model for row in first.failed] == ["resnet50"]
    assert "which is no file" in first.failed[0].reason
    trained = {row.model: row for row in first.rows if row.seconds is not None}
    assert set(trained) == {"simple", "residual"}
    assert 0.0 <= trained["simple"].oof["accuracy"].value <= 1.0
    assert trained["simple"].test["accuracy"].low is not None
    assert "labels only" in first.text
    assert (tmp_path / "reports" / "binary" / "comparison" / "report.html").is_file()
    assert [path.stat().st_mtime_ns for path in (model, page)] == written
    assert again.text == first.text
    assert not (tmp_path / "runs" / "binary" / "resnet50").exists()


def test_program_refuses_what_it_can_not_continue(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    (tmp_path / "data" / "train_images").mkdir(parents=True)

    done = subprocess.run(
        [
            *("warm-python", "-m", "spine_tf.reproduce"),
            f"--data_dir={tmp_path / 'data'}",
            f"--work_dir={tmp_path}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert "holds other files" in done.stderr
    assert "Traceback" not in done.stderr
