"""Python's plain values as ``pprint`` writes them, nested: read by a grammar of their own and never evaluated.

::

    value = "{" key ":" value {","...} "}" | "[" value {","...} "]" | "(" value {","...} ")"
          | string {string} | number | None | True | False | nan | inf

Depth and number of values are bounded, so that no file can exhaust stack or memory. What pprint of Python 2 wrote is read as
well (``u'...'``, ``5L``, strings in several pieces).
"""

from __future__ import annotations

import re
from typing import Any

from ahc_agent.errors import FileFormatError
from ahc_server.importers.literal import VALUE, after_blank, unescaped

MAX_DEPTH = 16
MAX_VALUES = 1_000_000
#: Longer ones are floats: whole numbers beyond 2⁶¹ can be chosen to collide as keys.
_MOST_DIGITS = 18

_TOKEN = re.compile(rf"{VALUE}|(?P<mark>[\[\](){{}},:])", re.DOTALL)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_WORDS = {"None": None, "True": True, "False": False}


def read_value(text: str, file: str) -> Any:
    """The one value of a file: dicts, lists, tuples, strings, numbers, booleans, None.

    Raises FileFormatError with the line where the text is none, or too much.
    """
    return _Reader(text, file).whole()


def read_list(text: str, file: str) -> list[tuple[Any, int]]:
    """The values of a file that is a list, each with the line where it begins. Raises FileFormatError."""
    return _Reader(text, file).listed()


def read_called(text: str, file: str, function: str) -> tuple[bool, Any]:
    """The one value of a file, and whether it stands in a call, ``function(value)``. Raises FileFormatError."""
    return _Reader(text, file).called(function)


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._at = 0
        self._left = MAX_VALUES

    def whole(self) -> Any:
        value = self._value(self._token("a value"), 0)
        self._end()
        return value

    def listed(self) -> list[tuple[Any, int]]:
        if self._token("a list")["mark"] != "[":
            raise self._error("a list was expected: [ and ] around all")
        items: list[tuple[Any, int]] = []
        after: str | None = ","
        while after != "]":
            token = self._token("a list")
            if token["mark"] == "]":
                break
            line = self._line()
            items.append((self._value(token, 1), line))
            after = self._token("a list")["mark"]
            if after not in (",", "]"):
                raise self._error("a comma was expected", "put one at the end of the value before it")
        self._end()
        return items

    def called(self, function: str) -> tuple[bool, Any]:
        self._at = after_blank(self._text, self._at)
        if not self._text.startswith(function, self._at):
            return False, self.whole()
        self._at += len(function)
        if self._token("the call")["mark"] != "(":
            raise self._error(f"{function}( and one value are expected")
        value = self._value(self._token("the call"), 1)
        after = self._token("the call")["mark"]
        if after == ",":
            after = self._token("the call")["mark"]
        if after != ")":
            raise self._error(f"one value is expected inside {function}()")
        self._end()
        return True, value

    def _end(self) -> None:
        self._at = after_blank(self._text, self._at)
        if self._at != len(self._text):
            raise self._error("something follows the end of the value")

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def _value(self, token: re.Match[str], depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise self._error(f"more than {MAX_VALUES:,} values")
        mark = token["mark"]
        if mark is None:
            return self._string(token) if token["string"] is not None else self._plain(token)
        if mark not in _CLOSING:
            raise self._error(f"a value was expected, not {mark!r}")
        if depth >= MAX_DEPTH:
            raise self._error("nested too deeply")
        if mark == "{":
            return self._dict(depth + 1)
        items, commas = self._items(_CLOSING[mark], depth + 1)
        # Brackets around one value without a comma are only brackets.
        if mark == "(":
            return items[0] if len(items) == 1 and not commas else tuple(items)
        return items

    def _items(self, closing: str, depth: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        commas = 0
        while True:
            token = self._token("a list")
            if token["mark"] == closing:
                return items, commas
            items.append(self._value(token, depth))
            after = self._token("a list")["mark"]
            if after == closing:
                return items, commas
            if after != ",":
                raise self._error("a comma was expected")
            commas += 1

    def _dict(self, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        while True:
            token = self._token("a dict")
            if token["mark"] == "}":
                return found
            key = self._value(token, depth)
            try:
                hash(key)
            except TypeError:
                raise self._error("a list or dict as a key") from None
            if self._token("a dict")["mark"] != ":":
                raise self._error("a colon was expected")
            found[key] = self._value(self._token("a dict"), depth)
            after = self._token("a dict")["mark"]
            if after == "}":
                return found
            if after != ",":
                raise self._error("a comma was expected")

    def _string(self, token: re.Match[str]) -> str:
        """A string, and those that follow it directly."""
        pieces = [unescaped(token)]
        while True:
            before = self._at
            self._at = after_blank(self._text, self._at)
            more = _TOKEN.match(self._text, self._at)
            if more is None or more["string"] is None:
                self._at = before
                return "".join(pieces)
            self._left -= 1
            if self._left < 0:
                raise self._error(f"more than {MAX_VALUES:,} values")
            self._at = more.end()
            pieces.append(unescaped(more))

    def _plain(self, token: re.Match[str]) -> float | int | bool | None:
        word, number = token["word"], token["number"]
        if word is not None:
            return _WORDS[word] if word in _WORDS else float(word)
        is_whole = len(number) <= _MOST_DIGITS and number.lstrip("+-").isdecimal()
        return int(number) if is_whole else float(number)

    def _token(self, what: str) -> re.Match[str]:
        self._at = after_blank(self._text, self._at)
        token = _TOKEN.match(self._text, self._at)
        if token is None:
            if self._at >= len(self._text):
                raise self._error(f"the file ends in the middle of {what}", "it is incomplete: copy it again")
            raise self._error(f"{self._text[self._at : self._at + 20]!r} is no plain value")
        self._at = token.end()
        return token

    def _error(self, problem: str, remedy: str = "") -> FileFormatError:
        return FileFormatError(self._file, problem, line=self._line(), remedy=remedy)
