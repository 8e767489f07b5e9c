"""Nodes and profiles for the tests of matching, written as short as they can be read."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from ahc_agent.facts import Cpu, Disk, Inventory, Memory, Nic, NumaNode, PciDevice
from ahc_server.judge.model import Finding, Verdict
from ahc_server.profiles.ask import Asked, ask
from ahc_server.profiles.profile import Profile
from ahc_server.profiles.read import parse_profile
from ahc_server.profiles.subject import Reading, Subject

GIB = 2**30
TB = 10**12


def disk(
    name: str, size: int | None = 4 * TB, rotational: bool | None = True, model: str | None = "A"
) -> Disk:
    return Disk(name=name, size_bytes=size, rotational=rotational, model=model)


def nic(name: str, speed: int | None = 10_000, numa: int | None = 0, vfs: int | None = 64) -> Nic:
    return Nic(
        name=name, speed_mbps=speed, numa_node=numa, sriov_total_vfs=vfs, mac=f"52:54:00:00:00:{name[-1]:>02}"
    )


def subject(
    name: str = "n1",
    *,
    cores: int | None = 32,
    memory: int | None = 192 * GIB,
    disks: Sequence[Disk] = (),
    nics: Sequence[Nic] = (),
    numa: Sequence[int | None] = (),
    flags: Sequence[str] = (),
    pci: Sequence[PciDevice] = (),
    verdict: Verdict | None = "pass",
    findings: Sequence[Finding] = (),
    readings: Mapping[str, tuple[Reading, ...]] | None = None,
    model: str | None = "Xeon Gold 6130",
) -> Subject:
    inventory = Inventory(
        collected_at="2026-01-01T00:00:00Z",
        cpu=Cpu(model=model, cores=cores, threads_per_core=2, flags=list(flags)),
        memory=Memory(total_bytes=memory),
        disks=list(disks),
        nics=list(nics),
        numa=[NumaNode(node=n, cpus=str(n), memory_bytes=size) for n, size in enumerate(numa)],
        pci=list(pci),
    )
    return Subject(
        name, inventory, verdict=verdict, group="g1", findings=tuple(findings), readings=dict(readings or {})
    )


def profile(requires: str, *, name: str = "p", more: str = "") -> Profile:
    """A profile with these requirements, one a line, as they stand in a file."""
    lines = textwrap.indent(textwrap.dedent(requires).strip(), "  ")
    return parse_profile(f"profile: {name}\n{more}requires:\n{lines}\n", "p.yaml")


def answer(requires: str, of: Subject) -> Asked:
    return ask(profile(requires), of)


def fit(requires: str, of: Subject) -> str:
    return answer(requires, of).answer.fit
