"""The vocabulary of profiles: every fact that a requirement may name, with the kind of its value.

It is read off the structs of ``ahc_agent.facts``, so that a new fact of the inventory can be asked for at once; ``DERIVED``
adds what follows from several of them. A value of None is "the machine does not tell".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, get_args

from msgspec import inspect

from ahc_agent.facts import Disk, Inventory, Nic, PciDevice
from ahc_server.judge.model import Finding, Verdict
from ahc_server.profiles.subject import Subject
from ahc_server.profiles.values import FLAG, NUMBER, TEXT, Kind, unit_of

Get = Callable[[Any], Any]

#: Sizes of these are powers of two, as makers sell them.
_BINARY = ("memory", "numa", "cpu", "health")
#: Lists that may well be empty: no disk, no card. Any other empty list was not told.
_MAY_BE_EMPTY = ("disks", "block-devices", "nics", "interfaces", "gpus", "findings")
#: How a part of a list is called where it is shown: the first of these that it has.
_LABELS = ("name", "address", "locator", "node", "element", "label", "controller", "level")


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. ``is_list``: of plain values of this kind. ``parts``: the fields of each part where it is a list of parts."""

    name: str
    kind: Kind
    get: Get
    is_list: bool = False
    parts: Mapping[str, Fact] | None = None


def label(part: object) -> str:
    """What a part is called, for answers: "sda", "0000:3b:00.0"."""
    for field in _LABELS:
        value = getattr(part, field, None)
        if value is not None:
            return str(value)
    return str(part)


@lru_cache(maxsize=1)
def vocabulary() -> Mapping[str, Fact]:
    """All facts by name, in the order of the inventory."""
    facts = _fields(inspect.type_info(Inventory), "", lambda subject: subject.inventory)
    for name in ("schema", "errors", "collected_at"):
        del facts[name]
    whole = {"block-devices": facts["disks"], "interfaces": facts["nics"]}
    for name, fact in whole.items():
        facts[name] = Fact(name, fact.kind, fact.get, parts=fact.parts)
    facts["disks"] = Fact("disks", TEXT, _disks, parts=facts["disks"].parts)
    facts["nics"] = Fact("nics", TEXT, _nics, parts=facts["nics"].parts)
    facts["gpus"] = Fact("gpus", TEXT, _gpus, parts=facts["pci"].parts)
    finding = _fields(inspect.type_info(Finding), "", _itself)
    facts["findings"] = Fact("findings", TEXT, _findings, parts=finding)
    facts["id"] = Fact("id", TEXT, lambda subject: subject.id)
    facts["group"] = Fact("group", TEXT, lambda subject: subject.group)
    facts["verdict"] = Fact(
        "verdict", Kind("text", choices=get_args(Verdict)), lambda subject: subject.verdict
    )
    for name, (_, kind, get) in DERIVED.items():
        facts[name] = Fact(name, kind, get)
    return facts


def _fields(struct: inspect.Type, prefix: str, base: Get) -> dict[str, Fact]:
    """The facts of a struct, those of structs inside it by dotted names."""
    assert isinstance(struct, inspect.StructType)
    found: dict[str, Fact] = {}
    for field in struct.fields:
        name = f"{prefix}{field.encode_name}"
        get = _getter(base, field.name)
        kind = _bare(field.type)
        if isinstance(kind, inspect.StructType):
            found |= _fields(kind, f"{name}.", get)
        elif isinstance(kind, inspect.ListType):
            item = _bare(kind.item_type)
            told = _told(name, get)
            if isinstance(item, inspect.StructType):
                parts = _fields(item, "", _itself)
                found[name] = Fact(name, TEXT, told, parts=_named(parts, name))
            else:
                found[name] = Fact(name, _kind(name, item), told, is_list=True)
        elif not isinstance(kind, inspect.DictType):
            found[name] = Fact(name, _kind(name, kind), get)
    return found


def _named(parts: dict[str, Fact], of: str) -> dict[str, Fact]:
    """Fields of parts; their sizes are shown as those of the list's kind are. Lists of parts inside parts cannot be asked for."""
    is_binary = of.startswith(_BINARY)
    return {
        name: Fact(name, replace(fact.kind, is_binary=is_binary), fact.get, fact.is_list)
        for name, fact in parts.items()
        if fact.parts is None
    }


def _bare(kind: inspect.Type) -> inspect.Type:
    """Without None and UNSET beside it."""
    if isinstance(kind, inspect.Metadata):
        return _bare(kind.type)
    if isinstance(kind, inspect.UnionType):
        real = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        dicts = [each for each in map(_bare, real) if isinstance(each, inspect.DictType)]
        return dicts[0] if dicts else _bare(real[0])
    return kind


def _kind(name: str, kind: inspect.Type) -> Kind:
    if isinstance(kind, inspect.BoolType):
        return FLAG
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return Kind("number", unit_of(name), name.startswith(_BINARY))
    if isinstance(kind, inspect.LiteralType):
        return Kind("text", choices=tuple(map(str, kind.values)))
    return TEXT


def _itself(part: Any) -> Any:
    return part


def _getter(base: Get, name: str) -> Get:
    if base is _itself:
        return attrgetter(name)

    def get(of: Any) -> Any:
        inner = base(of)
        return None if inner is None else getattr(inner, name)

    return get


def _told(name: str, get: Get) -> Get:
    """Of a list that every machine has something in, an empty one was not told."""
    return get if name in _MAY_BE_EMPTY else lambda of: get(of) or None


# What follows from several facts.


def _disks(subject: Subject) -> list[Disk] | None:
    found = [disk for disk in subject.inventory.disks if disk.kind == "disk"]
    return found if found or "disks" not in subject.bad_collectors else None


def _nics(subject: Subject) -> list[Nic] | None:
    found = [nic for nic in subject.inventory.nics if nic.kind in ("physical", "infiniband")]
    return found if found or "nics" not in subject.bad_collectors else None


def _gpus(subject: Subject) -> list[PciDevice] | None:
    """Processing accelerators and display controllers of makers of GPUs. None: no PCI devices were told."""
    if not subject.inventory.pci:
        return None
    return [
        device
        for device in subject.inventory.pci
        if device.accelerator
        or ((device.class_id or "").startswith("03") and device.vendor_id in ("10de", "1002"))
    ]


def _findings(subject: Subject) -> list[Finding] | None:
    return list(subject.findings) if subject.verdict is not None else None


def _ratio(subject: Subject, by: int | None) -> float | None:
    total = subject.inventory.memory.total_bytes
    return total / by if total is not None and by else None


def _filled(subject: Subject) -> int | None:
    sizes = [dimm.size_bytes for dimm in subject.inventory.memory.dimms]
    known = [size for size in sizes if size is not None]
    return sum(size > 0 for size in known) if sizes and len(known) == len(sizes) else None


def _flag(*names: str) -> Get:
    """Whether the CPU has any of these flags; None where its flags are not told."""

    def get(subject: Subject) -> bool | None:
        flags = subject.inventory.cpu.flags
        return any(name in flags for name in names) if flags else None

    return get


def _smallest_numa(subject: Subject) -> int | None:
    sizes = [node.memory_bytes for node in subject.inventory.numa]
    return min((size for size in sizes if size), default=None) if None not in sizes else None


def _hyperthreading(subject: Subject) -> bool | None:
    threads = subject.inventory.cpu.threads_per_core
    return None if threads is None else threads > 1


_MEMORY = Kind("number", "bytes", True)
#: Name → (what it is, kind, how it follows).
DERIVED: dict[str, tuple[str, Kind, Get]] = {
    "memory.per_core_bytes": (
        "memory by core",
        _MEMORY,
        lambda subject: _ratio(subject, subject.inventory.cpu.cores),
    ),
    "memory.per_cpu_bytes": (
        "memory by logical CPU",
        _MEMORY,
        lambda subject: _ratio(subject, subject.inventory.cpu.logical_online),
    ),
    "memory.dimms_filled": ("DIMM slots that are filled", NUMBER, _filled),
    "numa.smallest_memory_bytes": ("memory of the smallest NUMA node that has any", _MEMORY, _smallest_numa),
    "cpu.hyperthreading": ("whether a core runs more than one thread", FLAG, _hyperthreading),
    "cpu.virtualization": ("hardware support for virtual machines: VT-x or AMD-V", FLAG, _flag("vmx", "svm")),
    "cpu.hugepages_2m": ("pages of 2 MiB (flag pse)", FLAG, _flag("pse")),
    "cpu.hugepages_1g": ("pages of 1 GiB (flag pdpe1gb)", FLAG, _flag("pdpe1gb")),
    "cpu.aes": ("AES in hardware", FLAG, _flag("aes")),
}


def extra(name: str) -> Fact | None:
    """A fact of other tools, ``extra.KIND/PART/ITEM``, or a vulnerability, ``cpu.vulnerabilities.NAME``: any name will do."""
    for prefix, table in (("extra.", _extra), ("cpu.vulnerabilities.", _vulnerabilities)):
        if name.startswith(prefix) and len(name) > len(prefix):
            return Fact(name, TEXT, _entry(table, name.removeprefix(prefix)))
    return None


def _entry(table: Callable[[Subject], dict[str, str]], key: str) -> Get:
    return lambda subject: table(subject).get(key)


def _extra(subject: Subject) -> dict[str, str]:
    return subject.inventory.extra_facts()


def _vulnerabilities(subject: Subject) -> dict[str, str]:
    return subject.inventory.cpu.vulnerabilities
