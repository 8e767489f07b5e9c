"""What a lab is asked for: how many nodes, which of them broken and how."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ahc_agent.errors import UsageError
from ahc_server.lab.cgroups import DiskLimit

if TYPE_CHECKING:
    from ahc_server.lab.parts import Parts

#: As many as have an address in one /24.
MAX_NODES = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    ``inject`` breaks one node of a running lab, and says in one phrase how it did so.
    ``factor``: what is left of the healthy speed unless the operator says otherwise; None where there is nothing to grade.
    ``midway``: it strikes in the middle of the plan, not before its start. ``components`` of the report in which it
    shows; empty: in whatever was not measured any more.
    """

    name: str
    summary: str
    inject: Callable[[Breakage, Parts, Health], str]
    factor: float | None = None
    midway: bool = False
    components: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Breakage:
    """One node's fault. ``asked``: what is left of the healthy speed if the operator said so."""

    node: str
    fault: Fault
    asked: float | None = None

    @property
    def factor(self) -> float:
        """What is left of the healthy speed (1.0 where the fault has no strength)."""
        return self.asked or self.fault.factor or 1.0


@dataclass(frozen=True, slots=True)
class Health:
    """How fast a healthy node is, where the lab can say so. ``cpus``: CPU seconds per second."""

    cpus: float = 0.5
    disk: DiskLimit = field(default_factory=lambda: DiskLimit(200_000_000, 5_000))


@dataclass(frozen=True, slots=True)
class LabSpec:
    """A lab. ``plain``: do without namespaces, loop devices and control groups even where they are to be had."""

    nodes: tuple[str, ...]
    breakages: tuple[Breakage, ...] = ()
    plain: bool = False
    health: Health = field(default_factory=Health)


def node_names(count: int) -> tuple[str, ...]:
    """n1, n2, ... Raises UsageError for a count that makes no fleet."""
    if not 1 <= count <= MAX_NODES:
        raise UsageError(f"--nodes {count}: a lab has 1 to {MAX_NODES} nodes")
    return tuple(f"n{number}" for number in range(1, count + 1))


def parse_breakages(
    texts: Sequence[str], nodes: Sequence[str], faults: dict[str, Fault]
) -> tuple[Breakage, ...]:
    """From ``NODE=FAULT`` or ``NODE=FAULT:FACTOR`` (what is left of the healthy speed, more than 0 and less than 1).

    Raises UsageError, which names the nearest valid name.
    """
    return tuple(_parse(text, nodes, faults) for text in texts)


def _parse(text: str, nodes: Sequence[str], faults: dict[str, Fault]) -> Breakage:
    node, equals, rest = text.partition("=")
    if not equals:
        raise UsageError(f"--break {text}: write NODE=FAULT, such as {nodes[0]}=slow-disk")
    name, colon, strength = rest.partition(":")
    if node not in nodes:
        raise UsageError(
            f"--break {text}: no node {node!r}{_nearest(node, nodes)}; nodes: {nodes[0]} to {nodes[-1]}"
        )
    if name not in faults:
        raise UsageError(
            f"--break {text}: no fault {name!r}{_nearest(name, faults)}; faults: {', '.join(faults)}"
        )
    fault = faults[name]
    if not colon:
        return Breakage(node, fault)
    if fault.factor is None:
        raise UsageError(f"--break {text}: {name} has no strength; write {node}={name}")
    try:
        factor = float(strength)
    except ValueError:
        factor = 0.0
    if not 0 < factor < 1:
        raise UsageError(
            f"--break {text}: write what is left of the healthy speed, such as {name}:{fault.factor}"
        )
    return Breakage(node, fault, factor)


def _nearest(name: str, valid: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.4)
    return f" (did you mean {near[0]!r}?)" if near else ""
