"""Temperature scaling: one number that makes probabilities mean what they say.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

import functools
import math
import pathlib
from typing import Any

import numpy as np
from scipy import optimize

from tfrecords import json_object

LOWEST_TEMPERATURE = 0.1
HIGHEST_TEMPERATURE = 10.0

# A float32 softmax underflows to 0; the smallest normal float32 stands for that.
_SMALLEST = 1.2e-38


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Returns the temperature that gives the labels the highest likelihood.

    A weak prior (the logarithm of the temperature has mean 0 and standard deviation 1; it weighs
    about as much as one example) keeps it finite where every prediction is right.

    Args:
        probabilities: float (n, classes), not calibrated.
        labels: int (n,), class indices.
    """
    if len(labels) == 0:
        raise ValueError("there are no examples to fit a temperature on, expected at least one")
    logits = _logits(probabilities)
    rows = np.arange(len(labels))

    def penalised_loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        losses = np.log(np.exp(scaled).sum(axis=1)) - scaled[rows, labels]
        return float(losses.sum()) + 0.5 * log_temperature**2

    bounds = (math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE))
    found = optimize.minimize_scalar(penalised_loss, bounds=bounds, method="bounded")
    return 1.0 if penalised_loss(0.0) <= found.fun else math.exp(found.x)


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns p^(1 / temperature), renormalised: what dividing the logits by it would give.

    Args:
        probabilities: float (n, classes).
        temperature: above 0; above 1 makes predictions less certain.

    Returns:
        float64 (n, classes).
    """
    if not temperature > 0.0:
        raise ValueError(f"temperature is {temperature}, expected a number above 0")
    scaled = _logits(probabilities) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def read_temperature(path: pathlib.Path, fold: str | None = None) -> float:
    """Reads the temperature of a run's calibration.json.

    Args:
        path: the JSON file.
        fold: the fold of a run of all folds whose calibration it is; None in a run of one.

    Raises:
        ValueError: the file is missing, or holds none; names file and value.
    """
    return json_object.read_as(
        functools.partial(_temperature, fold=fold),
        path,
        expected="the temperature of a run",
        mend="train the run again",
    )


def _temperature(values: dict[str, Any], fold: str | None) -> float:
    if fold is not None:
        values = json_object.convert(dict[str, Any], values[fold], fold)
    found: float = json_object.convert(float, values["temperature"], "temperature")
    if not found > 0.0:
        raise ValueError(f"temperature is {found}, expected a number above 0")
    return found


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.asarray(probabilities, np.float64), _SMALLEST))
