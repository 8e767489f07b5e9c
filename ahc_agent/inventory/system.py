"""The system collector: who made the machine, its serial and UUID, firmware, kernel, and whether it is virtual.

SMBIOS tables first; where they may not be read (not root) or do not exist, ``/sys/class/dmi/id``, which the kernel fills from
them; on machines without SMBIOS the device tree (Arm, RISC-V, POWER), ``/proc/sysinfo`` (s390) and ``/proc/cpuinfo``.
"""

from __future__ import annotations

import os
import re

from ahc_agent.errors import NotThere
from ahc_agent.facts import Bios, System
from ahc_agent.inventory.cpuinfo import first_values
from ahc_agent.inventory.root import Root
from ahc_agent.inventory.smbios import (
    BASEBOARD,
    BIOS,
    CHASSIS,
    SYSTEM,
    Structure,
    Tables,
    meaningful,
    meaningful_uuid,
    read_tables,
)
from ahc_agent.inventory.topology import saved_facts
from ahc_agent.inventory.virtual import virtualization

DMI_FOLDER = "/sys/class/dmi/id"

_KERNEL_VERSION = re.compile(r"Linux version (\S+)")
_MOTHERBOARD = 0x0A
#: ``rd.iscsi.password=x``, ``api_token="x y"``; and ``user:password@`` in an address.
_SECRET_ARGUMENT = re.compile(
    r'(\S*(?:passw|pwd|secret|token|credential)[^\s=]*=)("[^"]*"|\S+)', re.IGNORECASE
)
_SECRET_IN_ADDRESS = re.compile(r"(=\S*?[:/])[^\s:/@]+:[^\s@/]+@")


def collect(root: Root) -> System:
    """Identity of the machine. Raises NotThere for a tree that tells nothing of it."""
    system = _from_smbios(root) or _from_dmi_folder(root) or _from_other_firmware(root)
    system.kernel = _kernel(root)
    system.kernel_arguments = without_secrets(root.text("/proc/cmdline"))
    system.hostname = _hostname(root)
    system.virtualization = virtualization(root, system)
    if system == System():
        raise NotThere("nothing tells what machine this is")
    return system


def without_secrets(arguments: str | None) -> str | None:
    """Kernel arguments as they may be sent and stored: the values of passwords and tokens are masked."""
    if arguments is None:
        return None
    return _SECRET_IN_ADDRESS.sub(r"\1***@", _SECRET_ARGUMENT.sub(r"\1***", arguments))


def _from_smbios(root: Root) -> System | None:
    tables = read_tables(root)
    if tables is None or tables.first(SYSTEM) is None:
        return None
    nothing = Structure(0, 0, b"")
    system = tables.first(SYSTEM) or nothing
    board = _main_board(tables) or nothing
    chassis = tables.first(CHASSIS) or nothing
    bios = tables.first(BIOS) or nothing
    return System(
        vendor=system.text(0x04),
        product=system.text(0x05),
        version=system.text(0x06),
        serial=system.text(0x07),
        uuid=tables.system_uuid(),
        board_vendor=board.text(0x04),
        board_product=board.text(0x05),
        board_serial=board.text(0x07),
        chassis_serial=chassis.text(0x07),
        bios=Bios(vendor=bios.text(0x04), version=bios.text(0x05), date=bios.text(0x08)),
    )


def _main_board(tables: Tables) -> Structure | None:
    """Blade and multi-node machines list several boards; the one that calls itself the motherboard, else the first."""
    boards = list(tables.of_type(BASEBOARD))
    return next(
        (board for board in boards if board.number(0x0D, 1) == _MOTHERBOARD), boards[0] if boards else None
    )


def _from_dmi_folder(root: Root) -> System | None:
    names = root.names(DMI_FOLDER)
    if not names:
        return None

    def text(name: str) -> str | None:
        return meaningful(root.text(f"{DMI_FOLDER}/{name}")) if name in names else None

    return System(
        vendor=text("sys_vendor"),
        product=text("product_name"),
        version=text("product_version"),
        serial=text("product_serial"),
        uuid=meaningful_uuid(text("product_uuid")),
        board_vendor=text("board_vendor"),
        board_product=text("board_name"),
        board_serial=text("board_serial"),
        chassis_serial=text("chassis_serial"),
        bios=Bios(vendor=text("bios_vendor"), version=text("bios_version"), date=text("bios_date")),
    )


def _from_other_firmware(root: Root) -> System:
    """Machines without SMBIOS."""
    sysinfo = first_values(root.text("/proc/sysinfo") or "")
    cpuinfo = first_values(root.text("/proc/cpuinfo") or "")
    tree = (
        "/sys/firmware/devicetree/base"
        if root.exists("/sys/firmware/devicetree/base")
        else "/proc/device-tree"
    )
    if "Type" in sysinfo:
        return System(
            vendor=meaningful(sysinfo.get("Manufacturer")),
            product=sysinfo["Type"],
            version=meaningful(sysinfo.get("Model")),
            serial=meaningful(sysinfo.get("Sequence Code")),
        )
    return System(
        product=meaningful(root.text(f"{tree}/model"))
        or meaningful(cpuinfo.get("Hardware") or cpuinfo.get("machine")),
        serial=meaningful(root.text(f"{tree}/serial-number"))
        or meaningful(root.text(f"{tree}/system-id"))
        or meaningful(cpuinfo.get("Serial")),
    )


def _kernel(root: Root) -> str | None:
    if root.live:
        return os.uname().release
    version = _KERNEL_VERSION.match(root.text("/proc/version") or "")
    return (
        root.text("/proc/sys/kernel/osrelease")
        or (version[1] if version else None)
        or saved_facts(root).get("OSRelease")
    )


def _hostname(root: Root) -> str | None:
    if root.live:
        return os.uname().nodename
    return root.text("/proc/sys/kernel/hostname") or saved_facts(root).get("HostName")
