"""The report in a real browser: nothing fetched, nothing broken, everything visible."""

import dataclasses

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.evaluation import analysis, comparison_page, report, report_charts
from spine_tf.scoring import calibration, predictions as predictions_module

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
    predictions = predictions_module.Predictions(
        keys=keys, labels=truth, probabilities=calibration.apply_temperature(raw, 1.5)
    )
    evaluated = analysis.Evaluated(
        task=task,
        split="oof",
        predictions=predictions,
        uncalibrated=predictions_module.Predictions(keys=keys, labels=truth, probabilities=raw),
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


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The report as written."""
    return report.write(tmp_path_factory.mktemp("report"), _content())


@pytest.fixture(scope="module")
def page(browser, path):
    """The report, opened."""
    browser.open(path)
    return browser


def test_page_fetches_nothing_and_logs_no_error(page, path):
    assert page.requested() == [path.as_uri()]
    assert page.logged() == []


def test_sections_and_figures_are_visible(page):
    sizes = page.driver.execute_script(
        "return [...document.querySelectorAll('section')].map("
        "s => [s.id, s.getBoundingClientRect().width, s.getBoundingClientRect().height])"
    )
    charts = page.driver.execute_script(
        "return [...document.querySelectorAll('figure svg')].map("
        "s => [s.getBoundingClientRect().width, s.querySelectorAll('*').length])"
    )

    assert [name for name, _, _ in sizes] == list(SECTIONS)
    assert all(width > 300 and height > 50 for _, width, height in sizes)
    assert len(charts) == 10
    assert all(width > 200 and parts > 10 for width, parts in charts)


def test_every_crop_is_a_picture_that_loads(page):
    loaded = page.driver.execute_async_script(
        "const done = arguments[0]; const all = [...document.images];"
        "all.forEach(i => { i.loading = 'eager'; });"
        "Promise.all(all.map(i => i.decode().then(() => i.naturalWidth > 0)))"
        ".then(done, () => done([]));"
    )

    assert len(loaded) == 3 * 3 * report.GALLERY_SIZE
    assert all(loaded)


def test_name_of_the_run_is_text_not_markup(page):
    heading = page.driver.execute_script("return document.querySelector('h1').textContent")

    assert heading == "<run> & co"
    assert "Not a medical device" in page.driver.find_element("id", "disclaimer").text


def test_threshold_slider_shows_another_row(page):
    words = page.driver.find_element("id", "threshold-words").text

    page.driver.execute_script(
        "const input = document.getElementById('threshold'); input.value = 1;"
        "input.dispatchEvent(new Event('input'));"
    )

    assert page.driver.find_element("id", "threshold-value").text == "0.10"
    assert page.driver.find_element("id", "threshold-words").text != words


@pytest.mark.parametrize("width", [400, 1400])
def test_all_that_is_on_the_page_can_be_read(page, width):
    assert page.faults(width) == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_has_contrast(page, scheme):
    page.set_scheme(scheme)

    assert page.contrast("section") > 7.0


def test_comparison_page_fetches_nothing_and_shows_its_charts(browser, tmp_path):
    evaluated = _content().evaluated
    other = dataclasses.replace(evaluated, predictions=evaluated.uncalibrated)
    runs = [("first", evaluated), ("second", other), ("third", other)]
    path = comparison_page.write(tmp_path, comparison_page.analyse(runs, num_resamples=50))

    browser.open(path)
    widths = browser.driver.execute_script(
        "return [...document.querySelectorAll('figure svg')].map(s => s.clientWidth)"
    )

    assert browser.requested() == [path.as_uri()]
    assert browser.logged() == []
    assert browser.faults(400) == browser.faults(1400) == []
    assert len(widths) == 3
    assert min(widths) > 200
    assert "Not a medical device" in browser.driver.find_element("id", "disclaimer").text


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


def test_report_writes_its_figures_as_files(path):
    directory = path.parent

    names = {file.name for file in directory.iterdir()}
    picture = (directory / "figures" / "roc.svg").read_text()
    drawn = {file.name for file in (directory / "figures").iterdir()}

    assert names == {
        "report.html",
        "metrics.json",
        "predictions.csv",
        "predictions_competition.csv",
        "figures",
    }
    assert picture.startswith("<svg") and "<style>" in picture
    assert {"roc.png", "confusion_matrix.png"} <= drawn
    assert len(drawn) == 2 * len({name.partition(".")[0] for name in drawn})


def _pictures(content):
    return report_charts.draw(content.analysis, content.evaluated, content.histories)
