"""The page in a real browser: a study sent, read, corrected by pointer and by keys, taken along."""

import io
import json
import pathlib
import time
import zipfile

import pytest
from selenium.webdriver.common import action_chains, keys

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(start):
    return start()


@pytest.fixture
def page(browser, address, tmp_path):
    """The page, freshly opened; what it downloads goes to `downloads`."""
    browser.set_width(1200)
    browser.driver.get(address)
    browser.requested()
    browser.logged()
    folder = {"behavior": "allow", "downloadPath": str(tmp_path / "downloads")}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    return browser.driver


def _state(page):
    return page.find_element("id", "state").text


def _wait(page, begin):
    """Waits until the page says something that begins so."""
    end = time.monotonic() + 60
    while not _state(page).startswith(begin):
        assert time.monotonic() < end, _state(page)
        assert "wrong" not in page.find_element("id", "state").get_attribute("class"), _state(page)
        time.sleep(0.05)
    return _state(page)


def _put(directory, files):
    directory.mkdir()
    for number, data in enumerate(files.values()):
        (directory / f"{number}").write_bytes(data)
    return directory


def _rows(page):
    cells = page.find_elements("css selector", "td.grade")
    return {
        (cell.get_attribute("data-name"), cell.find_element("xpath", "../th").text): cell.text
        for cell in cells
    }


def _mark(page, condition, level):
    return page.find_element(
        "css selector",
        f'#sagittal [data-condition="{condition}"][data-level="{level}"], '
        f'#axial [data-condition="{condition}"][data-level="{level}"]',
    )


def test_trip_by_pointer(page, browser, study_zip, tmp_path):
    zipped = tmp_path / "study.zip"
    zipped.write_bytes(study_zip)
    page.find_element("id", "files").send_keys(str(zipped))
    _wait(page, "Read.")
    before = _rows(page)
    assert len(before) == 25
    hold = _mark(page, 3, 2).find_element("css selector", ".hold")
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", hold)
    drag = action_chains.ActionChains(page)
    drag.click_and_hold(hold).move_by_offset(60, -70).move_by_offset(10, -10).release().perform()
    said = _wait(page, "Graded anew, and changed: ")
    after = _rows(page)
    changed = {name for name in before if before[name] != after[name]}
    assert ("left subarticular", "L3/L4") in changed
    assert {name for name, _ in changed} == {"left subarticular"}
    assert "left subarticular L3/L4" in said
    page.execute_script("scrollTo({top: 0, behavior: 'instant'})")
    for name in ("points.csv", "study.json", "study.mrk.json", "study.html"):
        page.find_element("css selector", f'[data-file="{name}"]').click()
        _downloaded(tmp_path / "downloads" / name)
    assert "1.0000,0.0000,1.0000" in (tmp_path / "downloads" / "points.csv").read_text()
    study = json.loads((tmp_path / "downloads" / "study.json").read_text())
    assert "given points" in study["points_by"]
    for scheme in ("light", "dark"):
        browser.set_scheme(scheme)
        assert browser.faults(400) == browser.faults(1200) == []
    assert not browser.logged()
    (page_address,) = {each.split("/studies")[0].rstrip("/") for each in _own(browser)}
    assert page_address == page.current_url.rstrip("/")


def _own(browser):
    return [each for each in browser.requested() if not each.startswith("blob:")]


def _downloaded(path: pathlib.Path):
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.05)


def test_trip_by_keyboard_of_a_folder(page, browser, study_files, tmp_path):
    """Files without a zip, in a folder; a point moved, one marked anew, one taken back, by keys."""
    page.find_element("id", "folder").send_keys(str(_put(tmp_path / "folder", study_files)))
    _wait(page, "Read.")
    before = _rows(page)
    assert len(before) == 25
    _tab_to(page, '.mark[data-condition="0"][data-level="0"]')
    _press(page, *([keys.Keys.ARROW_LEFT] * 3), keys.Keys.ARROW_DOWN)
    assert "Enter grades it anew" in _state(page)
    _press(page, keys.Keys.ESCAPE)
    assert _state(page) == "Put back"
    with_shift = action_chains.ActionChains(page).key_down(keys.Keys.SHIFT)
    with_shift.send_keys(*([keys.Keys.ARROW_LEFT] * 5)).key_up(keys.Keys.SHIFT).perform()
    _press(page, keys.Keys.ENTER)
    said = _wait(page, "Graded anew, and changed: ")
    assert "spinal canal L1/L2" in said
    assert page.switch_to.active_element.get_attribute("data-condition") == "0"
    # A ring that moves while another's answer is on its way stays where it was moved to.
    moved = page.execute_script(_ENTER_AND_MOVE, _mark(page, 0, 0), _mark(page, 0, 1))
    end = time.monotonic() + 20
    while not _state(page).startswith("Graded anew"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert _mark(page, 0, 1).get_attribute("transform") == moved
    _press(page, keys.Keys.ESCAPE)
    assert _mark(page, 0, 1).get_attribute("transform") != moved
    _tab_to(page, '[data-undo="0/0"]', back=True)
    _press(page, keys.Keys.ENTER)
    _wait(page, "Graded anew, and changed: ")
    assert _rows(page) == before
    _tab_to(page, "#row")
    _press(page, keys.Keys.ARROW_DOWN)  # the second: left foramen of L1/L2
    _tab_to(page, '[data-mark=""]')
    _press(page, keys.Keys.ENTER)
    _until(page, "#marking .mark")
    assert browser.faults(400) == []
    browser.set_width(1200)
    _tab_to(page, "#marking [data-turn-series]")
    instance = page.find_element("css selector", "#marking figure").get_attribute("data-instance")
    _press(page, keys.Keys.ENTER)
    _until(page, f'#marking figure:not([data-instance="{instance}"])')
    _press(page, keys.Keys.ENTER)
    said = _wait(page, "Graded anew, and changed: ")
    assert "left neural foraminal L1/L2" in said
    assert not browser.logged()


_ENTER_AND_MOVE = """
const [sent, moved] = arguments;
const press = (mark, key) => mark.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
press(sent, "Enter");
moved.focus();
for (let i = 0; i < 7; i++) press(moved, "ArrowLeft");
return moved.getAttribute("transform");
"""


def _press(page, *pressed):
    action_chains.ActionChains(page).send_keys(*pressed).perform()


def _tab_to(page, selector, *, back=False):
    """Goes on by Tab until an element has the focus."""
    for _ in range(120):
        focused = page.switch_to.active_element
        if page.execute_script("return arguments[0].matches(arguments[1])", focused, selector):
            return
        chain = action_chains.ActionChains(page)
        if back:
            chain.key_down(keys.Keys.SHIFT).send_keys(keys.Keys.TAB).key_up(keys.Keys.SHIFT)
        else:
            chain.send_keys(keys.Keys.TAB)
        chain.perform()
    raise AssertionError(selector)


def _until(page, selector):
    end = time.monotonic() + 20
    while not page.find_elements("css selector", selector):
        assert time.monotonic() < end, selector
        time.sleep(0.05)


def test_hostile_zip_gets_its_sentence_without_a_console_message(
    page, browser, study_files, make_zip, tmp_path
):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(100_000):
            archive.writestr(zipfile.ZipInfo(str(number)), b"")
    (tmp_path / "many.zip").write_bytes(made.getvalue())
    (tmp_path / "report.txt").write_text("no image")
    cut_off = {name: data[: len(data) // 2] for name, data in study_files.items()}
    (tmp_path / "cut_off.zip").write_bytes(make_zip(cut_off))
    for name, sentence in (
        ("many.zip", "The zip file has 100000 members, expected at most 10000"),
        ("cut_off.zip", "damaged images. Points can be moved."),
        ("report.txt", "No series of lumbar MRI is in it; left out: 1 file"),
    ):
        page.find_element("id", "files").send_keys(str(tmp_path / name))
        end = time.monotonic() + 20
        while sentence not in _state(page):
            assert time.monotonic() < end, _state(page)
            time.sleep(0.05)
    assert not browser.logged()


def test_page_that_leaves_takes_its_study_along(page, browser, start, study_files, tmp_path):
    """A folder that is dropped, where a token is needed."""
    address = start(token="a token of this test")
    page.get(f"{address}/#token=a%20token%20of%20this%20test")
    data = {"items": [], "files": [str(_put(tmp_path / "folder", study_files))]}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 300, "y": 300, "data": {**data, "dragOperationsMask": 1}}
        page.execute_cdp_cmd("Input.dispatchDragEvent", event)
    _wait(page, "Read.")
    assert len(_rows(page)) == 25
    assert not browser.logged()
    page.get("data:text/html,left")
    page.get(f"{address}/healthz")
    end = time.monotonic() + 10
    while '"open":0' not in page.find_element("tag name", "body").text:
        assert time.monotonic() < end
        page.refresh()
        time.sleep(0.1)
