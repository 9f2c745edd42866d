"""The page at the root: one file with its style and script, which nothing else is allowed to be."""

import base64
import dataclasses
import hashlib
import json
import re

import markupsafe

from spine_tf import labels
from spine_tf.pages import template
from spine_tf.readings import study_page
from spine_tf.serving import study_reader
from spine_tf.web import bounds as bounds_module

_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontPage:
    """A page that is ready to be sent.

    Attributes:
        html: the page.
        policy: its Content-Security-Policy, by which no other style or script is run.
    """

    html: str
    policy: str


def render(reader: study_reader.StudyReader, bounds: bounds_module.Bounds) -> FrontPage:
    """Returns the page.

    Args:
        reader: reads here.
        bounds: how much is taken.
    """
    facts = {
        "conditions": labels.CONDITIONS,
        "levels": labels.LEVELS,
        "mostBytes": bounds.num_upload_bytes,
    }
    html = template.load("spine_tf.web", "front_page.html.jinja").render(
        readers=reader.readers,
        points_by=reader.points_by,
        bounds=bounds,
        study_style=markupsafe.Markup(study_page.style()),
        facts=markupsafe.Markup(json.dumps(facts)),
    )
    return FrontPage(html=html, policy=_policy(html))


def _policy(html: str) -> str:
    hashes: dict[str, list[str]] = {"style": [], "script": []}
    for kind, text in _INLINE.findall(html):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
        hashes[kind].append(f"'sha256-{digest}'")
    return "; ".join(
        [
            "default-src 'none'",
            f"style-src {' '.join(hashes['style'])}",
            f"script-src {' '.join(hashes['script'])}",
            "img-src data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
