"""Phantom studies of the localiser's tests: geometry alone, with their truth."""

import functools

import oracle
import planted
import pytest

from spine_tf.localization import study_points

FAULTS = oracle.Faults(
    blur=1.15, displacement_mm=0.7, missed=0.01, false_peaks=0.3, noise=0.01, leak=0.2
)


@functools.cache
def _localized(index, fault):
    case = planted.make(index, fault)
    source = oracle.Oracle([case.known], FAULTS)
    return case, study_points.localize(case.known.study, source)


@pytest.fixture(scope="session")
def localized():
    """(index, fault) -> the case, and what is found in it with a faulty oracle; once a session."""
    return lambda index, fault=planted.SOUND: _localized(index, fault)
