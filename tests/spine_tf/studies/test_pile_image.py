"""Headers of files that anything may have happened to: images or a reason, never an error."""

import random

import pytest

from spine_tf.studies import deciding, identities, outcome, pile, pile_image


def _files(directory):
    return {file.name: file for file in pile.open_pile(directory).files()}


def test_file_that_is_cut_off_gives_a_reason(tmp_path, add_series):
    whole = add_series(tmp_path, num_slices=1)[0].read_bytes()
    for length in range(0, len(whole), 41):
        (tmp_path / "cut").write_bytes(whole[:length])
        found = pile_image.read_entries(pile.open_pile(tmp_path), _files(tmp_path)["cut"])
        # Compressed pixels say no length: that they are cut off is noticed where they are decoded.
        if length < whole.index(b"\xe0\x7f\x10\0OB"):
            assert isinstance(found, outcome.LeftOut)


def test_pixels_that_are_cut_off_are_noticed_where_their_length_is_said(tmp_path, add_series):
    (path,) = add_series(tmp_path, num_slices=1, transfer_syntax="1.2.840.10008.1.2")
    path.write_bytes(path.read_bytes()[:-1])
    (file,) = _files(tmp_path).values()
    found = pile_image.read_entries(pile.open_pile(tmp_path), file)
    assert isinstance(found, outcome.LeftOut)
    assert found.reason == "bad_pixels"
    assert found.detail.endswith("it is cut off")


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.5"])
def test_spoilt_headers_give_images_or_reasons(tmp_path, add_series, syntax):
    paths = add_series(tmp_path, num_slices=3, transfer_syntax=syntax)
    whole = [path.read_bytes() for path in paths]
    place, generator = pile.open_pile(tmp_path), random.Random(0)
    for _ in range(60):
        images = []
        for path, data in zip(paths, whole, strict=True):
            path.write_bytes(_spoil(data, generator))
        with pile_image.quiet():
            for file in _files(tmp_path).values():
                found = pile_image.read_entries(place, file)
                for entry in [] if isinstance(found, outcome.LeftOut) else found:
                    image = pile_image.from_json(file.name, entry.frame, entry.header)
                    images.append((file, image))
        if images:
            decided = deciding.decide_study(
                images, pile=place, identities=identities.Identities(key=bytes(32)), min_slices=1
            )
            counted = [image for series in decided.series for image in series.images]
            assert len(counted) == len(set(counted)) == len(images)


def _spoil(data: bytes, generator: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(generator.randint(1, 4)):
        at = generator.randrange(132, 700)
        kind = generator.random()
        if kind < 0.5:
            spoilt[at] = generator.randrange(256)
        elif kind < 0.75:
            del spoilt[at : at + generator.randint(1, 20)]
        else:
            spoilt[at:at] = generator.randbytes(generator.randint(1, 20))
    return bytes(spoilt)


def test_texts_are_read_in_their_character_set(tmp_path, add_series):
    for name, text in (
        ("ISO_IR 144", "\u043a\u043e\u043b\u0435\u043d\u043e"),
        ("ISO_IR 192", "\u819d"),
    ):
        add_series(tmp_path / name, num_slices=1, SpecificCharacterSet=name, SeriesDescription=text)
        (file,) = _files(tmp_path / name).values()
        found = pile_image.read_entries(pile.open_pile(tmp_path / name), file)
        assert not isinstance(found, outcome.LeftOut)
        (entry,) = found
        image = pile_image.from_json(file.name, entry.frame, entry.header)
        assert image.text(pile_image.SERIES_DESCRIPTION) == text
