"""An inventory as text for a person: one screen, one line per thing, errors at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ahc_agent.facts import Cpu, Disk, Inventory, Nic, NumaNode, PciDevice, Smart, System

_LABEL_COLUMNS = 9
_GAP = "  "


def render(inventory: Inventory) -> str:
    """The whole text, ending with a newline. What the machine does not tell is left out or shown as "-"."""
    sections = (
        ("System", _system(inventory.system)),
        ("CPU", _cpu(inventory.cpu)),
        ("NUMA", [_numa(node) for node in inventory.numa]),
        ("Memory", _memory(inventory)),
        ("Disks", _columns([_disk(disk) for disk in inventory.disks])),
        ("NICs", _columns([_nic(nic) for nic in inventory.nics])),
        ("PCI", _pci(inventory.pci)),
        ("BMC", _bmc(inventory)),
        ("Health", _health(inventory)),
        ("Errors", [f"{error.collector}: {error.error}" for error in inventory.errors]),
    )
    lines = [line for title, body in sections for line in _section(title, [_printable(one) for one in body])]
    return "\n".join(lines) + "\n"


def binary_size(size_bytes: int | None) -> str:
    """Memory and caches, as they are made: "32 GiB", "256 KiB"."""
    return _scaled(size_bytes, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"))


def decimal_size(size_bytes: int | None) -> str:
    """Disks, as they are sold: "3.84 TB"."""
    return _scaled(size_bytes, 1000, ("B", "kB", "MB", "GB", "TB", "PB"))


def _scaled(value: int | None, step: int, units: Sequence[str]) -> str:
    if value is None:
        return "-"
    scaled, power = float(value), 0
    while scaled >= step and power < len(units) - 1:
        scaled, power = scaled / step, power + 1
    return f"{scaled:.4g} {units[power]}"


def _section(title: str, body: Sequence[str]) -> list[str]:
    """The title stands before the first line; the others are indented alike. Empty sections vanish."""
    return [f"{title if index == 0 else '':<{_LABEL_COLUMNS}}{line}" for index, line in enumerate(body)]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of equal length as aligned columns; a column that is empty in every row is left out."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        _GAP.join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True) if width).rstrip()
        for row in rows
    ]


def _words(*parts: str | None, separator: str = ", ") -> str:
    return separator.join(part for part in parts if part)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _system(system: System) -> list[str]:
    bios = _words(
        system.bios.vendor, system.bios.version, system.bios.date and f"({system.bios.date})", separator=" "
    )
    virtual = system.virtualization if system.virtualization != "none" else None
    return [
        line
        for line in (
            _words(
                _words(system.vendor, system.product, separator=" "),
                system.serial and f"serial {system.serial}",
                virtual and f"virtual ({virtual})",
            ),
            system.uuid and f"UUID {system.uuid}",
            bios and f"BIOS {bios}",
            _words(
                system.kernel and f"kernel {system.kernel}", system.hostname and f"host {system.hostname}"
            ),
        )
        if line
    ]


def _cpu(cpu: Cpu) -> list[str]:
    counts = _words(
        _plural(cpu.sockets, "socket") if cpu.sockets else None,
        _plural(cpu.cores, "core") if cpu.cores else None,
        f"{cpu.logical_online} of {cpu.logical_present} logical CPUs online" if cpu.logical_online else None,
    )
    caches = _words(
        *(
            f"L{cache.level}{cache.type[:1].lower() if cache.type != 'Unified' else ''} "
            f"{cache.instances} × {binary_size(cache.size_bytes)}"
            for cache in cpu.caches
        )
    )
    clock = _words(
        f"up to {cpu.frequency_max_hz / 1e9:.2f} GHz" if cpu.frequency_max_hz else None,
        cpu.governor and f"governor {cpu.governor}",
        cpu.microcode and f"microcode {cpu.microcode}",
    )
    vulnerable = [name for name, state in cpu.vulnerabilities.items() if state.startswith("Vulnerable")]
    weak = f"vulnerable: {_words(*vulnerable)}" if vulnerable else ""
    return [line for line in (_words(cpu.model or cpu.architecture, counts), caches, clock, weak) if line]


def _numa(node: NumaNode) -> str:
    distances = " ".join(str(distance) for distance in node.distances)
    return _words(
        f"node {node.node}: CPUs {node.cpus or 'none'}",
        binary_size(node.memory_bytes),
        distances and f"distances {distances}",
    )


def _memory(inventory: Inventory) -> list[str]:
    memory = inventory.memory
    full = [dimm for dimm in memory.dimms if dimm.size_bytes]
    empty = [dimm.locator or "?" for dimm in memory.dimms if dimm.size_bytes == 0]
    kinds = Counter(
        _words(
            binary_size(dimm.size_bytes),
            dimm.type,
            f"{dimm.speed_mtps} MT/s" if dimm.speed_mtps else None,
            dimm.manufacturer,
            dimm.part_number,
            separator=" ",
        )
        for dimm in full
    )
    total = f"{binary_size(memory.total_bytes)} usable" if memory.total_bytes else ""
    slots = f"{len(full)} of {len(memory.dimms)} slots filled" if memory.dimms else ""
    return [
        line
        for line in (
            _words(total, slots),
            *(f"{count} × {kind}" for kind, count in kinds.items()),
            f"empty: {_words(*empty)}" if empty else "",
        )
        if line
    ]


def _disk(disk: Disk) -> tuple[str, ...]:
    # What a hypervisor shows is called rotational by default.
    real = disk.rotational is not None and disk.transport not in ("virtio", "xen", "vmbus")
    kind = ("HDD" if disk.rotational else "SSD") if real else ""
    return (
        disk.name,
        decimal_size(disk.size_bytes),
        _words(disk.transport, kind if disk.kind == "disk" else disk.kind, separator=" "),
        _words(disk.vendor, disk.model, separator=" "),
        disk.serial or "",
        disk.firmware or "",
        f"node {disk.numa_node}" if disk.numa_node is not None else "",
        _smart(disk.smart),
    )


def _smart(smart: Smart | None) -> str:
    """The verdict, and the counters that are not 0."""
    if smart is None:
        return ""
    verdict = {True: "healthy", False: "FAILING", None: "no verdict"}[smart.passed]
    counters = {
        "reallocated": smart.reallocated_sectors,
        "pending": smart.pending_sectors,
        "uncorrectable": smart.uncorrectable_errors,
        "media errors": smart.media_errors,
        "CRC errors": smart.crc_errors,
    }
    return _words(
        verdict,
        f"{smart.temperature_celsius:.0f} °C" if smart.temperature_celsius is not None else None,
        f"{smart.percentage_used} % used" if smart.percentage_used is not None else None,
        *(f"{count} {name}" for name, count in counters.items() if count),
    )


def _nic(nic: Nic) -> tuple[str, ...]:
    speed = f"{nic.speed_mbps / 1000:g} Gbit/s" if nic.speed_mbps else ""
    link = {True: "link up", False: "NO LINK", None: "down"}[nic.carrier]
    neighbour = nic.lldp and _words(
        nic.lldp.system_name or nic.lldp.chassis_id, nic.lldp.port_id, separator=" "
    )
    return (
        nic.name,
        nic.mac or "-",
        _words(link, speed, nic.duplex if nic.duplex == "half" else None),
        f"MTU {nic.mtu}" if nic.mtu else "",
        _words(nic.driver, nic.firmware, separator=" "),
        f"node {nic.numa_node}" if nic.numa_node is not None else "",
        _words(*nic.addresses),
        f"to {neighbour}" if neighbour else "",
    )


def _pci(devices: Sequence[PciDevice]) -> list[str]:
    """A count of all, and a line for each accelerator and each device whose link runs below what it can."""
    if not devices:
        return []
    slow = [device for device in devices if _link_is_degraded(device) and not device.accelerator]
    accelerators = [device for device in devices if device.accelerator]
    return [
        _words(
            _plural(len(devices), "device"), *_counted(device.class_name or "other" for device in devices)
        ),
        *(f"accelerator {_pci_line(device)}" for device in accelerators),
        *(f"slow link {_pci_line(device)}" for device in slow),
    ]


def _counted(names: Iterable[str]) -> list[str]:
    return [f"{count} {name}" if count > 1 else name for name, count in Counter(names).most_common(6)]


def _pci_line(device: PciDevice) -> str:
    return _words(
        f"{device.address} {device.class_name or 'device'} {device.vendor_id}:{device.device_id}",
        f"{device.link_speed_gtps:g} GT/s × {device.link_width}"
        if device.link_speed_gtps and device.link_width
        else None,
        f"can {device.link_speed_max_gtps:g} GT/s × {device.link_width_max}"
        if _link_is_degraded(device)
        else None,
        f"node {device.numa_node}" if device.numa_node is not None else None,
    )


def _link_is_degraded(device: PciDevice) -> bool:
    speed, speed_max = device.link_speed_gtps, device.link_speed_max_gtps
    width, width_max = device.link_width, device.link_width_max
    if speed is None or speed_max is None or width is None or width_max is None:
        return False
    return speed < speed_max or width < width_max


def _bmc(inventory: Inventory) -> list[str]:
    bmc = inventory.bmc
    if bmc is None:
        return []
    return [
        _words(
            bmc.address or "no address",
            bmc.mac and f"MAC {bmc.mac}",
            bmc.firmware and f"firmware {bmc.firmware}",
        )
    ]


def _health(inventory: Inventory) -> list[str]:
    health = inventory.health
    edac = [
        f"{controller.controller}: {controller.correctable_errors or 0} corrected, "
        f"{controller.uncorrectable_errors or 0} uncorrected memory errors"
        for controller in health.edac
        if controller.correctable_errors or controller.uncorrectable_errors
    ]
    throttled = [
        f"socket {row.socket if row.socket is not None else '?'}: {row.scope} throttled {row.count} times since boot"
        for row in health.throttle
        if row.count
    ]
    alarms = [
        f"{_words(sensor.chip, sensor.name, separator=' ')}: {sensor.value} {sensor.unit} ALARM"
        for sensor in health.sensors
        if sensor.alarm
    ]
    mce = health.mce and health.mce.exceptions
    machine_checks = [f"{mce} machine check exceptions since boot"] if mce else []
    watched = bool(health.edac or health.throttle or health.sensors or health.mce)
    return edac + throttled + machine_checks + alarms or (["nothing to report"] if watched else [])


def _printable(line: str) -> str:
    """Without control characters: a disk's model must not be able to paint the terminal."""
    return "".join(character if character.isprintable() else "?" for character in line)
