"""What the hardware says of its own health: SMART, NVMe, EDAC, throttling. It needs no peers, but for throttling.

Sources: NVM Express 1.4, 5.14.1.2 (critical warning); the kernel's EDAC counters, since boot. That reallocated and pending
sectors foretell failure: Pinheiro, Weber, Barroso, "Failure Trends in a Large Disk Drive Population" (FAST 2007). That most
machines have no corrected memory errors, and few have thousands: Schroeder, Pinheiro, Weber, "DRAM Errors in the Wild"
(SIGMETRICS 2009).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
import numpy as np

from ahc_agent.facts import Disk, EdacController, Inventory, Smart
from ahc_server.judge import wording
from ahc_server.judge.model import Component, Evidence, Finding, Severity

#: Corrected memory errors since boot that deserve a look.
_MANY_CORRECTED = 100
#: Throttling is told when a node did it this much more often than its peers' median, and this often at all.
_THROTTLE_FACTOR = 10
_THROTTLE_LEAST = 100
_LEAST_PEERS = 2

_NVME_WARNINGS = (
    "spare blocks run out",
    "too hot or too cold",
    "unreliable through media errors",
    "read-only",
    "its backup of volatile memory failed",
    "its persistent memory is unreliable",
)


@dataclass(slots=True)
class _Ill:
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
    ills = [*map(_disk, inventory.disks), *(ill for each in inventory.health.edac for ill in _memory(each))]
    return [ill.finding(node) for ill in ills if ill.said]


def throttled(
    rows: Sequence[int], names: Sequence[str], inventories: Sequence[Inventory | None]
) -> list[Finding]:
    """Nodes of one group that slowed themselves down for heat far more often than their peers."""
    counts = {
        row: sum(each.count for each in known.health.throttle)
        for row in rows
        if (known := inventories[row]) is not None and known.health.throttle
    }
    found = []
    for row, count in counts.items():
        peers = [each for other, each in counts.items() if other != row]
        if len(peers) < _LEAST_PEERS or count < _THROTTLE_LEAST:
            continue
        usual = float(np.median(peers))
        if count > _THROTTLE_FACTOR * usual:
            ill = _Ill("cpu", "all", "CPU", "check fans, heat sinks, air flow and the power limit")
            said = f"slowed down for heat {count:,} times since boot where its {len(peers):,} peers did {usual:,.0f} times"
            ill.add("warn", said, "throttle_events", count, "events", usual)
            found.append(ill.finding(names[row]))
    return found


def merged(health: Iterable[Finding], about: Iterable[Finding]) -> list[Finding]:
    """``about`` and ``health`` together: an ill part that is also slow is one finding, with its illness for the cause."""
    found = list(about)
    for ill in health:
        place = next((number for number, slow in enumerate(found) if _same_part(slow, ill)), None)
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
    if (slow.kind, slow.element, slow.component) != ("slow", ill.element, ill.component):
        return False
    part = ill.metrics[0].name.rpartition(".")[0]
    return ill.component != "disk" or any(each.name.rpartition(".")[0] == part for each in slow.metrics)


def _disk(disk: Disk) -> _Ill:
    ill = _Ill("disk", disk.name, f"disk {wording.disk_label(disk)}", "save what is on it and replace it")
    smart = disk.smart or Smart()
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
    return ill


def _memory(controller: EdacController) -> Iterator[_Ill]:
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


def _counted(title: str, part: str, uncorrected: int | None, corrected: int | None) -> _Ill:
    ill = _Ill("memory", part, title, "replace the DIMM")
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
