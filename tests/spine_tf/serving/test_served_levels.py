"""Exports that grade levels: a run of levels, and a stack with its members."""

import pathlib
import shutil

import keras
import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import config, overrides, roi_config
from spine_tf.crops import cutting
from spine_tf.models import families
from spine_tf.rsna import annotations, sources
from spine_tf.runs import run
from spine_tf.scoring import predictions as predictions_module
from spine_tf.serving import answer_check, bundle, prediction, saved_model, served_levels, spec
from spine_tf.stacking import level_table, members as members_module, regression, stack_directory
from spine_tf.training import level_examples, tasks
from tfrecords import csv_text, records, shard

_LEVELS = overrides.apply(
    config.default_config("levels", "level"),
    ["model.filters=[4]", "model.units=8", "model.num_heads=2", "model.input_mm=40"],
)
_ROI = roi_config.RoiConfig(roi_px=16)
_FORMATS = ["onnx", "openvino", "litert"]


def _run(model, settings, name="w", temperature=1.2, **conversion):
    return run.Run(
        run_dir=pathlib.Path(name),
        config=settings,
        members=(run.Member(model=model, temperature=temperature),),
        provenance={
            "versions": {"tensorflow": "2.21.0"},
            "records": {
                "manifest_sha256": "0" * 64,
                "config": {
                    **{"roi_mm": 50.0, "roi_px": 16, "num_slices": 1, "mirror_right": True},
                    **{"conditions": list(labels.CONDITIONS), "levels": list(labels.LEVELS)},
                    **conversion,
                },
                "num_examples": {"fold_0": 8},
            },
            **{"train_splits": ["fold_0"], "monitor_split": None, "val_split": "fold_1"},
            "train_studies": [1],
        },
        class_prior=(0.5, 0.3, 0.2),
    )


@pytest.fixture(scope="module")
def source(level_records_dir):
    return records.open_records(level_records_dir)


@pytest.fixture(scope="module")
def trained(source):
    keras.utils.set_random_seed(0)
    return _run(tasks.make_task(_LEVELS, source).build_network(source), _LEVELS)


@pytest.fixture(scope="module")
def made(trained, tmp_path_factory):
    """Signatures and formats are held against the run's own answers by the export itself."""
    directory = tmp_path_factory.mktemp("levels") / "e"
    return bundle.export([trained], directory, format_names=_FORMATS)


@pytest.mark.slow
def test_run_of_levels_answers_from_records_in_every_format(source, trained, made):
    assert set(answer_check.check(made.directory).differences) == {"saved_model", *_FORMATS}
    served = spec.read(made.directory)
    assert served.image_shape == (5, 16, 16, 1)
    assert served.views[3] == ("left_subarticular_stenosis", "Axial T2")
    serialized = [
        each
        for part in source.shards_of(["test"])
        for each in shard.read_records(source.directory / part.file)
    ]
    model = saved_model.SavedModel(made.directory)
    answer = model.ask("serve_examples", examples=np.array(serialized, object))
    examples = level_examples.load(source, ["test"])
    expected = trained.members[0].calibrated(
        level_examples.predict(trained.members[0].model, examples)
    )
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert answer["label"].shape == (len(examples), 5)
    assert "serve_slice" not in model.signatures


@pytest.mark.slow
def test_study_gets_25_rows_each_from_all_views_of_its_level(trained, made, squares_dir, tmp_path):
    data = pathlib.Path(shutil.copytree(squares_dir, tmp_path / "data"))
    points = data / "train_label_coordinates.csv"
    lines = points.read_text().splitlines()
    # Of one level the canal has no point.
    kept = [line for line in lines if not ("Spinal Canal" in line and "L3/L4" in line)]
    assert len(kept) == len(lines) - 1
    points.write_text("\n".join(kept) + "\n")

    outcome = prediction.predict(
        made.directory, data, tmp_path / "submission.csv", num_workers=1, side="train"
    )

    assert (outcome.num_rows, outcome.num_prior, outcome.num_flagged) == (25, 0, 1)
    rows = dict(csv_text.read(tmp_path / "submission.csv", expected="a submission"))
    said = {
        row["row_id"]: [float(row[c]) for c in labels.SEVERITY_COLUMNS] for row in rows.values()
    }
    assert len(said) == 25
    np.testing.assert_allclose([sum(values) for values in said.values()], 1.0, atol=1e-6)
    report = (tmp_path / "predict_report.csv").read_text()
    assert "other_views" in report
    # The same crops put together by hand.
    found = annotations.read_annotations(sources.open_source(data), levels=("l4_l5",))
    batch = cutting.cut_batch(found.rows, source=sources.open_source(data), region=_ROI)
    order = np.argsort([row.condition for row in batch.rows])
    asked = {
        "image": level_examples.normalize(
            batch.images[order][None], batch.windows[order].reshape(1, -1)
        ),
        "present": np.ones((1, 5), np.float32),
        "level": np.array([3]),
    }
    (member,) = trained.members
    expected = member.calibrated(member.model(asked, training=False)["probabilities"].numpy())[0]
    study = found.rows[0].study_id
    for name, values in zip(labels.CONDITIONS, expected, strict=True):
        np.testing.assert_allclose(said[f"{study}_{name}_l4_l5"], values, atol=1e-5)


def _member(run_dir, series):
    return members_module.Member(
        run_dir=run_dir,
        task=labels.TASKS["multiclass"],
        said=predictions_module.Predictions(
            keys=("1/0/0/spinal_canal_stenosis/l1_l2",),
            labels=np.zeros(1),
            probabilities=np.eye(3)[:1],
        ),
        fold_of={},
        folds=(),
        conversion={},
        class_prior=(1.0, 0.0, 0.0),
        series=series,
    )


def test_run_that_reads_the_canal_on_axial_slices_has_a_view_of_its_own():
    found = served_levels.views_of_runs(
        [
            _member(pathlib.Path("a"), {0: {(1, 10), (2, 10)}}),
            _member(pathlib.Path("b"), {0: {(1, 12), (2, 12)}}),
            _member(pathlib.Path("c"), {3: {(1, 12), (2, 12), (3, 12)}}),
        ]
    )
    assert found == [
        {0: ("spinal_canal_stenosis", "Sagittal T2/STIR")},
        {0: ("spinal_canal_stenosis", "Axial T2")},
        {3: ("left_subarticular_stenosis", "Axial T2")},
    ]


def _regression(num_columns, seed):
    generator = np.random.default_rng(seed)
    return regression.Regression(
        strength=0.1,
        class_weights=(1.0, 2.0, 4.0),
        center=generator.normal(size=num_columns),
        scale=1.0 + generator.random(num_columns),
        weights=generator.normal(size=(2 * num_columns, 3)) / 4,
        intercepts=generator.normal(size=3),
    )


@pytest.mark.slow
def test_stack_answers_as_its_runs_and_regressions_do(tmp_path, monkeypatch):
    settings = overrides.apply(
        config.default_config("multiclass", "simple"), ["model.filters=[4]", "model.units=4"]
    )
    told = overrides.apply(settings, ["model.condition_input=true"])
    runs = {}
    for seed, (name, each) in enumerate((("a", settings), ("b", told), ("c", settings))):
        keras.utils.set_random_seed(seed)
        model = families.build_model(each.model, (16, 16, 1), 3)
        runs[tmp_path / name] = _run(model, each, name)
    num_columns = 3 * 5 * 2 + 5
    stack = stack_directory.Stack(
        task=labels.TASKS["multiclass"],
        run_dirs=tuple(runs),
        regressions={
            name: _regression(num_columns, seed)
            for seed, name in enumerate(("spinal", "subarticular"))
        },
        class_prior=(0.5, 0.3, 0.2),
    )
    series = [{0: {(1, 10)}}, {0: {(1, 12)}}, {3: {(1, 12)}, 4: {(1, 12)}}]
    found = [_member(path, each) for path, each in zip(runs, series, strict=True)]
    # What stacking tests try on disk; here it is what is served of it that counts.
    monkeypatch.setattr(stack_directory, "read", lambda directory: stack)
    monkeypatch.setattr(members_module, "read", lambda run_dirs: found)
    monkeypatch.setattr(run, "load_run", runs.__getitem__)

    made = bundle.export_stack(tmp_path / "s", tmp_path / "e", format_names=["litert"])

    assert set(answer_check.check(made.directory).differences) == {"saved_model", "litert"}
    served = spec.read(made.directory)
    assert served.conditions == (
        "spinal_canal_stenosis",
        "left_subarticular_stenosis",
        "right_subarticular_stenosis",
    )
    assert [series for _, series in served.views] == [
        "Axial T2",
        "Sagittal T2/STIR",
        "Axial T2",
        "Axial T2",
    ]
    assert "weighed by multinomial logistic" in (made.directory / "model_card.md").read_text()
    assert level_table.GROUPS["spinal"] == (0,)
