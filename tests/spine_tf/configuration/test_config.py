import json
import pathlib
from typing import Any

import pytest

from spine_tf.configuration import config, model_configs, overrides, roi_config


@pytest.mark.parametrize("family", model_configs.MODEL_CONFIGS)
def test_json_round_trip_keeps_every_field(family: str) -> None:
    made = overrides.apply(
        config.default_config(model_configs.MODEL_CONFIGS[family].tasks[0], family),
        ["model.dropout=0.25", "data.augmentation.mixup=0.4", "seed=7"],
    )
    assert config.from_dict(json.loads(json.dumps(config.to_dict(made)))) == made


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task": "binary"}, "no model family"),
        ({"task": "binary", "model": {"family": "vgg"}}, "model is 'vgg', expected one of simple"),
        ({"model": {"family": "simple"}}, "task is missing"),
        (
            {"task": "binary", "model": {"family": "simple"}, "extra": 1},
            "no field 'extra'; there are task",
        ),
        ({"task": "binary", "model": {"family": "simple", "growth_rate": 3}}, "model.growth_rate"),
    ],
)
def test_json_that_is_no_configuration_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config.from_dict(values)


def test_file_may_carry_provenance(tmp_path: pathlib.Path) -> None:
    made = config.default_config("binary", "residual")
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**config.to_dict(made), "provenance": {"any": "thing"}}))
    assert config.read_config(path) == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON .*; expected a configuration"),
        ("[]", r"holds \[\], not an object"),
        ("{}", "no model family"),
    ],
)
def test_file_that_is_no_configuration_is_named(
    tmp_path: pathlib.Path, text: str, message: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"config.json.*{message}"):
        config.read_config(path)


def test_missing_file_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"none.json does not exist"):
        config.read_config(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("field", "value"), [("num_slices", 2), ("roi_px", 4), ("roi_mm", 0.0), ("num_slices", 65)]
)
def test_roi_out_of_range_is_refused(field: str, value: float) -> None:
    given: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match=field):
        roi_config.RoiConfig(**given)


def test_window_of_unknown_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="window is 'study', expected one of slice, series, crop"):
        roi_config.RoiConfig(window="study")


def test_roi_comes_back_from_a_manifest_and_a_window_by_slice_leaves_no_trace() -> None:
    for window in roi_config.WINDOWS:
        roi = roi_config.RoiConfig(roi_px=32, window=window)
        values = {**roi_config.to_dict(roi), "levels": ["l4_l5"]}
        assert roi_config.from_dict(values) == roi
        assert ("window" in values) == (window != "slice")


def test_roi_that_lacks_a_field_is_refused() -> None:
    with pytest.raises(ValueError, match="region of interest has no roi_px"):
        roi_config.from_dict({"roi_mm": 50.0})
