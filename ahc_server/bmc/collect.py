"""What BMCs say, into a session: each answer to the machine that the BMC belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ahc_server.bmc.model import Answer, OutOfBand
from ahc_server.bmc.target import Target
from ahc_server.bmc.whose import Known, machine_of
from ahc_server.session import NodeRecord, Session


@dataclass(slots=True)
class Collected:
    """``said``: machine → what is to be kept. ``left_out``: sentences about BMCs whose machine is not in the session."""

    said: dict[str, OutOfBand] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def sort_out(session: Session, targets: Sequence[Target], answers: Sequence[Answer], at: str) -> Collected:
    """``answers`` are in the order of ``targets``; ``at`` is ISO 8601, UTC. BMCs that did not answer are no subject here."""
    machines = {record.machine: Known(record.identity, _bmc_address(record)) for record in session.nodes}
    known_as = {record.node: record.machine for record in session.nodes}
    found = Collected()
    for target, answer in zip(targets, answers, strict=True):
        if answer.failure is not None:
            continue
        whose = machine_of(target, answer.uuid, machines)
        machine = whose.machine or (known_as.get(target.node) if whose.conflict is None else None)
        if machine is None:
            why = (
                whose.conflict or "no machine of the session has its MAC address, UUID, serial or BMC address"
            )
            found.left_out.append(f"{target.node}: {why}")
        elif machine in found.said:
            found.left_out.append(
                f"{target.node}: {machine} has a BMC already ({found.said[machine].address})"
            )
        else:
            found.said[machine] = OutOfBand(
                collected_at=at,
                address=answer.address,
                power=answer.power,
                sensors=answer.sensors or [],
                events=answer.events or [],
            )
    return found


def _bmc_address(record: NodeRecord) -> str | None:
    bmc = record.inventory.bmc if record.inventory is not None else None
    return (bmc.address if bmc is not None else None) or record.identity.bmc_address
