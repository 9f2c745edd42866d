"""The audit's page in a real browser: nothing fetched, pictures load, readable in both schemes."""

import json
import os
import shutil

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome import service

from spine_tf.auditing import audit, page
from spine_tf.rsna import sources

pytestmark = pytest.mark.slow

NUM_PLACEHOLDERS = page.PICTURES_PER_KIND + 2


def _browser():
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        # A machine that says it checks everything must not pass over this in silence.
        assert not os.environ.get("CI"), "chromium and chromedriver are needed where CI is set"
        pytest.skip("chromium and chromedriver are not on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=service.Service(driver))


@pytest.fixture(scope="module")
def opened(tmp_path_factory, make_data_set):
    """A page with pictures of errors, and more findings of one kind than it shows."""
    directory = tmp_path_factory.mktemp("audit")
    data = make_data_set(directory / "data")
    for study in range(NUM_PLACEHOLDERS):
        data.add_image(study, 2, 1)
        data.add_row(study, 2, 1, x=5.0, y=5.0)
        data.add_row(study, 2, 1, "right_subarticular_stenosis", x=10.0)
    data.add_image(99, 2, 1)
    data.add_row(99, 2, 1, x=500.0)
    for series in range(page.ROWS_PER_KIND + 3):
        data.series[99, 1000 + series] = "Axial T2"
    source = sources.open_source(data.write())
    page.write(directory / "p", audit.audit(source), source, name="<data> & co")
    path = directory / "p" / page.PAGE_FILE
    browser = _browser()
    try:
        browser.get(path.as_uri())
        yield browser, path
    finally:
        browser.quit()


def test_page_fetches_nothing_and_logs_no_error(opened):
    browser, path = opened
    entries = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]

    sent = [entry for entry in entries if entry["method"] == "Network.requestWillBeSent"]
    fetched = [entry["params"]["request"]["url"] for entry in sent]

    assert [url for url in fetched if not url.startswith("data:")] == [path.as_uri()]
    assert browser.get_log("browser") == []


def test_counts_come_first(opened):
    browser, _ = opened

    first = browser.execute_script("return document.querySelector('section').id")

    assert browser.execute_script("return document.querySelector('h1').textContent") == (
        "<data> & co"
    )
    assert first == "summary"
    assert browser.find_element("id", "num-errors").text == str(NUM_PLACEHOLDERS + 1)
    assert "103" in browser.find_element("id", "summary").text


def test_first_few_of_a_kind_have_pictures_that_load(opened):
    browser, _ = opened

    widths = browser.execute_script(
        "return [...document.images].map(i => i.complete ? i.naturalWidth : 0)"
    )

    assert len(widths) == 2 * (page.PICTURES_PER_KIND + 1)
    assert min(widths) > 200


def test_long_table_says_how_many_more_there_are(opened):
    browser, _ = opened

    section = browser.find_element("id", "missing_series")

    assert len(section.find_elements("css selector", "tbody tr")) == page.ROWS_PER_KIND
    assert "3 more are in audit.csv" in section.text


@pytest.mark.parametrize("width", [360, 1280])
def test_page_fits_its_width(opened, width):
    browser, _ = opened
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}

    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_has_contrast(opened, scheme):
    browser, _ = opened
    feature = {"name": "prefers-color-scheme", "value": scheme}

    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    for selector, least in (("section", 7), (".note", 4.5), ("td.error", 4.5), ("td.notice", 4.5)):
        ink, paper = browser.execute_script(
            "const of = (name) => getComputedStyle(document.querySelector(name));"
            "return [of(arguments[0]).color, of('section').backgroundColor]",
            selector,
        )
        assert _contrast(ink, paper) > least, selector


def _contrast(one, other):
    """WCAG's ratio of two colours as the browser writes them."""

    def luminance(text):
        numbers = text[text.index("(") + 1 : text.index(")")].split(",")[:3]
        values = np.array([float(number) / 255 for number in numbers])
        linear = np.where(values <= 0.03928, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return linear @ np.array([0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
