"""Disks: which are listed, and what is told of them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.facts import Disk
from ahc_agent.inventory import disks
from ahc_agent.inventory.root import Root
from ahc_agent.task import Device
from tests.device_helpers import Tree, vpd

AHCI = "pci0000:00/0000:00:1f.2"
HBA = "pci0000:80/0000:80:02.0/0000:81:00.0"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def only(tree: Tree) -> Disk:
    (disk,) = disks.collect(tree.root)
    return disk


def ata_page(*, model: str, serial: str, firmware: str) -> bytes:
    """Vital product data page 0x89 with the IDENTIFY DEVICE data of a SATA disk."""
    identity = bytearray(512)
    for offset, length, text in ((20, 20, serial), (46, 8, firmware), (54, 40, model)):
        plain = text.ljust(length).encode()
        identity[offset : offset + length] = b"".join(
            plain[i + 1 : i + 2] + plain[i : i + 1] for i in range(0, length, 2)
        )
    return vpd(0x89, bytes(56) + bytes(identity))


def test_a_sata_disk_is_told_in_full_where_inquiry_cuts(tree: Tree) -> None:
    tree.pci(AHCI, **{"class": "0x010601", "numa_node": "0"})
    tree.block(
        f"{AHCI}/ata1/host0/target0:0:0/0:0:0:0/block/sda",
        size="7814037168",
        removable="0",
        ro="0",
        queue__rotational="1",
        queue__physical_block_size="4096",
        queue__write_cache="write back",
        queue__scheduler="none [mq-deadline] kyber bfq",
    )
    tree.files(
        f"/sys/devices/{AHCI}/ata1/host0/target0:0:0/0:0:0:0",
        vendor="ATA     ",
        model="ST4000NM000A-2HZ",
        rev="TN02",
        type="0",
        wwid="naa.5000C500C35F1A2B",
        vpd_pg80=vpd(0x80, b"            WS20ABCD"),
        vpd_pg89=ata_page(model="ST4000NM000A-2HZ100", serial="WS20ABCD", firmware="TN02AB9Z"),
    )
    assert only(tree) == Disk(
        name="sda",
        path="/dev/sda",
        kind="disk",
        size_bytes=4_000_787_030_016,
        rotational=True,
        removable=False,
        read_only=False,
        model="ST4000NM000A-2HZ100",
        serial="WS20ABCD",
        wwn="0x5000c500c35f1a2b",
        transport="sata",
        pci_address="0000:00:1f.2",
        numa_node=0,
        firmware="TN02AB9Z",
        write_cache="write back",
        scheduler="mq-deadline",
        logical_block_bytes=512,
        physical_block_bytes=4096,
    )


def test_udev_knows_the_full_model_of_an_ata_disk(tree: Tree) -> None:
    tree.block(f"{AHCI}/ata1/host0/target0:0:0/0:0:0:0/block/sda")
    tree.files(
        f"/sys/devices/{AHCI}/ata1/host0/target0:0:0/0:0:0:0",
        vendor="ATA",
        model="Samsung SSD 860 ",
        rev="2B6Q",
    )
    tree.file(
        "/run/udev/data/b8:0",
        "S:disk/by-id/x\nE:ID_MODEL_ENC=Samsung\\x20SSD_860\\x20EVO\\x20\nE:ID_REVISION=RVT02B6Q\n"
        "E:ID_SERIAL_SHORT=S3Z2NB0K1\nE:ID_WWN=0x5002538e4",
    )
    disk = only(tree)
    assert disk.model == "Samsung SSD_860 EVO"
    assert (disk.firmware, disk.serial, disk.wwn) == ("RVT02B6Q", "S3Z2NB0K1", "0x5002538e4")


def test_a_sas_disk_names_itself_in_vital_product_data(tree: Tree) -> None:
    tree.pci(HBA, **{"class": "0x010700", "numa_node": "1"})
    naa_of_port = bytes([0x61, 0x93, 0, 8]) + bytes.fromhex("5000c500aaaaaaaa")
    text = b"\x02\x01\x00\x04test"
    naa_of_unit = bytes([0x01, 0x03, 0, 8]) + bytes.fromhex("5000c500bbbbbbbb")
    where = f"{HBA}/host2/port-2:0/end_device-2:0/target2:0:0/2:0:0:0"
    tree.block(f"{where}/block/sdb", queue__rotational="1")
    tree.files(
        f"/sys/devices/{where}",
        vendor="SEAGATE ",
        model="ST8000NM0075    ",
        rev="E002",
        vpd_pg80=vpd(0x80, b"ZA10ABCD0000"),
        vpd_pg83=vpd(0x83, text + naa_of_port + naa_of_unit),
    )
    disk = only(tree)
    assert (disk.vendor, disk.model, disk.firmware) == ("SEAGATE", "ST8000NM0075", "E002")
    assert (disk.serial, disk.wwn) == ("ZA10ABCD0000", "0x5000c500bbbbbbbb")
    assert (disk.transport, disk.pci_address, disk.numa_node) == ("sas", "0000:81:00.0", 1)


def test_an_nvme_disk(tree: Tree) -> None:
    tree.pci("pci0000:40/0000:41:00.0", **{"class": "0x010802", "numa_node": "2"})
    tree.block(
        "pci0000:40/0000:41:00.0/nvme/nvme0/nvme0n1", wwid="eui.0025384b11b2c3d4", queue__rotational="0"
    )
    tree.files(
        "/sys/devices/pci0000:40/0000:41:00.0/nvme/nvme0",
        model="SAMSUNG MZQLB3T8HALS-00007              ",
        serial="S438NA0M500123      ",
        firmware_rev="EDA5602Q",
        transport="pcie",
    )
    disk = only(tree)
    assert (disk.model, disk.serial, disk.firmware) == (
        "SAMSUNG MZQLB3T8HALS-00007",
        "S438NA0M500123",
        "EDA5602Q",
    )
    assert (disk.wwn, disk.transport, disk.numa_node, disk.rotational) == (
        "eui.0025384b11b2c3d4",
        "nvme",
        2,
        False,
    )


def test_a_multipath_nvme_namespace_hangs_on_its_controller_and_its_hidden_path_is_not_a_second_disk(
    tree: Tree,
) -> None:
    controller = "pci0000:40/0000:41:00.0/nvme/nvme0"
    subsystem = "virtual/nvme-subsystem/nvme-subsys0"
    tree.pci("pci0000:40/0000:41:00.0", **{"class": "0x010802", "numa_node": "2"})
    tree.file(f"/sys/devices/{controller}/transport", "pcie")
    tree.block(f"{controller}/nvme0c0n1", hidden="1")
    tree.block(f"{subsystem}/nvme0n1", hidden="0")
    tree.files(
        f"/sys/devices/{subsystem}", model="INTEL SSDPE2KX010T8", serial="PHLJ1", firmware_rev="VDV10131"
    )
    tree.link(f"/sys/devices/{subsystem}/nvme0", f"/sys/devices/{controller}")
    disk = only(tree)
    assert (disk.name, disk.serial, disk.pci_address, disk.numa_node) == (
        "nvme0n1",
        "PHLJ1",
        "0000:41:00.0",
        2,
    )
    assert disk.transport == "nvme"


def test_a_virtio_disk_has_a_serial_and_no_vendor(tree: Tree) -> None:
    tree.block("pci0000:00/0000:00:02.0/virtio1/block/vda", serial="disk-one", dev="253:0")
    tree.file("/sys/devices/pci0000:00/0000:00:02.0/virtio1/vendor", "0x1af4")
    disk = only(tree)
    assert (disk.transport, disk.serial, disk.vendor, disk.model) == ("virtio", "disk-one", None, None)


def test_a_usb_disk_has_the_serial_of_its_usb_device(tree: Tree) -> None:
    usb = "pci0000:00/0000:00:14.0/usb2/2-1"
    tree.files(f"/sys/devices/{usb}", idVendor="0781", serial="4C530001")
    tree.block(f"{usb}/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdc", removable="1")
    disk = only(tree)
    assert (disk.transport, disk.serial, disk.removable) == ("usb", "4C530001", True)


@pytest.mark.parametrize(
    ("path", "pci_class", "transport"),
    [
        ("pci0000:00/0000:01:00.0/host0/target0:2:0/0:2:0:0/block/sda", "0x010400", "raid"),
        ("pci0000:00/0000:01:00.0/host0/target0:2:0/0:2:0:0/block/sda", "0x010000", "scsi"),
        ("pci0000:00/0000:01:00.0/host0/rport-0:0-1/target0:0:1/0:0:1:0/block/sda", "0x0c0400", "fc"),
        ("platform/host1/session1/target1:0:0/1:0:0:0/block/sda", None, "iscsi"),
        ("pci0000:00/0000:00:10.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0", "0x080500", "mmc"),
        ("vbd-51712/block/xvda", None, "xen"),
        ("LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/region0/namespace0.0/block/pmem0", None, "nvdimm"),
        ("LNXSYSTM:00/VMBUS:00/abc/host0/target0:0:0/0:0:0:0/block/sda", None, "vmbus"),
        ("platform/odd/block/odd0", None, None),
    ],
)
def test_the_transport_follows_from_the_path_or_the_controller(
    tree: Tree, path: str, pci_class: str | None, transport: str | None
) -> None:
    tree.block(path)
    if pci_class:
        tree.pci("/".join(path.split("/")[:2]), **{"class": pci_class})
    assert only(tree).transport == transport


def test_a_sata_disk_in_a_sas_slot_speaks_sata(tree: Tree) -> None:
    where = f"{HBA}/host2/port-2:0/end_device-2:0/target2:0:0/2:0:0:0"
    tree.block(f"{where}/block/sdb")
    tree.file(f"/sys/devices/{where}/vendor", "ATA")
    assert only(tree).transport == "sata"


@pytest.mark.parametrize(("sectors", "size_bytes"), [("2097151", None), ("1000", 512_000)])
def test_an_optical_drive_is_rom_and_has_a_size_only_with_a_medium(
    tree: Tree, sectors: str, size_bytes: int | None
) -> None:
    where = f"{AHCI}/ata2/host1/target1:0:0/1:0:0:0"
    tree.block(f"{where}/block/sr0", size=sectors, removable="1")
    tree.file(f"/sys/devices/{where}/type", "5")
    disk = only(tree)
    assert (disk.kind, disk.size_bytes) == ("rom", size_bytes)


def test_only_whole_real_block_devices_are_listed_and_only_disks_are_disks(tree: Tree) -> None:
    scsi = f"{AHCI}/ata1/host0/target0:0:0/0:0:0:0/block"
    for path in (
        f"{scsi}/sda",
        "virtual/block/ram0",
        "virtual/block/zram0",
        "virtual/block/loop0",
        "virtual/block/dm-0",
        "virtual/block/md127",
        "virtual/block/nbd0",
        "platform/floppy.0/block/fd0",
        "pci0000:00/0000:00:10.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0",
        "pci0000:00/0000:00:10.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0boot0",
    ):
        tree.block(path)
    tree.files(f"/sys/devices/{scsi}/sda/sda1", partition="1", dev="8:1", size="100")
    tree.link("/sys/class/block/sda1", f"/sys/devices/{scsi}/sda/sda1")
    # As kernels before 2.6.36 show it: without the file ``partition``.
    tree.files(f"/sys/devices/{scsi}/sda/sda2", dev="8:2", size="100")
    tree.link("/sys/class/block/sda2", f"/sys/devices/{scsi}/sda/sda2")
    listed = {disk.name: disk.kind for disk in disks.collect(tree.root)}
    assert listed == {"fd0": "floppy", "mmcblk0": "disk", "mmcblk0boot0": "boot", "sda": "disk"}


def test_the_boot_areas_of_emmc_lie_in_the_folder_of_their_disk(tree: Tree) -> None:
    card = "platform/soc/fe340000.mmc/mmc_host/mmc0/mmc0:0001"
    disk = f"{card}/block/mmcblk0"
    tree.block(disk)
    tree.files(f"/sys/devices/{disk}/mmcblk0p1", partition="1", dev="179:1", size="100")
    tree.link("/sys/class/block/mmcblk0p1", f"/sys/devices/{disk}/mmcblk0p1")
    tree.files(f"/sys/devices/{disk}/mmcblk0boot0", dev="179:8", size="8192", queue__rotational="0")
    tree.link("/sys/class/block/mmcblk0boot0", f"/sys/devices/{disk}/mmcblk0boot0")
    tree.link(f"/sys/devices/{disk}/mmcblk0boot0/device", f"/sys/devices/{card}")
    listed = {disk.name: (disk.kind, disk.transport) for disk in disks.collect(tree.root)}
    assert listed == {"mmcblk0": ("disk", "mmc"), "mmcblk0boot0": ("boot", "mmc")}


DAX = {
    "dax0.0": "LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/region0/dax0.1/dax0.0",
    "dax1.0": "platform/ACPI0017:00/root0/decoder0.0/region0/dax_region0/dax1.0",
    "dax2.0": "platform/hmem.2/dax2.0",
    "dax10.0": "platform/hmem.10/dax10.0",
}


def test_memory_handed_out_as_a_device_is_listed_unless_it_is_a_numa_node(tree: Tree) -> None:
    for name, path in DAX.items():
        tree.files(f"/sys/devices/{path}", size="2147483648", dev="252:1", numa_node="1", target_node="3")
        tree.link(f"/sys/bus/dax/devices/{name}", f"/sys/devices/{path}")
    tree.link("/sys/bus/dax/drivers/kmem/dax2.0", f"/sys/devices/{DAX['dax2.0']}")
    listed = [
        (disk.name, disk.kind, disk.size_bytes, disk.transport, disk.numa_node)
        for disk in disks.collect(tree.root)
    ]
    assert listed == [
        ("dax0.0", "dax", 2**31, "nvdimm", 1),
        ("dax1.0", "dax", 2**31, "cxl", 1),
        ("dax10.0", "dax", 2**31, None, 1),
    ]
    # A tree may hold the link from the driver to the device, or the one back.
    tree.link(f"/sys/devices/{DAX['dax10.0']}/driver", "/sys/bus/dax/drivers/kmem")
    assert [disk.name for disk in disks.collect(tree.root)] == ["dax0.0", "dax1.0"]


def test_a_disk_that_vanishes_meanwhile_is_left_out(tree: Tree) -> None:
    tree.block(f"{AHCI}/ata1/host0/target0:0:0/0:0:0:0/block/sda")
    tree.link("/sys/class/block/sdb", "/sys/devices/pci0000:00/gone/block/sdb")
    root = tree.root
    assert [disk.name for disk in disks.collect(root)] == ["sda"]
    assert root.trouble == []


def test_unreadable_attributes_are_told_and_the_disk_stays(tree: Tree) -> None:
    where = f"{AHCI}/ata1/host0/target0:0:0/0:0:0:0"
    tree.block(f"{where}/block/sda")
    # Readable for no one, root included: more than a collector may read of one file.
    with (tree.path / f"sys/devices/{where}/vpd_pg80").open("wb") as page:
        page.truncate(64 * 1024 * 1024)
    root = tree.root
    (disk,) = disks.collect(root)
    assert disk.serial is None
    assert [line for line in root.trouble if "vpd_pg80" in line]


@given(st.binary(max_size=200))
def test_no_vital_product_data_is_too_broken(tmp_path_factory: pytest.TempPathFactory, page: bytes) -> None:
    tree = Tree(tmp_path_factory.mktemp("vpd"))
    where = f"{AHCI}/ata1/host0/target0:0:0/0:0:0:0"
    tree.block(f"{where}/block/sda")
    tree.files(f"/sys/devices/{where}", vpd_pg80=page, vpd_pg83=page, vpd_pg89=page)
    disk = only(tree)
    assert disk.wwn is None or disk.wwn.startswith("0x")
    assert disk.serial is None or disk.serial.isprintable()


def test_given_files_stand_for_disks_under_their_given_names(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(4096))
    root = Root("/")
    (disk,) = disks.collect(root, (Device("disk0", str(image)),))
    assert disk == Disk(name="disk0", path=str(image), kind="file", size_bytes=4096, transport="file")
    assert root.trouble == []


def test_a_given_disk_that_is_none_is_an_error_and_hurts_no_other(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.touch()
    root = Root("/")
    given_disks = (Device("a", str(tmp_path / "none")), Device("b", "/dev/null"), Device("c", str(image)))
    assert [disk.name for disk in disks.collect(root, given_disks)] == ["c"]
    assert root.trouble == [
        f"{tmp_path}/none: No such file or directory",
        "/dev/null: neither a block device nor a regular file",
    ]


@pytest.fixture
def loop_device(tmp_path: Path) -> Iterator[str]:
    image = tmp_path / "loop.img"
    with image.open("wb") as file:
        file.truncate(8 * 1024 * 1024)
    device = subprocess.run(
        ["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True, timeout=30
    ).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True, timeout=30)


@pytest.mark.root
def test_a_given_loop_device_is_a_disk_of_its_size(loop_device: str) -> None:
    root = Root("/")
    (disk,) = disks.collect(root, (Device("disk0", loop_device),))
    assert (disk.name, disk.path, disk.kind, disk.transport) == ("disk0", loop_device, "loop", "loop")
    assert (disk.size_bytes, disk.logical_block_bytes) == (8 * 1024 * 1024, 512)
    assert (disk.smart, root.trouble) == (None, [])
    assert loop_device.rpartition("/")[2] not in disks.names(root)


def test_this_machines_disks_are_those_that_lsblk_lists() -> None:
    listed = subprocess.run(
        ["lsblk", "--nodeps", "--noheadings", "--bytes", "--output", "NAME,TYPE,SIZE"],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout.splitlines()
    # lsblk calls more things a disk than we do, and passes over drives without a medium.
    expected = {
        name: int(size)
        for name, kind, size in (line.split() for line in listed)
        if kind == "disk" and not name.startswith(("zram", "ram", "nbd", "fd")) and "boot" not in name
    }
    found = {
        disk.name: disk.size_bytes
        for disk in disks.collect(Root("/"))
        if disk.kind == "disk" and disk.size_bytes
    }
    assert found == expected
