"""The page of suspicious labels in a real browser."""

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.label_review import quality, review_page
from spine_tf.scoring import predictions
from spine_tf.training import reviewed_labels

pytestmark = pytest.mark.slow

_NUM_ROWS = 90
_MULTICLASS = labels.TASKS["multiclass"]


def _render(side_px, num_rows=_NUM_ROWS):
    """A page of noise, which no PNG makes smaller, with more rows and studies than it shows."""
    generator = np.random.default_rng(0)
    truth = np.arange(num_rows) % 3
    judged = predictions.Predictions(
        keys=tuple(f"{i // 3}/1/{i}/spinal_canal_stenosis/l4_l5" for i in range(num_rows)),
        labels=truth,
        probabilities=generator.dirichlet((1.0, 1.0, 1.0), num_rows),
    )
    found = quality.assess(judged)
    made = reviewed_labels.Review(
        predictions=judged,
        folds=("fold_0",) * num_rows,
        quality=found.scores,
        is_flagged=found.is_flagged,
        confirmed=("",) * num_rows,
    )
    space = quality.Space(
        features=generator.normal(size=(num_rows, 4)),
        folds=np.array(made.folds),
        studies=judged.study_ids,
        labels=truth,
        is_trusted=~found.is_flagged,
    )
    images = generator.random((num_rows, side_px, side_px, 3)).astype(np.float32)
    numbers = review_page.count(made, _MULTICLASS, run="<runs> & co", manifest_sha256="5e")
    return review_page.render(made, numbers, space, images, _MULTICLASS)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    directory = tmp_path_factory.mktemp("review")
    (directory / review_page.PAGE_FILE).write_text(_render(32), encoding="utf-8")
    return directory / review_page.PAGE_FILE


@pytest.fixture(scope="module")
def opened(browser, path):
    """The page in the browser."""
    browser.open(path)
    return browser


def test_page_fetches_nothing_and_logs_no_error(opened, path):
    assert opened.requested() == [path.as_uri()]
    assert opened.logged() == []


def test_counts_come_first_and_names_are_escaped(opened):
    driver = opened.driver
    assert driver.execute_script("return document.querySelector('h1').textContent") == (
        "<runs> & co"
    )
    assert driver.execute_script("return document.querySelector('section').id") == "summary"
    assert int(driver.find_element("id", "num-flagged").text) > 0
    rows = driver.find_elements("css selector", "#studies tbody tr")
    assert len(rows) == review_page.MAX_STUDIES
    assert (
        "The rest (10 studies) is in label_review.json" in driver.find_element("id", "studies").text
    )


def test_every_card_has_its_crop_and_neighbours_of_both_classes(opened):
    cards = opened.driver.find_elements("css selector", ".card")
    assert len(cards) == review_page.MAX_CARDS
    assert (
        "The rest (30 rows) is in label_review.csv"
        in opened.driver.find_element("id", "crops").text
    )
    widths = opened.driver.execute_script(
        "return [...document.images].map(i => { i.loading = 'eager'; return i.naturalWidth; })"
    )
    assert len(widths) == review_page.MAX_CARDS * (1 + 2 * review_page.NEIGHBOURS)
    first = cards[0].find_elements("css selector", ".alike > div")
    assert len(first) == 2
    assert all(each.find_elements("tag name", "img") for each in first)


def test_page_of_noise_stays_below_5_mb():
    assert len(_render(224).encode()) < 5e6


@pytest.mark.parametrize("width", [400, 1400])
def test_all_that_is_on_the_page_can_be_read(opened, width):
    assert opened.faults(width) == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_has_contrast(opened, scheme):
    opened.set_scheme(scheme)
    for selector, least in (("section", 7), (".note", 4.5), (".flag", 4.5), (".rank", 4.5)):
        assert opened.contrast(selector) > least, selector
