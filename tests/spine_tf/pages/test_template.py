"""The frame that every page of the project stands in."""

import pathlib
import re

import jinja2
import pytest

import spine_tf
import tuner
from spine_tf.pages import template
from tfrecords import words

_PAGES = {
    path.name: path
    for package in (spine_tf, tuner)
    for path in pathlib.Path(package.__file__).parent.rglob("*.html.jinja")
    if path.parent.name != "pages"
}
_TEXTS = "".join(path.read_text("utf-8") for path in _PAGES.values())
# Of pages: what templates take in, and what takes the place of an element when a point is moved.
_PARTS = {name for name in _PAGES if f'"{name}"' in _TEXTS} | {"marking.html.jinja"}


@pytest.mark.parametrize("name", sorted(set(_PAGES) - _PARTS))
def test_every_page_stands_in_the_one_frame(name):
    text = _PAGES[name].read_text("utf-8")
    assert text.startswith('{% extends "page.html.jinja" %}')
    blocks = set(re.findall(r"{% block (\w+) %}", text))
    assert {"title", "program", "heading", "lede", "main"} <= blocks


def _page(tmp_path, monkeypatch, source, **filters):
    package = tmp_path / f"room_of_{tmp_path.name}"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "some.html.jinja").write_text('{% extends "page.html.jinja" %}' + source)
    monkeypatch.syspath_prepend(tmp_path)
    return template.load(package.name, "some.html.jinja", **filters)


def test_page_carries_style_disclaimer_and_no_address(tmp_path, monkeypatch):
    text = _page(tmp_path, monkeypatch, '{% set sections = {"one": "One", "two": ""} %}').render()
    assert template.DISCLAIMER in text
    assert '<a href="#one">One</a>' in text
    assert "#two" not in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert "http" not in text


def test_values_are_escaped_and_filters_are_there(tmp_path, monkeypatch):
    values = "{{ name }} {{ 'log_loss' | words }} {{ 0.5 | percent }} {{ 1 | twice }}"
    source = "{% block main %}" + values + "{% endblock %}"
    made = _page(tmp_path, monkeypatch, source, twice=lambda value: str(2 * value))
    assert "&lt;b&gt; log loss 50.0\u202f% 2" in made.render(name="<b>")


def test_missing_name_is_an_error(tmp_path, monkeypatch):
    made = _page(tmp_path, monkeypatch, "{% block main %}{{ absent }}{% endblock %}")
    with pytest.raises(jinja2.UndefinedError, match="'absent' is undefined"):
        made.render()


def test_figures_break_before_their_interval_and_keys_after_a_slash():
    assert template.stacked("<b> (0.1 to 0.2) *") == (
        '&lt;b&gt; <span class="range">(0.1 to 0.2) *</span>'
    )
    assert template.stacked("0.706") == "0.706"
    assert template.breakable("1/<a>/l4_l5") == "1/<wbr>&lt;a&gt;/<wbr>l4_l5"


def test_numbers_and_settings_are_written_as_a_reader_expects():
    assert [words.counted(n, "study") for n in (0, 1, 1200)] == [
        *("0 studies", "1 study", "1,200 studies")
    ]
    settings = [True, None, (4, 8), ("a", "b"), (), 0.5, "text"]
    assert [template.setting(value) for value in settings] == [
        *("true", "none", "[4, 8]", "a, b", "none", "0.5", "text")
    ]
