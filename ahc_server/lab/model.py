"""What a lab is asked for: how many nodes, which of them broken and how."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from ahc_agent.errors import UsageError
from ahc_server.lab.cgroups import DiskLimit

if TYPE_CHECKING:
    from ahc_server.lab.parts import Parts

#: What can be broken, in the words of the report.
ElementKind = Literal["node", "leaf", "pair"]
ELEMENT_KINDS: tuple[ElementKind, ...] = get_args(ElementKind)
#: As many as have an address in one /24.
MAX_NODES = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    ``inject`` breaks one element of a running lab, and says in one phrase how it did so.
    ``factor``: what is left of the healthy speed unless the operator says otherwise; None where there is nothing to grade.
    ``midway``: it strikes in the middle of the plan, not before its start. ``components`` of the report in which it
    shows; empty: in whatever was not measured any more. ``of``: kinds of elements that can have it. ``direction`` in which
    the report is to see it. ``fabric``: it needs leaf switches.
    """

    name: str
    summary: str
    inject: Callable[[Breakage, Parts, Health], str]
    factor: float | None = None
    midway: bool = False
    components: tuple[str, ...] = ()
    of: tuple[ElementKind, ...] = ("node",)
    direction: Literal["tx", "rx"] | None = None
    fabric: bool = False


@dataclass(frozen=True, slots=True)
class Breakage:
    """One element's fault. ``asked``: what is left of the healthy speed if the operator said so.

    ``name``: of a node, of a leaf, or of two nodes ("n3-n7") by ``kind``.
    """

    name: str
    fault: Fault
    asked: float | None = None
    kind: ElementKind = "node"

    @property
    def factor(self) -> float:
        """What is left of the healthy speed (1.0 where the fault has no strength)."""
        return self.asked or self.fault.factor or 1.0

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that are broken: those of a leaf are well."""
        return () if self.kind == "leaf" else tuple(self.name.split("-"))

    @property
    def title(self) -> str:
        """As an operator writes it."""
        return self.name if self.kind == "node" else f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Health:
    """How fast a healthy node is, where the lab can say so. ``cpus``: CPU seconds per second."""

    cpus: float = 0.5
    disk: DiskLimit = field(default_factory=lambda: DiskLimit(200_000_000, 5_000))


@dataclass(frozen=True, slots=True)
class LabSpec:
    """A lab. ``plain``: do without namespaces, loop devices and control groups even where they are to be had. ``leaves``: so
    many leaf switches; 0 is one switch for all. ``line_bits_per_s``: of a card below a leaf; None: what this machine carries."""

    nodes: tuple[str, ...]
    breakages: tuple[Breakage, ...] = ()
    plain: bool = False
    health: Health = field(default_factory=Health)
    leaves: int = 0
    line_bits_per_s: int | None = None


def node_names(count: int) -> tuple[str, ...]:
    """n1, n2, ... Raises UsageError for a count that makes no fleet."""
    if not 1 <= count <= MAX_NODES:
        raise UsageError(f"--nodes {count}: a lab has 1 to {MAX_NODES} nodes")
    return tuple(f"n{number}" for number in range(1, count + 1))


def parse_breakages(
    texts: Sequence[str], nodes: Sequence[str], faults: dict[str, Fault], leaves: Sequence[str] = ()
) -> tuple[Breakage, ...]:
    """From ``ELEMENT=FAULT`` or ``ELEMENT=FAULT:FACTOR`` (what is left of the healthy speed, more than 0 and less than 1).
    An element is ``n3`` or ``node:n3``, ``leaf:leaf2``, ``pair:n3-n7``.

    Raises UsageError, which names the nearest valid name.
    """
    return tuple(_parse(text, nodes, faults, leaves) for text in texts)


def _parse(text: str, nodes: Sequence[str], faults: dict[str, Fault], leaves: Sequence[str]) -> Breakage:
    element, equals, rest = text.partition("=")
    if not equals:
        raise UsageError(f"--break {text}: write NODE=FAULT, such as {nodes[0]}=slow-disk")
    kind, name = _element(text, element, nodes, leaves)
    fault_name, colon, strength = rest.partition(":")
    if fault_name not in faults:
        raise UsageError(
            f"--break {text}: no fault {fault_name!r}{_nearest(fault_name, faults)}; faults: {', '.join(faults)}"
        )
    fault = faults[fault_name]
    if fault.fabric and not leaves:
        raise UsageError(f"--break {text}: {fault_name} needs leaf switches; add --leaves 2")
    if kind not in fault.of:
        raise UsageError(f"--break {text}: {fault_name} is a fault of a {' or a '.join(fault.of)}")
    if not colon:
        return Breakage(name, fault, kind=kind)
    if fault.factor is None:
        raise UsageError(f"--break {text}: {fault_name} has no strength; write {element}={fault_name}")
    try:
        factor = float(strength)
    except ValueError:
        factor = 0.0
    if not 0 < factor < 1:
        raise UsageError(
            f"--break {text}: write what is left of the healthy speed, such as {fault_name}:{fault.factor}"
        )
    return Breakage(name, fault, factor, kind)


def _element(text: str, element: str, nodes: Sequence[str], leaves: Sequence[str]) -> tuple[ElementKind, str]:
    """Kind and name. Raises UsageError for what is not in the lab."""
    kind, colon, name = element.partition(":")
    if not colon:
        kind, name = "node", element
    found = next((each for each in ELEMENT_KINDS if each == kind), None)
    if found is None:
        known = ", ".join(f"{each}:NAME" for each in ELEMENT_KINDS)
        raise UsageError(f"--break {text}: an element is {known}")
    valid = leaves if found == "leaf" else nodes
    parts = name.split("-") if found == "pair" else [name]
    if found == "pair" and (len(parts) != 2 or parts[0] == parts[1]):
        raise UsageError(f"--break {text}: write a pair as pair:{nodes[0]}-{nodes[-1]}")
    for part in parts:
        if part not in valid:
            what = "leaf" if found == "leaf" else "node"
            those = f"{valid[0]} to {valid[-1]}" if valid else "none (add --leaves 2)"
            raise UsageError(f"--break {text}: no {what} {part!r}{_nearest(part, valid)}; there are {those}")
    return found, name


def _nearest(name: str, valid: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.4)
    return f" (did you mean {near[0]!r}?)" if near else ""
