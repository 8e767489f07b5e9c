"""Versions of firmware in their order, as far as they have one.

Vendors and drivers word a version in their own ways: ``2.19.1`` (Dell), ``U30 v2.66 (07/14/2022)`` (HPE: the family, the version,
its day), ``16.35.2000 (MT_0000000012)`` (NVIDIA: the version, the board), ``9.20 0x8000d95e 22.0.9`` (Intel: the card's NVM, a
number of its build, the boot code), ``3.4a`` (Supermicro). What counts here:

- What stands in parentheses, days (``07/14/2022``) and hexadecimal numbers are no versions.
- A version is taken apart into numbers and letters: ``2.19.1`` is 2, 19, 1; ``3.4a`` is 3, 4, a. A "v" before the first number
  says nothing. What begins with another letter is a family up to the first dot (``SE5C620.86B.02.01``).
- Numbers are compared as numbers, from the left: 2.9 < 2.10. What is missing counts as 0: 2.10 is 2.10.0.
- A single letter more is later (3.4 < 3.4a < 3.4b). Other letters have to be the same: rc, beta or another family have no order
  that all vendors agree on.
- Of several words the first counts that begins as the wanted version does, with a number or with the same letters.
- Words that the wanted version has beside it have to be there: ``>=U30 v2.60`` says nothing of a machine of family U32.

Where this leaves nothing to compare, the answer is None: it cannot be told.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest

Token = int | str

_SIGNS: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
#: What no version begins with.
_NO_VERSION = tuple("<>=!~")
_PARENTHESES = re.compile(r"\([^()]*\)")
_DAY = re.compile(r"\b(?:[0-9]{1,4}/[0-9]{1,2}/[0-9]{1,4}|[0-9]{4}-[0-9]{2}-[0-9]{2})\b")
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]+\Z")
_GAPS = re.compile(r"[\s,;()]+")
#: Digits of bounded length: a node may say what it likes.
_TOKENS = re.compile(r"[0-9]{1,18}|[a-z]+")
_V = re.compile(r"\Av(?=[0-9])")
_TEXT_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Bound:
    """A wanted order, as ``>=2.10``: ``version`` is 2, 10; ``beside``: words that have to stand beside it."""

    sign: str
    version: tuple[Token, ...]
    beside: frozenset[str]


@lru_cache(maxsize=1024)
def bound(sign: str, text: str) -> Bound | None:
    """What ``text`` wants after one of ``>= <= > <``. None: there is no version in it."""
    words = _words(text)
    told = [() if _HEXADECIMAL.match(word) else _tokens(word) for word in words]
    # "U30 v2.60" means 2.60: a word that begins with a number before one that only has one.
    numbered = [place for place, each in enumerate(told) if any(isinstance(token, int) for token in each)]
    if not numbered:
        return None
    best = next((place for place in numbered if isinstance(told[place][0], int)), numbered[0])
    beside = {*words[:best], *words[best + 1 :], *_inside(text)}
    return Bound(sign, told[best], frozenset(beside))


def wanted_order(text: str) -> Bound | None:
    """``>=2.10`` as a bound; None where the text begins with no sign of an order, or has no version behind it."""
    text = text.strip()
    sign = next((each for each in _SIGNS if text.startswith(each)), None)
    if sign is None or text[len(sign) :].lstrip().startswith(_NO_VERSION):
        return None
    return bound(sign, text[len(sign) :])


def has_sign(text: str) -> bool:
    """Whether a text asks for an order at all, if only for one that nobody knows (``==2.10``, ``=>2.10``)."""
    return text.strip().startswith(_NO_VERSION)


def in_order(found: str, sign: str, other: str) -> bool | None:
    """Whether one version is in an order with another, both as they are worded. None: it cannot be told."""
    wanted = bound(sign, other)
    return None if wanted is None else meets(found, wanted)


def meets(found: str, wanted: Bound) -> bool | None:
    """Whether what firmware or a driver says is in the wanted order. None: it cannot be told."""
    words = _words(found)
    if not wanted.beside <= {*words, *_inside(found)}:
        return None
    for word in words:
        tokens = () if _HEXADECIMAL.match(word) else _tokens(word)
        if tokens and _begins_alike(tokens, wanted.version):
            order = compare(tokens, wanted.version)
            return None if order is None else _SIGNS[wanted.sign](order, 0)
    return None


def compare(one: tuple[Token, ...], other: tuple[Token, ...]) -> int | None:
    """-1, 0 or 1 as ``one`` is before, like or after ``other``; None: they have no order."""
    for a, b in zip_longest(one, other):
        if a == b or {a, b} <= {0, None}:
            continue
        if isinstance(a, str) or isinstance(b, str):
            return _letters(a, b)
        return -1 if (a or 0) < (b or 0) else 1
    return 0


def _letters(a: Token | None, b: Token | None) -> int | None:
    """Single letters follow each other, and follow none at all."""
    if isinstance(a, int) or isinstance(b, int) or max(len(a or ""), len(b or "")) > 1:
        return None
    return -1 if (a or "") < (b or "") else 1


def _begins_alike(one: tuple[Token, ...], other: tuple[Token, ...]) -> bool:
    return one[0] == other[0] if isinstance(other[0], str) else isinstance(one[0], int)


def _words(text: str) -> list[str]:
    """Words outside parentheses, in lower case and without days."""
    bare = _DAY.sub(" ", _PARENTHESES.sub(" ", text[:_TEXT_LIMIT].lower()))
    return [word for word in _GAPS.split(bare) if word]


def _inside(text: str) -> set[str]:
    """Words in parentheses, but for days: the board of a card."""
    inside = " ".join(_PARENTHESES.findall(text[:_TEXT_LIMIT].lower()))
    return {word for word in _GAPS.split(_DAY.sub(" ", inside)) if word}


def _tokens(word: str) -> tuple[Token, ...]:
    word = _V.sub("", word)
    head, dot, rest = word.partition(".")
    family = (head,) if dot and head[:1].isalpha() else ()
    told = _TOKENS.findall(rest if family else word)
    return (*family, *(int(each) if each.isdigit() else each for each in told))
