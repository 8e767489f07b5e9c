"""Who the machine is, and whether it is virtual."""

from __future__ import annotations

from pathlib import Path

import pytest

from ahc_agent.errors import NotThere
from ahc_agent.facts import Bios, System
from ahc_agent.inventory import system
from ahc_agent.inventory.root import Root
from tests.inventory_helpers import build, server_table, smbios_files, structure

DMI = "/sys/class/dmi/id"
BARE = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nflags\t\t: fpu lm"
GUEST = f"{BARE} hypervisor"
S390 = "vendor_id       : IBM/S390\n# processors    : 1\nfeatures\t: zarch"


def test_smbios_tables_come_first(tmp_path: Path) -> None:
    files = smbios_files(server_table()) | {f"{DMI}/sys_vendor": "somebody else", "/proc/cpuinfo": BARE}
    assert system.collect(build(tmp_path, files)) == System(
        vendor="Dell Inc.",
        product="PowerEdge R650",
        serial="7XK42B3",
        uuid="13121110-1514-1716-1819-1a1b1c1d1e1f",
        board_vendor="Dell Inc.",
        board_product="0PYXKY",
        board_serial=".7XK42B3.MXWSJ0018L00AB.",
        chassis_serial="7XK42B3",
        bios=Bios(vendor="Dell Inc.", version="2.19.1", date="06/04/2023"),
        virtualization="none",
    )


def test_of_several_boards_the_motherboard_counts(tmp_path: Path) -> None:
    riser = structure(2, 9, {0x04: b"\x01\x02\x00\x00", 0x0D: b"\x09"}, 0x0F, ("Dell Inc.", "RISER"))
    found = system.collect(build(tmp_path, smbios_files(riser + server_table())))
    assert found.board_product == "0PYXKY"


def test_the_kernels_copy_serves_where_there_are_no_tables(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"{DMI}/sys_vendor": "HP",
        f"{DMI}/product_name": "ProLiant DL360",
        f"{DMI}/product_serial": "To Be Filled By O.E.M.",
        f"{DMI}/product_uuid": "30373237-3132-4D32-3236-303930304A4B",
        f"{DMI}/bios_version": "P89",
    }
    found = system.collect(build(tmp_path, files))
    assert (found.vendor, found.product, found.serial) == ("HP", "ProLiant DL360", None)
    assert found.uuid == "30373237-3132-4d32-3236-303930304a4b"
    assert found.bios == Bios(version="P89")


@pytest.mark.parametrize(
    ("files", "product", "serial"),
    [
        (
            {
                "/proc/device-tree/model": b"Raspberry Pi 4 Model B\0",
                "/proc/device-tree/serial-number": b"10000000a1b2c3d4\0",
            },
            "Raspberry Pi 4 Model B",
            "10000000a1b2c3d4",
        ),
        (
            {
                "/proc/cpuinfo": "CPU implementer\t: 0x41\nHardware\t: SAMSUNG EXYNOS5\nSerial\t\t: 0000000000000000"
            },
            "SAMSUNG EXYNOS5",
            None,
        ),
        (
            {
                "/proc/sysinfo": "Manufacturer:         IBM             \nType:                 2817\n"
                "Model:                721              M49             \nSequence Code:        0000000000089F25",
                "/proc/cpuinfo": S390,
            },
            "2817",
            "0000000000089F25",
        ),
        ({"/proc/cpuinfo": "cpu\t\t: POWER9\nmachine\t\t: PowerNV 9006-22P"}, "PowerNV 9006-22P", None),
    ],
    ids=["device tree", "old Arm", "s390", "POWER"],
)
def test_machines_without_smbios(
    tmp_path: Path, files: dict[str, str | bytes], product: str, serial: str | None
) -> None:
    found = system.collect(build(tmp_path, files))
    assert (found.product, found.serial) == (product, serial)


@pytest.mark.parametrize(
    "files",
    [
        {"/proc/sys/kernel/osrelease": "6.1.0-13-amd64", "/proc/sys/kernel/hostname": "n1"},
        {"/proc/version": "Linux version 6.1.0-13-amd64 (gcc) #1 SMP", "/proc/sys/kernel/hostname": "n1"},
        {"/proc/hwloc-nofile-info": "OSName: Linux\nOSRelease: 6.1.0-13-amd64\nHostName: n1"},
    ],
)
def test_the_kernel_of_a_saved_tree(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    found = system.collect(build(tmp_path, files))
    assert (found.kernel, found.hostname) == ("6.1.0-13-amd64", "n1")


def test_a_tree_that_tells_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        system.collect(build(tmp_path, {"/proc/meminfo": "MemTotal: 1 kB"}))


CLOCK = "/sys/devices/system/clocksource/clocksource0/available_clocksource"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"/proc/cpuinfo": BARE}, "none"),
        ({"/proc/cpuinfo": BARE, f"{DMI}/sys_vendor": "Dell Inc."}, "none"),
        (
            {"/proc/cpuinfo": BARE, f"{DMI}/sys_vendor": "Amazon EC2", f"{DMI}/product_name": "m5.metal"},
            "none",
        ),
        (
            {"/proc/cpuinfo": GUEST, f"{DMI}/sys_vendor": "Amazon EC2", f"{DMI}/product_name": "m5.large"},
            "amazon",
        ),
        ({"/proc/cpuinfo": GUEST, f"{DMI}/sys_vendor": "VMware, Inc."}, "vmware"),
        ({"/proc/cpuinfo": BARE, f"{DMI}/product_name": "VMware Virtual Platform"}, "vmware"),
        ({"/proc/cpuinfo": GUEST, f"{DMI}/sys_vendor": "innotek GmbH"}, "oracle"),
        (
            {
                "/proc/cpuinfo": GUEST,
                f"{DMI}/sys_vendor": "Microsoft Corporation",
                f"{DMI}/product_name": "Virtual Machine",
            },
            "microsoft",
        ),
        ({"/proc/cpuinfo": BARE, f"{DMI}/sys_vendor": "Microsoft Corporation"}, "none"),
        ({"/proc/cpuinfo": GUEST, f"{DMI}/sys_vendor": "QEMU"}, "qemu"),
        ({"/proc/cpuinfo": GUEST, f"{DMI}/sys_vendor": "QEMU", CLOCK: "kvm-clock tsc acpi_pm"}, "kvm"),
        ({"/proc/cpuinfo": GUEST, CLOCK: "kvm-clock tsc"}, "kvm"),
        ({"/proc/cpuinfo": GUEST}, "vm-other"),
        ({"/proc/cpuinfo": GUEST, "/sys/hypervisor/type": "xen"}, "xen"),
        (
            {"/proc/cpuinfo": GUEST, "/sys/hypervisor/type": "xen", "/proc/xen/capabilities": "control_d"},
            "none",
        ),
        ({"/proc/cpuinfo": S390, "/proc/sysinfo": "Type: 2817\nVM00 Control Program: z/VM    6.1.0"}, "zvm"),
        ({"/proc/cpuinfo": S390, "/proc/sysinfo": "Type: 3906\nVM00 Control Program: KVM/Linux"}, "kvm"),
        ({"/proc/cpuinfo": S390, "/proc/sysinfo": "Type: 2817\nLPAR Number: 3"}, "pr/sm"),
        ({"/proc/cpuinfo": S390}, None),
        ({"/proc/cpuinfo": "cpu : POWER9", "/proc/device-tree/ibm,partition-name": b"lpar1\0"}, "powervm"),
        ({"/proc/cpuinfo": "cpu : POWER9", "/proc/device-tree/hypervisor/compatible": b"linux,kvm\0"}, "kvm"),
        ({"/proc/cpuinfo": "CPU implementer\t: 0x41", f"{DMI}/sys_vendor": "QEMU"}, "qemu"),
        ({"/proc/cpuinfo": "CPU implementer\t: 0x41", "/proc/version": "Linux version 6.1.0"}, None),
    ],
)
def test_virtualization(tmp_path: Path, files: dict[str, str | bytes], name: str | None) -> None:
    files = {"/proc/sys/kernel/hostname": "n1", **files}
    assert system.collect(build(tmp_path, files)).virtualization == name


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (
            "root=/dev/sda1 ahc.key=Yne@$w-vo quiet console=ttyS0,115200",
            "root=/dev/sda1 ahc.key=Yne@$w-vo quiet console=ttyS0,115200",
        ),
        ("rd.iscsi.password=hunter2 ro", "rd.iscsi.password=*** ro"),
        ('rootpwd="two words" ro', "rootpwd=*** ro"),
        (
            "API_TOKEN=abc ipa-api-url=https://10.0.0.1:6385",
            "API_TOKEN=*** ipa-api-url=https://10.0.0.1:6385",
        ),
        ("netroot=iscsi:user:pass@10.0.0.1::::iqn", "netroot=iscsi:***@10.0.0.1::::iqn"),
        ("url=https://me:secret@host/x", "url=https://***@host/x"),
    ],
)
def test_secrets_of_the_kernel_command_line_stay_on_the_machine(tmp_path: Path, told: str, kept: str) -> None:
    build(tmp_path, {"/proc/cmdline": told + "\n"})
    assert system.collect(Root(tmp_path)).kernel_arguments == kept
