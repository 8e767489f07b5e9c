r"""Regular expressions that cannot hang.

Python's ``re`` tries all ways to match, one after the other: ``(a+)+`` on thirty letters takes years. So only such patterns are
taken whose number of ways is bounded, and texts longer than ``TEXT_LIMIT`` characters are not matched at all (no answer is given
for them). Refused: a repeat inside a repeat, look-around, references to groups, and more open repeats than ``WAYS_LIMIT`` allows:
three ``.*`` in one pattern are fine, four are not. A pattern has to match the whole text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PATTERN_LIMIT = 256
TEXT_LIMIT = 256
#: Ways in which a pattern may be tried on one text: three open repeats over the longest text, and a choice beside them.
WAYS_LIMIT = 4 * TEXT_LIMIT**3

_COUNT = re.compile(r"\{([0-9]{0,4})(,?)([0-9]{0,4})\}")


def read_pattern(text: str) -> re.Pattern[str]:
    """The compiled pattern. Raises ValueError, which says what is wrong with it."""
    if len(text) > PATTERN_LIMIT:
        raise ValueError(f"longer than {PATTERN_LIMIT} characters")
    scan = _Scan(text.removeprefix("(?i)"))
    if scan.alternatives(depth=0) > WAYS_LIMIT:
        raise ValueError("too many open repeats: at most three of * and + in one pattern")
    if scan.at < len(scan.text):
        raise ValueError("a ) without its (")
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(str(error)) from error


@dataclass(slots=True)
class _Scan:
    """One pass over a pattern that counts in how many ways each part can be tried."""

    text: str
    at: int = 0

    def alternatives(self, depth: int) -> int:
        """Up to the end of the group: the sum over its alternatives."""
        if depth > 20:
            raise ValueError("groups nested too deeply")
        ways = self._sequence(depth)
        while self._take("|"):
            ways += self._sequence(depth)
        return ways

    def _sequence(self, depth: int) -> int:
        ways = 1
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            # No more than is needed to refuse it: numbers stay small.
            ways = min(ways * self._repeated(self._one(depth)), WAYS_LIMIT + 1)
        return ways

    def _one(self, depth: int) -> int:
        if self._take("("):
            if self._take("?") and not self._take(":"):
                raise ValueError("of the (?...) forms only (?:...) and a leading (?i) are allowed")
            ways = self.alternatives(depth + 1)
            if not self._take(")"):
                raise ValueError("a ( without its )")
            return ways
        if self._take("["):
            self._skip_set()
        elif self._take("\\"):
            if self.text[self.at : self.at + 1] in set("0123456789"):
                raise ValueError("references to groups are not allowed")
            self.at += 1
        else:
            self.at += 1
        return 1

    def _skip_set(self) -> None:
        self._take("^")
        self._take("]")
        while not self._take("]"):
            self.at += 2 if self.text[self.at : self.at + 1] == "\\" else 1
            if self.at >= len(self.text):
                raise ValueError("a [ without its ]")

    def _repeated(self, inside: int) -> int:
        low, high = self._quantifier()
        is_lazy = (low, high) != (1, 1) and self._take("?")
        if self.text[self.at : self.at + 1] in ("?", "+", "*") and ((low, high) != (1, 1) or is_lazy):
            raise ValueError("a repeat of a repeat")
        if inside > 1 and high > 1:
            raise ValueError("a repeat or a choice inside a repeat; write [ab]+ in place of (a|b)+")
        return inside + 1 if (low, high) == (0, 1) else inside * (high - low + 1)

    def _quantifier(self) -> tuple[int, int]:
        for sign, bounds in (("*", (0, TEXT_LIMIT - 1)), ("+", (1, TEXT_LIMIT)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        match = _COUNT.match(self.text, self.at)
        if match is None or not (match[1] or match[3]):
            return 1, 1
        self.at = match.end()
        low = int(match[1] or 0)
        high = int(match[3]) if match[3] else low + TEXT_LIMIT if match[2] else low
        return low, max(low, high)

    def _take(self, sign: str) -> bool:
        if self.text.startswith(sign, self.at):
            self.at += len(sign)
            return True
        return False
