"""A small fleet with its matches, for the tests of exports and of the ready state."""

from __future__ import annotations

from ahc_agent.facts import Bios, Bmc, Cpu, Dimm, Disk, Inventory, Memory, Nic, System
from ahc_server.profiles.model import Matches, NodeMatch, ProfileCount, Yields

GIB = 2**30
RAID: dict[str, object] = {"logical_disks": [{"size_gb": 100, "raid_level": "1", "is_root_volume": True}]}
CONTROL = Yields(
    capabilities={"boot_mode": "uefi"},
    traits=["CUSTOM_CONTROL", "fast-disk"],
    raid=RAID,
    bios={"LogicalProc": "Enabled"},
    labels={"ahc/rack": "r7"},
)


def machine(number: int) -> Inventory:
    """Machine ``number``: serial SN000n, MACs 52:54:00:00:0n:01 and :02, BMC 10.0.0.n, 16 CPUs, 64 GiB, 100 and 480 GiB."""
    return Inventory(
        collected_at="2026-01-31T12:00:00Z",
        system=System(
            vendor="Dell Inc.",
            serial=f"SN{number:04}",
            uuid=f"4c4c4544-0000-0000-0000-{number:012}",
            bios=Bios(vendor="Dell Inc.", version="2.19.1"),
        ),
        cpu=Cpu(
            architecture="x86_64",
            logical_present=16,
            logical_online=16,
            sockets=2,
            cores=8,
            threads_per_core=2,
            flags=["vmx"],
            boost=True,
        ),
        memory=Memory(total_bytes=62 * GIB, dimms=[Dimm(size_bytes=32 * GIB), Dimm(size_bytes=32 * GIB)]),
        disks=[
            Disk(name="sda", size_bytes=100 * GIB, model="PERC H730P Mini", firmware="4.30"),
            Disk(name="sdb", size_bytes=480 * GIB, model="MZ7LH480", firmware="HXT7404Q"),
        ],
        nics=[
            Nic(
                name="eno1",
                mac=f"52:54:00:00:{number:02x}:01",
                driver="i40e",
                firmware="9.20 0x8000d95e 22.0.9",
            ),
            Nic(
                name="eno2",
                mac=f"52:54:00:00:{number:02x}:02",
                driver="i40e",
                firmware="9.20 0x8000d95e 22.0.9",
            ),
        ],
        bmc=Bmc(address=f"10.0.0.{number}", firmware="6.10"),
    )


def fleet(count: int = 3) -> dict[str, Inventory]:
    return {f"SN{number:04}": machine(number) for number in range(1, count + 1)}


def match(name: str, profile: str | None = "control", yields: Yields = CONTROL) -> NodeMatch:
    return NodeMatch(
        id=name,
        profile=profile,
        why="the only one that fits" if profile else "no profile fits",
        answers=[],
        yields=yields if profile else Yields(),
    )


def matches(*nodes: NodeMatch) -> Matches:
    names = sorted({node.profile for node in nodes if node.profile})
    return Matches(
        session="s1",
        nodes=list(nodes),
        profiles=[ProfileCount(profile=name, nodes=len(nodes), fitting=len(nodes)) for name in names],
    )
