"""The pages' one environment and frame: each page is a single file that asks for nothing else."""

from collections.abc import Callable

import jinja2
import markupsafe

from spine_tf.pages import charts, picture

DISCLAIMER = "Not a medical device: for research and teaching, never for decisions about patients."


def load(package: str, name: str, **filters: Callable[..., str]) -> jinja2.Template:
    """Returns a page's template, which extends or includes those of `spine_tf.pages` by name.

    Markup in values is escaped, and a name that the page isn't given is an error. Beside Jinja's
    own filters there are `percent` and `words`.

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
    environment.filters.update(percent=charts.percent, words=in_words, **filters)
    environment.globals.update(
        chart_style=markupsafe.Markup(picture.css()),
        disclaimer=DISCLAIMER,
    )
    return environment.get_template(name)


def in_words(name: str) -> str:
    """Returns log_loss as log loss."""
    return name.replace("_", " ").replace("auc", "AUC").replace("brier", "Brier score")
