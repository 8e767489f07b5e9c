"""Reads what a profile asks of a value: operators, their operands, and references to other facts of the same node."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ahc_server.profiles.facts import Fact, extra, vocabulary
from ahc_server.profiles.operators import (
    LIST_OPERATORS,
    NESTED,
    OPERATORS,
    VERSION_OPERATORS,
    Comparison,
    Members,
    Negation,
    OfList,
    Operand,
    Several,
    Test,
)
from ahc_server.profiles.patterns import read_pattern
from ahc_server.profiles.subject import At
from ahc_server.profiles.values import NUMBER, Kind, quantity, show
from ahc_server.profiles.versions import bound
from ahc_server.yamlfile import Document, nearest

Path = tuple[str | int, ...]
#: "90 % of the group's median", "0.5 times $nic1.speed_mbps"
_SHARE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(% of|times)\s+(.+)")
_VARIABLE = re.compile(r"\$[A-Za-z][A-Za-z0-9_-]{0,63}")
_MEDIANS: dict[str, Callable[[At], Any]] = {
    "the group's median": lambda at: None if at.reading is None else at.reading.group_median,
    "the fleet's median": lambda at: None if at.reading is None else at.reading.fleet_median,
}
_TESTS_LIMIT = 64
#: Operators whose operands are whole values: where only some can be, another is a mistake ("not: fial" would fit everybody).
_WHOLE = ("equals", "in", "not-in")


@dataclass(frozen=True, slots=True)
class Bound:
    """What is known of a variable before any node is asked. ``sure``: how many parts it holds at least."""

    fact: Fact
    is_one: bool
    sure: int = 1


@dataclass(slots=True)
class TestReader:
    """Reads the tests of one profile; ``variables`` are those that are bound so far."""

    document: Document
    variables: dict[str, Bound] = field(default_factory=dict)

    def fail(self, path: Path, problem: str, remedy: str = "") -> NoReturn:
        self.document.fail(path, problem, remedy)

    def test(self, plain: Any, path: Path, kind: Kind, *, medians: bool = False) -> Test:
        """A test of one value: an operator table, a list of allowed values, or the value itself."""
        if isinstance(plain, list):
            return self._comparison("in", plain, path, kind, medians)
        if not isinstance(plain, dict):
            return self._comparison("equals", plain, path, kind, medians)
        if not 0 < len(plain) <= _TESTS_LIMIT:
            self.fail(path, "an operator is expected", f"known: {', '.join((*OPERATORS, *NESTED))}")
        tests = [self._operator(name, value, (*path, name), kind, medians) for name, value in plain.items()]
        return tests[0] if len(tests) == 1 else Several(tuple(tests))

    def _operator(self, name: str, plain: Any, path: Path, kind: Kind, medians: bool) -> Test:
        if name == "not":
            return Negation(self.test(plain, path, kind, medians=medians))
        if name == "any-of":
            if not isinstance(plain, list) or not 0 < len(plain) <= _TESTS_LIMIT:
                self.fail(path, "any-of: a list of tests is expected")
            return Several(
                tuple(
                    self.test(each, (*path, place), kind, medians=medians) for place, each in enumerate(plain)
                ),
                is_any=True,
            )
        if name not in OPERATORS:
            self.fail(path, f"unknown operator {name!r}", nearest(name, (*OPERATORS, *NESTED)))
        return self._comparison(name, plain, path, kind, medians)

    def _comparison(self, name: str, plain: Any, path: Path, kind: Kind, medians: bool) -> Test:
        operator = OPERATORS[name]
        if kind.of not in operator.kinds:
            fit = [word for word, other in OPERATORS.items() if kind.of in other.kinds]
            self.fail(path, f"{name}: not for {kind.name}", f"for it: {', '.join((*fit, *NESTED))}")
        if operator.takes == "pattern":
            return Comparison(operator, (self._pattern(plain, path, name),))
        values = plain if isinstance(plain, list) and operator.takes != "one" else [plain]
        if not 0 < len(values) <= 1024 or (operator.takes == "pair" and len(values) != 2):
            want = "[lowest, highest]" if operator.takes == "pair" else "a value, or a list of them,"
            self.fail(path, f"{name}: {want} is expected")
        if operator.takes == "networks":
            return Comparison(operator, tuple(self._network(each, path) for each in values), " or ")
        operands = tuple(self.operand(each, path, kind, name, medians) for each in values)
        constant = all(each.ref is None for each in operands)
        if operator.takes == "pair" and constant and operands[0].value > operands[1].value:
            self.fail(path, f"{name}: [lowest, highest] is expected", "turn them round")
        return Comparison(operator, operands, " and " if operator.takes == "pair" else ", ")

    def _pattern(self, plain: Any, path: Path, name: str) -> Operand:
        if not isinstance(plain, str):
            self.fail(path, f"{name}: a regular expression is expected")
        try:
            return Operand(f"/{plain}/", Kind("text"), read_pattern(plain))
        except ValueError as error:
            self.fail(path, f"{name}: {error}")

    def _network(self, plain: Any, path: Path) -> Operand:
        try:
            # A bare number would be taken for an address.
            return Operand(str(plain), Kind("text"), ipaddress.ip_network(str(plain)))
        except ValueError:
            self.fail(path, f"network: {plain!r} is no network", "write 10.1.0.0/16 or fd00::/8")

    def operand(self, plain: Any, path: Path, kind: Kind, name: str, medians: bool = False) -> Operand:
        """A constant of the fact's kind, or a reference."""
        if isinstance(plain, str) and plain.startswith("$"):
            return self._reference(plain, path, kind)
        if kind.of == "number":
            return self._number(plain, path, kind, name, medians)
        if kind.of == "flag":
            if not isinstance(plain, bool):
                self.fail(path, f"{name}: true or false is expected, not {plain!r}")
            return Operand(show(plain, kind), kind, plain)
        if isinstance(plain, bool | list | dict | None) or len(str(plain)) > 4096:
            self.fail(path, f"{name}: text is expected, not {plain!r}", "put it in quotes")
        if name in VERSION_OPERATORS:
            self._check_version(plain, path, name)
        if kind.choices and name in _WHOLE and str(plain) not in kind.choices:
            self.fail(path, f"{name}: {plain!r} is never its value", nearest(str(plain), kind.choices))
        return Operand(show(str(plain), kind), kind, str(plain))

    def _check_version(self, plain: Any, path: Path, name: str) -> None:
        """2.10 without quotes is the number 2.1 in YAML."""
        if isinstance(plain, float):
            self.fail(
                path,
                f"{name}: text is expected, not the number {plain!r}",
                'put the version in quotes: "2.10"',
            )
        if bound(VERSION_OPERATORS[name][0], str(plain)) is None:
            self.fail(path, f"{name}: there is no version in {plain!r}", 'write it like "2.19.1"')

    def _number(self, plain: Any, path: Path, kind: Kind, name: str, medians: bool) -> Operand:
        if type(plain) in (int, float) and math.isfinite(plain) and abs(plain) <= 1e18:
            return Operand(show(plain, kind), kind, plain)
        if isinstance(plain, str):
            number = quantity(plain, kind.unit)
            if number is not None:
                return Operand(plain.strip(), kind, number)
            share = _SHARE.fullmatch(plain.strip())
            factor = 1.0 if share is None else float(share[1]) / (100 if share[2] == "% of" else 1)
            of = plain.strip() if share is None else share[3]
            if medians and of in _MEDIANS:
                return Operand(plain, kind, ref=_MEDIANS[of], factor=factor)
            if share is not None or of in vocabulary():
                found = self._reference(of, path, kind)
                return Operand(plain, kind, ref=found.ref, factor=factor)
        more = " (or a share of the group's median)" if medians else ", or a fact of the same unit"
        self.fail(path, f"{name}: {kind.name} is expected{more}, not {plain!r}")

    def _reference(self, text: str, path: Path, kind: Kind) -> Operand:
        """``$nic1.numa_node``, ``$memory.total_bytes`` or ``memory.total_bytes``."""
        fact, ref = self.refer(text, path)
        if fact.is_list or fact.parts is not None or fact.kind.of != kind.of or fact.kind.unit != kind.unit:
            told = fact.kind.unit or fact.kind.of
            self.fail(path, f"{text} cannot be compared: it is {told}, not {kind.unit or kind.of}")
        return Operand(text, kind, ref=ref)

    def refer(self, text: str, path: Path) -> tuple[Fact, Callable[[At], Any]]:
        """What a name stands for, and how its value is got. Raises FileFormatError."""
        head, _, rest = text.partition(".")
        if head in self.variables or (_VARIABLE.fullmatch(head) and self.group_of(head)):
            bound = self.variable(head, path)
            if not rest:
                return Fact(text, Kind("text"), lambda at: None), lambda at: _shown(at, head)
            if not bound.is_one:
                self.fail(path, f"{head} holds several parts", f"write {head}1.{rest}")
            fact = self.of(rest, bound.fact.parts or {}, path, bound.fact.name)
            return fact, lambda at: _field(at, head, fact)
        name = text.removeprefix("$")
        if text.startswith("$") and not rest:
            self.fail(path, f"{text} is not bound before", nearest(text, self.variables or {"none": 0}))
        fact = self.fact(name, path)
        return fact, lambda at: fact.get(at.subject)

    def group_of(self, name: str) -> str | None:
        """The variable whose third part is ``$osd3``; None: there is none."""
        base = name.rstrip("0123456789")
        bound = self.variables.get(base)
        return base if base != name and bound is not None and not bound.is_one else None

    def variable(self, name: str, path: Path) -> Bound:
        """What a variable holds, one of a group's included. Raises FileFormatError where it is not sure to be bound."""
        if name in self.variables:
            return self.variables[name]
        group = self.group_of(name)
        if group is None:
            self.fail(path, f"{name} is not bound before", nearest(name, self.variables or {"none": 0}))
        bound = self.variables[group]
        number = name.removeprefix(group)
        if number != str(int(number)) or not 1 <= int(number) <= bound.sure:
            self.fail(path, f"{name} may not be there: only {group}1 to {group}{bound.sure} are sure")
        return Bound(bound.fact, True)

    def fact(self, name: str, path: Path) -> Fact:
        return extra(name) or self.of(name, vocabulary(), path, "facts")

    def of(self, name: str, known: Mapping[str, Fact], path: Path, what: str) -> Fact:
        fact = known.get(name)
        if fact is None:
            alike = [each for each in known if name and name in each]
            remedy = f"did you mean {min(alike, key=len)!r}?" if alike else nearest(name, known)
            self.fail(path, f"unknown fact {name!r} in {what}", remedy)
        return fact

    def value_test(self, plain: Any, path: Path, fact: Fact) -> Test:
        """A test of a fact: of a list of plain values where it is one."""
        if not fact.is_list:
            return self.test(plain, path, fact.kind)
        if not isinstance(plain, dict) or not plain:
            self.fail(path, f"{fact.name} is a list", f"ask one of {', '.join(LIST_OPERATORS)}")
        tests = [self._list_test(name, value, (*path, name), fact.kind) for name, value in plain.items()]
        return tests[0] if len(tests) == 1 else Several(tuple(tests))

    def _list_test(self, name: str, plain: Any, path: Path, kind: Kind) -> Test:
        if name not in LIST_OPERATORS:
            self.fail(path, f"unknown operator {name!r} for a list", nearest(name, LIST_OPERATORS))
        if name.startswith("contains"):
            values = plain if isinstance(plain, list) else [plain]
            if (
                not values
                or len(values) > 1024
                or any(isinstance(each, dict | list | None) for each in values)
            ):
                self.fail(path, f"{name}: a value, or a list of them, is expected")
            how = name.removeprefix("contains").removeprefix("-") or "all"
            return Members(how, tuple(map(str, values)))
        return OfList(name, self.test(plain, path, NUMBER if name == "count" else kind))


def _field(at: At, variable: str, fact: Fact) -> Any:
    part = at.bound.get(variable)
    return None if part is None else fact.get(part.item)


def _shown(at: At, variable: str) -> str | None:
    part = at.bound.get(variable)
    return None if part is None else part.shown
