"""Which GPUs the workers of a search are given."""

import pytest
import tensorflow as tf

from tuner import gpus


@pytest.mark.parametrize(
    ("chosen", "found", "names"),
    [
        (None, 3, ["0", "1", "2"]),
        ("2, 3", 2, ["2", "3"]),
        ("GPU-8f1c,GPU-77aa", 2, ["GPU-8f1c", "GPU-77aa"]),
        ("0,1,9", 2, ["0", "1"]),  # the driver ends its list at the first that there is not
        ("", 0, []),
        (None, 0, []),
    ],
)
def test_gpus_are_named_as_the_environment_names_them(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None, found: int, names: list[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * found)
    assert gpus.list_gpus() == names
