"""Variants, their scores and their table; the training of them is in test_ablate."""

import csv
import dataclasses
import io
import subprocess

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.ablation import ablation_table, design, scores, variant
from spine_tf.configuration import config, model_configs, overrides, roi_config
from spine_tf.conversion import plan
from spine_tf.scoring import bootstrap, comparison, metrics, predictions

_CONVERSION = plan.Settings(conditions=labels.CONDITIONS[3:], levels=("l4_l5",))
_MULTICLASS = labels.get_task("multiclass")


def _base(family="simple", changes=(), variants=()):
    return design.make_base(
        config.default_config("multiclass", family), changes, _CONVERSION, variants
    )


def _settings(*texts, **changes):
    variants = variant.read_variants(texts, (), ())
    return design.Design(
        **{
            "base": _base(variants=variants),
            "conversion": _CONVERSION,
            "variants": variants,
            **changes,
        }
    )


def test_factor_is_one_variant_a_value():
    found = variant.parse_factor("model.filters=[8,16], [4] ,[2,2]")
    assert [one.name for one in found] == [
        "model.filters=[8,16]",
        "model.filters=[4]",
        "model.filters=[2,2]",
    ]
    assert {one.group for one in found} == {"model.filters"}


def test_bundle_has_several_settings():
    found = variant.parse_bundle("soft labels:training.loss=focal,model.filters=[4,8]")
    assert (found.name, found.slug) == ("soft labels", "soft_labels")
    assert found.settings == ("training.loss=focal", "model.filters=[4,8]")


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (variant.parse_factor, "roi_mm", "expected field=value,value"),
        (variant.parse_factor, "roi_mm=30,,50", "expected field=value,value"),
        (variant.parse_factor, "seed=1,2", "seed can't vary"),
        (variant.parse_factor, "data.val_fold=1", "val_fold can't vary"),
        (variant.parse_factor, "model.family=dense", "family can't vary"),
        (variant.parse_bundle, "roi_mm=3", "expected name:field=value"),
        (variant.parse_bundle, "name:", "expected name:field=value"),
        (variant.parse_bundle, "name:roi_mm", "has no '='"),
        (variant.parse_bundle, "base:roi_mm=3", "other than 'base'"),
        (variant.parse_bundle, f"{'x' * 101}:roi_mm=3", "a name of 1 to 100"),
    ],
)
def test_text_that_is_no_variant_is_refused(parse, text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_variant_changes_its_fields_and_no_other():
    base = _base(changes=("training.epochs=3",))
    bundle = variant.parse_bundle(
        "b:roi_mm=30,window=crop,model.dropout=0.1,data.sampling=balanced"
    )
    found = base.apply(bundle)
    assert found.roi == roi_config.RoiConfig(roi_mm=30.0, window="crop")
    assert found.config == overrides.apply(
        base.recipe.config, ["model.dropout=0.1", "data.sampling=balanced"]
    )
    assert found.config.training.epochs == 3


def test_another_family_takes_over_what_it_has_the_fields_for():
    variants = variant.parse_factor("model=resnet50,dense")
    changes = (
        "resnet50:model.weights=none",
        "model.dropout=0.1",
        "training.epochs=3",
        "seed=5",
        "simple:model.units=7",
    )
    base = _base(changes=changes, variants=variants)
    resnet, dense = (base.apply(one).config for one in variants)
    assert (resnet.model.weights, resnet.model.dropout, dense.model.dropout) == ("none", 0.1, 0.1)
    assert (dense.training.epochs, dense.seed) == (3, 5)
    assert base.recipe.config.model.units == 7
    assert dense.model.filters == model_configs.DenseConfig().filters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("roi_mm=wide", "roi_mm is 'wide', expected a number"),
        ("num_slices=2", "expected an odd number"),
        ("model.width_of_it=2", "there is no field"),
        ("model=vgg", "variant model=vgg: model is 'vgg'"),
    ],
)
def test_variant_that_does_not_fit_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        _settings(text)


def test_change_of_no_family_is_refused():
    with pytest.raises(ValueError, match=r"--set model\.growth_rate=4: no chosen model"):
        _base(changes=("model.growth_rate=4",))


def test_variant_that_says_the_base_again_is_left_out():
    found = _settings("roi_mm=30,50", "window=slice", "model=simple", "model.head=ordinal")
    assert [one.name for one in found.variants] == ["roi_mm=30", "model.head=ordinal"]


def test_variants_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two variants are named"):
        variant.read_variants((), ("a:roi_mm=30", "a:roi_mm=40"), ())
    with pytest.raises(ValueError, match="two variants are named"):
        bundles = variant.read_variants((), ("a b:roi_mm=30", "a_b:roi_mm=40"), ())
        _settings(variants=bundles)
    with pytest.raises(ValueError, match="--seeds is 0"):
        _settings("roi_mm=30", num_seeds=0)


def test_factor_beside_its_preset_is_run_once():
    found = variant.read_variants(("roi_mm=30,35",), (), ("preprocessing",))
    assert [one.name for one in found].count("roi_mm=30") == 1
    assert found[-1].name == "roi_mm=35"


@pytest.mark.parametrize("name", variant.PRESETS)
@pytest.mark.parametrize("family", ["simple", "residual"])
@pytest.mark.parametrize("task", labels.WHOLE_TASKS)
def test_preset_fits_and_changes_something(name, family, task):
    variants = variant.read_variants((), (), (name,))
    base = design.make_base(config.default_config(task, family), (), _CONVERSION, variants)
    found = design.Design(base=base, conversion=_CONVERSION, variants=variants)
    assert found.variants


def test_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="--presets has 'all', expected some of preprocessing"):
        variant.read_variants((), (), ("all",))


def test_conversion_of_a_variant_differs_in_the_region_alone():
    found = _settings("roi_mm=30")
    changed = found.conversion_of(found.base.apply(found.variants[0]))
    assert changed.roi.roi_mm == 30.0
    assert dataclasses.replace(changed, roi=_CONVERSION.roi) == _CONVERSION


def test_stored_ablation_takes_more_variants_but_no_other_base(tmp_path):
    first = design.to_json(_settings("roi_mm=30"), {"roi_mm": 50.0}, {"train.csv": "a"})
    design.write(tmp_path, design.merge(tmp_path, first))
    more = design.to_json(_settings("window=crop"), {"roi_mm": 50.0}, {"train.csv": "a"})
    merged = design.merge(tmp_path, more)
    assert [one.name for one in design.variants_of(merged)] == [
        "roi_mm=30",
        "window=crop",
    ]
    for values, message in (
        ({**more, "base": {**more["base"], "num_seeds": 2}}, "num_seeds is 1, now 2"),
        ({**more, "base": {**more["base"], "source": {}}}, "source.train.csv is 'a', now not set"),
        (
            {**more, "variants": [{"name": "roi_mm=30", "group": "g", "settings": []}]},
            r"roi_mm=30.settings is \['roi_mm=30'\], now \[\]",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            design.merge(tmp_path, values)


def _predictions(seed, num_studies=30, skill=1.0):
    generator = np.random.default_rng(7)
    truth = generator.integers(0, 3, 4 * num_studies)
    keys = tuple(f"{i // 4}/1/{i}/left_subarticular_stenosis/l4_l5" for i in range(4 * num_studies))
    logits = np.random.default_rng(seed).normal(size=(len(truth), 3)) + skill * np.eye(3)[truth]
    raw = np.exp(logits)
    return predictions.Predictions(
        keys=keys, labels=truth, probabilities=raw / raw.sum(axis=1, keepdims=True)
    )


def test_difference_is_the_paired_one_of_compare():
    one, base = _predictions(1, skill=2.0), _predictions(2)
    found = scores.score([one], [base], _MULTICLASS, seed=3, num_resamples=200)
    weights = bootstrap.resample_weights(base.study_ids, seed=3, num_resamples=200)
    expected = comparison.differences(one, base, _MULTICLASS, weights)
    for name in scores.FIGURES:
        assert found.differences[name].to_json() == pytest.approx(expected[name].to_json())
    point = metrics.compute(one, _MULTICLASS).overall
    assert found.figures["log_loss"].value == pytest.approx(point["log_loss"][0])
    assert (found.num_examples, found.num_studies, found.num_shared) == (120, 30, 120)


def test_figure_of_seeds_is_their_mean_and_its_difference_too():
    seeds = [_predictions(seed, skill=2.0) for seed in (1, 2)]
    base = [_predictions(seed) for seed in (3, 4)]
    both = scores.score(seeds, base, _MULTICLASS, seed=0, num_resamples=50)
    alone = [scores.score([one], None, _MULTICLASS, seed=0, num_resamples=50) for one in seeds]
    values = [one.figures["accuracy"].value for one in alone]
    assert both.figures["accuracy"].value == pytest.approx(np.mean(values))
    assert not alone[0].differences
    with_one = scores.score(seeds[:1], base[:1], _MULTICLASS, seed=0, num_resamples=50)
    assert both.differences["accuracy"] != with_one.differences["accuracy"]


def test_difference_is_of_the_shared_examples_in_any_order():
    base, other = _predictions(1), _predictions(2, skill=3.0)
    kept = other.select(np.arange(len(other)) % 5 > 0)
    turned = predictions.Predictions(
        keys=kept.keys[::-1], labels=kept.labels[::-1], probabilities=kept.probabilities[::-1]
    )
    found = scores.score([turned], [base], _MULTICLASS, seed=0, num_resamples=50)
    expected = (turned.predicted == turned.labels).mean() - (
        base.select(np.isin(base.keys, kept.keys)).predicted == kept.labels
    ).mean()
    assert found.differences["accuracy"].value == pytest.approx(expected)
    assert (found.num_examples, found.num_shared) == (96, 96)
    with pytest.raises(ValueError, match="shares no example"):
        stranger = dataclasses.replace(
            base, keys=tuple(key.replace("/1/", "/2/") for key in base.keys)
        )
        scores.score([stranger], [base], _MULTICLASS, seed=0)


def _rows():
    base, same = _predictions(1), _predictions(1)
    better, worse = _predictions(2, skill=4.0), _predictions(3, skill=-1.0)

    def row(name, seeds, against):
        found = scores.score([seeds], against, _MULTICLASS, seed=0, num_resamples=200)
        status = ablation_table.FINISHED
        return ablation_table.Row(
            name=name, group=name, settings=(name,), status=status, score=found, seconds=3.25
        )

    return [
        dataclasses.replace(row("base", base, None), settings=()),
        row("roi_mm=30", better, [base]),
        row("data.augmentation.rotation_degrees=20", worse, [base]),
        row("same=1", same, [base]),
        ablation_table.Row(
            name="broken=1", group="b", status=ablation_table.FAILED, reason="no <weights>"
        ),
        ablation_table.Row(
            name="late=1", group="l", status=ablation_table.NOT_RUN, reason="the time was over"
        ),
    ]


def test_csv_has_the_documented_columns():
    rows = list(csv.DictReader(io.StringIO(ablation_table.to_csv(_rows()))))
    documented = ablation_table.__doc__.split("\n\n")[2]
    for name in ("variant", "settings", "status", "num_shared", "seconds"):
        assert name in rows[0] and name in documented
    assert float(rows[1]["accuracy_difference_low"]) > 0.0
    assert rows[0]["accuracy_difference"] == ""
    assert float(rows[3]["log_loss_difference"]) == 0.0
    assert [row["status"] for row in rows[4:]] == ["failed", "not run"]
    assert rows[4]["reason"] == "no <weights>"


def test_markdown_marks_what_is_clear():
    lines = ablation_table.to_markdown(_rows()).splitlines()
    assert lines[3].count(" *") == 3
    assert lines[5].count(" *") == 0
    assert "| broken=1 | failed: no <weights> |" in lines[6]
    assert len({line.count("|") for line in lines[:8]}) == 1


def test_page_says_what_was_found():
    said = ablation_table.sentences(_rows())
    assert said[1].startswith("Clearly better than the base: roi_mm=30 (accuracy +")
    assert said[2].startswith("Clearly worse than the base: data.augmentation.rotation")
    assert said[3:] == ["1 failed: the table says why.", "1 not run: the table says why."]
    nothing = ablation_table.sentences([_rows()[0], _rows()[3]])
    assert nothing[1] == "The one variant does not differ clearly from the base."


def _about():
    return {
        "task": "multiclass",
        "classes": _MULTICLASS.classes,
        "conditions": ("left_subarticular_stenosis",),
        "levels": ("l4_l5",),
        "family": "<simple>",
        "num_seeds": 2,
        "details": {"Model": {"filters": [4]}},
    }


@pytest.mark.slow
def test_page_in_a_browser(browser, tmp_path):
    path = tmp_path / "ablation.html"
    path.write_text(ablation_table.render(_rows(), ablation_table.draw(_rows()), about=_about()))

    browser.open(path)

    assert browser.requested() == [path.as_uri()]
    assert browser.logged() == []
    assert "<simple>" in browser.driver.find_element("tag name", "h1").text
    assert "Not a medical device" in browser.driver.find_element("id", "disclaimer").text
    ids = "return [...document.querySelectorAll('section')].map(s => [s.id, s.clientHeight > 50])"
    assert browser.driver.execute_script(ids) == [
        [name, True] for name in ("summary", "differences", "table", "details")
    ]
    charts = browser.driver.execute_script(
        "return [...document.querySelectorAll('figure svg')].map("
        "s => [s.clientWidth > 200, s.querySelectorAll('title').length])"
    )
    assert charts == [[True, 4]] * 3
    assert len(browser.driver.find_elements("css selector", "#table tbody tr")) == 6
    assert "no <weights>" in browser.driver.find_element("id", "table").text
    for width in (400, 1400):
        assert browser.faults(width) == []
    for scheme in ("dark", "light"):
        browser.set_scheme(scheme)
        assert browser.contrast("section") > 7.0


def test_base_alone_gives_a_page():
    text = ablation_table.render(_rows()[:1], {}, about=_about())
    assert "No variant differs from the base" in text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--data_dir is missing"),
        (["--data_dir=d"], "--work_dir is missing"),
        (["--data_dir=d", "--work_dir=w"], "nothing varies"),
        (["--data_dir=d", "--work_dir=w", "--factors=roi_mm=3"], "--task is missing"),
        (["--data_dir=d", "--work_dir=w", "--max_minutes=0"], "--max_minutes is 0"),
    ],
)
def test_program_refuses_in_one_sentence(tmp_path, flags, message):
    done = subprocess.run(
        ["warm-python", "-m", "spine_tf.ablate", *flags],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
