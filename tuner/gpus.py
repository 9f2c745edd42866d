"""The GPUs of a machine, one for each worker of a search."""

import os
from collections.abc import Sequence


def list_gpus() -> list[str]:
    """Returns the GPUs that TensorFlow finds, as CUDA_VISIBLE_DEVICES would name them."""
    import tensorflow as tf

    count = len(tf.config.list_physical_devices("GPU"))
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    return (names or [str(index) for index in range(count)])[:count]


def describe_shares(tuner_ids: Sequence[str], gpus: Sequence[str]) -> str:
    """Returns which worker has which GPU, and whether that is all of them, in words."""
    num_workers, num_gpus = len(tuner_ids), len(gpus)
    shares = (f"{name} on {gpus[i % num_gpus]}" for i, name in enumerate(tuner_ids))
    said = ""
    if num_workers > num_gpus:
        said = ", which some of them share"
    elif num_workers < num_gpus:
        said = f", of which --workers {num_gpus} would take all"
    return f"workers: {num_workers}, GPUs: {num_gpus}{said}: {', '.join(shares)}"
