"""The grammar of --set: field=value and family:field=value."""

import pytest

from spine_tf.configuration import config, model_configs, overrides


def test_overrides_apply_in_order_and_parse_json() -> None:
    made = overrides.apply(
        config.default_config("multiclass", "dense"),
        [
            "model.units=[32, 16]",
            "training.schedule=constant",
            "training.epochs=3",
            "seed=1",
            "seed=2",
        ],
    )
    assert isinstance(made.model, model_configs.DenseConfig)
    assert made.model.units == (32, 16)
    assert made.training.schedule == "constant"
    assert (made.training.epochs, made.seed) == (3, 2)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.dropout", "has no '='"),
        (
            "model.wideness=3",
            r"'model.wideness'; did you mean model.width\?; there are task, model.family",
        ),
        ("data.augmentation=1", "no field 'data.augmentation'"),
        ("dropout=0.3", r"did you mean model.dropout\?"),
        ("vgg:model.dropout=0.3", "is for the family 'vgg', expected one of simple"),
        ("dense:model.dropout=0.3", "is for dense, but the model is simple: leave it out"),
        ("simple:model.growth_rate=3", "no field 'model.growth_rate'"),
        ("model.family=simple", "choose the family with --model"),
        ("model.dropout=high", "model.dropout is 'high', expected a number"),
        ("model.dropout=2", "model.dropout is 2.0, expected 0.0 to 0.95"),
        ("model.dropout=NaN", "model.dropout is nan, expected a number"),
        ("model.dropout=true", "model.dropout is True, expected a number"),
        ("model.filters=[8.5]", "model.filters is 8.5, expected an integer"),
        ("model.filters=[]", "expected at least one number"),
        ("model.filters=8", "model.filters is 8, expected a list, in which each is an integer"),
        ("model.head=linear", "expected one of softmax, ordinal"),
        ("data.label_review.action=delete", "expected one of drop, down_weight, soften"),
        ("data.label_review.budget=0.6", "data.label_review.budget is 0.6, expected 0.0 to 0.5"),
        ("data.mild_split=3", "data.mild_split is 3, expected a text"),
        ("training.monitor=loss", "expected one of val_log_loss"),
        ("training.deterministic=1", "training.deterministic is 1, expected true or false"),
        ("task=ternary", "task is 'ternary'"),
        ("seed=-1", "seed is -1, expected 0"),
    ],
)
def test_override_that_does_not_fit_says_what_would(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overrides.apply(config.default_config("binary", "simple"), [setting])


def test_prefix_of_the_own_family_is_taken() -> None:
    made = overrides.apply(config.default_config("binary", "dense"), ["dense:model.dropout=0.1"])
    assert made.model.dropout == 0.1


@pytest.mark.parametrize(
    ("text", "family", "field", "value"),
    [
        ("seed=1", None, "seed", 1),
        ("dense:model.units=[8, 4]", "dense", "model.units", [8, 4]),
        ("data.mild_split=C:/split=2.csv", None, "data.mild_split", "C:/split=2.csv"),
        ("model.weights=", None, "model.weights", ""),
    ],
    ids=["field", "family", "value with a colon and =", "empty value"],
)
def test_text_is_parsed(text: str, family: str | None, field: str, value: object) -> None:
    found = overrides.parse(text)
    assert (found.family, found.field, found.value, found.text) == (family, field, value, text)


def test_override_concerns_the_families_that_have_the_field() -> None:
    texts = ["training.epochs=3", "model.weights=w.h5", "dense:model.growth_rate=2", "typo=1"]
    assert overrides.of_family("dense", texts) == [texts[0], texts[2]]
    assert overrides.of_family("resnet50", texts) == texts[:2]
    overrides.require_concerned(["dense", "resnet50"], texts[:3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.growth_rate=4", r"--set model\.growth_rate=4: no chosen model has that field"),
        ("resnet50:model.units=[4]", "no chosen model has that field"),
        ("trainig.epochs=4", r"did you mean training.epochs\?; there are task, "),
    ],
)
def test_override_of_no_chosen_family_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overrides.require_concerned(["simple", "dense"], [text])
