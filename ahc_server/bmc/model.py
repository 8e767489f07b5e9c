"""What BMCs say, as plain data: the JSON form ``ahc.bmc/1``, and what a session keeps of it.

Everything here came from a BMC: bounded where it is decoded, and never a number that is not finite.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

SCHEMA = "ahc.bmc/1"

Text = Annotated[str, msgspec.Meta(max_length=1024)]
Number = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
Power = Literal["on", "off"]
#: As pyghmi sums up what thresholds and discrete states mean.
Health = Literal["ok", "warning", "critical", "failed"]
#: ``locked``: wrong user, password or rights. ``mistake``: the answer makes no sense, or a library stumbled.
Trouble = Literal["silent", "locked", "refused", "cannot", "mistake"]


class Failure(msgspec.Struct, kw_only=True, frozen=True):
    trouble: Trouble
    problem: Text


class Reading(msgspec.Struct, kw_only=True, frozen=True):
    """One sensor. ``value`` None: it is discrete (its states say all), or not there now (``available`` false).

    ``kind`` is the sensor type's name as IPMI 2.0, table 42-3 has it ("Temperature", "Fan", "Power Supply").
    """

    name: Text
    kind: Text
    value: Number | None = None
    unit: Text = ""
    health: Health = "ok"
    states: list[Text] = []
    available: bool = True


class Event(msgspec.Struct, kw_only=True, frozen=True):
    """One entry of the event log. ``at`` is ISO 8601 in UTC, None where its clock says nothing of use.

    ``asserted`` false: what was is over. ``code``: event type and offset of IPMI ("111.0"), "" over Redfish.
    """

    record: int | None = None
    at: Text | None = None
    sensor: Text | None = None
    kind: Text = ""
    event: Text
    health: Health = "ok"
    asserted: bool = True
    code: Text = ""


class Fru(msgspec.Struct, kw_only=True, frozen=True):
    """One replaceable part: field → text ("Serial Number", "Product name")."""

    part: Text
    fields: dict[Text, Text]


class Answer(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What one BMC said; only what was asked is there. ``incomplete``: what it could not say beside that."""

    node: Text
    address: Text
    failure: Failure | None = None
    power: Power | None = None
    boot: Text | None = None
    uuid: Text | None = None
    firmware: Text | None = None
    said: Text | None = None
    sensors: Annotated[list[Reading], msgspec.Meta(max_length=4096)] | None = None
    events: Annotated[list[Event], msgspec.Meta(max_length=65_536)] | None = None
    frus: Annotated[list[Fru], msgspec.Meta(max_length=512)] | None = None
    incomplete: list[Text] = []


class Answers(msgspec.Struct, kw_only=True, frozen=True):
    """What ``ahc bmc --format json`` prints."""

    schema: str = SCHEMA
    action: str
    nodes: list[Answer]


#: See ``discover``.
Outcome = Literal["joined", "another", "never", "off-again", "no-power", "silent", "locked", "untold"]


class Arrival(msgspec.Struct, kw_only=True, frozen=True):
    """What became of one node that was to be discovered. ``machine``: who joined."""

    node: Text
    address: Text
    outcome: Outcome
    why: str
    machine: str | None = None


class Arrivals(msgspec.Struct, kw_only=True, frozen=True):
    """What ``ahc discover --format json`` prints. ``strangers``: machines that joined meanwhile and are nobody's."""

    schema: str = "ahc.discover/1"
    nodes: list[Arrival]
    strangers: list[str] = []


class OutOfBand(msgspec.Struct, kw_only=True, frozen=True):
    """What a session keeps of a machine's BMC. ``collected_at``: ISO 8601, UTC."""

    collected_at: Text
    address: Text
    power: Power | None = None
    sensors: Annotated[list[Reading], msgspec.Meta(max_length=4096)] = []
    events: Annotated[list[Event], msgspec.Meta(max_length=65_536)] = []
