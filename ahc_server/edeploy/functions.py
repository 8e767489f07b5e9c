"""The functions of specifications: ``gt(100)``, ``and(ge(1), lt(8))``, ``network(10.0.0.0/8)``.

::

    call     = name "(" blanks argument {blanks "," blanks argument} ")"
    argument = text without commas, with or without quotes; where it is a call itself, its answer

Arguments are split at every comma, so of calls inside calls only those with one argument work, and a pattern of ``regexp`` has
no comma. That is how ``hardware.matcher`` reads them. What makes that package stop with an exception (a size that is no
number, a wrong count of arguments) is ``Refused`` here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ahc_agent.errors import AhcError
from ahc_server.profiles import patterns

#: What stands in a line: text, or a number or truth value where the file has it without quotes.
Word = str | int | float | bool | None

#: Texts of machines are no longer.
_LONGEST = 4096
#: Ways that a pattern may be tried on a text: its length to the power of the pattern's repeats, once from each place.
_MOST_WAYS = 10**8
_MOST_NESTING = 8
_COMMA = re.compile(r"\s*,\s*")

#: The same few are asked of every machine.
_pattern = lru_cache(maxsize=1024)(patterns.read_pattern)
_network = lru_cache(maxsize=1024)(IPv4Network)


class Refused(AhcError):
    """A line of a specification cannot be answered for this machine; the text says why. ``line`` is its number in the file."""

    line: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it is written."""

    name: str
    arguments: tuple[str, ...]


def read_call(text: str) -> Call | None:
    """The call that a text is; None where it is only a text (also with parentheses: ``Xeon()``)."""
    name, opening, rest = text.partition("(")
    if not (name and opening and rest.endswith(")")):
        return None
    inner = rest[:-1]
    first, comma, others = inner.partition(",")
    if not first or (comma and not others):
        return None
    # Blanks go, unless there is nothing else.
    first = first.lstrip() or first[-1]
    if not comma:
        return Call(name, (_unquoted(first),))
    others = others.lstrip() or others[-1]
    return Call(name, (_unquoted(first), *(_unquoted(word) for word in _COMMA.split(others))))


def _unquoted(text: str) -> str:
    return text.strip("'\"")


def answer(call: Call, found: Word, depth: int = 0) -> Any:
    """What a call says of a machine's word; every truthy answer is a yes. Raises Refused."""
    if not isinstance(found, str):
        raise Refused(f"{call.name}() is asked of {found!r}, which is no text in the machine's file")
    if depth > _MOST_NESTING:
        raise Refused("calls are nested too deeply")
    # A machine that sends "gt(1)" must not have it computed.
    said = _unquoted(found)
    inner = read_call(said)
    if inner is not None and inner.name in FUNCTIONS:
        raise Refused(f"the machine's own word is a call: {said[:60]!r}")
    arguments = [_argument(word, found, depth) for word in call.arguments]
    try:
        return FUNCTIONS[call.name](said, *arguments)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refused(_why(call, said, error)) from error


def _argument(word: str, found: Word, depth: int) -> Any:
    inner = read_call(word)
    if inner is None or inner.name not in FUNCTIONS:
        return word
    return answer(inner, found, depth + 1)


def _why(call: Call, found: str, error: Exception) -> str:
    asked = f"{call.name}({', '.join(call.arguments)})"
    problem = str(error)
    if isinstance(error, TypeError):
        problem = "a wrong number or kind of arguments (commas inside an argument split it)"
    return f"{asked[:80]} cannot be asked of {found[:60]!r}: {problem[:160]}"


def _range(found: str, low: Any, high: Any) -> bool:
    return float(found) >= float(low) and float(found) <= float(high)


def _regexp(found: str, pattern: Any) -> bool:
    """Sought anywhere in the text. Patterns that could take forever are refused."""
    if not isinstance(pattern, str):
        raise TypeError("a pattern is expected")
    compiled = _pattern(pattern)
    repeats = sum(pattern.count(sign) for sign in "*+{")
    if len(found) > _LONGEST or len(found) ** (repeats + 1) > _MOST_WAYS:
        raise ValueError("too long a text for so many repeats")
    return compiled.search(found) is not None


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "gt": lambda found, limit: float(found) > float(limit),
    "ge": lambda found, limit: float(found) >= float(limit),
    "lt": lambda found, limit: float(found) < float(limit),
    "le": lambda found, limit: float(found) <= float(limit),
    "range": _range,
    "in": lambda found, *words: found in words,
    "network": lambda found, network: IPv4Address(found) in _network(network),
    "regexp": _regexp,
    "not": lambda _found, said: not said,
    "and": lambda _found, left, right: left and right,
    "or": lambda _found, left, right: left or right,
}
