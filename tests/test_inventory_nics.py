"""Network cards: which interfaces are cards, and what is told of them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ahc_agent.facts import Nic
from ahc_agent.inventory import nics
from ahc_agent.inventory.ethtool import Ethtool
from ahc_agent.inventory.root import Root
from tests.conftest import REPOSITORY
from tests.device_helpers import Tree, veth_pair

CARD = "pci0000:16/0000:17:00.0"

COLLECT = """
import msgspec
from ahc_agent.inventory import nics
from ahc_agent.inventory.root import Root
root = Root("/")
print(msgspec.json.encode([nics.collect(root), root.trouble]).decode())
"""


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def only(tree: Tree) -> Nic:
    (nic,) = nics.collect(tree.root)
    return nic


def test_a_card_is_told_with_its_link_and_its_place(tree: Tree) -> None:
    tree.pci(
        CARD,
        **{
            "class": "0x020000",
            "vendor": "0x8086",
            "device": "0x1593",
            "numa_node": "1",
            "sriov_totalvfs": "128",
            "sriov_numvfs": "4",
            "uevent": "DRIVER=ice\nPCI_ID=8086:1593",
        },
    )
    tree.nic(
        f"{CARD}/net/ens1f0",
        address="b4:96:91:00:00:01",
        addr_assign_type="0",
        speed="25000",
        duplex="full",
        mtu="9000",
        carrier_changes="3",
    )
    assert only(tree) == Nic(
        name="ens1f0",
        kind="physical",
        mac="b4:96:91:00:00:01",
        permanent_mac="b4:96:91:00:00:01",
        driver="ice",
        speed_mbps=25000,
        duplex="full",
        carrier=True,
        carrier_changes=3,
        mtu=9000,
        pci_address="0000:17:00.0",
        vendor_id="8086",
        device_id="1593",
        numa_node=1,
        sriov_total_vfs=128,
        sriov_num_vfs=4,
    )


@pytest.mark.parametrize("speed", ["-1", "0", "65535", "4294967295", "fast"])
def test_an_unknown_speed_is_null(tree: Tree, speed: str) -> None:
    tree.nic(f"{CARD}/net/eth0", speed=speed, duplex="unknown")
    nic = only(tree)
    assert (nic.speed_mbps, nic.duplex) == (None, None)


def test_of_a_card_that_is_down_neither_carrier_nor_speed_can_be_told(tree: Tree) -> None:
    tree.nic(
        f"{CARD}/net/eth0", flags="0x1002", carrier="0", speed="1000", duplex="half", addr_assign_type="3"
    )
    nic = only(tree)
    assert (nic.carrier, nic.speed_mbps, nic.duplex, nic.permanent_mac) == (None, None, None, None)


def test_infiniband_speed_and_firmware_come_from_the_adapter_below(tree: Tree) -> None:
    tree.nic(f"{CARD}/net/ib1", type="32", dev_port="1")
    tree.file(f"/sys/devices/{CARD}/infiniband/mlx5_0/fw_ver", "20.31.1014")
    tree.file(f"/sys/devices/{CARD}/infiniband/mlx5_0/ports/1/rate", "10 Gb/sec (4X SDR)")
    tree.file(f"/sys/devices/{CARD}/infiniband/mlx5_0/ports/2/rate", "200 Gb/sec (4X HDR)")
    nic = only(tree)
    assert (nic.kind, nic.speed_mbps, nic.firmware) == ("infiniband", 200_000, "20.31.1014")


@pytest.mark.parametrize(
    ("driver", "kind"), [("virtio_net", "virtual"), ("vmxnet3", "virtual"), ("e1000", "physical")]
)
def test_cards_that_a_hypervisor_makes_up_are_virtual(tree: Tree, driver: str, kind: str) -> None:
    tree.nic(f"{CARD}/net/eth0")
    tree.file(f"/sys/devices/{CARD}/uevent", f"DRIVER={driver}")
    assert only(tree).kind == kind


def test_bridges_bonds_tunnels_and_lo_are_no_cards(tree: Tree) -> None:
    for name in ("lo", "br0", "bond0", "vxlan0", "tun0", "veth1", "eth0.100"):
        tree.nic(f"virtual/net/{name}")
    tree.nic(f"{CARD}/net/eth10")
    tree.nic(f"{CARD}/net/eth2")
    tree.file("/sys/class/net/bonding_masters", "bond0")
    tree.link("/sys/class/net/gone", "/sys/devices/pci0000:00/gone/net/gone")
    root = tree.root
    assert [nic.name for nic in nics.collect(root)] == ["eth2", "eth10"]
    assert root.trouble == []


def test_a_machine_without_network_has_no_cards(tree: Tree) -> None:
    assert nics.collect(tree.root) == []


def test_this_machines_cards_are_those_with_a_device_and_carry_their_addresses() -> None:
    root = Root("/")
    cards = {name for _, name in socket.if_nameindex() if Path(f"/sys/class/net/{name}/device").exists()}
    found = nics.collect(root)
    if cards:
        assert {nic.name for nic in found} == cards
    for nic in found:
        assert nic.driver
        assert not any(address.startswith("fe80") for address in nic.addresses)


@pytest.mark.root
def test_in_a_namespace_of_its_own_a_veth_is_the_card() -> None:
    with veth_pair() as (here, _):
        here.ip("link", "add", "bridge0", "type", "bridge")
        here.ip("addr", "add", "10.77.0.3/24", "dev", here.interface)
        here.ip("addr", "add", "fd77::3/64", "dev", here.interface, "nodad")
        found, trouble = json.loads(here.python(COLLECT))
    (nic,) = msgspec.convert(found, list[Nic])
    assert (nic.name, nic.kind, nic.driver, nic.carrier) == ("card0", "virtual", "veth", True)
    assert nic.addresses == ["10.77.0.3/24", "fd77::3/64"]
    assert nic.pci_address is None
    assert trouble == []


@pytest.mark.root
def test_a_sys_of_another_namespace_is_noticed() -> None:
    """``nsenter --net`` alone leaves ``/sys`` as it was: it would describe the wrong interfaces."""
    with veth_pair() as (here, _):
        here.ip("link", "set", "lo", "up")
        done = subprocess.run(
            ["nsenter", f"--net=/run/netns/{here.name}", sys.executable, "-c", COLLECT],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            cwd=REPOSITORY,
        )
    found, trouble = json.loads(done.stdout)
    assert found == []
    assert trouble == ["/sys/class/net shows another network namespace: nothing is known of card0"]


@pytest.mark.root
def test_ethtool_asks_the_driver() -> None:
    with veth_pair() as (here, _):
        answer = here.python(
            "from ahc_agent.inventory.ethtool import Ethtool\n"
            "with Ethtool() as ask:\n"
            f"    print(ask.driver_info('{here.interface}'), ask.permanent_address('{here.interface}'))\n"
        )
    assert answer.strip() == "DriverInfo(driver='veth', firmware=None, bus=None) None"


@pytest.mark.parametrize("name", ["lo", "no-such-card", "a-name-that-is-far-too-long-for-the-kernel"])
def test_ethtool_answers_nothing_for_what_has_no_driver(name: str) -> None:
    with Ethtool() as ask:
        assert ask.driver_info(name) is None
        assert ask.permanent_address(name) is None
