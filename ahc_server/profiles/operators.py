"""What may be asked of one value: ``at-least``, ``in``, ``matches`` and so on, as a table.

An answer is True, False or None: it cannot be told, because the value is not, or what it is compared with is not. None never
counts as a match, and ``not`` of it is None again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from ahc_server.profiles.patterns import TEXT_LIMIT
from ahc_server.profiles.subject import At
from ahc_server.profiles.values import Kind, show
from ahc_server.profiles.versions import in_order

Kleene = bool | None
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def all_of(answers: Iterable[Kleene]) -> Kleene:
    """False beats "cannot be told" beats True."""
    told: Kleene = True
    for answer in answers:
        if answer is False:
            return False
        if answer is None:
            told = None
    return told


def any_of(answers: Iterable[Kleene]) -> Kleene:
    """True beats "cannot be told" beats False."""
    told: Kleene = False
    for answer in answers:
        if answer is True:
            return True
        if answer is None:
            told = None
    return told


@dataclass(frozen=True, slots=True)
class Operand:
    """What a value is compared with: a constant, or something of the same node (``ref``), ``factor`` times."""

    words: str
    kind: Kind
    value: Any = None
    ref: Callable[[At], Any] | None = None
    factor: float = 1.0

    def get(self, at: At) -> Any:
        """Its value; None: cannot be told."""
        if self.ref is None:
            return self.value
        found = self.ref(at)
        return found * self.factor if found is not None and self.factor != 1.0 else found

    def told(self, at: At) -> str:
        """In words, with its value where it depends on the node."""
        if self.ref is None:
            return self.words
        return f"{show(self.get(at), self.kind)} ({self.words})"


class Test(Protocol):
    """A question about one value."""

    @property
    def words(self) -> str:
        """As in "at least 64 GiB"."""
        ...

    def ask(self, value: Any, at: At) -> Kleene: ...

    def told(self, at: At) -> str:
        """``words``, with the values of what it is compared with."""
        ...


@dataclass(frozen=True, slots=True)
class Operator:
    """One word of a profile. ``takes``: how its operands are written: one value, a list of them, a pair, a pattern, networks."""

    words: str
    takes: str
    kinds: tuple[str, ...]
    holds: Callable[[Any, Sequence[Any]], Kleene]


def _in_network(value: str, networks: Sequence[Network]) -> bool:
    address = _address(value)
    return address is not None and any(
        address.version == network.version and address in network for network in networks
    )


@lru_cache(maxsize=4096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as machines tell it, "10.0.0.1" or "10.0.0.1/24"; None where it is none."""
    try:
        return ipaddress.ip_interface(text).ip
    except ValueError:
        return None


#: Operators for the order of versions → their sign in ``versions``, and their words.
VERSION_OPERATORS = {
    "version-at-least": (">=", "version at least "),
    "version-at-most": ("<=", "version at most "),
    "version-more-than": (">", "version more than "),
    "version-less-than": ("<", "version less than "),
}


def _of_versions(sign: str, words: str) -> Operator:
    return Operator(words, "one", ("text",), lambda value, to: in_order(value, sign, to[0]))


_ALL = ("text", "number", "flag")
OPERATORS: dict[str, Operator] = {
    "equals": Operator("", "one", _ALL, lambda value, to: bool(value == to[0])),
    "at-least": Operator("at least ", "one", ("number",), lambda value, to: bool(value >= to[0])),
    "at-most": Operator("at most ", "one", ("number",), lambda value, to: bool(value <= to[0])),
    "more-than": Operator("more than ", "one", ("number",), lambda value, to: bool(value > to[0])),
    "less-than": Operator("less than ", "one", ("number",), lambda value, to: bool(value < to[0])),
    "between": Operator("between ", "pair", ("number",), lambda value, to: bool(to[0] <= value <= to[1])),
    "in": Operator("one of ", "several", _ALL, lambda value, to: value in to),
    "not-in": Operator("none of ", "several", _ALL, lambda value, to: value not in to),
    "contains": Operator("with ", "several", ("text",), lambda value, to: all(each in value for each in to)),
    "starts-with": Operator(
        "starting with ", "several", ("text",), lambda value, to: value.startswith(tuple(to))
    ),
    "matches": Operator(
        "matching ", "pattern", ("text",), lambda value, to: to[0].fullmatch(value) is not None
    ),
    "network": Operator("in the network ", "networks", ("text",), _in_network),
    **{name: _of_versions(sign, words) for name, (sign, words) in VERSION_OPERATORS.items()},
}
#: Words that hold other tests.
NESTED = ("not", "any-of")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operator with its operands."""

    operator: Operator
    operands: tuple[Operand, ...]
    joint: str = ", "
    #: The operands' values, where none of them depends on the node: most do not, and parts are many.
    _constants: list[Any] | None = field(init=False, default=None)
    #: The operator's own words, kept beside: they are asked for each part of each node by each profile.
    _holds: Callable[[Any, Sequence[Any]], Kleene] = field(init=False, repr=False)
    _is_pattern: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_holds", self.operator.holds)
        object.__setattr__(self, "_is_pattern", self.operator.takes == "pattern")
        if all(each.ref is None for each in self.operands):
            object.__setattr__(self, "_constants", [each.value for each in self.operands])

    @property
    def words(self) -> str:
        return self.operator.words + self.joint.join(each.words for each in self.operands)

    def told(self, at: At) -> str:
        return self.operator.words + self.joint.join(each.told(at) for each in self.operands)

    def ask(self, value: Any, at: At) -> Kleene:
        if value is None or (self._is_pattern and len(value) > TEXT_LIMIT):
            return None
        to = self._constants
        if to is None:
            to = []
            for each in self.operands:
                other = each.get(at)
                if other is None:
                    return None
                to.append(other)
        return self._holds(value, to)


@dataclass(frozen=True, slots=True)
class Negation:
    test: Test

    @property
    def words(self) -> str:
        return f"not {self.test.words}"

    def told(self, at: At) -> str:
        return f"not {self.test.told(at)}"

    def ask(self, value: Any, at: At) -> Kleene:
        answer = self.test.ask(value, at)
        return None if answer is None else not answer


@dataclass(frozen=True, slots=True)
class Several:
    """Tests joined: all of them, or any."""

    tests: tuple[Test, ...]
    is_any: bool = False

    @property
    def words(self) -> str:
        return (" or " if self.is_any else " and ").join(test.words for test in self.tests)

    def told(self, at: At) -> str:
        return (" or " if self.is_any else " and ").join(test.told(at) for test in self.tests)

    def ask(self, value: Any, at: At) -> Kleene:
        answers = (test.ask(value, at) for test in self.tests)
        return any_of(answers) if self.is_any else all_of(answers)


#: What may be asked of a list of plain values, as of ``cpu.flags`` and ``addresses``.
LIST_OPERATORS = ("contains", "contains-any", "contains-none", "any", "all", "none", "count")


@dataclass(frozen=True, slots=True)
class OfList:
    """A question about a list of plain values: of each of them (any, all, none), or how many there are (count)."""

    how: str
    test: Test

    @property
    def words(self) -> str:
        return f"{self.how} {self.test.words}"

    def told(self, at: At) -> str:
        return f"{self.how} {self.test.told(at)}"

    def ask(self, value: Any, at: At) -> Kleene:
        if value is None:
            return None
        if self.how == "count":
            return self.test.ask(len(value), at)
        answers = (self.test.ask(each, at) for each in value)
        if self.how == "all":
            return all_of(answers)
        answer = any_of(answers)
        return answer if self.how == "any" or answer is None else not answer


@dataclass(frozen=True, slots=True)
class Members:
    """Whether a list has these among its values: all, any or none of them."""

    how: str
    wanted: tuple[str, ...]

    @property
    def words(self) -> str:
        return f"with {self.how} of {', '.join(self.wanted)}" if len(self.wanted) > 1 else self._one()

    def _one(self) -> str:
        return f"{'without' if self.how == 'none' else 'with'} {self.wanted[0]}"

    def told(self, at: At) -> str:
        return self.words

    def ask(self, value: Any, at: At) -> Kleene:
        if value is None:
            return None
        there = [str(each) for each in value]
        has = [each in there for each in self.wanted]
        return {"all": all(has), "any": any(has), "none": not any(has)}[self.how]
