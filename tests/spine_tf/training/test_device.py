import pytest
import tensorflow as tf

from spine_tf.configuration import training_config
from spine_tf.training import device


def test_mixed_precision_is_for_a_gpu() -> None:
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    for value, expected in (("off", False), ("auto", has_gpu)):
        settings = training_config.TrainingConfig(mixed_precision=value)
        assert device.uses_mixed_precision(settings) == expected
    if not has_gpu:
        with pytest.raises(ValueError, match=r"is on, but there is no GPU: set it to auto or off"):
            device.uses_mixed_precision(training_config.TrainingConfig(mixed_precision="on"))
