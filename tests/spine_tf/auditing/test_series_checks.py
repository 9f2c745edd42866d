"""PixelSpacing beside that of the series like it."""

from spine_tf.auditing import series_checks

_USUAL = {(study, 1): [0.4, 0.4, 0.45] for study in range(5)}


def test_spacing_of_another_power_of_ten_is_odd() -> None:
    found = series_checks.odd_spacings({**_USUAL, (9, 1): [4.0], (8, 1): [0.4, 0.04]})
    assert found == {(9, 1): (4.0, 0.4), (8, 1): (0.04, 0.4)}


def test_spacings_that_scanners_have_are_not() -> None:
    assert series_checks.odd_spacings({**_USUAL, (9, 1): [1.1], (8, 1): [0.2]}) == {}


def test_of_three_series_nobody_knows_which_is_odd() -> None:
    assert series_checks.odd_spacings({(1, 1): [0.4], (2, 1): [0.4], (3, 1): [4.0]}) == {}
