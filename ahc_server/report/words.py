"""Texts as every report shows them: from nodes, hostile until cleaned, and said once."""

from __future__ import annotations

from typing import Final

from ahc_server.judge.model import Finding, Verdict

#: The order in which verdicts are told.
VERDICTS: Final[tuple[Verdict, ...]] = ("fail", "warn", "unknown", "pass")
_ADVICE = "; check "


def clean(text: str) -> str:
    """Text from nodes, without what could move a terminal's cursor, turn a line around or be forbidden in XML."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def who(finding: Finding) -> str:
    """The element without its kind: "n3", "n3-n7", "g1"."""
    return finding.element.partition(":")[2]


def facts(finding: Finding) -> str:
    """The summary without the name of its element at the start and without the advice at the end."""
    text = finding.summary.removeprefix(who(finding)).removeprefix(":").lstrip()
    return text.partition(_ADVICE)[0]


def advice(finding: Finding) -> str:
    """What the summary says to check, empty where it says nothing of it."""
    return finding.summary.partition(_ADVICE)[2]


def cause(finding: Finding) -> str:
    """The cause, empty where there is none and where the facts have it in them already."""
    text = finding.cause or ""
    return "" if text.removeprefix("its ") in facts(finding) else text


def blames(finding: Finding) -> bool:
    """Whether somebody should act on it: a remark for information is no blame, what was not measured is."""
    return finding.severity != "info" or finding.kind == "not-measured"
