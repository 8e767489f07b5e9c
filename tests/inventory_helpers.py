"""Saved trees and SMBIOS tables for the tests of the inventory, made file by file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ahc_agent.inventory.cpuset import format_list
from ahc_agent.inventory.root import Root

_UNREAD = re.compile(
    r"/(cpuidle|hugepages|power|memory\d+|tasks|coherency_line_size|number_of_sets|physical_line_partition|"
    r"ways_of_associativity|shared_cpu_list|crash_notes\w*|core_siblings_list|thread_siblings_list)(/|$)"
)


def build(path: Path, files: Mapping[str, str | bytes]) -> Root:
    """A tree at ``path`` with these files, named as on the machine; texts get the newline that the kernel writes."""
    for name, content in files.items():
        place = path / name.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    return Root(path)


def kernel_mask(cpus: int, width: int = 64) -> str:
    """A CPU set as the kernel prints masks: groups of 32 bits, "00000000,0000000f"."""
    groups = max(1, (max(width, cpus.bit_length()) + 31) // 32)
    return ",".join(f"{cpus >> 32 * group & 0xFFFFFFFF:08x}" for group in reversed(range(groups)))


@dataclass
class Machine:
    """CPUs by their place; ``cpus[n]`` is the (socket, core) of CPU n. What is offline the kernel tells no topology of."""

    cpus: list[tuple[int, int]]
    offline: set[int] = field(default_factory=set)
    new_names: bool = True

    @property
    def online(self) -> list[int]:
        return [cpu for cpu in range(len(self.cpus)) if cpu not in self.offline]

    def sharing(self, cpu: int, *, socket_only: bool) -> int:
        """The set of online CPUs in the same socket (or core) as ``cpu``."""
        socket, core = self.cpus[cpu]
        return sum(
            1 << other
            for other in self.online
            if self.cpus[other][0] == socket and (socket_only or self.cpus[other][1] == core)
        )

    def files(self) -> dict[str, str | bytes]:
        """Its ``/sys/devices/system/cpu``."""
        folder = "/sys/devices/system/cpu"
        core_file, socket_file = (
            ("core_cpus", "package_cpus") if self.new_names else ("thread_siblings", "core_siblings")
        )
        files: dict[str, str | bytes] = {
            f"{folder}/present": f"0-{len(self.cpus) - 1}",
            f"{folder}/online": format_list(sum(1 << cpu for cpu in self.online)),
        }
        for cpu, (socket, core) in enumerate(self.cpus):
            files[f"{folder}/cpu{cpu}/uevent"] = "DRIVER=processor"
            if cpu in self.offline:
                continue
            topology = f"{folder}/cpu{cpu}/topology"
            files[f"{topology}/core_id"] = str(core)
            files[f"{topology}/physical_package_id"] = str(socket)
            files[f"{topology}/{core_file}"] = kernel_mask(self.sharing(cpu, socket_only=False))
            files[f"{topology}/{socket_file}"] = kernel_mask(self.sharing(cpu, socket_only=True))
        return files


def lstopo(tree: Path) -> dict[str, Any] | None:
    """What hwloc reads from a tree; None where hwloc is not installed or refuses the tree."""
    program = shutil.which("lstopo-no-graphics")
    if program is None:
        return None
    done = subprocess.run(
        [program, "--if", "fsroot", "--input", str(tree), "--of", "xml", "--no-io"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0 or not done.stdout.strip():
        return None
    objects = list(ElementTree.fromstring(done.stdout).iter("object"))

    def count(kind: str) -> int:
        return sum(one.get("type") == kind for one in objects)

    return {
        "packages": count("Package"),
        "cores": count("Core"),
        "pus": count("PU"),
        "numa_memory": {
            int(one.get("os_index", -1)): int(one.get("local_memory", 0))
            for one in objects
            if one.get("type") == "NUMANode"
        },
    }


def extract(archive: Path, into: Path) -> Path:
    """Unpack a saved machine, without most of the files that nobody reads; its tree is the one folder in the archive."""
    into.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        members = [member for member in tar if not _UNREAD.search(member.name)]
        tar.extractall(into, members, filter="tar")
    (tree,) = into.iterdir()
    return tree


def truths(shared: Path) -> dict[str, dict[str, Any]]:
    """``machines/truth.jsonl``: by archive name, what lscpu and hwloc read."""
    lines = (shared / "machines" / "truth.jsonl").read_text().splitlines()
    return {record["machine"]: record for record in map(json.loads, filter(str.strip, lines))}


# ── SMBIOS ─────────────────────────────────────────────────────────────────────────────────────────


def structure(
    kind: int, handle: int, fields: Mapping[int, bytes], length: int, strings: tuple[str, ...] = ()
) -> bytes:
    """One SMBIOS structure of ``length`` formatted bytes; ``fields`` are laid in at the specification's offsets."""
    formatted = bytearray(length)
    formatted[0:4] = bytes([kind, length]) + handle.to_bytes(2, "little")
    for offset, value in fields.items():
        formatted[offset : offset + len(value)] = value
    tail = b"\0".join(text.encode() for text in strings) + b"\0\0" if strings else b"\0\0"
    return bytes(formatted) + tail


def dimm(
    handle: int,
    *,
    size: int,
    locator: str,
    extended_size: int = 0,
    speed: int = 0,
    configured: int = 0,
    ranks: int = 0,
    memory_type: int = 0x1A,
    array: int = 0x1000,
    texts: tuple[str, str, str] = ("Samsung", "39F2E1A0", "M393A4K40DB3-CWE"),
    length: int = 0x54,
) -> bytes:
    """A type 17 structure; ``texts`` are manufacturer, serial and part number, ``size`` the raw field."""
    fields = {
        0x04: array.to_bytes(2, "little"),
        0x0C: size.to_bytes(2, "little"),
        0x10: b"\x01\x02",
        0x12: bytes([memory_type]),
        0x15: speed.to_bytes(2, "little"),
        0x17: b"\x03\x04\x00\x05",
        0x1B: bytes([ranks]),
        0x1C: extended_size.to_bytes(4, "little"),
        0x20: configured.to_bytes(2, "little"),
    }
    kept = {offset: value for offset, value in fields.items() if offset + len(value) <= length}
    return structure(17, handle, kept, length, (locator, f"BANK of {locator}", *texts))


def memory_array(handle: int = 0x1000, use: int = 3) -> bytes:
    return structure(16, handle, {0x05: bytes([use])}, 0x17)


def server_table(*dimms: bytes, uuid_bytes: bytes = bytes(range(16, 32)), bmc: bool = False) -> bytes:
    """The table of an imaginary server: types 0, 1, 2, 3, 16, the DIMMs, and 38 where it has a BMC."""
    parts = [
        structure(0, 0, {0x04: b"\x01\x02", 0x08: b"\x03"}, 0x1A, ("Dell Inc.", "2.19.1", "06/04/2023")),
        structure(
            1,
            1,
            {0x04: b"\x01\x02\x00\x03", 0x08: uuid_bytes},
            0x1B,
            ("Dell Inc.", "PowerEdge R650", "7XK42B3"),
        ),
        structure(
            2,
            2,
            {0x04: b"\x01\x02\x00\x03", 0x0D: b"\x0a"},
            0x0F,
            ("Dell Inc.", "0PYXKY", ".7XK42B3.MXWSJ0018L00AB."),
        ),
        structure(3, 3, {0x04: b"\x01\x17\x00\x02"}, 0x15, ("Dell Inc.", "7XK42B3")),
        memory_array(),
        *dimms,
    ]
    if bmc:
        parts.append(structure(38, 0x2600, {0x04: b"\x01\x20\x40"}, 0x12))
    return b"".join([*parts, structure(127, 0xFEFF, {}, 4)])


def entry_point(table: bytes, version: tuple[int, int] = (3, 3), address: int = 0x20) -> bytes:
    """A 64-bit entry point whose checksum is right."""
    entry = bytearray(24)
    entry[0:5] = b"_SM3_"
    entry[6], entry[7], entry[8], entry[10] = 24, version[0], version[1], 1
    entry[12:16] = len(table).to_bytes(4, "little")
    entry[16:24] = address.to_bytes(8, "little")
    entry[5] = -sum(entry) & 0xFF
    return bytes(entry)


def smbios_files(table: bytes, version: tuple[int, int] = (3, 3)) -> dict[str, str | bytes]:
    return {
        "/sys/firmware/dmi/tables/DMI": table,
        "/sys/firmware/dmi/tables/smbios_entry_point": entry_point(table, version),
    }
