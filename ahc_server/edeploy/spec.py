"""One line of a specification: four words, each a text, a variable, a call, or a variable with a call.

``('disk', '$disk1', 'size', 'gt(100)')``: ``$disk1`` binds what the machine has there, and has to be the same wherever it
stands; ``$$mac`` as well, and chooses the entry of the ``.cmdb``; ``$size=gt(100)`` binds what the call says yes to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ahc_server.edeploy.functions import FUNCTIONS, Call, Refused, Word, answer, read_call

Line = tuple[Word, Word, Word, Word]
#: One word of a line as asked: a text; nothing fits; a variable; a call; both.
Kind = Literal["text", "never", "variable", "call", "bound-call"]


@dataclass(frozen=True, slots=True)
class Part:
    """``name`` of the variable without its (first) ``$``."""

    kind: Kind
    text: str
    name: str = ""
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A line of a machine that fits by itself. ``binds``: what it would bind, in order; ``error``: what stops the package as
    soon as the variables before it agree."""

    line: int
    binds: tuple[tuple[str, Word], ...] = ()
    error: Refused | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """One line, read. ``fixed``: places of the texts before the first call: by them lines are looked up."""

    words: tuple[str, str, str, str]
    parts: tuple[Part, Part, Part, Part]
    fixed: tuple[int, ...]
    line_number: int | None = None

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def candidate(self, at: int, line: Line) -> Candidate | None:
        """How a line fits, if it does."""
        binds: list[tuple[str, Word]] = []
        for part, word in zip(self.parts, line, strict=True):
            kind = part.kind
            if kind == "variable":
                binds.append((part.name, word))
            elif kind == "text":
                if word != part.text:
                    return None
            elif kind == "never" or part.call is None:
                return None
            else:
                try:
                    said = answer(part.call, word)
                except Refused as error:
                    error.line = self.line_number
                    return Candidate(at, tuple(binds), error)
                if kind == "call" and not said:
                    return None
                if kind == "bound-call":
                    if said:
                        binds.append((part.name, word))
                    elif word != part.text:
                        return None
        return Candidate(at, tuple(binds))


def spec_of(words: tuple[str, str, str, str], line_number: int | None = None) -> Spec:
    """A line of a specification. Raises ValueError where a variable has no name, or a call nothing to call."""
    a, b, c, d = (_part(word) for word in words)
    fixed: list[int] = []
    for place, part in enumerate((a, b, c, d)):
        if part.call is not None:
            break
        if part.kind == "text":
            fixed.append(place)
    return Spec(words, (a, b, c, d), tuple(fixed), line_number)


def _part(text: str) -> Part:
    if not text.startswith("$"):
        call = read_call(text)
        if call is None:
            return Part("text", text)
        # A text like "Xeon (R)" looks like a call of something unknown: it fits only where the whole line is the same.
        return Part("call", text, call=call) if call.name in FUNCTIONS else Part("never", text)
    name, equals, asked = text.partition("=")
    if not equals or "=" in asked:
        if text == "$":
            raise ValueError("a $ without a name")
        # With two "=" the whole is one name, and one that ends like a call is none.
        return Part("never", text) if read_call(text) is not None else Part("variable", text, text[1:])
    if name == "$" or not asked:
        raise ValueError(f"{text!r} is no variable with a call: $size=gt(100) is meant")
    call = read_call(asked)
    if call is None or call.name not in FUNCTIONS:
        return Part("text", text)
    return Part("bound-call", text, name[1:], call)
