"""eDeploy's facts as an inventory: system, CPUs, NUMA, memory, BMC, sensors. Disks and cards are in ``devices``.

Sizes of memory are in bytes, of disks in GB, clocks in Hz, as lshw and the kernel tell them; see ``hardware.detect``.
What has no field of ours stays in the tree and ends in ``Inventory.extra``.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ahc_agent.facts import Bios, Bmc, Cpu, Dimm, Health, Inventory, Memory, NumaNode, Sensor, System
from ahc_agent.inventory import smbios
from ahc_agent.inventory.smbios import meaningful_uuid
from ahc_agent.inventory.system import without_secrets
from ahc_agent.inventory.virtual import named_by_firmware
from ahc_server.importers import devices
from ahc_server.importers.tree import Tree
from ahc_server.importers.values import mac_of, number_of, switch_of, whole_of

#: Of the makers' and models' names in a fleet there are few.
meaningful = lru_cache(maxsize=8192)(smbios.meaningful)

_NUMBERED = re.compile(r".*?(\d{1,6})$")
_DDR = re.compile(r"\b((?:LP)?DDR\d?)\b")
_EMPTY = "[empty]"
_MOST_NODES = 1024


def inventory_of(tree: Tree, collected_at: str) -> Inventory:
    """Everything in the tree, as far as there are fields; the rest as it is."""
    cpu = _cpu(tree)
    inventory = Inventory(
        collected_at=collected_at,
        system=_system(tree, cpu),
        cpu=cpu,
        numa=_numa(tree),
        memory=_memory(tree),
        disks=devices.disks(tree),
        nics=devices.nics(tree),
        bmc=_bmc(tree),
        health=Health(sensors=[*_core_sensors(tree), *_ipmi_sensors(tree)]),
    )
    inventory.extra = tree.rest()
    return inventory


def _system(tree: Tree, cpu: Cpu) -> System:
    def product(item: str) -> str | None:
        return meaningful(tree.take("system", "product", item))

    def board(item: str) -> str | None:
        return meaningful(tree.take("system", "motherboard", item))

    bios = Bios(
        vendor=meaningful(tree.take("firmware", "bios", "vendor")),
        version=meaningful(tree.take("firmware", "bios", "version")),
        date=meaningful(tree.take("firmware", "bios", "date")),
    )
    uuid = tree.take("system", "product", "uuid")
    system = System(
        vendor=product("vendor"),
        product=product("name"),
        version=product("version"),
        serial=product("serial"),
        uuid=meaningful_uuid(uuid),
        board_vendor=board("vendor"),
        board_product=board("name"),
        board_serial=board("serial"),
        bios=bios,
        kernel=tree.take("system", "kernel", "version"),
        kernel_arguments=without_secrets(tree.take("system", "kernel", "cmdline")),
        hostname=tree.take("system", "kernel", "hostname"),
    )
    system.virtualization = virtualization(system, cpu)
    return system


def virtualization(system: System, cpu: Cpu) -> str | None:
    """From firmware strings and the CPU's ``hypervisor`` flag, as the agent does; None where the flags are not told."""
    named = named_by_firmware(
        [system.vendor, system.product, system.board_vendor, system.bios.vendor, system.bios.version]
    )
    if named or not cpu.flags:
        return named
    return "vm-other" if "hypervisor" in cpu.flags else "none"


def _cpu(tree: Tree) -> Cpu:
    sockets = sorted(
        (part for part in tree.parts("cpu") if part.startswith("physical_")),
        key=lambda part: int(found[1]) if (found := _NUMBERED.fullmatch(part)) else -1,
    )
    cores: list[int | None] = []
    threads: list[int | None] = []
    for part in sockets:
        enabled = whole_of(tree.take("cpu", part, "enabled_cores"))
        present = whole_of(tree.take("cpu", part, "cores"))
        cores.append(enabled or present)
        threads.append(whole_of(tree.take("cpu", part, "threads")))

    def of_first(item: str) -> str | None:
        """What the sockets agree on is told once; where they differ, each keeps its own among the other facts."""
        told = {part: word for part in sockets if (word := tree.take("cpu", part, item)) is not None}
        if len(set(told.values())) > 1:
            for part, word in told.items():
                tree.keep("cpu", part, item, word)
        return next(iter(told.values()), None)

    known_cores = [count for count in cores if count]
    all_cores = sum(known_cores) if len(known_cores) == len(sockets) and sockets else None
    all_threads = sum(count or 0 for count in threads) if all(threads) else None
    max_mhz = number_of(of_first("max_Mhz"))
    min_mhz = number_of(of_first("min_Mhz"))
    boost = of_first("boost")
    return Cpu(
        model=of_first("product"),
        vendor=of_first("vendor"),
        architecture=tree.take("system", "kernel", "arch"),
        family=whole_of(of_first("family")),
        model_number=whole_of(of_first("model")),
        stepping=whole_of(of_first("stepping")),
        logical_present=whole_of(tree.take("cpu", "logical", "number")),
        sockets=whole_of(tree.take("cpu", "physical", "number")),
        cores=all_cores,
        threads_per_core=all_threads // all_cores
        if all_cores and all_threads and all_threads % all_cores == 0
        else None,
        flags=(of_first("flags") or "").split(),
        frequency_max_hz=whole_of(max_mhz, 1e6) or None,
        frequency_min_hz=whole_of(min_mhz, 1e6) or None,
        governor=_governor(tree),
        boost=None if boost is None else switch_of(boost),
    )


def _governor(tree: Tree) -> str | None:
    """One word where all CPUs have the same; else all of them, sorted, with "+"."""
    told = {
        word
        for part in tree.parts("cpu")
        if part.startswith("logical_") and (word := tree.take("cpu", part, "governor")) is not None
    }
    return "+".join(sorted(told)) or None


def _numa(tree: Tree) -> list[NumaNode]:
    nodes = []
    for part in tree.parts("numa")[:_MOST_NODES]:
        found = re.fullmatch(r"node_(\d{1,5})", part)
        mask = tree.take("numa", part, "cpu_mask") if found else None
        if found and mask is not None:
            tree.take("numa", part, "cpu_count")
            nodes.append(NumaNode(node=int(found[1]), cpus=cpu_list(_bits(mask))))
    if nodes:
        tree.take("numa", "nodes", "count")
    return sorted(nodes, key=lambda node: node.node)


def _bits(mask: str) -> list[int]:
    """CPU numbers of lscpu's mask, "0x3f00003f"."""
    try:
        number = int(mask.replace(",", ""), 16)
    except ValueError:
        return []
    return [bit for bit, digit in enumerate(reversed(f"{number:b}")) if digit == "1"] if number > 0 else []


def cpu_list(cpus: list[int]) -> str:
    """A kernel list, "0-5,48-53"."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)[:4096]


def _memory(tree: Tree) -> Memory:
    banks = [part for part in tree.parts("memory") if re.fullmatch(r"bank[:\d]*", part)]
    dimms = [_dimm(tree, bank) for bank in banks]
    count = tree.take("memory", "banks", "count")
    if count is not None and count != str(len(banks)):
        tree.keep("memory", "banks", "count", count)
    return Memory(total_bytes=whole_of(tree.take("memory", "total", "size")), dimms=dimms)


def _dimm(tree: Tree, bank: str) -> Dimm:
    def told(item: str) -> str | None:
        return tree.take("memory", bank, item)

    description = told("description") or ""
    size = whole_of(told("size"))
    clock = whole_of(told("clock"))
    kind = _DDR.search(description)
    if size is None and description.endswith(_EMPTY):
        size = 0
    return Dimm(
        locator=told("slot"),
        bank=bank,
        size_bytes=size,
        type=kind[1] if kind and size else None,
        speed_mtps=clock // 1_000_000 if clock else None,
        manufacturer=meaningful(told("vendor")),
        part_number=meaningful(told("product")),
        serial=meaningful(told("serial")),
    )


def _bmc(tree: Tree) -> Bmc | None:
    address = tree.take("ipmi", "lan", "ip-address")
    mac = mac_of(tree.take("ipmi", "lan", "mac-address"))
    channel = whole_of(tree.take("system", "ipmi", "channel"))
    if (address, mac, channel) == (None, None, None):
        return None
    return Bmc(address=address, mac=mac, channel=channel)


def _core_sensors(tree: Tree) -> list[Sensor]:
    """``Core_0/temperature`` of a socket, in thousandths of a degree, with its limits."""
    sensors = []
    for socket in tree.parts("cpu"):
        for item in tree.items("cpu", socket):
            label, _, what = item.rpartition("/")
            if not label or what != "temperature":
                continue
            value = number_of(tree.take("cpu", socket, item))
            critical = number_of(tree.take("cpu", socket, f"{label}/critical"))
            alarm = tree.take("cpu", socket, f"{label}/critical_alarm")
            tree.take("cpu", socket, f"{label}/max")
            sensors.append(
                Sensor(
                    name=label,
                    chip=socket,
                    kind="temperature",
                    value=None if value is None else value / 1000,
                    unit="celsius",
                    critical=None if critical is None else critical / 1000,
                    alarm=None if alarm is None else switch_of(alarm),
                )
            )
    return sensors


_IPMI_UNITS = {
    "degrees c": ("temperature", "celsius"),
    "rpm": ("fan", "rpm"),
    "volts": ("voltage", "volts"),
    "watts": ("power", "watts"),
    "amps": ("current", "amperes"),
}


def _ipmi_sensors(tree: Tree) -> list[Sensor]:
    """Readings of ``ipmitool sdr`` whose unit is one of ours; the others stay facts."""
    sensors = []
    for name in tree.parts("ipmi"):
        unit = tree.take("ipmi", name, "unit")
        if unit is None:
            continue
        kind = _IPMI_UNITS.get(unit.lower())
        if kind is None:
            tree.keep("ipmi", name, "unit", unit)
            continue
        value = number_of(tree.take("ipmi", name, "value"))
        sensors.append(Sensor(name=name[:256], chip="ipmi", kind=kind[0], value=value, unit=kind[1]))
    return sensors
