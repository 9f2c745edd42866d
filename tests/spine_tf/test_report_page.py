"""The report in a real browser: nothing fetched, nothing broken, everything visible."""

import dataclasses
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome import service

from spine_tf import labels
from spine_tf.evaluation import analysis, calibration, comparison, figures, report
from spine_tf.evaluation import predictions as predictions_lib

pytestmark = pytest.mark.slow

SECTIONS = ("summary", "figures", "galleries", "thresholds", "numbers", "details")


def _content(task_name="multiclass", num_studies=20):
    task = labels.TASKS[task_name]
    classes = len(task.classes)
    generator = np.random.default_rng(0)
    n = 4 * num_studies
    truth = generator.integers(0, classes, n)
    logits = generator.normal(size=(n, classes)) + 1.5 * np.eye(classes)[truth]
    raw = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    sides = ("left", "right")
    keys = tuple(f"{i // 4}/1/{i}/{sides[i % 2]}_subarticular_stenosis/l4_l5" for i in range(n))
    predictions = predictions_lib.Predictions(
        keys=keys, labels=truth, probabilities=calibration.apply_temperature(raw, 1.5)
    )
    evaluated = analysis.Evaluated(
        task=task,
        split="oof",
        predictions=predictions,
        uncalibrated=predictions_lib.Predictions(keys=keys, labels=truth, probabilities=raw),
        splits=[f"fold_{i // 4 % 3}" for i in range(n)],
        class_prior=tuple(np.bincount(truth) / n),
    )
    epochs = [{"val_log_loss": 1.0 / (e + 1), "val_accuracy": 1 - 1.0 / (e + 2)} for e in range(9)]
    return report.Content(
        name="<run> & co",
        evaluated=evaluated,
        analysis=analysis.analyse(evaluated, num_resamples=50),
        images=generator.random((n, 32, 32, 1)).astype(np.float32),
        predict=lambda row: lambda images: np.full((len(images), classes), 1.0 / classes),
        histories={f"fold_{index}": epochs for index in range(3)},
        details={"Model": {"family": "simple"}, "Versions": {"python": "3"}},
    )


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
def page(tmp_path_factory):
    """The report, written and opened."""
    report_dir = tmp_path_factory.mktemp("report")
    path = report.write(report_dir, _content())
    browser = _browser()
    try:
        browser.get(path.as_uri())
        yield browser, path
    finally:
        browser.quit()


def _requests(browser):
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            yield message["params"]["request"]["url"]


def test_page_fetches_nothing_and_logs_no_error(page):
    browser, path = page

    fetched = [url for url in _requests(browser) if not url.startswith("data:")]

    assert fetched == [path.as_uri()]
    assert browser.get_log("browser") == []


def test_sections_and_figures_are_visible(page):
    browser, _ = page

    sizes = browser.execute_script(
        "return [...document.querySelectorAll('section')].map("
        "s => [s.id, s.getBoundingClientRect().width, s.getBoundingClientRect().height])"
    )
    charts = browser.execute_script(
        "return [...document.querySelectorAll('figure svg')].map("
        "s => [s.getBoundingClientRect().width, s.querySelectorAll('*').length])"
    )

    assert [name for name, _, _ in sizes] == list(SECTIONS)
    assert all(width > 300 and height > 50 for _, width, height in sizes)
    assert len(charts) == 10
    assert all(width > 200 and parts > 10 for width, parts in charts)


def test_every_crop_is_a_picture_that_loads(page):
    browser, _ = page

    loaded = browser.execute_async_script(
        "const done = arguments[0]; const all = [...document.images];"
        "all.forEach(i => { i.loading = 'eager'; });"
        "Promise.all(all.map(i => i.decode().then(() => i.naturalWidth > 0)))"
        ".then(done, () => done([]));"
    )

    assert len(loaded) == 3 * 3 * report.GALLERY_SIZE
    assert all(loaded)


def test_name_of_the_run_is_text_not_markup(page):
    browser, _ = page

    assert browser.execute_script("return document.querySelector('h1').textContent") == "<run> & co"
    assert "Not a medical device" in browser.find_element("id", "disclaimer").text


def test_threshold_slider_shows_another_row(page):
    browser, _ = page
    words = browser.find_element("id", "threshold-words").text

    browser.execute_script(
        "const input = document.getElementById('threshold'); input.value = 1;"
        "input.dispatchEvent(new Event('input'));"
    )

    assert browser.find_element("id", "threshold-value").text == "0.10"
    assert browser.find_element("id", "threshold-words").text != words


@pytest.mark.parametrize("width", [360, 1280])
def test_page_fits_its_width(page, width):
    browser, _ = page
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}

    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    needed = browser.execute_script("return document.documentElement.scrollWidth")

    assert needed <= width


def test_dark_and_light_have_readable_contrast(page):
    browser, _ = page

    for scheme in ("dark", "light"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        ink, paper = browser.execute_script(
            "const of = (name) => getComputedStyle(document.querySelector(name));"
            "return [of('section').color, of('section').backgroundColor]"
        )
        assert _contrast(ink, paper) > 7.0, scheme


def test_comparison_page_fetches_nothing_and_shows_its_charts(page, tmp_path):
    browser, _ = page
    evaluated = _content().evaluated
    other = dataclasses.replace(evaluated, predictions=evaluated.uncalibrated)
    runs = [("first", evaluated), ("second", other), ("third", other)]
    path = comparison.write(tmp_path, comparison.analyse(runs, num_resamples=50))
    list(_requests(browser))

    browser.get(path.as_uri())
    widths = browser.execute_script(
        "return [...document.querySelectorAll('figure svg')].map(s => s.clientWidth)"
    )

    assert [url for url in _requests(browser) if not url.startswith("data:")] == [path.as_uri()]
    assert browser.get_log("browser") == []
    assert len(widths) == 3
    assert min(widths) > 200
    assert "Not a medical device" in browser.find_element("id", "disclaimer").text


def test_binary_report_and_a_bare_one_render():
    content = _content("binary")
    bare = report.Content(
        name="bare",
        evaluated=content.evaluated,
        analysis=content.analysis,
        images=content.images,
        predict=None,
        histories={},
        details={},
    )

    text = report.render(bare, _pictures(bare))

    assert "predictions_competition" not in text
    assert "curves" not in _pictures(bare)


def test_report_writes_its_figures_as_files(page):
    _, path = page
    directory = pathlib.Path(path).parent

    names = {file.name for file in directory.iterdir()}
    picture = (directory / "figures" / "roc.svg").read_text()

    assert names == {
        "report.html",
        "metrics.json",
        "predictions.csv",
        "predictions_competition.csv",
        "figures",
    }
    assert picture.startswith("<svg") and "<style>" in picture


def _pictures(content):
    return figures.draw(content.analysis, content.evaluated, content.histories)


def _contrast(one, other):
    """WCAG's ratio of two colours as the browser writes them."""

    def luminance(text):
        numbers = text[text.index("(") + 1 : text.index(")")].split(",")[:3]
        values = np.array([float(number) / 255 for number in numbers])
        linear = np.where(values <= 0.03928, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return linear @ np.array([0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
