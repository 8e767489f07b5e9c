"""What BMCs say of the health of their machines: sensors as they are now, and the event log where no sensor tells.

Sources: IPMI 2.0, 42.1 and 42.2 (states of sensors and events; pyghmi sums them up as ok, warning, critical, failed). That many
corrected memory errors in a short time foretell an uncorrected one: Schroeder, Pinheiro, Weber, "DRAM Errors in the Wild"
(SIGMETRICS 2009). Logs are rarely emptied: only the last days before they were read count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from ahc_server.bmc.model import Event, OutOfBand, Reading
from ahc_server.judge.health import Ill
from ahc_server.judge.model import Finding, Severity
from ahc_server.session import NodeRecord

_DAYS = timedelta(days=30)
#: So many corrected errors within an hour are a storm (BMCs themselves stop to log after some ten).
_STORM, _STORM_TIME = 10, timedelta(hours=1)
#: Event type and offset of memory sensors (IPMI 2.0, 42.2, sensor type 0Ch).
_CORRECTED, _UNCORRECTED, _LIMIT = "111.0", "111.1", "111.5"
#: A state that most of so many nodes share is their make.
_LEAST_NODES = 3

_SEVERITY: dict[str, Severity] = {"warning": "warn", "critical": "fail", "failed": "fail"}
#: Kind of sensor → what to do.
_DO = {
    "Fan": "replace the fan, and check that it is plugged in",
    "Power Supply": "check the supply, its cord and its feed: the machine may run without redundancy",
    "Temperature": "check fans, heat sinks and air flow",
    "Memory": "replace the DIMM",
    "Power Unit": "check the supplies, their cords and feeds: the machine may run without redundancy",
    "Processor": "look for machine checks in the logs of its operating system, and see whether it follows the processor",
    "Critical interrupt": "reseat the card of that bus, and look for PCIe errors in the logs of its operating system",
}
#: Their sensors show nothing any more after the machine was started again: what was logged counts all the same.
_MOMENTARY = ("Processor", "Critical interrupt")
#: Event types whose offsets exclude each other (IPMI 2.0, 42.1): a later one takes the place of all before. Redundancy is one.
_STATES, _REDUNDANCY = range(2, 13), 11


def told_by_bmcs(records: Sequence[NodeRecord]) -> list[Finding]:
    """One finding for each part of a node of which its BMC says that it is ill."""
    told = [(record.node, record.out_of_band) for record in records if record.out_of_band is not None]
    usual = _usual([said for _, said in told])
    return [
        ill.finding(node)
        for node, said in told
        for ill in [*_sensors(said, usual), *_memory(said), *_logged(said)]
        if ill.said
    ]


def _key(reading: Reading) -> tuple[str, str, str]:
    return reading.name, reading.kind, reading.health


def _usual(said: Sequence[OutOfBand]) -> frozenset[tuple[str, str, str]]:
    """Bad states that most nodes with that sensor have: an empty slot for a fan, a limit that was never set."""
    sensors: Counter[tuple[str, str]] = Counter()
    states: Counter[tuple[str, str, str]] = Counter()
    for each in said:
        sensors.update({(reading.name, reading.kind) for reading in each.sensors if reading.available})
        states.update({_key(reading) for reading in each.sensors if reading.available})
    return frozenset(
        key for key, number in states.items() if number >= _LEAST_NODES and 2 * number > sensors[key[:2]]
    )


def _sensors(said: OutOfBand, usual: frozenset[tuple[str, str, str]]) -> Iterator[Ill]:
    for reading in said.sensors:
        if not reading.available or reading.health == "ok" or _key(reading) in usual:
            continue
        component = "memory" if reading.kind == "Memory" else "health"
        do = _DO.get(reading.kind, "check the part that the sensor watches")
        ill = Ill(component, reading.name, f"{reading.kind} {reading.name} (BMC)", do)
        value = "" if reading.value is None else f"{reading.value:.4g} {reading.unit}".strip()
        states = ", ".join(reading.states[-2:])
        what = ": ".join(part for part in (value, states) if part) or reading.health
        ill.add(_SEVERITY[reading.health], what, "out_of_band", reading.value or 0, reading.unit)
        yield ill


def _memory(said: OutOfBand) -> Iterator[Ill]:
    """Corrected errors that come in storms, and uncorrected ones, sensor by sensor."""
    recent = [event for event in _recent(said) if event.kind == "Memory" and event.asserted]
    for sensor in sorted({event.sensor or "memory" for event in recent}):
        mine = [event for event in recent if (event.sensor or "memory") == sensor]
        ill = Ill(
            "memory", sensor, f"memory ({sensor}, event log)", "reseat the DIMM, and replace it if they go on"
        )
        many = _most_within(mine)
        if many >= _STORM:
            ill.add("warn", f"{many:,} corrected errors within an hour", "corrected_per_hour", many, "events")
        elif any(event.code == _LIMIT for event in mine):
            ill.add("warn", "so many corrected errors that the BMC logs no more", "log_limit", 1, "events")
        uncorrected = sum(event.code == _UNCORRECTED for event in mine)
        if uncorrected:
            ill.do = "replace the DIMM"
            ill.add(
                "fail", f"{uncorrected:,} uncorrectable errors", "uncorrectable_errors", uncorrected, "events"
            )
        yield ill


def _logged(said: OutOfBand) -> Iterator[Ill]:
    """Serious events that were not taken back, of parts that no sensor shows now, or whose sensors show the moment only."""
    shown = {reading.name for reading in said.sensors if reading.available}
    last: dict[tuple[str, str], Event] = {}
    for event in _recent(said):
        if event.sensor is None or event.kind == "Memory":
            continue
        if event.sensor not in shown or event.kind in _MOMENTARY:
            last[event.sensor, _what(event)] = event
    for (sensor, _), event in sorted(last.items()):
        if _stands(event, shown=sensor in shown):
            do = _DO.get(event.kind, "check it")
            ill = Ill("health", sensor, f"{event.kind or 'part'} {sensor} (event log)", do)
            ill.add("warn", f"{event.event} at {event.at or 'an unknown time'}", "event", 1, "events")
            yield ill


def _type(event: Event) -> int | None:
    kind = event.code.partition(".")[0]
    return int(kind) if kind.isdecimal() else None


def _what(event: Event) -> str:
    """What a later event of the same sensor has to tell of, to take the place of this one."""
    kind = _type(event)
    return f"{kind}" if kind in _STATES else event.code


def _stands(event: Event, *, shown: bool) -> bool:
    """Whether the last word on a part is a bad one. Of states, the end of a good one is bad, and its health says so."""
    if shown:
        return event.asserted and event.health == "failed"
    if _type(event) == _REDUNDANCY:
        return event.health != "ok"
    return event.health in ("critical", "failed") and (event.asserted or _type(event) in _STATES)


def _recent(said: OutOfBand) -> list[Event]:
    """Events of the last days; those without a usable time count, for nothing says that they are old."""
    now = _time(said.collected_at)
    if now is None:
        return said.events
    return [event for event in said.events if (at := _time(event.at)) is None or now - at <= _DAYS]


def _most_within(events: Iterable[Event]) -> int:
    """The most corrected errors within any hour; without times, all of them."""
    corrected = [event for event in events if event.code == _CORRECTED]
    times = sorted(at for event in corrected if (at := _time(event.at)) is not None)
    most, first = 0, 0
    for place, at in enumerate(times):
        while at - times[first] > _STORM_TIME:
            first += 1
        most = max(most, place - first + 1)
    return most + len(corrected) - len(times)


def _time(text: str | None) -> datetime | None:
    """ISO 8601 with its offset; None for what is none, or has none."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
