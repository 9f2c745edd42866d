"""The pages' one environment and frame: each page is a single file that asks for nothing else."""

import json
from collections.abc import Callable
from typing import Any

import jinja2
import markupsafe

from spine_tf.pages import charts, picture
from tfrecords import words

DISCLAIMER = "Not a medical device: for research and teaching, never for decisions about patients."


def load(package: str, name: str, **filters: Callable[..., str]) -> jinja2.Template:
    """Returns a page's template, which extends or includes those of `spine_tf.pages` by name.

    Markup in values is escaped, and a name that the page isn't given is an error. Beside Jinja's
    own filters there are `percent`, `counted` of `words` and the functions below.

    Args:
        package: that the template lies in, as `spine_tf.evaluation`.
        name: name of the template's file.
        filters: more of them, by name.
    """
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, ""), jinja2.PackageLoader("spine_tf.pages", "")]
        ),
    )
    environment.filters.update(
        percent=charts.percent,
        words=in_words,
        stacked=stacked,
        breakable=breakable,
        counted=words.counted,
        setting=setting,
        **filters,
    )
    environment.globals.update(
        chart_style=markupsafe.Markup(picture.css()),
        disclaimer=DISCLAIMER,
    )
    return environment.get_template(name)


def in_words(name: str) -> str:
    """Returns log_loss as log loss."""
    return name.replace("_", " ").replace("auc", "AUC").replace("brier", "Brier score")


def stacked(figure: str) -> markupsafe.Markup:
    """Returns 0.706 (0.620 to 0.790) so that it breaks before its interval, and nowhere else."""
    value, space, interval = figure.partition(" (")
    if not space:
        return markupsafe.escape(value)
    return markupsafe.Markup('{} <span class="range">({}</span>').format(value, interval)


def breakable(key: str) -> markupsafe.Markup:
    """Returns study/series/... so that a line may end after a slash."""
    return markupsafe.Markup("/<wbr>").join(key.split("/"))


def setting(value: Any) -> str:
    """Returns a value as --set takes it, but for text, which stands without quotes."""
    if isinstance(value, tuple | list) and all(isinstance(each, str) for each in value):
        return ", ".join(value) or "none"
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)
