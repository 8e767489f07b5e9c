"""The report as data: the typed form of ``ahc.report/1``. Reports draw it and decide nothing.

``effect`` is relative to what the node's peers make one expect, and negative is worse: −0.36 is 36 % slower; a
round-trip time of 2.5 times the peers' is −1.5. ``q`` is the rate of false findings among all findings at least as clear
as this one (Benjamini and Hochberg 1995), None where nothing was estimated from noise (a node that vanished).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ahc_server.judge.rampup_model import Rampup

SCHEMA = "ahc.report/1"

Verdict = Literal["pass", "warn", "fail", "unknown"]
Severity = Literal["fail", "warn", "info"]
Component = Literal["cpu", "memory", "numa", "disk", "network", "firmware", "system", "bmc", "health"]
Kind = Literal["slow", "fast", "unstable", "config", "missing", "extra", "health", "not-measured"]
Direction = Literal["tx", "rx"]


class Evidence(msgspec.Struct, kw_only=True, frozen=True):
    """One metric that carries a finding. ``expected`` is the group's median, in the metric's unit."""

    name: str
    value: float | None
    expected: float | None
    unit: str
    effect: float | None


class Finding(msgspec.Struct, kw_only=True, frozen=True):
    """One sheep and one cause, however many metrics carry it.

    ``element``: "node:ID", "pair:A-B", "leaf:NAME", "link:A-NAME" or "group:ID". ``direction``: whether it sends or
    receives badly, None both; of a pair "tx" is the way from the first of ``nodes`` to the other. ``cause`` is None where
    nothing is known: it is never guessed.
    """

    element: str
    nodes: list[str]
    component: Component
    kind: Kind
    direction: Direction | None = None
    severity: Severity
    effect: float | None = None
    q: float | None = None
    metrics: list[Evidence] = []
    cause: str | None = None
    summary: str


class Group(msgspec.Struct, kw_only=True, frozen=True):
    """Nodes that can be compared with each other."""

    id: str
    size: int
    nodes: list[str]
    hardware: str


class NodeVerdict(msgspec.Struct, kw_only=True, frozen=True):
    """``group`` is None for a node of which nothing is known that a group could be made by."""

    id: str
    group: str | None
    verdict: Verdict
    profile: str | None = None


class Counts(msgspec.Struct, kw_only=True, frozen=True):
    nodes: int
    passed: int = msgspec.field(name="pass")
    warn: int
    fail: int
    unknown: int


class Report(msgspec.Struct, kw_only=True, frozen=True):
    """``notes`` are sentences about the data itself: ids that are not serials, collectors that failed. ``rampups``: jobs that
    ran on ever more nodes at once, left out where there are none."""

    schema: str = SCHEMA
    session: str
    generated_at: str
    nodes: list[NodeVerdict]
    groups: list[Group]
    findings: list[Finding]
    counts: Counts
    notes: list[str] = []
    rampups: list[Rampup] | msgspec.UnsetType = msgspec.UNSET
