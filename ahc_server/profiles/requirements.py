"""What a profile requires: of a fact, of the parts of a list, of a measurement; and one of several.

A requirement answers with True, False or None (cannot be told), and says what was expected and what was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, Protocol

from ahc_agent.order import natural_order
from ahc_server.profiles.facts import Fact, label
from ahc_server.profiles.operators import Kleene, Test, all_of, any_of
from ahc_server.profiles.subject import At, Part, Reading
from ahc_server.profiles.values import NUMBER, Kind, show

_NOT_TOLD = "not told"
#: Names of parts shown in one answer.
_MOST_NAMES = 6


class Place(NamedTuple):
    """Where a requirement stands, for answers."""

    file: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Answered:
    """``bindings``: where it fits, the ways in which its variables can be bound, the preferred one first; none: it has none."""

    fit: Kleene
    expected: str = ""
    found: str = ""
    bindings: Iterable[dict[str, Part]] = ()


_YES = Answered(True)


class Requirement(Protocol):
    @property
    def words(self) -> str: ...

    @property
    def place(self) -> Place: ...

    def ask(self, at: At) -> Answered: ...


@dataclass(frozen=True, slots=True)
class FactRequirement:
    """``memory.total_bytes: {at-least: 64 GiB}``."""

    fact: Fact
    test: Test
    place: Place

    @property
    def words(self) -> str:
        return f"{self.fact.name}: {self.test.words}"

    def ask(self, at: At) -> Answered:
        value = self.fact.get(at.subject)
        answer = self.test.ask(value, at)
        if answer:
            return _YES
        shown = f"{len(value):,} values" if isinstance(value, list) and len(value) > _MOST_NAMES else None
        if shown is None and isinstance(value, list):
            shown = ", ".join(show(each, self.fact.kind) for each in value)
        return Answered(answer, self.test.told(at), shown or show(value, self.fact.kind))


@dataclass(frozen=True, slots=True)
class Variable:
    """``bind: $osd`` or ``bind: $mac-pub1 = mac``. ``is_one``: its name ends in a digit: one part, not all."""

    name: str
    field: Fact | None = None

    @property
    def is_one(self) -> bool:
        return self.name[-1].isdigit()

    def part(self, named: Part) -> Part | None:
        """A part as this variable shows it. None: it does not tell the field."""
        if self.field is None:
            return named
        value = self.field.get(named.item)
        return None if value is None else Part(named.item, named.of, str(value))


Fields = Mapping[str, tuple[Fact, Test]]
#: Parts, and whether each is meant.
Chosen = Sequence[tuple[Any, Kleene]]


def fields_words(fields: Fields) -> str:
    return " and ".join(f"{name} {test.words}" for name, (_, test) in fields.items())


def _ask_fields(fields: Fields, item: Any, at: At) -> Kleene:
    told: Kleene = True
    for fact, test in fields.values():
        answer = test.ask(fact.get(item), at)
        if answer is False:
            return False
        if answer is None:
            told = None
    return told


@dataclass(frozen=True, slots=True)
class PartsRequirement:
    """Of the parts of a list, those that meet ``where``: how many they are, what any, all or none of them are.

    ``count`` is asked of all chosen parts, with ``same`` of the most that are alike in these fields, with ``different`` of how
    many differ in them. ``sums``: of all chosen parts together.
    """

    fact: Fact
    place: Place
    where: Fields = field(default_factory=dict)
    count: Test | None = None
    quantified: Sequence[tuple[str, Fields]] = ()
    same: Sequence[Fact] = ()
    different: Sequence[Fact] = ()
    sums: Fields = field(default_factory=dict)
    variables: Sequence[Variable] = ()

    @property
    def words(self) -> str:
        said = [] if self.count is None else [self.count.words]
        said += [f"where {fields_words(self.where)}"] if self.where else []
        said += [f"{how} with {fields_words(fields)}" for how, fields in self.quantified]
        said += [f"with the same {_listed(self.same)}"] if self.same else []
        said += [f"with different {_listed(self.different)}"] if self.different else []
        said += [f"together {fields_words(self.sums)}"] if self.sums else []
        return f"{self.fact.name}: {', '.join(said)}"

    def ask(self, at: At) -> Answered:
        named = _sorted_parts(self.fact, at)
        if named is None:
            return Answered(None, self.words.partition(": ")[2], _NOT_TOLD)
        if self.variables and at.bound:
            taken = {id(part.item) for part in at.bound.values()}
            named = [part for part in named if id(part.item) not in taken]
        chosen = [(part.item, _ask_fields(self.where, part.item, at)) for part in named]
        sure = [item for item, answer in chosen if answer]
        for answered in self._questions(chosen, sure, at):
            if not answered.fit:
                return answered
        if not self.variables:
            return _YES
        bindings = self._bindings([part for part, (_, answer) in zip(named, chosen, strict=True) if answer])
        first = next(bindings, None)
        if first is None:
            return Answered(None, "a part to bind", _NOT_TOLD)
        return Answered(True, bindings=chain((first,), bindings))

    def _questions(self, chosen: Chosen, sure: list[Any], at: At) -> Iterator[Answered]:
        maybe = [item for item, answer in chosen if answer is None]
        for how, fields in self.quantified:
            yield self._quantify(how, fields, chosen, at)
        for name, (fact, test) in self.sums.items():
            values = [fact.get(item) for item in sure]
            total = None if maybe or None in values else sum(values)
            yield Answered(test.ask(total, at), f"together {name} {test.told(at)}", show(total, fact.kind))
        if self.count is not None:
            low, high = self._bounds(sure, maybe)
            answers = {self.count.ask(number, at) for number in range(low, high + 1)}
            fit = answers.pop() if len(answers) == 1 else None
            yield Answered(
                fit, self._expected(at), "" if fit else self._found([item for item, _ in chosen], low, at)
            )

    def _quantify(self, how: str, fields: Fields, chosen: Chosen, at: At) -> Answered:
        """``chosen``: each part, and whether it is meant at all."""
        asked = [(item, meant, _ask_fields(fields, item, at)) for item, meant in chosen if meant is not False]
        if how == "all":
            each = [
                (item, any_of((None if meant is None else False, answer))) for item, meant, answer in asked
            ]
            fit = all_of(answer for _, answer in each)
            wrong = [item for item, answer in each if answer is False]
        else:
            each = [(item, all_of((meant, answer))) for item, meant, answer in asked]
            has = any_of(answer for _, answer in each)
            fit = has if how == "any" or has is None else not has
            wrong = [item for item, answer in each if answer] if how == "none" else []
        found = _NOT_TOLD if fit is None else f"not so: {_names(wrong)}" if wrong else f"none of {len(asked)}"
        return Answered(fit, f"{how} with {fields_words(fields)}", found)

    def _bounds(self, sure: list[Any], maybe: list[Any]) -> tuple[int, int]:
        """The least and the greatest number that can be meant, with what is not told."""
        if not (self.same or self.different):
            return len(sure), len(sure) + len(maybe)
        keys = [_key(self.same or self.different, item) for item in sure]
        known = Counter(key for key in keys if None not in key)
        blurred = len(keys) - known.total() + len(maybe)
        least = max(known.values(), default=0) if self.same else len(known)
        # One part that tells nothing of itself is still one.
        return (max(least, 1) if keys else least), least + blurred

    def _expected(self, at: At) -> str:
        assert self.count is not None
        like = f" with the same {_listed(self.same)}" if self.same else ""
        like += f" with different {_listed(self.different)}" if self.different else ""
        return f"{self.count.told(at)}{like}"

    def _found(self, items: Sequence[Any], low: int, at: At) -> str:
        """How many, and why the others are not among them: the first field that each fails."""
        why: Counter[str] = Counter()
        for item in items:
            for name, (fact, test) in self.where.items():
                answer = test.ask(fact.get(item), at)
                if not answer:
                    shown = "not told" if answer is None else show(fact.get(item), fact.kind)
                    why[f"{name} {shown}"] += 1
                    break
        text = f"{low} of {len(items)}" if low != len(items) else str(low)
        reasons = [f"{count} × {reason}" if count > 1 else reason for reason, count in why.most_common(2)]
        return f"{text} ({'; '.join(reasons)})" if reasons else text

    def _bindings(self, ordered: list[Part]) -> Iterator[dict[str, Part]]:
        """The preferred parts first: in the order of their names."""
        if self.same:
            keys = [_key(self.same, part.item) for part in ordered]
            groups = Counter(key for key in keys if None not in key)
            best = groups.most_common(1)[0][0] if groups else None
            ordered = [part for part, key in zip(ordered, keys, strict=True) if best in (None, key)]
        if self.different:
            first = {_key(self.different, part.item): part for part in reversed(ordered)}
            ordered = [part for key, part in reversed(first.items()) if None not in key]
        if all(variable.is_one for variable in self.variables):
            for named in ordered:
                parts = {variable.name: variable.part(named) for variable in self.variables}
                told = {name: part for name, part in parts.items() if part is not None}
                if len(told) == len(parts):
                    yield told
        else:
            yield dict(self._all_bound(ordered))

    def _all_bound(self, ordered: list[Part]) -> Iterator[tuple[str, Part]]:
        items = [named.item for named in ordered]
        for variable in self.variables:
            parts = [part for named in ordered if (part := variable.part(named)) is not None]
            if variable.is_one:
                yield from [(variable.name, part) for part in parts[:1]]
                continue
            yield from ((f"{variable.name}{place + 1}", part) for place, part in enumerate(parts))
            yield variable.name, Part(items, self.fact.name, ",".join(part.shown for part in parts))


def _sorted_parts(fact: Fact, at: At) -> list[Part] | None:
    """The parts of a list by name: read and named once a node, however many profiles ask."""
    known = at.subject.sorted_parts
    if fact.name not in known:
        items = fact.get(at.subject)
        named = None if items is None else [Part(item, fact.name, label(item)) for item in items]
        known[fact.name] = None if named is None else sorted(named, key=lambda part: _order(part.shown))
    return known[fact.name]


def _key(fields: Sequence[Fact], item: Any) -> tuple[Any, ...]:
    return (fields[0].get(item),) if len(fields) == 1 else tuple([fact.get(item) for fact in fields])


def _listed(facts: Sequence[Fact]) -> str:
    return " and ".join(fact.name for fact in facts)


def _names(items: Sequence[Any]) -> str:
    names = sorted((show(label(item), NUMBER) for item in items), key=natural_order)
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class MeasuredRequirement:
    """``measured: {metric: disk.*.randread_4k_iops, at-least: 90 % of the group's median}``.

    ``over``: whether every reading has to hold, any of them, or their sum or mean. ``parts``: only these pieces.
    """

    metric: str
    kind: Kind
    test: Test
    place: Place
    over: str = "every"
    job: str | None = None
    parts: Callable[[At], set[str]] | None = None

    @property
    def words(self) -> str:
        return f"measured {self.metric}: {self.test.words}"

    def ask(self, at: At) -> Answered:
        readings = self._readings(at)
        if not readings:
            return Answered(None, self.test.words, "not measured")
        if self.over in ("sum", "mean"):
            readings = [_together(readings, self.metric, 1 if self.over == "sum" else len(readings))]
        answers, of_reading, ask = [], At(at.subject, at.bound), self.test.ask
        for each in readings:
            of_reading.reading = each
            answers.append((each, ask(each.value, of_reading)))
        fit = (any_of if self.over == "any" else all_of)(answer for _, answer in answers)
        if fit:
            return _YES
        bad, answer = min(answers, key=lambda each: (each[1] is None, each[1] is True, each[0].value))
        where = f" ({bad.name})" if bad.name != self.metric else ""
        expected = self.test.told(At(at.subject, at.bound, bad))
        if answer is None:
            return Answered(
                fit, expected, f"{show(bad.value, self.kind)}{where}, with too few peers to compare"
            )
        return Answered(fit, expected, f"{show(bad.value, self.kind)}{where}")

    def _readings(self, at: At) -> list[Reading]:
        wanted = None if self.parts is None else self.parts(at)
        return [
            reading
            for name, readings in at.subject.readings.items()
            if _is_meant(name, self.metric)
            for reading in readings
            if (self.job is None or reading.job == self.job) and (wanted is None or reading.part in wanted)
        ]


#: Metrics have the same names on most nodes.
_is_meant = lru_cache(maxsize=65_536)(fnmatchcase)
_order = lru_cache(maxsize=65_536)(natural_order)


def _together(readings: Sequence[Reading], name: str, by: int) -> Reading:
    """Their sum (by 1) or mean; that of medians is told only where all are."""

    def total(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / by if len(known) == len(values) else None

    value = total([each.value for each in readings])
    assert value is not None
    return Reading(
        name,
        "all",
        "",
        value,
        total([each.group_median for each in readings]),
        total([each.fleet_median for each in readings]),
    )


@dataclass(frozen=True, slots=True)
class EitherRequirement:
    """``either:`` one of several requirements; none of them binds anything."""

    choices: Sequence[Requirement]
    place: Place

    @property
    def words(self) -> str:
        return " or ".join(choice.words for choice in self.choices)

    def ask(self, at: At) -> Answered:
        answers = [choice.ask(at) for choice in self.choices]
        fit = any_of(answer.fit for answer in answers)
        if fit:
            return _YES
        return Answered(
            fit,
            " or ".join(answer.expected for answer in answers),
            "; ".join(answer.found for answer in answers),
        )
