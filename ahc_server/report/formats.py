"""The formats of a report, by the names that ``--format`` takes. A format's module is loaded when it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ahc_agent.facts import Inventory
from ahc_server.judge import Judgement
from ahc_server.report.text import Sections, draw_text


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is to be drawn. ``inventories``: by node id; ``width`` and ``color`` are for text."""

    judgement: Judgement
    sections: Sections = field(default_factory=Sections)
    inventories: Mapping[str, Inventory] = field(default_factory=dict)
    width: int = 120
    color: bool = False


def _text(of: Drawing) -> str:
    return draw_text(of.judgement, of.sections, inventories=of.inventories, width=of.width, color=of.color)


def _json(of: Drawing) -> str:
    from ahc_server.report.json import draw_json

    return draw_json(of.judgement.report)


def _html(of: Drawing) -> str:
    from ahc_server.report.html import draw_html

    return draw_html(of.judgement, of.inventories, metrics=of.sections.categories or of.sections.full)


def _csv(of: Drawing) -> str:
    from ahc_server.report.csv import draw_csv

    return draw_csv(of.judgement, full=of.sections.full)


def _junit(of: Drawing) -> str:
    from ahc_server.report.junit import draw_junit

    return draw_junit(of.judgement)


def _prometheus(of: Drawing) -> str:
    from ahc_server.report.prometheus import draw_prometheus

    return draw_prometheus(of.judgement.report)


#: The first is what one gets without asking.
FORMATS: Mapping[str, Callable[[Drawing], str]] = {
    "text": _text,
    "json": _json,
    "html": _html,
    "csv": _csv,
    "junit": _junit,
    "prometheus": _prometheus,
}


def draw(form: str, of: Drawing) -> str:
    """The report in one of ``FORMATS``; ends with a line feed. The same data gives the same text."""
    return FORMATS[form](of)
