"""The report as JSON, ``ahc.report/1``."""

from __future__ import annotations

import msgspec

from ahc_server.judge.model import Report


def draw_json(report: Report) -> str:
    """The report as indented JSON with a final newline; the same report gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
