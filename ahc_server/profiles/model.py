"""What profiles ask, and what matching answers: plain data, made by ``read`` and ``match``, drawn by ``draw`` and ``export``.

``Matches`` is also the JSON form ``ahc.match/1``.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = "ahc.match/1"

#: Yes, no, or "cannot be told": the machine does not tell the fact, or its group has none to compare with.
Fit = Literal["fits", "fails", "unknown"]


class Yields(msgspec.Struct, kw_only=True, frozen=True):
    """What a match gives a node. Values may use bound variables (``$disk1``), which are filled in for each node.

    ``raid``: Ironic's target_raid_config ({"logical_disks": [...]}). ``bios``: setting → value. ``firmware``: what the ready
    state wants of versions: "bios", "bmc", "nic:DRIVER", "disk:MODEL" → version. ``bmc``: what it wants of the BMC's settings:
    "address" (one, or a network), "channel". ``resource_class``: Ironic's, which schedulers ask for.
    """

    capabilities: dict[str, str] = {}
    traits: list[str] = []
    raid: dict[str, object] = {}
    bios: dict[str, str] = {}
    firmware: dict[str, str] = {}
    labels: dict[str, str] = {}
    bmc: dict[str, str] = {}
    resource_class: str | None = None


class Reason(msgspec.Struct, kw_only=True, frozen=True):
    """One requirement that a node did not meet (or that could not be told): in the profile's words, with its place."""

    requirement: str
    expected: str
    found: str
    file: str | None = None
    line: int | None = None


class Answer(msgspec.Struct, kw_only=True, frozen=True):
    """One profile asked about one node. ``reason``: the first requirement that failed, None where it fits. ``bound``: variable
    (with its ``$``) → value."""

    profile: str
    fit: Fit
    reason: Reason | None = None
    bound: dict[str, str] = {}


class NodeMatch(msgspec.Struct, kw_only=True, frozen=True):
    """One node: its profile (None: none chosen), why no other, in the order of priorities.

    ``why``: one sentence: "the only one that fits", "control has its 3 nodes", ...
    """

    id: str
    profile: str | None
    why: str
    answers: list[Answer]
    bound: dict[str, str] = {}
    yields: Yields = msgspec.field(default_factory=Yields)


class Unfilled(msgspec.Struct, kw_only=True, frozen=True):
    """A quota that could not be filled, and what kept the nearest nodes out: "2 of 5: 14 nodes fail 'at least 4 disks'"."""

    profile: str
    wanted: int
    got: int
    why: str


class ProfileCount(msgspec.Struct, kw_only=True, frozen=True):
    profile: str
    nodes: int
    fitting: int


class Matches(msgspec.Struct, kw_only=True, frozen=True):
    schema: str = SCHEMA
    session: str
    nodes: list[NodeMatch]
    profiles: list[ProfileCount]
    unfilled: list[Unfilled] = []
    notes: list[str] = []
