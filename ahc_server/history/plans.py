"""Whether two sessions ran the same plan, and if not, in what the plans differ: names and descriptions do not count."""

from __future__ import annotations

from typing import Any

import yaml

from ahc_agent.errors import FileFormatError
from ahc_server.yamlfile import parse_document

_WORDS_ONLY = frozenset({"name", "description", "title"})
_MOST_TOLD = 3


def difference(before: str, after: str) -> str | None:
    """In what two plans differ, in a few words; None where they ask for the same, or where one of them is not known."""
    one, other = _asked(before), _asked(after)
    if one is None or other is None or one == other:
        return None
    told = []
    for key in sorted(one.keys() | other.keys()):
        first, second = one.get(key), other.get(key)
        if first != second:
            told.append(
                f"{key}: {'nothing' if first is None else first} and {'nothing' if second is None else second}"
            )
    rest = len(told) - _MOST_TOLD
    return "; ".join(told[:_MOST_TOLD]) + (f"; and {rest} more" if rest > 0 else "")


def _asked(text: str) -> dict[str, str] | None:
    """Every setting of a plan, "job cpu, runtime" → "10"; None for what is no plan."""
    try:
        plain = parse_document(text, "plan").plain
    except (FileFormatError, yaml.YAMLError):
        return None
    if not isinstance(plain, dict) or not isinstance(plain.get("jobs"), dict):
        return None
    asked = {
        str(key): _word(value) for key, value in plain.items() if key != "jobs" and key not in _WORDS_ONLY
    }
    for job, settings in plain["jobs"].items():
        asked[f"job {job}"] = "asked"
        for key, value in settings.items() if isinstance(settings, dict) else ():
            if key not in _WORDS_ONLY:
                asked[f"job {job}, {key}"] = _word(value)
    return asked


def _word(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else " ".join(str(value).split())
