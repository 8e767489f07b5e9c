"""eDeploy's results files: a Python list of tuples of strings, read by a grammar of their own and never evaluated.

::

    file   = [comment lines] "[" row {"," row} [","] "]"
    row    = "(" item {"," item} [","] ")"          three or four items; brackets serve as well
    item   = string {string} | number | None | True | False | nan | inf

That is what ``repr`` and ``pprint`` of Python 2 and 3 write. Nothing is nested, so no file can exhaust the stack, and
rows and lengths are bounded. Almost all rows are four plain strings: one regular expression reads those (20 times as
fast as ``ast.literal_eval``), a tokenizer the others.
"""

from __future__ import annotations

import re

from ahc_agent.errors import FileFormatError
from ahc_server.importers.model import Row
from ahc_server.importers.values import printable

MAX_ROWS = 100_000
_MAX_ITEMS = 16
_MAX_PIECES = 4096

_WS = r"[ \t\r\n]*+"
_PLAIN = r"'([^'\\\n]*+)'"
#: Four plain items, the last perhaps a number; with the comma or bracket that follows.
_FAST_ROW = re.compile(
    rf"{_WS}\({_WS}{_PLAIN}{_WS},{_WS}{_PLAIN}{_WS},{_WS}{_PLAIN}{_WS},{_WS}"
    rf"(?:{_PLAIN}|(-?\d++(?:\.\d++)?)){_WS}\){_WS}([,\]])"
)
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*+)*+")
_NUMBER = r"[-+]?(?:\d++\.?\d*+|\.\d++)(?:[eE][-+]?\d++)?"
#: A string, a number or a word of Python's, as a pattern with the groups "string", "number" and "word".
VALUE = (
    r"(?P<string>(?P<prefix>[uUbB]?)(?:'(?P<single>(?:[^'\\\n]|\\.)*+)'|\"(?P<double>(?:[^\"\\\n]|\\.)*+)\"))"
    rf"|(?P<number>{_NUMBER})[lL]?(?![\w.])"
    r"|(?P<word>None|True|False|[-+]?(?:nan|inf))(?!\w)"
)
_TOKEN = re.compile(rf"{VALUE}|(?P<mark>[\[\](),])", re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|(\n)|(.))", re.DOTALL
)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_CLOSING = {"(": ")", "[": "]"}
_INNER = frozenset("()[]")


def looks_like_rows(text: str) -> bool:
    """Whether a file begins as a list of tuples does."""
    at = after_blank(text, 0)
    return text[at : at + 1] in _CLOSING and text[(inner := after_blank(text, at + 1)) : inner + 1] in _INNER


def after_blank(text: str, at: int) -> int:
    """Where blanks and comments from ``at`` on end."""
    blank = _BLANK.match(text, at)
    return blank.end() if blank is not None else at


def read_rows(text: str, file: str) -> tuple[list[Row], list[str]]:
    """The rows of a file, and remarks about rows that are none. Raises FileFormatError with the line."""
    return _Reader(text, file).rows()


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._at = 0

    def rows(self) -> tuple[list[Row], list[str]]:
        outer = self._mark("the list of results")
        if outer not in _CLOSING:
            raise self._error(f"a list was expected, not {outer!r}")
        rows: list[Row] = []
        odd: list[int] = []
        ended = False
        while not ended:
            ended = self._fast(rows, outer)
            if not ended:
                ended = self._slow(rows, odd, outer)
        self._skip_blank()
        if self._at != len(self._text):
            raise self._error("something follows the end of the list")
        remarks = []
        if odd:
            lines = self._text.count("\n", 0, odd[0]) + 1
            remarks.append(
                f"{self._file}:{lines}: {len(odd):,} rows are not of three or four items (the first is here)"
            )
        return rows, remarks

    def _fast(self, rows: list[Row], outer: str) -> bool:
        """Take plain rows as long as they come. True at the end of the list."""
        if outer != "[":
            return False
        match = _FAST_ROW.scanner(self._text, self._at).match  # type: ignore[attr-defined]
        found = None
        while (next_one := match()) is not None:
            found = next_one
            kind, part, item, value, number, after = found.groups()
            rows.append((kind, part, item, number if value is None else value))
            if after == "]":
                break
            if len(rows) > MAX_ROWS:
                raise self._error(f"more than {MAX_ROWS:,} rows")
        if found is None:
            return False
        self._at = found.end()
        return bool(found[6] == "]")

    def _slow(self, rows: list[Row], odd: list[int], outer: str) -> bool:
        """Take one row of any form. True at the end of the list."""
        mark = self._mark("a row")
        if mark == _CLOSING[outer]:
            return True
        if mark not in _CLOSING:
            raise self._error(f"a row was expected, not {mark!r}")
        began = self._at
        items = self._items(_CLOSING[mark])
        row = _as_row(items)
        if row is None:
            odd.append(began)
        else:
            rows.append(row)
        if len(rows) + len(odd) > MAX_ROWS:
            raise self._error(f"more than {MAX_ROWS:,} rows")
        after = self._mark("a comma or the end of the list")
        if after == _CLOSING[outer]:
            return True
        if after != ",":
            raise self._error(f"a comma or {_CLOSING[outer]!r} was expected, not {after!r}")
        return False

    def _items(self, closing: str) -> list[str | None]:
        items: list[str | None] = []
        wants_item = True
        pieces = 0
        while True:
            token = self._token("the row")
            mark = token["mark"]
            if mark == closing:
                return items
            if mark == "," and not wants_item:
                wants_item = True
                continue
            if mark is not None:
                raise self._error(f"a value was expected, not {mark!r}")
            if token["string"] is not None and not wants_item:
                if not pieces or items[-1] is None:
                    raise self._error("a comma was expected")
                items[-1] += unescaped(token)
                pieces += 1
                if pieces > _MAX_PIECES:
                    raise self._error(f"a value of more than {_MAX_PIECES:,} pieces")
                continue
            if not wants_item:
                raise self._error("a comma was expected")
            wants_item = False
            items.append(_value(token))
            # What follows a string directly continues it; nothing continues a number.
            pieces = 1 if token["string"] is not None else 0
            if len(items) > _MAX_ITEMS:
                raise self._error(f"a row of more than {_MAX_ITEMS} items")

    def _mark(self, what: str) -> str:
        token = self._token(what)
        return str(token["mark"] or token[0][:20])

    def _token(self, what: str) -> re.Match[str]:
        self._skip_blank()
        token = _TOKEN.match(self._text, self._at)
        if token is None:
            if self._at >= len(self._text):
                raise self._error(f"the file ends in the middle of {what}", "it is incomplete: copy it again")
            raise self._error(f"{self._text[self._at : self._at + 20]!r} is no plain value")
        self._at = token.end()
        return token

    def _skip_blank(self) -> None:
        self._at = after_blank(self._text, self._at)

    def _error(self, problem: str, remedy: str = "") -> FileFormatError:
        line = self._text.count("\n", 0, self._at) + 1
        return FileFormatError(self._file, problem, line=line, remedy=remedy)


def _as_row(items: list[str | None]) -> Row | None:
    """Four items; a row of three has lost its value."""
    if len(items) not in (3, 4) or items[0] is None or items[1] is None or items[2] is None:
        return None
    return items[0], items[1], items[2], items[3] if len(items) == 4 else None


def _value(token: re.Match[str]) -> str | None:
    if token["string"] is not None:
        return unescaped(token)
    word = token["word"]
    return None if word == "None" else str(word or token["number"])


def unescaped(token: re.Match[str]) -> str:
    """The text of a string that ``VALUE`` matched."""
    body = token["single"] if token["single"] is not None else token["double"]
    return printable(_ESCAPE.sub(_letter, body)) if "\\" in body else str(body)


def _letter(found: re.Match[str]) -> str:
    two, four, eight, octal, newline, other = found.groups()
    digits = two or four or eight
    if digits or octal:
        number = int(digits, 16) if digits else int(octal, 8)
        return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else "\ufffd"
    if newline:
        return ""
    return _LETTERS.get(other, other if other in "\\'\"" else f"\\{other}")
