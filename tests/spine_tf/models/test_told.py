"""A network that is told which condition and level it looks at."""

import pathlib

import keras
import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import config, overrides
from spine_tf.evaluation import held_out
from spine_tf.models import families, told
from spine_tf.runs import run
from spine_tf.scoring import predictions as predictions_module
from spine_tf.serving import answer_check, bundle, saved_model, served_crops, spec
from spine_tf.training import task_examples, tasks, trainer
from tfrecords import records, shard, stored_images

_TINY = ["model.filters=[4]", "model.units=4", "training.epochs=1", "model.condition_input=true"]
_CONDITIONS, _LEVELS = (0, 1, 4), (1, 3)


def _config(*changes):
    return overrides.apply(config.default_config("multiclass", "simple"), [*_TINY, *changes])


def _model(*changes):
    keras.utils.set_random_seed(0)
    return families.build_model(_config(*changes).model, (16, 16, 1), 3)


def _images(count=4, **columns):
    images = np.random.default_rng(0).random((count, 16, 16, 1)).astype(np.float32)
    return stored_images.as_windowed(images, columns)


def _of(condition, level, count=4):
    return _images(count, condition=np.full(count, condition), level=np.full(count, level))


@pytest.fixture(scope="module")
def records_dir(make_records, tmp_path_factory) -> pathlib.Path:
    return make_records(
        tmp_path_factory.mktemp("told") / "r",
        per_class=4,
        roi_px=16,
        conditions=_CONDITIONS,
        levels=_LEVELS,
    )


def test_network_begins_as_if_it_were_untold():
    images = _of(3, 2)
    as_told = run.predict_probabilities(_model(), images)
    untold = run.predict_probabilities(_model("model.condition_input=false"), images)
    np.testing.assert_array_equal(as_told, untold)


@pytest.mark.parametrize("changes", [(), ("model.input_px=16",)])
def test_answer_depends_on_the_condition_and_on_the_level(changes):
    model = _model(*changes)
    for table in model.get_layer("told").tables:
        table.assign(np.random.default_rng(0).normal(size=table.shape))

    answers = [run.predict_probabilities(model, _of(*where)) for where in ((0, 0), (1, 0), (0, 1))]

    assert np.abs(answers[0] - answers[1]).max() > 1e-3
    assert np.abs(answers[0] - answers[2]).max() > 1e-3


def test_images_that_do_not_say_what_they_are_of_are_refused():
    with pytest.raises(ValueError, match="told the condition of each image"):
        run.predict_probabilities(_model(), _images())


def test_mixing_crops_of_different_conditions_is_refused():
    with pytest.raises(ValueError, match="mixup blends crops of different conditions"):
        _config("data.augmentation.mixup=0.2")


def test_telling_of_one_target_is_refused(make_records, tmp_path):
    source = records.open_records(make_records(tmp_path / "r", per_class=1, roi_px=16))
    task = tasks.make_task(_config(), source)
    with pytest.raises(ValueError, match=r"condition_input has no effect on .* left_subart"):
        task.describe(source, ["fold_0"])


@pytest.mark.parametrize("where", ["memory", "stream"])
def test_batches_carry_what_the_records_say(records_dir, where):
    source = records.open_records(records_dir)
    wanted = _config(f"data.feed={where}")
    (batch,) = task_examples.open_feed(wanted, source, ["fold_0"]).ordered(batch_size=100)
    columns = source.index(["fold_0"]).columns
    inputs = tasks.make_task(wanted, source).inputs(batch)
    for name in told.SIZES:
        np.testing.assert_array_equal(inputs[name], columns[name])


@pytest.mark.slow
def test_run_answers_as_it_did_when_it_was_trained(records_dir, tmp_path):
    source = records.open_records(records_dir)
    # Behind a sampler, which the network begins after while it trains.
    trainer.train(_config("model.input_mm=40"), source, tmp_path / "w", resume=False)

    trained = run.load_run(tmp_path / "w")
    found = held_out.load(trained, source, "val")
    again = trained.predict(found.images)

    stored = predictions_module.read_csv(tmp_path / "w" / "predictions.csv", _config().task_spec)
    np.testing.assert_allclose(again, stored.probabilities, atol=1e-6)
    pictures = np.repeat(found.images[:1], 3, axis=0)
    np.testing.assert_allclose(
        found.predict(0)(pictures), np.repeat(again[:1], 3, axis=0), atol=1e-6
    )
    assert trained.predict(found.images, num_augmented=2).shape == again.shape


def _run(model, settings):
    return run.Run(
        run_dir=pathlib.Path("w"),
        config=settings,
        members=(run.Member(model=model, temperature=1.2),),
        provenance={
            "versions": {"tensorflow": "2.21.0"},
            "records": {
                "manifest_sha256": "0" * 64,
                "config": {
                    **{"roi_mm": 50.0, "roi_px": 16, "num_slices": 1, "mirror_right": True},
                    **{"conditions": list(labels.CONDITIONS), "levels": list(labels.LEVELS)},
                },
                "num_examples": {"fold_0": 8},
            },
            **{"train_splits": ["fold_0"], "monitor_split": None, "val_split": "fold_1"},
            "train_studies": [1],
        },
        class_prior=(0.5, 0.3, 0.2),
    )


@pytest.mark.slow
def test_export_asks_for_condition_and_level_in_every_signature(records_dir, tmp_path):
    model = _model()
    for table in model.get_layer("told").tables:
        table.assign(np.random.default_rng(0).normal(size=table.shape))
    trained = _run(model, _config())

    # The export itself holds every signature and format against the run's own answers.
    made = bundle.export(
        [trained, _run(_model("model.condition_input=false"), _config())],
        tmp_path / "e",
        format_names=["onnx"],
    )

    assert spec.read(made.directory).told == ("condition", "level")
    assert set(answer_check.check(made.directory).differences) == {"saved_model", "onnx"}
    source = records.open_records(records_dir)
    examples = records.load_examples(source, ["test"], (0, 1, 2))
    serialized = [
        serialized
        for part in source.shards_of(["test"])
        for serialized in shard.read_records(source.directory / part.file)
    ]
    served = saved_model.SavedModel(made.directory)
    answer = served.ask("serve_examples", examples=np.array(serialized, object))
    both = [trained, _run(_model("model.condition_input=false"), _config())]
    expected = served_crops.ServedCrops(both).predict(examples.windowed)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    with pytest.raises(ValueError, match="did not accept its input"):
        served.ask("serving_default", image=examples.images, window=examples.windows)
