"""What a match yields, with the variables filled in for one node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ahc_server.profiles.facts import vocabulary
from ahc_server.profiles.model import Yields
from ahc_server.profiles.read import USE
from ahc_server.profiles.subject import Part, Subject


def fill(yields: Yields, subject: Subject, parts: Mapping[str, Part]) -> Yields:
    """``yields`` for this node. A fact that the node does not tell is filled in as nothing."""
    one = _Filler(subject, parts)
    return Yields(
        capabilities=one.texts(yields.capabilities),
        traits=yields.traits,
        raid={key: one.value(value) for key, value in yields.raid.items()},
        bios=one.texts(yields.bios),
        firmware=one.texts(yields.firmware),
        labels=one.texts(yields.labels),
        bmc=one.texts(yields.bmc),
        resource_class=yields.resource_class,
    )


@dataclass(frozen=True, slots=True)
class _Filler:
    subject: Subject
    parts: Mapping[str, Part]

    def texts(self, table: dict[str, str]) -> dict[str, str]:
        return {key: self.text(value) for key, value in table.items()}

    def text(self, text: str) -> str:
        return USE.sub(lambda match: self._use(match[0]), text) if "$" in text else text

    def value(self, value: object) -> object:
        """Inside RAID settings: a variable by itself that holds several parts becomes a list."""
        if isinstance(value, dict):
            return {key: self.value(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if not isinstance(value, str):
            return value
        part = self.parts.get(value)
        if part is not None and not value[-1].isdigit():
            return part.shown.split(",")
        return self.text(value)

    def _use(self, use: str) -> str:
        head, _, rest = use.partition(".")
        part = self.parts.get(head)
        if part is None:
            fact = vocabulary().get(use.removeprefix("$"))
            value = None if fact is None else fact.get(self.subject)
        elif rest:
            field = (vocabulary()[part.of].parts or {}).get(rest)
            value = None if field is None else field.get(part.item)
        else:
            value = part.shown
        return "" if value is None else str(value)
