"""The profiles that come with AHC, each on machines that should serve in it and on machines that should not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ahc_agent.facts import Disk, Nic, PciDevice
from ahc_server.importers import read_file
from ahc_server.profiles.ask import ask
from ahc_server.profiles.match import match_subjects
from ahc_server.profiles.read import SHIPPED, read_profiles
from ahc_server.profiles.subject import Subject
from tests.conftest import REPOSITORY
from tests.profile_helpers import GIB, disk, nic, subject

PROFILES = {profile.name: profile for profile in read_profiles(SHIPPED)}
FLAGS = ["vmx", "pse", "pdpe1gb", "aes"]
SYSTEM = [disk("sda", 480 * 10**9, False, "SSD")]
NIC = [nic("eth0", 10_000, 0, 0)]
GPU = PciDevice(address="0000:3b:00.0", class_id="030200", vendor_id="10de", accelerator=True)
NO_GPU = PciDevice(address="0000:00:1f.0", class_id="060100", vendor_id="8086")


def server(
    *,
    disks: list[Disk] | None = None,
    nics: list[Nic] | None = None,
    pci: PciDevice = NO_GPU,
    memory: int = 192,
) -> Subject:
    return subject(
        memory=memory * GIB,
        flags=FLAGS,
        disks=SYSTEM if disks is None else disks,
        nics=NIC if nics is None else nics,
        numa=[memory // 2 * GIB] * 2,
        pci=[pci],
    )


#: What each is made for, and a machine that comes near it.
MADE_FOR = {
    "control": (server(), server(memory=16)),
    "compute": (server(), server(nics=[nic("eth0", 100)])),
    "compute-numa": (
        server(nics=[nic("eth0", numa=0), nic("eth1", numa=0), nic("eth2", numa=1)]),
        server(nics=[nic("eth0", numa=0), nic("eth1", numa=0)]),
    ),
    "ceph-storage": (
        server(disks=[*SYSTEM, *(disk(f"sd{letter}") for letter in "bcde")]),
        server(disks=[*SYSTEM, *(disk(f"sd{letter}", model=letter) for letter in "bcde")]),
    ),
    "network": (
        server(nics=[nic("eth0", 25_000), nic("eth1", 25_000)]),
        server(nics=[nic("eth0", 25_000), nic("eth1")]),
    ),
    "gpu": (server(pci=GPU), server()),
}


def test_the_six_are_shipped_and_stand_where_people_look_for_them() -> None:
    assert set(PROFILES) == set(MADE_FOR)
    assert SHIPPED.resolve() == REPOSITORY / "profiles"


@pytest.mark.parametrize("name", MADE_FOR)
def test_a_profile_takes_what_it_is_made_for_and_not_what_is_near_it(name: str) -> None:
    right, near = MADE_FOR[name]
    assert ask(PROFILES[name], right).answer.fit == "fits"
    wrong = ask(PROFILES[name], near).answer
    assert wrong.fit == "fails" and wrong.reason is not None


@pytest.mark.parametrize("name", MADE_FOR)
def test_no_profile_takes_a_node_that_is_ill_or_of_which_nothing_is_known(name: str) -> None:
    right, _ = MADE_FOR[name]
    ill = Subject("n1", right.inventory, verdict="fail", group="g1")
    assert ask(PROFILES[name], ill).answer.fit == "fails"
    untold = ask(PROFILES[name], subject(cores=None, memory=None, model=None)).answer
    assert untold.fit != "fits"


def test_together_they_sort_a_mixed_fleet() -> None:
    fleet = [
        Subject(f"{name}{number}", right.inventory, verdict="pass", group="g1")
        for name, (right, _) in MADE_FOR.items()
        for number in range(4 if name == "compute" else 1)
    ]
    found = {node.id: node.profile for node in match_subjects("s", fleet, list(PROFILES.values())).nodes}
    assert None not in found.values()
    assert (
        found["gpu0"] == "gpu" and found["ceph-storage0"] == "ceph-storage" and found["network0"] == "network"
    )
    assert list(found.values()).count("control") == 3


def test_recorded_machines_are_sorted(shared: Path) -> None:
    """eDeploy's Dell M520 has 128 GiB and VT-x; its virtual machine is too small for anything."""
    fits = {}
    for path in sorted((shared / "edeploy").glob("*.hw")):
        [(_, _, machine)] = read_file(path)
        inventory = machine.inventory
        assert inventory is not None
        of = Subject(path.name, inventory, verdict="pass", group="g1")
        fits[path.name[:8]] = {name for name in PROFILES if ask(PROFILES[name], of).answer.fit == "fits"}
    assert fits["PowerEdg"] == {"control", "compute"}
    assert fits["edeploy_"] == set() and fits["ProLiant"] == set()
