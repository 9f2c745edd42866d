"""The audit's page in a real browser: nothing fetched, pictures load, readable in both schemes."""

import pytest

from spine_tf.auditing import audit, audit_page
from spine_tf.rsna import sources

pytestmark = pytest.mark.slow

NUM_PLACEHOLDERS = audit_page.PICTURES_PER_KIND + 2


@pytest.fixture(scope="module")
def path(tmp_path_factory, make_data_set):
    """A page with pictures of errors, and more findings of one kind than it shows."""
    directory = tmp_path_factory.mktemp("audit")
    data = make_data_set(directory / "data")
    for study in range(NUM_PLACEHOLDERS):
        data.add_image(study, 2, 1)
        data.add_row(study, 2, 1, x=5.0, y=5.0)
        data.add_row(study, 2, 1, "right_subarticular_stenosis", x=10.0)
    data.add_image(99, 2, 1)
    data.add_row(99, 2, 1, x=500.0)
    for series in range(audit_page.ROWS_PER_KIND + 3):
        data.series[99, 1000 + series] = "Axial T2"
    source = sources.open_source(data.write())
    audit_page.write(directory / "p", audit.audit(source), source, name="<data> & co")
    return directory / "p" / audit_page.PAGE_FILE


@pytest.fixture(scope="module")
def opened(browser, path):
    """The page in the browser."""
    browser.open(path)
    return browser


def test_page_fetches_nothing_and_logs_no_error(opened, path):
    assert opened.requested() == [path.as_uri()]
    assert opened.logged() == []


def test_counts_come_first(opened):
    first = opened.driver.execute_script("return document.querySelector('section').id")

    assert opened.driver.execute_script("return document.querySelector('h1').textContent") == (
        "<data> & co"
    )
    assert first == "summary"
    assert opened.driver.find_element("id", "num-errors").text == str(NUM_PLACEHOLDERS + 1)
    assert "103" in opened.driver.find_element("id", "summary").text


def test_first_few_of_a_kind_have_pictures_that_load(opened):
    widths = opened.driver.execute_script(
        "return [...document.images].map(i => i.complete ? i.naturalWidth : 0)"
    )

    assert len(widths) == 2 * (audit_page.PICTURES_PER_KIND + 1)
    assert min(widths) > 200


def test_long_table_says_how_many_more_there_are(opened):
    section = opened.driver.find_element("id", "missing_series")

    assert len(section.find_elements("css selector", "tbody tr")) == audit_page.ROWS_PER_KIND
    assert "The rest (3 rows) is in audit.csv" in section.text


@pytest.mark.parametrize("width", [400, 1400])
def test_all_that_is_on_the_page_can_be_read(opened, width):
    assert opened.faults(width) == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_has_contrast(opened, scheme):
    opened.set_scheme(scheme)

    for selector, least in (("section", 7), (".note", 4.5), ("td.error", 4.5), ("td.notice", 4.5)):
        assert opened.contrast(selector) > least, selector
