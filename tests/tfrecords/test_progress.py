import time

import pytest

from tfrecords import progress


def test_count_says_how_far_it_is_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with progress.counting("writing", total=60, unit="study", done=10) as count:
        assert count.in_words() == "study 10 of 60"
        now += 90.0
        count.add(5)
        assert count.in_words() == "study 15 of 60"
        now += 20.0
        count.add(5)
        assert count.in_words() == "study 20 of 60, 2:40 left"
        count.move(60)
        assert count.in_words() == "study 60 of 60, 0:00 left"


def test_log_gets_a_line_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with (
        caplog.at_level("INFO", "absl"),
        progress.counting("writing", total=100, unit="study") as count,
    ):
        for _ in range(100):
            now += 2.0
            count.add()
    assert caplog.messages == [
        "writing: study 30 of 100, 2:20 left",
        "writing: study 60 of 100, 1:20 left",
        "writing: study 90 of 100, 0:20 left",
    ]


def test_waiting_is_said_until_it_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    with caplog.at_level("INFO", "absl"):
        with progress.waiting("building resnet50"):
            end = time.monotonic() + 20.0
            while len(caplog.messages) < 2 and time.monotonic() < end:
                time.sleep(0.005)
        said = [*caplog.messages]
        time.sleep(0.03)
    assert said[0] == "building resnet50: 0:00 so far"
    assert caplog.messages == said


@pytest.mark.parametrize(("seconds", "words"), [(40.2, "0:40"), (3665, "1:01:05"), (59.9, "1:00")])
def test_duration(seconds: float, words: str) -> None:
    assert progress.duration(seconds) == words
