"""PCI functions: read from sysfs, from configuration space where files are missing, counted as hwloc counts."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.inventory import pci
from tests.device_helpers import Tree


def config(
    *, vendor: int = 0x8086, device: int = 0x1234, kind: int = 0x020000, header: int = 0, express: bytes = b""
) -> bytes:
    """A configuration space with a PCI Express capability at 0x50 behind a power management one at 0x40."""
    space = bytearray(256)
    struct.pack_into("<HHHH", space, 0, vendor, device, 0, 0x10 if express else 0)
    space[0x08:0x0C] = bytes([0x05]) + kind.to_bytes(3, "little")
    space[0x0E] = header
    space[0x34] = 0x40
    space[0x40:0x42] = b"\x01\x50"
    space[0x50 : 0x50 + len(express)] = express
    return bytes(space)


def express(*, speed: int, width: int, speed_max: int, width_max: int) -> bytes:
    """A PCI Express capability: link capabilities at 0x0c, link status at 0x12."""
    capability = bytearray(0x14)
    capability[0:2] = b"\x10\x00"
    struct.pack_into("<I", capability, 0x0C, speed_max | width_max << 4)
    struct.pack_into("<H", capability, 0x12, speed | width << 4)
    return bytes(capability)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_function_is_read_with_its_place_its_driver_and_its_link(tree: Tree) -> None:
    tree.pci("pci0000:00/0000:00:01.0", config=config(kind=0x060400, header=1))
    tree.pci(
        "pci0000:00/0000:00:01.0/0000:03:00.0",
        **{
            "class": "0x030200",
            "vendor": "0x10de",
            "device": "0x20b5",
            "subsystem_vendor": "0x10de",
            "subsystem_device": "0x1533",
            "revision": "0xa1",
            "numa_node": "1",
            "current_link_speed": "8.0 GT/s PCIe",
            "current_link_width": "8",
            "max_link_speed": "16.0 GT/s PCIe",
            "max_link_width": "16",
        },
    )
    tree.file("/sys/bus/pci/drivers/nvidia/bind", "")
    tree.link("/sys/devices/pci0000:00/0000:00:01.0/0000:03:00.0/driver", "/sys/bus/pci/drivers/nvidia")

    (gpu,) = pci.collect(tree.root)

    assert (gpu.address, gpu.class_id, gpu.class_name) == ("0000:03:00.0", "030200", "3D controller")
    assert (gpu.vendor_id, gpu.device_id, gpu.revision) == ("10de", "20b5", "a1")
    assert (gpu.subsystem_vendor_id, gpu.subsystem_device_id) == ("10de", "1533")
    assert (gpu.driver, gpu.numa_node, gpu.accelerator) == ("nvidia", 1, True)
    assert (gpu.link_speed_gtps, gpu.link_width) == (8.0, 8)
    assert (gpu.link_speed_max_gtps, gpu.link_width_max) == (16.0, 16)


def test_what_the_machine_does_not_tell_is_null(tree: Tree) -> None:
    tree.pci(
        "pci0000:00/0000:00:02.0",
        **{
            "class": "0x010601",
            "vendor": "0x8086",
            "numa_node": "-1",
            "current_link_speed": "Unknown",
            "current_link_width": "0",
            "max_link_speed": "Unknown speed",
            "max_link_width": "255",
        },
    )
    (device,) = pci.collect(tree.root)
    assert device.numa_node is None
    assert (device.link_speed_gtps, device.link_width) == (None, None)
    assert (device.link_speed_max_gtps, device.link_width_max) == (None, None)
    assert device.driver is None
    assert device.accelerator is False


def test_configuration_space_stands_in_for_missing_files(tree: Tree) -> None:
    link = express(speed=3, width=8, speed_max=4, width_max=16)
    tree.pci(
        "pci0000:00/0000:00:03.0", config=config(vendor=0x15B3, device=0x1017, kind=0x020700, express=link)
    )
    (device,) = pci.collect(tree.root)
    assert (device.vendor_id, device.device_id, device.class_id, device.revision) == (
        "15b3",
        "1017",
        "020700",
        "05",
    )
    assert (device.link_speed_gtps, device.link_width) == (8.0, 8)
    assert (device.link_speed_max_gtps, device.link_width_max) == (16.0, 16)


def test_bridges_to_other_buses_are_left_out_and_nothing_else(tree: Tree) -> None:
    """hwloc's rule: class 0604 *and* a bridge header; a host bridge, or a 0604 with an ordinary header, is a device."""
    for number, (kind, header) in enumerate(
        [(0x060000, 0), (0x060100, 0), (0x060400, 1), (0x060400, 0), (0x060700, 2)]
    ):
        tree.pci(f"pci0000:00/0000:00:0{number}.0", config=config(kind=kind, header=header))
    listed = {device.address: device.class_id for device in pci.collect(tree.root)}
    assert listed == {
        "0000:00:00.0": "060000",
        "0000:00:01.0": "060100",
        "0000:00:03.0": "060400",
        "0000:00:04.0": "060700",
    }
    assert len(pci.functions(tree.root)) == 5


@pytest.mark.parametrize(
    ("kind", "vendor", "accelerator"),
    [
        ("0x120000", "0x1da3", True),
        ("0x0b4000", "0x8086", True),
        ("0x030200", "0x10de", True),
        ("0x038000", "0x1002", True),
        ("0x038000", "0x8086", False),
        ("0x030000", "0x102b", False),
        ("0x020000", "0x15b3", False),
    ],
)
def test_accelerators(tree: Tree, kind: str, vendor: str, accelerator: bool) -> None:
    tree.pci("pci0000:00/0000:00:04.0", **{"class": kind, "vendor": vendor})
    assert [device.accelerator for device in pci.collect(tree.root)] == [accelerator]


def test_functions_are_found_without_the_bus_folder_and_circles_end(tree: Tree) -> None:
    tree.file("/sys/devices/pci0000:00/0000:00:01.0/class", "0x060400")
    tree.file("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/class", "0x010802")
    for again in ("0000:02:00.0", "0000:03:00.0"):
        tree.link(f"/sys/devices/pci0000:00/0000:00:01.0/{again}", "/sys/devices/pci0000:00")
    addresses = [path.rpartition("/")[2] for path in pci.functions(tree.root)]
    assert addresses[:2] == ["0000:00:01.0", "0000:01:00.0"]


def test_a_function_that_has_vanished_is_left_out(tree: Tree) -> None:
    tree.pci("pci0000:00/0000:00:05.0", **{"class": "0x020000"})
    tree.link("/sys/bus/pci/devices/0000:00:06.0", "/sys/devices/pci0000:00/0000:00:06.0")
    root = tree.root
    assert [device.address for device in pci.collect(root)] == ["0000:00:05.0"]
    assert root.trouble == []


def test_a_machine_without_pci_has_no_functions(tree: Tree) -> None:
    assert pci.collect(tree.root) == []


def test_a_device_finds_the_function_that_carries_it(tree: Tree) -> None:
    tree.pci("pci0000:80/0000:80:01.0", **{"class": "0x010802", "numa_node": "1"})
    place = pci.place_of(tree.root, "/sys/devices/pci0000:80/0000:80:01.0/nvme/nvme0/nvme0n1")
    assert (place.address, place.numa_node) == ("0000:80:01.0", 1)

    tree.file("/sys/devices/platform/e820_pmem/ndbus0/region0/numa_node", "3")
    place = pci.place_of(tree.root, "/sys/devices/platform/e820_pmem/ndbus0/region0/namespace0.0/block/pmem0")
    assert (place.address, place.numa_node) == (None, 3)


@given(st.binary(max_size=300))
def test_no_configuration_space_is_too_broken_to_be_read(data: bytes) -> None:
    space = pci.Config(data)
    assert space.link_width is None or 0 < space.link_width <= 32
    assert space.link_speed_gtps in (None, 2.5, 5.0, 8.0, 16.0, 32.0, 64.0)
    for value in (space.class_id, space.word(0), space.byte(8)):
        assert value is None or int(value, 16) >= 0
