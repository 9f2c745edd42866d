"""The crop against its formula, written out once more the slow way; the window against numpy."""

import fractions
import hashlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from spine_tf.crops import roi


def _slow_weights(center, spacing, size, roi_mm, roi_px):
    """The formula of the design as loops over all integers that a triangle could reach."""
    weights = np.zeros((roi_px, size))
    reach = max(1.0, roi_mm / roi_px / spacing)
    for i in range(roi_px):
        position = center + ((i + 0.5) / roi_px - 0.5) * roi_mm / spacing
        near = range(math.floor(position - reach), math.ceil(position + reach) + 1)
        shares = {k: max(0.0, 1 - abs(k - position) / reach) for k in near}
        total = sum(shares.values())
        for k, share in shares.items():
            if 0 <= k < size:
                weights[i, k] = math.floor(share / total * 2**14 + 0.5 + 2**-20) / 2**14
    return weights


def _crop(slices, *, center_xy, **changes):
    """Cuts all slices around one place."""
    square = roi.Square(shape=slices[0].shape, **changes)
    return roi.crop_stack(slices, square.bands([center_xy] * len(slices)))


def _band(center, spacing, size, roi_px):
    """The weights along the rows of a square image."""
    square = roi.Square(shape=(size, size), spacing=(spacing, spacing), roi_mm=50.0, roi_px=roi_px)
    return square.bands([(0.0, center)])[0][0]


def _float32(low, high):
    return st.floats(low, high, width=32)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32),
    st.integers(1, 60),
    st.integers(1, 60),
    _float32(0.0, 1.0),
    _float32(0.0, 1.0),
    _float32(0.0625, 4.0),
    _float32(0.0625, 4.0),
    st.sampled_from([(50.0, 32), (10.0, 16), (80.0, 8), (3.0, 24)]),
)
def test_crop_equals_the_formula(seed, rows, columns, u, v, row_mm, column_mm, size):
    roi_mm, roi_px = size
    image = np.random.default_rng(seed).integers(0, 65536, (rows, columns)).astype(np.uint16)
    x = float(np.float32(u * (columns - 1)))
    y = float(np.float32(v * (rows - 1)))
    by_row = _slow_weights(y, row_mm, rows, roi_mm, roi_px)
    by_column = _slow_weights(x, column_mm, columns, roi_mm, roi_px)
    expected = np.clip(np.rint(by_row @ image.astype(float) @ by_column.T), 0, 65535)
    found = _crop(
        [image], center_xy=(x, y), spacing=(row_mm, column_mm), roi_mm=roi_mm, roi_px=roi_px
    )
    np.testing.assert_array_equal(found[:, :, 0], expected)


@pytest.mark.slow
@settings(deadline=None)
@given(_float32(0.0, 63.0), _float32(0.0625, 4.0), st.integers(8, 64))
def test_band_is_exact_in_any_order(center, spacing, roi_px):
    band = _band(center, spacing, 64, roi_px)
    values = np.random.default_rng(0).integers(0, 65536, (band.end - band.first, 3))
    scaled = band.matrix() * 2**14
    assert (scaled == np.rint(scaled)).all()
    exact = [
        [
            sum(fractions.Fraction(int(w)) * int(v) for w, v in zip(row, column, strict=True))
            for column in values.T
        ]
        for row in scaled
    ]
    found = band.apply(values.astype(np.float64)) * 2**14
    assert (found == np.array(exact, dtype=float)).all()


@pytest.mark.parametrize("roi_px", [8, 128])
def test_few_and_many_taps_give_the_same(roi_px):
    band = _band(30.3, 0.1, 64, roi_px)
    values = np.random.default_rng(0).integers(0, 4096, (band.end - band.first, 5)).astype(float)
    gathered = np.einsum("ti,tij->ij", band.weights, values[band.taps])
    np.testing.assert_array_equal(band.matrix() @ values, gathered)
    np.testing.assert_array_equal(band.apply(values), gathered)


def test_weights_inside_the_image_add_up_to_one():
    band = _band(200.25, 0.4, 512, 128)
    assert np.abs(band.matrix().sum(axis=1) - 1).max() < 4 * 2**-14


def test_crop_of_a_plane_is_a_plane():
    """Interpolation of a linear image is exact up to the grid of the weights."""
    image = np.add.outer(np.arange(100) * 20, np.arange(120) * 10).astype(np.uint16)
    found = _crop([image], center_xy=(60.0, 50.0), spacing=(0.5, 0.5), roi_mm=16.0, roi_px=32)[
        :, :, 0
    ].astype(float)
    offsets = (np.arange(32) + 0.5 - 16) * 0.5 / 0.5
    expected = np.add.outer((50 + offsets) * 20, (60 + offsets) * 10)
    assert np.abs(found - expected).max() <= 1.0


def test_pixels_outside_are_zero():
    image = np.full((20, 20), 1000, np.uint16)
    found = _crop([image], center_xy=(0.0, 0.0), spacing=(1.0, 1.0), roi_mm=20.0, roi_px=20)[
        :, :, 0
    ]
    assert (found[:9] == 0).all()
    assert (found[:, :9] == 0).all()
    assert (found[11:, 11:] == 1000).all()


def test_crop_far_from_the_image_is_zero():
    found = _crop(
        [np.ones((20, 20), np.uint16)],
        center_xy=(500.0, 500.0),
        spacing=(1.0, 1.0),
        roi_mm=20.0,
        roi_px=16,
    )
    assert not found.any()


def test_crop_is_as_wide_in_millimetres_on_both_axes():
    """Twice the spacing along columns: a circle in the patient is a circle in the crop."""
    rows, columns = np.mgrid[:200, :100].astype(float)
    image = ((np.hypot((rows - 100) * 0.25, (columns - 50) * 0.5) < 8) * 1000).astype(np.uint16)
    found = _crop([image], center_xy=(50.0, 100.0), spacing=(0.25, 0.5), roi_mm=40.0, roi_px=40)[
        :, :, 0
    ]
    assert abs(int((found[20] > 500).sum()) - 16) <= 1
    assert abs(int((found[:, 20] > 500).sum()) - 16) <= 1


def test_slices_are_cut_alike():
    slices = list(np.random.default_rng(0).integers(0, 999, (3, 40, 40)).astype(np.uint16))
    where = {"center_xy": (20.0, 21.0), "spacing": (0.7, 0.7), "roi_mm": 20.0, "roi_px": 16}
    together = _crop(slices, **where)
    for index, image in enumerate(slices):
        np.testing.assert_array_equal(together[:, :, index], _crop([image], **where)[..., 0])


def test_slices_are_cut_around_their_own_places():
    slices = list(np.random.default_rng(0).integers(0, 999, (4, 40, 40)).astype(np.uint16))
    centers = [(20.0, 21.0), (20.0, 21.0), (13.25, 30.0), (500.0, -3.0)]
    where: dict[str, Any] = {"spacing": (0.7, 0.6), "roi_mm": 20.0, "roi_px": 16}
    together = roi.crop_stack(slices, roi.Square(shape=(40, 40), **where).bands(centers))
    for index, (image, center) in enumerate(zip(slices, centers, strict=True)):
        np.testing.assert_array_equal(
            together[:, :, index], _crop([image], center_xy=center, **where)[..., 0]
        )
    assert not together[:, :, 3].any()


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32),
    st.integers(1, 40),
    st.integers(1, 40),
    st.tuples(_float32(-9.0, 45.0), _float32(-9.0, 45.0)),
    _float32(0.0625, 4.0),
    st.sampled_from([(50.0, 32), (10.0, 16), (80.0, 8)]),
    st.sampled_from([None, 0.0, 0.02, 1.0]),
)
def test_tissue_is_what_no_pixel_outside_has_a_share_in(
    seed, rows, columns, center, spacing, size, share
):
    roi_mm, roi_px = size
    padding = None if share is None else np.random.default_rng(seed).random((rows, columns)) < share
    # The image in a frame wide enough for all taps: what is outside it counts as padding does.
    wide = math.ceil(roi_mm / spacing + roi_mm / roi_px / spacing) + 60
    is_outside = np.ones((rows + 2 * wide, columns + 2 * wide), bool)
    is_outside[wide : wide + rows, wide : wide + columns] = False if padding is None else padding
    by_row, by_column = (
        _slow_weights(c + wide, spacing, n, roi_mm, roi_px)
        for c, n in zip(center[::-1], is_outside.shape, strict=True)
    )
    expected = by_row @ is_outside.astype(float) @ by_column.T == 0
    square = roi.Square(
        shape=(rows, columns), spacing=(spacing, spacing), roi_mm=roi_mm, roi_px=roi_px
    )
    found = roi.find_tissue([padding], square.bands([center]))
    np.testing.assert_array_equal(found[:, :, 0], expected)


def test_crop_is_the_golden_one():
    image = np.random.default_rng(5).integers(0, 4096, (300, 280)).astype(np.uint16)
    found = _crop(
        [image],
        center_xy=(float(np.float32(140.37)), float(np.float32(9.1))),
        spacing=(float(np.float32(0.43)), float(np.float32(0.41))),
        roi_mm=50.0,
        roi_px=128,
    )
    assert (
        hashlib.sha256(found.tobytes()).hexdigest()
        == "1ea0b0c4eca792062977bfdb52f0bc46d9c10cd3ea963b8b5811cde95c85c012"
    )


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 50), st.integers(1, 50), st.integers(0, 65535))
def test_window_is_numpys_inverted_cdf(seed, rows, columns, top):
    image = np.random.default_rng(seed).integers(0, top + 1, (rows, columns)).astype(np.uint16)
    expected = [
        sorted(image.ravel())[math.ceil(fractions.Fraction(permille, 1000) * image.size) - 1]
        for permille in (5, 995)
    ]
    assert list(roi.window(image)) == expected


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda g: g.integers(0, 4096, (300, 400)), id="even"),
        pytest.param(lambda g: np.hypot(*g.normal(0, 30, (2, 500, 500))), id="noise"),
        pytest.param(lambda g: g.integers(0, 2, (400, 400)) * 1020, id="two values"),
        pytest.param(lambda g: np.zeros((256, 256)), id="one value"),
        pytest.param(lambda g: np.arange(65536).reshape(256, 256), id="all different"),
        pytest.param(lambda g: np.maximum(g.normal(0, 300, (512, 512)), 0), id="many zeros"),
        pytest.param(lambda g: np.minimum(g.normal(900, 90, (512, 512)), 1020), id="saturated"),
        pytest.param(
            lambda g: np.where(np.arange(400 * 400).reshape(400, 400) % 39 == 0, 5, 900),
            id="sample misleads",
        ),
        pytest.param(lambda g: 65535 - (g.random((300, 300)) < 0.004) * 9, id="rare and low"),
    ],
)
def test_window_of_large_slices_agrees_with_numpy(make):
    image = make(np.random.default_rng(1)).astype(np.uint16)
    expected = np.percentile(image, [0.5, 99.5], method="inverted_cdf")
    assert list(roi.window(image)) == expected.tolist()


@pytest.mark.parametrize("share", [0.001, 0.5, 0.98])
def test_window_is_of_the_pixels_that_count(share):
    generator = np.random.default_rng(3)
    image = generator.integers(0, 3000, (300, 400)).astype(np.uint16)
    is_tissue = generator.random((300, 400)) < share
    expected = np.percentile(image[is_tissue], [0.5, 99.5], method="inverted_cdf")
    assert list(roi.window(image, is_tissue)) == expected.tolist()


def test_window_of_counted_pixels_is_that_of_the_pixels():
    image = np.random.default_rng(2).integers(0, 3000, (3, 40, 50)).astype(np.uint16)
    assert roi.histogram_window(np.bincount(image.ravel())) == roi.window(image)


def test_window_agrees_with_numpy():
    image = np.random.default_rng(0).integers(0, 3000, (64, 64)).astype(np.uint16)
    expected = np.percentile(image, [0.5, 99.5], method="inverted_cdf")
    assert list(roi.window(image)) == expected.tolist()
