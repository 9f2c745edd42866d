"""A page says what it was made of, and is not replaced by one of something else."""

import pytest

from spine_tf.pages import page_origin


def _write(page, origin):
    page.write_text(f'<head>\n<meta name="origin" content="{origin}">\n</head>')
    return page


def test_origin_is_of_the_place_and_not_of_the_name(tmp_path):
    first, second = tmp_path / "a" / "run", tmp_path / "b" / "run"
    assert page_origin.describe([first]).startswith("run (")
    assert page_origin.describe([first]) != page_origin.describe([second])
    assert page_origin.describe([first]) == page_origin.describe([tmp_path / "b/../a/run"])
    assert str(tmp_path) not in page_origin.describe([first])


def test_page_is_replaced_by_its_own_alone(tmp_path):
    page = _write(tmp_path / "p.html", "a &amp; b (1)")
    page_origin.require_own(page, "a & b (1)")
    with pytest.raises(ValueError, match=r"p\.html is of a & b \(1\), not of c \(2\): choose"):
        page_origin.require_own(page, "c (2)")


def test_page_of_no_origin_may_be_replaced(tmp_path):
    page_origin.require_own(tmp_path / "none.html", "a (1)")
    (tmp_path / "old.html").write_text("<head></head>")
    page_origin.require_own(tmp_path / "old.html", "a (1)")
