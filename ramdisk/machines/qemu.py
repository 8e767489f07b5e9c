"""From a machine's hardware to QEMU's arguments. Nothing is started here.

Source of the options: qemu(1), version 7.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ahc_agent.errors import UsageError
from ramdisk.machines.hardware import Bmc, Card, Disk, Machine

PROGRAM = "qemu-system-x86_64"


@dataclass(frozen=True, slots=True)
class Direct:
    """Kernel and initramfs handed over by QEMU: no firmware, no network boot."""

    kernel: Path
    initramfs: Path
    arguments: str


@dataclass(frozen=True, slots=True)
class Files:
    """Where a guest's things stand; ``qmp`` is the monitor's socket. The serial port is QEMU's standard input and output."""

    folder: Path

    @property
    def qmp(self) -> Path:
        return self.folder / "qmp"

    def disk(self, index: int) -> Path:
        return self.folder / f"disk{index}.raw"


def arguments(
    machine: Machine, taps: Sequence[str], files: Files, direct: Direct | None = None, *, screen: bool = False
) -> list[str]:
    """The whole command. ``taps``: a tap device for each card, in their order. Without ``direct`` the machine boots from
    its first card (``network_boot``), else from its disks. With ``screen`` it has a VGA screen (``Guest.screenshot``),
    without it the firmware speaks to the serial port."""
    if len(taps) != len(machine.cards):
        raise UsageError(f"{machine.name}: {len(machine.cards)} cards and {len(taps)} taps")
    cards = zip(machine.cards, taps, strict=True)
    return [
        PROGRAM,
        *["-accel", "tcg", "-machine", f"q35,graphics={'on' if screen else 'off'}{_nvdimm(machine)}", "-cpu", "max"],
        *["-m", _memory(machine), "-smp", _smp(machine)],
        *["-display", "none", "-vga", "std" if screen else "none", "-nodefaults", "-no-user-config"],
        *["-chardev", "stdio,id=serial0,signal=off", "-serial", "chardev:serial0"],
        *["-qmp", f"unix:{files.qmp},server=on,wait=off"],
        *["-uuid", machine.uuid],
        *_smbios(machine),
        *_numa(machine),
        *[word for place, (card, tap) in enumerate(cards) for word in _card(card, tap, place, machine.network_boot)],
        *(["-device", "virtio-scsi-pci,id=scsi0"] if any(disk.bus == "scsi" for disk in machine.disks) else []),
        *[word for index, disk in enumerate(machine.disks) for word in _disk(index, disk, files.disk(index))],
        *_bmc(machine.bmc),
        *(["-device", "i6300esb", "-action", "watchdog=reset"] if machine.watchdog else []),
        *["-device", "virtio-rng-pci"],
        *_boot(direct),
    ]  # fmt: skip


def _smp(machine: Machine) -> str:
    sockets = max(1, len(machine.numa))
    if machine.cores % sockets:
        raise UsageError(f"{machine.name}: {machine.cores} cores on {sockets} NUMA nodes")
    return f"{machine.cores},sockets={sockets},cores={machine.cores // sockets},threads=1"


def _nvdimm(machine: Machine) -> str:
    return ",nvdimm=on" if any(disk.bus == "nvdimm" for disk in machine.disks) else ""


def _memory(machine: Machine) -> str:
    """In MiB; modules of persistent memory need slots, and room among the addresses."""
    modules = [disk.size_mib for disk in machine.disks if disk.bus == "nvdimm"]
    room = f",slots={len(modules)},maxmem={2 * (machine.memory_mib + sum(modules))}M" if modules else ""
    return f"{machine.memory_mib}{room}"


def _smbios(machine: Machine) -> list[str]:
    told = [
        f"type=1,manufacturer={machine.vendor},product={machine.product},serial={machine.serial},uuid={machine.uuid}",
        f"type=2,manufacturer={machine.vendor},product=Board,serial=B{machine.serial}",
        f"type=17,manufacturer={machine.vendor},part=DDR-{machine.memory_mib},serial=D{machine.serial},speed=3200",
    ]
    return [word for each in told for word in ("-smbios", each)]


def _numa(machine: Machine) -> list[str]:
    words: list[str] = []
    for index, node in enumerate(machine.numa):
        words += ["-object", f"memory-backend-ram,id=mem{index},size={node.memory_mib}M"]
        words += ["-numa", f"node,nodeid={index},cpus={node.cpus},memdev=mem{index}"]
    for source in range(len(machine.numa)):
        for target in range(len(machine.numa)):
            if source != target:
                words += ["-numa", f"dist,src={source},dst={target},val={machine.numa_distance}"]
    return words


def _card(card: Card, tap: str, index: int, network_boot: bool) -> list[str]:
    boot = ",bootindex=1" if index == 0 and network_boot else ",romfile="
    return [
        *["-netdev", f"tap,id=net{index},ifname={tap},script=no,downscript=no"],
        *[
            "-device",
            f"virtio-net-pci,netdev=net{index},mac={card.mac},speed={card.speed_mbps},duplex=full{boot}",
        ],
    ]


def _disk(index: int, disk: Disk, path: Path) -> list[str]:
    if disk.bus == "nvdimm":
        memory = f"memory-backend-file,id=nvdimm{index},share=on,mem-path={path},size={disk.size_mib}M"
        return ["-object", memory, "-device", f"nvdimm,memdev=nvdimm{index}"]
    limit = f",throttling.iops-total={disk.iops_limit}" if disk.iops_limit else ""
    drive = f"file={path},if=none,id=drive{index},format=raw,cache=unsafe,discard=unmap{limit}"
    device = {
        "virtio": f"virtio-blk-pci,drive=drive{index},serial={disk.serial}",
        "scsi": f"scsi-hd,bus=scsi0.0,drive=drive{index},serial={disk.serial}"
        + (",rotation_rate=7200" if disk.rotational else ",rotation_rate=1"),
        "nvme": f"nvme,drive=drive{index},serial={disk.serial}",
    }[disk.bus]
    return ["-drive", drive, "-device", device]


def _bmc(bmc: Bmc | None) -> list[str]:
    if bmc is None:
        return []
    if bmc.port is None:
        return ["-device", "ipmi-bmc-sim,id=bmc0", "-device", "isa-ipmi-kcs,bmc=bmc0"]
    return [
        *["-chardev", f"socket,id=ipmi0,host=127.0.0.1,port={bmc.port},reconnect=1"],
        *["-device", "ipmi-bmc-extern,id=bmc0,chardev=ipmi0", "-device", "isa-ipmi-kcs,bmc=bmc0"],
    ]


def _boot(direct: Direct | None) -> list[str]:
    if direct is None:
        return []
    return [
        "-kernel",
        str(direct.kernel),
        "-initrd",
        str(direct.initramfs),
        "-append",
        direct.arguments,
    ]
