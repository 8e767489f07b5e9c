"""The answers as data: ``ahc.comparison/1`` and ``ahc.history/1``. What draws them decides nothing.

Every ``change`` and ``effect`` is relative, and negative is worse: −0.12 is 12 % slower, and a time that became 2.5 times as
long is −1.5.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ahc_server.history.networks import NetworkChange
from ahc_server.history.rampups import RampChange
from ahc_server.history.reading import Side
from ahc_server.judge.model import Component, Severity

COMPARISON = "ahc.comparison/1"
HISTORY = "ahc.history/1"

Kind = Literal["slower", "faster"]


class MetricChange(msgspec.Struct, kw_only=True, frozen=True):
    """One metric: of one node, or the median of several. Values in the metric's unit."""

    name: str
    unit: str
    before: float | None
    after: float | None
    change: float | None


class SharedChange(msgspec.Struct, kw_only=True, frozen=True):
    """What changed for many nodes alike.

    ``among``: which of the compared nodes, in words, None for all of a group. ``low``, ``high``: confidence interval of the
    median change with the given ``confidence``; with fewer than six nodes it is their range. ``matters``: False for what is
    told only on request.
    """

    group: str
    nodes: list[str]
    among: str | None = None
    component: Component
    title: str
    kind: Kind
    severity: Severity
    matters: bool
    change: float
    low: float
    high: float
    confidence: float
    metrics: list[MetricChange] = []
    summary: str


class NodeChange(msgspec.Struct, kw_only=True, frozen=True):
    """A node that changed otherwise than its peers.

    ``change`` is its own, ``expected`` that of its peers, ``difference`` what remains; ``limit``: a difference up to this (a
    fraction) is taken for noise, or does not matter. ``cause``: facts that changed at the same time, None where nothing did.
    """

    node: str
    group: str | None
    component: Component
    title: str
    kind: Kind
    severity: Severity
    change: float
    expected: float | None
    difference: float
    limit: float | None
    metrics: list[MetricChange] = []
    cause: str | None = None
    summary: str


class FactChange(msgspec.Struct, kw_only=True, frozen=True):
    """A fact that is not what it was. ``before`` or ``after`` is None where there was nothing to tell."""

    component: str
    name: str
    before: str | None
    after: str | None
    nodes: list[str]


class Gap(msgspec.Struct, kw_only=True, frozen=True):
    """What could not be compared, and why. ``blocking``: a node lacks afterwards what it had before."""

    what: str
    nodes: list[str] = []
    blocking: bool = False


class Comparison(msgspec.Struct, kw_only=True, frozen=True):
    """The same fleet before and after. ``nodes`` took part in both sessions; ``gone`` only in the first, ``new`` only in the
    second.

    ``metrics``: how many were compared. ``every``: each metric's median change, filled on request. ``rampups``, ``networks``:
    left out where the sessions have none.
    """

    schema: str = COMPARISON
    before: Side
    after: Side
    nodes: list[str]
    gone: list[str]
    new: list[str]
    metrics: int
    shared: list[SharedChange]
    changed: list[NodeChange]
    facts: list[FactChange]
    gaps: list[Gap]
    notes: list[str]
    every: list[MetricChange] = []
    rampups: list[RampChange] | msgspec.UnsetType = msgspec.UNSET
    networks: list[NetworkChange] | msgspec.UnsetType = msgspec.UNSET

    @property
    def worst(self) -> Severity:
        """Of everything that became slower and matters: "info" where nothing did."""
        told = {each.severity for each in self.changed if each.kind == "slower"}
        told |= {each.severity for each in self.shared if each.kind == "slower" and each.matters}
        told |= {each.severity for each in self.networks or []}
        return "fail" if "fail" in told else "warn" if "warn" in told else "info"


class Point(msgspec.Struct, kw_only=True, frozen=True):
    """One change. It happened between the sessions ``before`` and ``after``.

    ``shared``: all ``nodes`` of a group changed alike. ``until``: the session in which the level changed once more, None
    while it lasts; ``sessions``: how many show the new level. ``tentative``: seen in the newest session alone.
    ``facts``: what else changed at that time, and not on others.
    """

    nodes: list[str]
    group: str
    shared: bool
    component: Component
    title: str
    kind: Kind
    severity: Severity
    change: float
    before: str
    after: str
    at: str
    until: str | None
    sessions: int
    tentative: bool
    also: list[str] = []
    facts: list[str] = []
    summary: str


class Series(msgspec.Struct, kw_only=True, frozen=True):
    """One piece of one node: for each session its level relative to its median over all; None where it was not measured."""

    node: str
    title: str
    values: list[float | None]


class Timeline(msgspec.Struct, kw_only=True, frozen=True):
    """Changes over ``sessions`` (oldest first), the newest and most serious first."""

    schema: str = HISTORY
    sessions: list[Side]
    nodes: int
    metrics: int
    points: list[Point]
    series: list[Series] = []
    notes: list[str]

    @property
    def worst(self) -> Severity:
        told = {each.severity for each in self.points}
        return "fail" if "fail" in told else "warn" if "warn" in told else "info"
