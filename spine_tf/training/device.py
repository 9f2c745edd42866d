"""What the machine can do: determinism, mixed precision, XLA, several GPUs."""

import contextlib

import keras
import tensorflow as tf
from absl import logging

from spine_tf.configuration import data_config, training_config

# Compute capability from which a GPU has tensor cores for float16.
_TENSOR_CORES = (7, 0)


def prepare(settings: training_config.TrainingConfig, seed: int) -> None:
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


def uses_mixed_precision(settings: training_config.TrainingConfig) -> bool:
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


def uses_xla(settings: training_config.TrainingConfig) -> bool:
    """Says whether the training step is compiled.

    "auto" doesn't where training is deterministic, which compiled pooling is not; on a CPU, where
    it halves the speed; on several GPUs, where compiled steps fail under MirroredStrategy (keras
    #18145). On one GPU it compiles a small convolution first, because some pairs of TensorFlow and
    cuDNN fail on every convolution.

    Raises:
        ValueError: both XLA and determinism are asked for.
    """
    if settings.xla == "on" and settings.deterministic:
        raise ValueError(
            "training.xla is on, but compiled pooling is not deterministic: "
            "set training.deterministic=false too, or training.xla=auto"
        )
    if settings.xla != "auto" or settings.deterministic:
        return settings.xla == "on"
    return len(tf.config.list_physical_devices("GPU")) == 1 and _convolution_compiles()


def make_strategy(settings: data_config.DataConfig) -> tf.distribute.Strategy:
    """Returns a strategy over all GPUs where there are several, else the present one.

    Raises:
        ValueError: several devices train, and the crops are to be held by one.
    """
    devices = tf.config.list_logical_devices("GPU")
    strategy = tf.distribute.get_strategy()
    if len(devices) > 1 and strategy.num_replicas_in_sync == 1:
        strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    if settings.feed == "device" and strategy.num_replicas_in_sync > 1:
        raise ValueError(
            f"data.feed is device, which serves one device, but {strategy.num_replicas_in_sync} "
            "train: set it to memory or auto"
        )
    return strategy


def _convolution_compiles() -> bool:
    compiled = tf.function(tf.nn.conv2d, jit_compile=True, autograph=False)
    with contextlib.suppress(tf.errors.OpError):
        compiled(tf.zeros((1, 8, 8, 1)), tf.zeros((3, 3, 1, 4)), strides=1, padding="SAME")
        return True
    logging.warning("XLA can't compile a convolution on this GPU; training goes on without it")
    return False
