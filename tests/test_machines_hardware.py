"""Four machines of different hardware boot from the network, and the inventory is exactly the hardware that they were given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ahc_agent.facts import Inventory
from ramdisk.machines.hardware import Bmc, Card, Disk, Machine, NumaNode
from ramdisk.machines.site import site
from tests.machines_helpers import BOOT_S, image, session_of

pytestmark = [pytest.mark.root, pytest.mark.machines, pytest.mark.timeout(900)]

MIB = 1 << 20

MACHINES = (
    Machine(
        name="numa",
        serial="NUMA0001",
        uuid="a4c00000-0000-4000-8000-0000000000a1",
        vendor="Acme",
        product="Twin 2",
        cards=(Card("52:54:00:a4:00:a1", speed_mbps=10_000),),
        cores=4,
        memory_mib=1536,
        numa=(NumaNode("0-1", 1024), NumaNode("2-3", 512)),
        numa_distance=31,
        disks=(Disk("VIRTIO-A1", 300),),
    ),
    Machine(
        name="disks",
        serial="DISKS002",
        uuid="a4c00000-0000-4000-8000-0000000000a2",
        vendor="Acme",
        product="Store 4",
        cards=(Card("52:54:00:a4:00:a2", speed_mbps=25_000),),
        disks=(
            Disk("VIRTIO-B1", 256),
            Disk("VIRTIO-B2", 512),
            Disk("SCSI-B3", 1024, "scsi", rotational=True),
            Disk("SCSI-B4", 256, "scsi"),
            Disk("NVME-B5", 768, "nvme"),
            Disk("", 128, "nvdimm"),
        ),
    ),
    Machine(
        name="cards",
        serial="CARDS003",
        uuid="a4c00000-0000-4000-8000-0000000000a3",
        vendor="Blade Co",
        product="Edge",
        cards=(
            Card("52:54:00:a4:00:a3", speed_mbps=1_000),
            Card("52:54:00:a4:01:a3", speed_mbps=10_000),
            Card("52:54:00:a4:02:a3", speed_mbps=40_000),
        ),
        cores=2,
    ),
    Machine(
        name="bmc",
        serial="BMC00004",
        uuid="a4c00000-0000-4000-8000-0000000000a4",
        vendor="Blade Co",
        product="Managed",
        cards=(Card("52:54:00:a4:00:a4", speed_mbps=1_000),),
        bmc=Bmc(),
    ),
)

#: The SCSI controller is virtio's own.
_TRANSPORT = {"virtio": "virtio", "scsi": "virtio", "nvme": "nvme", "nvdimm": "nvdimm"}
#: QEMU's own BMC has no LAN: that is said, and nothing is made up.
_UNTOLD = {"bmc": [("bmc", "ipmitool: no LAN channel answers")]}

INVENTORY_PLAN = """\
name: look
jobs:
  inventory:
    component: inventory
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Inventory]]:
    """Each machine's inventory, by serial number."""
    folder = tmp_path_factory.mktemp("hardware")
    plan = folder / "look.yaml"
    plan.write_text(INVENTORY_PLAN)
    with site(folder, image("full")) as here:
        here.start_server()
        here.start_netboot()
        guests = [here.power_on(machine) for machine in MACHINES]
        for guest in guests:
            guest.wait_for("joined the server", 2 * BOOT_S)
            for card in guest.machine.cards:
                guest.wait_for(rf"network .*{card.mac}.*address ", BOOT_S)
        here.ahc("run", str(plan), "--session", "look", "--nodes", str(len(MACHINES)))
        session = session_of(here.store, "look")
    yield {node.node: node.inventory for node in session.nodes if node.inventory is not None}


def test_each_machine_is_found_by_its_serial_number(found: dict[str, Inventory]) -> None:
    assert sorted(found) == sorted(machine.serial for machine in MACHINES)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
class TestTheInventoryIsTheHardware:
    def test_nothing_failed(self, found: dict[str, Inventory], machine: Machine) -> None:
        errors = [(each.collector, each.error) for each in found[machine.serial].errors]
        assert errors == _UNTOLD.get(machine.name, [])

    def test_system(self, found: dict[str, Inventory], machine: Machine) -> None:
        system = found[machine.serial].system
        assert (system.vendor, system.product) == (machine.vendor, machine.product)
        assert (system.serial, (system.uuid or "").lower()) == (machine.serial, machine.uuid)
        assert system.board_serial == f"B{machine.serial}"

    def test_processors(self, found: dict[str, Inventory], machine: Machine) -> None:
        cpu = found[machine.serial].cpu
        sockets = max(1, len(machine.numa))
        assert (cpu.logical_online, cpu.cores, cpu.sockets) == (machine.cores, machine.cores, sockets)

    def test_numa_nodes(self, found: dict[str, Inventory], machine: Machine) -> None:
        nodes = found[machine.serial].numa
        given = machine.numa or (
            NumaNode("0" if machine.cores == 1 else f"0-{machine.cores - 1}", machine.memory_mib),
        )
        assert [node.cpus for node in nodes] == [node.cpus for node in given]
        for index, (node, truth) in enumerate(zip(nodes, given, strict=True)):
            # The kernel keeps a part of each node's memory for itself before it counts.
            assert truth.memory_mib * 0.75 <= (node.memory_bytes or 0) / MIB <= truth.memory_mib
            assert node.distances == [
                10 if other == index else machine.numa_distance for other in range(len(given))
            ]

    def test_memory(self, found: dict[str, Inventory], machine: Machine) -> None:
        dimms = found[machine.serial].memory.dimms
        assert sum(dimm.size_bytes or 0 for dimm in dimms) == machine.memory_mib * MIB
        assert {dimm.serial for dimm in dimms} == {f"D{machine.serial}"}
        assert {dimm.speed_mtps for dimm in dimms} == {3200}

    def test_disks(self, found: dict[str, Inventory], machine: Machine) -> None:
        told = {
            (disk.serial, disk.size_bytes, disk.transport, disk.rotational)
            for disk in found[machine.serial].disks
            if disk.kind == "disk"
        }
        given = {
            (
                disk.serial or None,
                disk.size_mib * MIB,
                _TRANSPORT[disk.bus],
                disk.rotational or disk.bus == "virtio",
            )
            for disk in machine.disks
        }
        assert told == given

    def test_cards(self, found: dict[str, Inventory], machine: Machine) -> None:
        told = {
            (card.mac, card.speed_mbps, card.carrier, card.driver)
            for card in found[machine.serial].nics
            if card.pci_address is not None
        }
        assert told == {(card.mac, card.speed_mbps, True, "virtio_net") for card in machine.cards}

    def test_every_card_has_an_address_of_its_own(
        self, found: dict[str, Inventory], machine: Machine
    ) -> None:
        cards = [card for card in found[machine.serial].nics if card.pci_address is not None]
        addresses = [
            address for card in cards for address in card.addresses if address.startswith("198.18.77.")
        ]
        assert len(set(addresses)) == len(machine.cards)

    def test_bmc(self, found: dict[str, Inventory], machine: Machine) -> None:
        bmc = found[machine.serial].bmc
        assert (bmc is not None) == (machine.bmc is not None)
        if bmc is not None:
            assert (bmc.firmware, bmc.address) == ("0.00", None)


def test_the_files_of_the_test_vanish(tmp_path: Path) -> None:
    """The site leaves no process behind."""
    with site(tmp_path, tmp_path) as here:
        server = here.start_server()
    assert any("public key" in line for line in server.lines)
