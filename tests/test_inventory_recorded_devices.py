"""Recorded machines of others: their disks, cards and PCI functions are those that hwloc finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from ahc_agent.inventory import disks, nics, pci
from ahc_agent.inventory.root import Root
from tests.device_helpers import machines, unpack

#: hwloc's numbers of its kinds of OS devices. InfiniBand adapters (kind 3) are PCI functions to us, their ports cards.
BLOCK, NETWORK = "0", "2"


@pytest.fixture(scope="module")
def recorded(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Root]:
    where = tmp_path_factory.mktemp("machines")
    return {
        machine: unpack(shared, machine, where / str(number))
        for number, machine in enumerate(machines(shared))
    }


def test_devices_agree_with_hwloc(shared: Path, recorded: dict[str, Root]) -> None:
    for machine, root in recorded.items():
        truth = machines(shared)[machine]["lstopo"]
        named = {kind: sorted(name for k, name in truth["osdev"] if k == kind) for kind in (BLOCK, NETWORK)}
        assert [disk.name for disk in disks.collect(root)] == named[BLOCK], machine
        assert [nic.name for nic in nics.collect(root)] == named[NETWORK], machine
        assert len(pci.collect(root)) == truth["pci"], machine
        assert root.trouble == [], machine


def test_a_recorded_server_tells_where_its_cards_hang(recorded: dict[str, Root]) -> None:
    root = recorded["40intel64-2g2n4c+pcilocality.tar.bz2"]
    cards = {nic.name: nic for nic in nics.collect(root)}
    assert (cards["ib0"].kind, cards["ib0"].numa_node, cards["ib0"].speed_mbps) == ("infiniband", 2, 40_000)
    assert (cards["eth0"].kind, cards["eth0"].driver, cards["eth0"].speed_mbps) == ("physical", "bnx2", 1000)
    assert cards["eth1"].carrier is None, "it is down: whether a cable is in cannot be told"

    infiniband = next(device for device in pci.collect(root) if device.address == cards["ib0"].pci_address)
    assert (infiniband.numa_node, infiniband.link_speed_gtps, infiniband.link_width) == (2, 8.0, 4)

    sda, sr0 = disks.collect(root)
    assert (sda.model, sda.transport, sda.pci_address) == ("PERC H700", "raid", "0000:01:00.0")
    assert (sr0.kind, sr0.size_bytes) == ("rom", None)
