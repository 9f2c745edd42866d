"""What a directory says of its conversion is asked before anything is trained or compared."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.crops import record

_CONFIG = {
    **dataclasses.asdict(roi_config.RoiConfig()),
    "conditions": list(labels.CONDITIONS),
    "levels": list(labels.LEVELS),
}


def test_conversion_has_its_region_of_interest() -> None:
    assert record.check_conversion(_CONFIG) == roi_config.RoiConfig()
    assert record.check_conversion({n: v for n, v in _CONFIG.items() if n != "window"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("levels", None), ("levels", ["l9_l9"]), ("conditions", {}), ("roi_px", [1]), ("roi_mm", "x")],
)
def test_training_refuses_a_conversion_of_another_kind(
    make_records: Callable[..., pathlib.Path], tmp_path: pathlib.Path, name: str, value: Any
) -> None:
    from spine_tf.configuration import config
    from spine_tf.training import classification
    from tfrecords import manifest, records

    path = make_records(tmp_path / "r", per_class=1) / manifest.FILE_NAME
    values = json.loads(path.read_text())
    values["config"][name] = value
    path.write_text(json.dumps(values))
    source = records.open_records(path.parent)
    with pytest.raises(ValueError, match=rf"manifest.json: config: {name} is .*convert again"):
        task = classification.ClassificationTask(config=config.default_config("binary", "simple"))
        task.describe(source, ["fold_0"])
