"""The frame of every page: one file that needs nothing else, and lets nothing else in."""

from __future__ import annotations

import base64
import hashlib

from ahc_server.report.html.markup import Markup, tag
from ahc_server.report.html.style import STYLE


def document(title: str, body: Markup) -> str:
    """The whole file."""
    return "<!doctype html>\n" + tag("html", _head(title), tag("body", body), lang="en") + "\n"


def _head(title: str) -> Markup:
    """The policy lets in this sheet of style and nothing else: no script, no address, whatever a node calls itself."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
