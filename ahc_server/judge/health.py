"""What the hardware says of its own health, whatever its peers say: SMART, NVMe, EDAC, machine checks, temperatures.

What only means something beside peers is in ``health_peers``.

Sources: NVM Express 1.4, 5.14.1.2 (critical warning, spare, used); the kernel's EDAC counters and machine check exceptions,
since boot (Documentation/x86/x86_64/machinecheck.rst); hwmon's critical limits. That reallocated and pending
sectors foretell failure: Pinheiro, Weber, Barroso, "Failure Trends in a Large Disk Drive Population" (FAST 2007). That most
machines have no corrected memory errors, and few have thousands: Schroeder, Pinheiro, Weber, "DRAM Errors in the Wild"
(SIGMETRICS 2009).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec

from ahc_agent.facts import Disk, EdacController, Inventory, Mce, Sensor, Smart
from ahc_server.judge import wording
from ahc_server.judge.model import Component, Evidence, Finding, Severity

#: Corrected memory errors since boot that deserve a look.
_MANY_CORRECTED = 100
#: Checksum errors between disk and controller, over the disk's life: a cable that was once loose leaves a few.
_MANY_CRC_ERRORS = 100
#: NVMe: wear of which the maker says that the disk's life is over, and the spare blocks that are left then.
_WORN_PERCENT, _LEAST_SPARE_PERCENT = 100, 10
#: Hotter than a disk may be while it works (celsius): rotating ones, and solid ones.
_HOT_HDD, _HOT_SSD = 60, 75
#: No sensor of a machine that runs shows this (celsius).
_NONSENSE = 150

_NVME_WARNINGS = (
    "spare blocks run out",
    "too hot or too cold",
    "unreliable through media errors",
    "read-only",
    "its backup of volatile memory failed",
    "its persistent memory is unreliable",
)


@dataclass(slots=True)
class Ill:
    """One ill part of one node: what is wrong with it, and what to do."""

    component: str
    part: str
    title: str
    do: str
    severity: Severity = "warn"
    said: list[str] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)

    def add(
        self, severity: Severity, said: str, quantity: str, value: float, unit: str, expected: float = 0
    ) -> None:
        if severity == "fail":
            self.severity = "fail"
        self.said.append(said)
        name = f"{self.component}.{self.part}.{quantity}"
        self.evidence.append(Evidence(name=name, value=value, expected=expected, unit=unit, effect=None))

    def finding(self, node: str) -> Finding:
        said = ", ".join(self.said)
        return Finding(
            element=f"node:{node}",
            nodes=[node],
            component=cast(Component, self.component),
            kind="health",
            severity=self.severity,
            metrics=self.evidence,
            summary=f"{node}: {self.title}: {said}; {self.do}",
            cause=said,
        )


def ill_parts(node: str, inventory: Inventory) -> list[Finding]:
    """One finding for each part that says of itself that it is ill, or is about to be."""
    ills = [
        *(_disk(disk, disk.smart) for disk in inventory.disks if disk.smart is not None),
        *(ill for each in inventory.health.edac for ill in _memory(each)),
        _machine_checks(inventory.health.mce),
        _heat(inventory.health.sensors),
    ]
    return [ill.finding(node) for ill in ills if ill.said]


def merged(health: Iterable[Finding], about: Iterable[Finding]) -> list[Finding]:
    """``about`` and ``health`` together: an ill part that is also slow is one finding, with its illness for the cause."""
    found = list(about)
    slow_at: dict[str, list[int]] = {}
    for number, each in enumerate(found):
        if each.kind == "slow":
            slow_at.setdefault(each.element, []).append(number)
    for ill in health:
        place = next((at for at in slow_at.get(ill.element, ()) if _same_part(found[at], ill)), None)
        if place is None:
            found.append(ill)
            continue
        slow = found[place]
        found[place] = msgspec.structs.replace(
            slow,
            severity="fail" if "fail" in (slow.severity, ill.severity) else "warn",
            cause="; ".join(each for each in (ill.cause, slow.cause) if each),
            metrics=[*slow.metrics, *ill.metrics],
        )
    return found


def _same_part(slow: Finding, ill: Finding) -> bool:
    if slow.component != ill.component:
        return False
    part = ill.metrics[0].name.rpartition(".")[0]
    return ill.component != "disk" or any(each.name.rpartition(".")[0] == part for each in slow.metrics)


def _disk(disk: Disk, smart: Smart) -> Ill:
    ill = Ill("disk", disk.name, f"disk {wording.disk_label(disk)}", "save what is on it and replace it")
    if smart.passed is False:
        ill.add("fail", "its own self-assessment (SMART) is that it fails", "smart_passed", 0, "", 1)
    if smart.critical_warning:
        bits = [text for bit, text in enumerate(_NVME_WARNINGS) if smart.critical_warning >> bit & 1]
        said = f"critical warning 0x{smart.critical_warning:02x} ({', '.join(bits) or 'unknown'})"
        ill.add("fail", said, "critical_warning", smart.critical_warning, "")
    for count, what, quantity in (
        (smart.pending_sectors, "sectors that it cannot read (pending)", "pending_sectors"),
        (smart.reallocated_sectors, "sectors reallocated", "reallocated_sectors"),
        (smart.uncorrectable_errors, "uncorrectable errors", "uncorrectable_errors"),
        (smart.media_errors, "media errors", "media_errors"),
    ):
        if count:
            ill.add("warn", f"{count:,} {what}", quantity, count, "")
    if ill.severity == "warn":
        ill.do = "watch whether it grows, and replace the disk then"
    _wear(ill, smart)
    _surroundings(ill, smart, rotates=disk.rotational is True)
    return ill


def _wear(ill: Ill, smart: Smart) -> None:
    if smart.percentage_used is not None and smart.percentage_used >= _WORN_PERCENT:
        used = smart.percentage_used
        ill.add("warn", f"{used} % of its rated life used up", "percentage_used", used, "%")
    spare = smart.available_spare_percent
    if spare is not None and spare < _LEAST_SPARE_PERCENT:
        ill.add("warn", f"{spare} % of its spare blocks left", "available_spare_percent", spare, "%", 100)


def _surroundings(ill: Ill, smart: Smart, *, rotates: bool) -> None:
    """What the disk tells of its cable and its cooling: no reason to replace it."""
    of_disk = bool(ill.said)
    if smart.crc_errors and smart.crc_errors >= _MANY_CRC_ERRORS:
        said = f"{smart.crc_errors:,} checksum errors on the way to its controller"
        ill.add("warn", said, "crc_errors", smart.crc_errors, "errors")
        ill.do = ill.do if of_disk else "check its cable and backplane"
    heat, limit = smart.temperature_celsius, _HOT_HDD if rotates else _HOT_SSD
    if heat is not None and heat >= limit:
        ill.add("warn", f"{heat:.0f} °C hot", "temperature_celsius", heat, "°C", limit)
        ill.do = ill.do if len(ill.said) > 1 else "check the air flow around it"


def _machine_checks(mce: Mce | None) -> Ill:
    ill = Ill(
        "health", "mce", "CPU and memory", "read the machine check log (rasdaemon, mcelog) for the part"
    )
    if mce is not None and mce.exceptions:
        said = f"{mce.exceptions:,} machine check exceptions since boot"
        ill.add("warn", said, "exceptions", mce.exceptions, "events")
    return ill


def _heat(sensors: Sequence[Sensor]) -> Ill:
    """Temperatures at the sensor's own critical limit. (Limits of 0 and below are what chips without one show.)"""
    ill = Ill("health", "temperature", "heat", "check fans, heat sinks and air flow")
    for sensor in sensors:
        value, limit = sensor.value, sensor.critical
        if (
            sensor.kind == "temperature"
            and value is not None
            and limit is not None
            and 0 < limit <= value < _NONSENSE
        ):
            said = f"{sensor.name} {value:.0f} °C, its critical limit is {limit:.0f} °C"
            ill.add("fail", said, sensor.name, value, "°C", limit)
    return ill


def _memory(controller: EdacController) -> Iterator[Ill]:
    """The DIMMs with errors; the controller itself where it counts errors that no DIMM has."""
    uncorrected = corrected = 0
    for number, dimm in enumerate(controller.dimms):
        name = dimm.label or dimm.location or f"{controller.controller} DIMM {number}"
        yield _counted(
            f"DIMM {name}".replace("DIMM DIMM", "DIMM"),
            name,
            dimm.uncorrectable_errors,
            dimm.correctable_errors,
        )
        uncorrected += dimm.uncorrectable_errors or 0
        corrected += dimm.correctable_errors or 0
    yield _counted(
        f"memory controller {controller.controller}",
        controller.controller,
        (controller.uncorrectable_errors or 0) - uncorrected,
        (controller.correctable_errors or 0) - corrected,
    )


def _counted(title: str, part: str, uncorrected: int | None, corrected: int | None) -> Ill:
    ill = Ill("memory", part, title, "replace the DIMM")
    if uncorrected and uncorrected > 0:
        ill.add(
            "fail",
            f"{uncorrected:,} uncorrectable errors since boot",
            "uncorrectable_errors",
            uncorrected,
            "errors",
        )
    if corrected and corrected >= _MANY_CORRECTED:
        ill.add(
            "warn", f"{corrected:,} corrected errors since boot", "correctable_errors", corrected, "errors"
        )
    if ill.severity == "warn":
        ill.do = "reseat the DIMM, and replace it if they go on"
    return ill
