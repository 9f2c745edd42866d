"""search.html: drawn from any leaderboard, and read in a real browser."""

import os
import pathlib
import re
import time
from typing import Any

import pytest
from selenium.webdriver.common import keys
from selenium.webdriver.common.by import By

from tuner import leaderboard, search_page, search_settings, trial

# A line of a series, in a chart.
_LINE = "path[style*='stroke: var(--c'][style*='fill: none']"

_GOAL = search_settings.Objective(name="log_loss")


def _settings(search_dir: pathlib.Path) -> search_settings.Settings:
    bases, fixed = search_settings.make_bases("binary", ["dense", "simple"])
    return search_settings.Settings(
        search_dir=search_dir,
        records_dir=pathlib.Path("r"),
        task="binary",
        bases=bases,
        fixed=fixed,
        folds=2,
        max_trials=12,
    )


def _ranked(num_trials: int) -> list[leaderboard.Entry]:
    entries = []
    for index in range(num_trials):
        family = ("dense", "simple")[index % 2]
        score = 0.5 + 0.1 * ((index * 7) % num_trials)
        curve = tuple({"val_log_loss": score + 0.1 * (4 - epoch)} for epoch in range(5))
        values = {
            "family": family,
            f"{family}/training.learning_rate": 10.0 ** -(index % 5),
            f"{family}/model.dropout": 0.05 * index,
            f"{family}/model.filters": f"[{index}, <b>]",
        }
        is_failed = index == 3
        outcome = trial.Outcome(
            trial_id=f"{index:02d}",
            status=(trial.COMPLETED, trial.STOPPED)[index == 2] if not is_failed else trial.FAILED,
            reason="out of memory <script>" if is_failed else "",
            fold_scores=() if is_failed else (score, score + 0.02),
            curves=() if is_failed else (curve,),
            num_parameters=1000 * index,
            seconds=1.5,
        )
        entries.append(leaderboard.Entry(trial_id=outcome.trial_id, values=values, outcome=outcome))
    return leaderboard.rank(entries, _GOAL)


@pytest.mark.parametrize("num_trials", [0, 1, 2, 9])
def test_page_can_be_drawn_at_any_time(num_trials: int, tmp_path: pathlib.Path) -> None:
    text = search_page.render(_settings(tmp_path), _ranked(num_trials), ended_by=None)
    assert "Running." in text
    assert text.count("<tr") == num_trials + 1


def test_page_needs_nothing_else_and_escapes_what_it_shows(tmp_path: pathlib.Path) -> None:
    text = search_page.render(_settings(tmp_path), _ranked(9), ended_by="all trials were run")
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", text)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "out of memory &lt;script&gt;" in text
    assert "&lt;b&gt;]" in text


def test_page_is_drawn_anew_at_the_end_and_while_it_runs_only_now_and_then(
    tmp_path: pathlib.Path,
) -> None:
    path, search = tmp_path / "search.html", _settings(tmp_path)

    def num_rows(seconds_ago: float, num_trials: int, ended_by: str | None) -> int:
        """The trials that the page shows after it was that old and written again."""
        if path.exists():
            os.utime(path, times=(time.time() - seconds_ago,) * 2)
        search_page.write(search, _ranked(num_trials), ended_by=ended_by)
        return path.read_text("utf-8").count("<tr") - 1

    assert num_rows(0, 1, None) == 1
    assert num_rows(5, 2, None) == 1
    assert num_rows(16, 2, None) == 2
    assert num_rows(-1000, 4, None) == 4  # A clock that was set back.
    assert num_rows(0, 5, "all trials were run") == 5


@pytest.mark.slow
def test_page_in_a_browser(browser: Any, tmp_path: pathlib.Path) -> None:
    search_page.write(_settings(tmp_path), _ranked(12), ended_by="all trials were run")
    path = tmp_path / "search.html"
    browser.open(path)
    assert "Ended: all trials were run." in browser.driver.find_element(By.ID, "state").text
    assert browser.driver.find_element(By.ID, "best-value").text == "0.51"
    drawn = browser.driver.find_elements
    assert len(drawn(By.CSS_SELECTOR, "#progress svg g > title + use")) == 11
    assert len(drawn(By.CSS_SELECTOR, f"#curves svg {_LINE}")) >= 11
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, "#hyperparameters svg")) == 3
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, "#trials tbody tr")) == 12
    trial_head = browser.driver.find_element(By.CSS_SELECTOR, "#trials th:nth-child(2) button")
    for expected in ("00", "11"):
        trial_head.send_keys(keys.Keys.ENTER)
        first = browser.driver.find_element(By.CSS_SELECTOR, "#trials tbody tr td:nth-child(2)")
        assert first.text == expected
    assert browser.requested() == [path.as_uri()]
    assert browser.logged() == []
    assert browser.faults(400) == browser.faults(1400) == []
