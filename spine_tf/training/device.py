"""What the machine can do: determinism, mixed precision, XLA, several GPUs."""

import contextlib

import keras
import tensorflow as tf
from absl import logging

from spine_tf import config

# Compute capability from which a GPU has tensor cores for float16.
_TENSOR_CORES = (7, 0)


def prepare(settings: config.TrainingConfig, seed: int) -> None:
    """Sets what TensorFlow and Keras hold for the whole process: seeds, determinism, precision.

    Raises:
        ValueError: mixed precision is asked for and there is no GPU.
    """
    keras.utils.set_random_seed(seed)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    is_mixed = uses_mixed_precision(settings)
    logging.info(
        "training on %s in %s",
        ", ".join(device.name for device in tf.config.list_logical_devices("GPU")) or "the CPU",
        "float16 and float32" if is_mixed else "float32",
    )
    keras.mixed_precision.set_global_policy("mixed_float16" if is_mixed else "float32")


def uses_mixed_precision(settings: config.TrainingConfig) -> bool:
    """Says whether training computes in float16."""
    gpus = tf.config.list_physical_devices("GPU")
    if settings.mixed_precision == "on" and not gpus:
        raise ValueError(
            "training.mixed_precision is on, but there is no GPU: set it to auto or off"
        )
    if settings.mixed_precision != "auto":
        return settings.mixed_precision == "on"
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        for gpu in gpus
    ]
    return bool(gpus) and min(capabilities) >= _TENSOR_CORES


def uses_xla(settings: config.TrainingConfig) -> bool:
    """Says whether the training step is compiled.

    On a CPU "auto" doesn't: it halves the speed there. On several GPUs it doesn't either: compiled
    steps fail under MirroredStrategy (keras #18145). On one GPU it compiles a small convolution
    first, because some pairs of TensorFlow and cuDNN fail on every convolution.
    """
    if settings.xla != "auto":
        return settings.xla == "on"
    return len(tf.config.list_physical_devices("GPU")) == 1 and _convolution_compiles()


def make_strategy() -> tf.distribute.Strategy:
    """Returns a strategy over all GPUs where there are several, else the default one."""
    devices = tf.config.list_logical_devices("GPU")
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def _convolution_compiles() -> bool:
    compiled = tf.function(tf.nn.conv2d, jit_compile=True)
    with contextlib.suppress(tf.errors.OpError):
        compiled(tf.zeros((1, 8, 8, 1)), tf.zeros((3, 3, 1, 4)), strides=1, padding="SAME")
        return True
    logging.warning("XLA can't compile a convolution on this GPU; training goes on without it")
    return False
