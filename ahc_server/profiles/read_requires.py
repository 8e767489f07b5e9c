"""Reads the requirements of a profile: one list entry each, a fact's name with what is asked of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ahc_agent.facts import Inventory
from ahc_server.profiles.facts import Fact
from ahc_server.profiles.operators import Test
from ahc_server.profiles.read_tests import Bound, Path, TestReader
from ahc_server.profiles.requirements import (
    EitherRequirement,
    FactRequirement,
    Fields,
    MeasuredRequirement,
    PartsRequirement,
    Place,
    Requirement,
    Variable,
)
from ahc_server.profiles.subject import At, Subject
from ahc_server.profiles.values import NUMBER, Kind, unit_of
from ahc_server.yamlfile import Document, Section, nearest

REQUIREMENTS_LIMIT = 200
#: What may be asked of a list of parts.
BLOCK = ("where", "count", "any", "all", "none", "same", "different", "sum", "bind")
#: A number of parts that no machine has.
_MANY = 4096
#: Plain names of metrics.
METRICS = {
    "random read": "disk.*.randread_4k_iops",
    "random write": "disk.*.randwrite_4k_iops",
    "sequential read": "disk.*.read_1M_bytes_per_s",
    "sequential write": "disk.*.write_1M_bytes_per_s",
    "memory bandwidth": "memory.all.write_1M_bytes_per_s",
    "cpu": "cpu.all.events_per_s",
}
_COMPONENTS = ("cpu", "memory", "numa", "disk", "network", "health", "system")
_BIND = re.compile(r"(\$[A-Za-z][A-Za-z0-9_-]{0,63})(?:\s*=\s*([a-z0-9_.]{1,64}))?")
_JUDGED = ("verdict", "group", "findings", "measured")


class RequirementReader:
    """Reads entries one by one; variables bound by one can be used in the next. ``needs_judgement``: one asks the judge."""

    def __init__(self, document: Document) -> None:
        self.tests = TestReader(document)
        self.needs_judgement = False
        self._document = document

    def read(self, plain: Any, path: Path) -> list[Requirement]:
        """All of them. Raises FileFormatError."""
        if not isinstance(plain, list) or not 0 < len(plain) <= REQUIREMENTS_LIMIT:
            self.tests.fail(
                path, "requires: a list of 1 to 200 requirements is expected", "- cpu.cores: {at-least: 8}"
            )
        return [self._entry(each, (*path, place)) for place, each in enumerate(plain)]

    def _entry(self, plain: Any, path: Path, *, binds: bool = True) -> Requirement:
        if not isinstance(plain, dict) or len(plain) != 1:
            self.tests.fail(
                path, "one fact with what is asked of it is expected", "- cpu.cores: {at-least: 8}"
            )
        [(name, asked)] = plain.items()
        path = (*path, name)
        place = Place(self._document.file, self._document.lines.get(path))
        self.needs_judgement |= name in _JUDGED
        if name == "either":
            if not isinstance(asked, list) or not 0 < len(asked) <= REQUIREMENTS_LIMIT:
                self.tests.fail(path, "either: a list of requirements is expected")
            choices = [self._entry(each, (*path, number), binds=False) for number, each in enumerate(asked)]
            return EitherRequirement(choices, place)
        if name == "measured":
            return self._measured(self._section(asked, path, name), place)
        try_metric = name.partition(".")[0] in _COMPONENTS and name.endswith(("_per_s", "_iops", "_us"))
        if try_metric:
            self.tests.fail(path, f"{name} is a metric", f"write measured: {{metric: {name}, at-least: ...}}")
        fact = self.tests.fact(name, path)
        if fact.parts is None:
            return FactRequirement(fact, self.tests.value_test(asked, path, fact), place)
        return self._parts(fact, fact.parts, self._section(asked, path, name), place, binds)

    def _section(self, plain: Any, path: Path, name: str) -> Section:
        if not isinstance(plain, dict) or not plain:
            self.tests.fail(path, f"{name}: a mapping is expected", f"{name}: {{count: {{at-least: 1}}}}")
        return Section(self._document, path)

    def _parts(
        self, fact: Fact, parts: Mapping[str, Fact], section: Section, place: Place, binds: bool
    ) -> PartsRequirement:
        section.only(BLOCK, fact.name)
        plain = section.plain
        quantified = [
            (how, self._fields(section, how, parts)) for how in ("any", "all", "none") if how in plain
        ]
        count = self._count(section, any(how == "none" for how, _ in quantified))
        variables = self._variables(section, fact, parts)
        if variables and not binds:
            section.fail("bind", "nothing can be bound inside either")
        sure = _least(count)
        if variables and not sure:
            section.fail("bind", "what may not be there cannot be bound", "count: {at-least: 1}")
        same, different = (self._keys(section, key, parts) for key in ("same", "different"))
        for variable in variables:
            self.tests.variables[variable.name] = Bound(fact, variable.is_one, sure)
        return PartsRequirement(
            fact,
            place,
            where=self._fields(section, "where", parts) if "where" in plain else {},
            count=count,
            quantified=quantified,
            same=same,
            different=different,
            sums=self._sums(section, parts),
            variables=variables,
        )

    def _count(self, section: Section, is_none: bool) -> Test | None:
        """At least one part is meant, where nothing else is said."""
        if "count" in section.plain:
            return self.tests.test(section.plain["count"], (*section.path, "count"), NUMBER)
        return None if is_none else self.tests.test({"at-least": 1}, section.path, NUMBER)

    def _fields(self, section: Section, key: str, parts: Mapping[str, Fact]) -> Fields:
        plain, path = section.plain[key], (*section.path, key)
        if not isinstance(plain, dict) or not plain:
            self.tests.fail(path, f"{key}: facts of each part with what is asked of them are expected")
        found = {}
        for name, asked in plain.items():
            fact = self.tests.of(name, parts, (*path, name), str(section.path[-1]))
            found[name] = (fact, self.tests.value_test(asked, (*path, name), fact))
        return found

    def _sums(self, section: Section, parts: Mapping[str, Fact]) -> Fields:
        if "sum" not in section.plain:
            return {}
        fields = self._fields(section, "sum", parts)
        for name, (fact, _) in fields.items():
            if fact.kind.of != "number" or fact.is_list:
                self.tests.fail((*section.path, "sum", name), f"sum: {name} is no number")
        return fields

    def _keys(self, section: Section, key: str, parts: Mapping[str, Fact]) -> list[Fact]:
        known = [name for name, fact in parts.items() if not fact.is_list]
        return [parts[name] for name in section.words(key, known) or ()]

    def _variables(self, section: Section, fact: Fact, parts: Mapping[str, Fact]) -> list[Variable]:
        plain, path = section.plain.get("bind", []), (*section.path, "bind")
        found: list[Variable] = []
        for text in plain if isinstance(plain, list) else [plain]:
            match = _BIND.fullmatch(text) if isinstance(text, str) else None
            if match is None:
                self.tests.fail(path, f"bind: {text!r} is no variable", "write $disk1, or $mac1 = mac")
            name = match[1]
            if (
                name in self.tests.variables
                or name in [each.name for each in found]
                or self.tests.group_of(name)
            ):
                self.tests.fail(path, f"bind: {name} is bound already")
            field = None if match[2] is None else self.tests.of(match[2], parts, path, fact.name)
            found.append(Variable(name, field))
        return found

    def _measured(self, section: Section, place: Place) -> MeasuredRequirement:
        options = ("metric", "over", "job", "part")
        plain = {key: value for key, value in section.plain.items() if key not in options}
        metric = section.text("metric", max_length=256)
        if metric is None:
            section.fail(None, "measured: a metric is expected", "metric: random read")
        name = METRICS.get(metric, metric)
        if name.partition(".")[0] not in _COMPONENTS or name.count(".") < 2:
            section.fail("metric", f"unknown metric {metric!r}", _nearest_metric(metric))
        kind = Kind("number", unit_of(name))
        if not plain:
            section.fail(None, "measured: an operator is expected", "at-least: 90 % of the group's median")
        test = self.tests.test(plain, section.path, kind, medians=True)
        part = section.text("part")
        return MeasuredRequirement(
            name,
            kind,
            test,
            place,
            over=section.choice("over", ("every", "any", "sum", "mean")) or "every",
            job=section.text("job"),
            parts=None if part is None else self._parts_of(part, (*section.path, "part")),
        )

    def _parts_of(self, part: str, path: Path) -> Callable[[At], set[str]]:
        if not part.startswith("$"):
            return lambda at: {part}
        self.tests.variable(part, path)
        return lambda at: set(at.bound[part].shown.split(",")) if part in at.bound else set()


def _nearest_metric(metric: str) -> str:
    if metric.partition(".")[0] in _COMPONENTS:
        return "a metric's name has three parts, like disk.*.randread_4k_iops"
    return nearest(metric, METRICS)


def _least(count: Test | None) -> int:
    """The smallest number that a test of constants allows; 0 where it depends on the node."""
    if count is None:
        return 0
    nobody = At(Subject("", Inventory(collected_at="")))
    return next((number for number in range(_MANY) if count.ask(number, nobody)), 0)
