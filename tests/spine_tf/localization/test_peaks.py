"""Peaks to a fraction of a pixel, whatever is drawn beside them."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from spine_tf.localization import heatmaps, peaks

_INSIDE = st.floats(6, 249)


@settings(max_examples=25)
@given(x=_INSIDE, y=_INSIDE, amplitude=st.floats(0.15, 1.0), sigma=st.floats(3.0, 10.0))
def test_lone_peak_is_found_to_a_tenth_of_a_pixel(x, y, amplitude, sigma):
    drawn = heatmaps.draw([heatmaps.Blob(0, x, y, amplitude)], 1, sigma)[:, :, 0]
    (found,) = peaks.find(drawn, 8.0)
    assert found.x == pytest.approx(x, abs=0.1)
    assert found.y == pytest.approx(y, abs=0.1)
    assert found.height == pytest.approx(amplitude, rel=0.05)


def test_peaks_come_from_the_highest_and_noise_is_none():
    blobs = [heatmaps.Blob(0, 50, 60, 0.4), heatmaps.Blob(0, 90, 60, 0.9)]
    drawn = heatmaps.draw(blobs, 1, 4.5)[:, :, 0]
    drawn += np.random.default_rng(0).normal(0, 0.01, drawn.shape)
    found = peaks.find(drawn, 7.0)
    assert [round(peak.x) for peak in found] == [90, 50]


def test_slope_of_a_wide_peak_is_no_peak_of_its_own():
    drawn = heatmaps.draw([heatmaps.Blob(0, 100.0, 100.0, 1.0)], 1, 20.0)[:, :, 0]
    assert len(peaks.find(drawn, 7.0)) == 1


@pytest.mark.parametrize("place", [(0.0, 0.0), (255.0, 255.0), (-1.0, 128.0), (128.0, 256.4)])
def test_peak_at_an_edge_is_found_there(place):
    drawn = heatmaps.draw([heatmaps.Blob(0, place[0], place[1], 0.8)], 1, 4.5)[:, :, 0]
    (found,) = peaks.find(drawn, 7.0)
    assert np.hypot(found.x - place[0], found.y - place[1]) < 1.0


def test_empty_heatmap_has_no_peak():
    assert not peaks.find(np.zeros((256, 256), np.float32), 7.0)
