"""Which switch each node is meant to hang on, as a plan says it: ``cabling: {leaf1: [n1, n2], leaf2: [n3, n4]}``."""

from __future__ import annotations

from collections.abc import Mapping

from ahc_agent.errors import FileFormatError
from ahc_server.yamlfile import Section, parse_document

KEY = "cabling"
_MOST_NODES = 100_000


def read_cabling(top: Section) -> dict[str, str]:
    """Node → switch, from a plan's own section. Raises FileFormatError."""
    value = top.plain.get(KEY)
    if value is None:
        return {}
    if not isinstance(value, dict):
        top.fail(KEY, f"{KEY}: a mapping of switches to their nodes is expected", "such as leaf1: n1, n2")
    switches = Section(top.document, (*top.path, KEY))
    meant: dict[str, str] = {}
    for switch in switches.plain:
        for node in switches.words(switch, at_most=_MOST_NODES) or ():
            if meant.setdefault(node, switch) != switch:
                switches.fail(switch, f"{node} hangs on {meant[node]} already", "name each node once")
    return meant


def cabling_of(text: str) -> dict[str, str]:
    """The same from a session's plan; {} where its text is none of ours, as that of results of others."""
    if KEY not in text:
        return {}
    try:
        return read_cabling(parse_document(text, "plan").section())
    except FileFormatError:
        return {}


def cabling_lines(meant: Mapping[str, str]) -> str:
    """How a plan says it."""
    switches: dict[str, list[str]] = {}
    for node, switch in meant.items():
        switches.setdefault(switch, []).append(node)
    return f"{KEY}:\n" + "".join(f"  {switch}: [{', '.join(of)}]\n" for switch, of in switches.items())
