"""The golden report of a fleet: 24 machines' ``.hw`` files with four faults, through ``ahc import`` and ``ahc report``.

All numbers are integers by formula, so that every machine makes the same files. Write the reports anew after a change of
what the judge says, then read the difference::

    .venv/bin/python -m tests.golden_fleet --write
    git diff tests/golden

Without ``--write`` the digests of what would be written are printed. With ``--files DIR`` the files are left in that folder.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
REPOSITORY = Path(__file__).resolve().parent.parent
MACHINES, CORES, SLOTS = 24, 8, 12
#: When the files were written, in seconds since 1970: 13 May 2014.
WRITTEN_AT = 1_400_000_000

#: The faults: what of a value is left, in thousandths, by machine.
BAD_CORE, SLOW_DISK, LESS_MEMORY, SLOW_SOCKET = 7, 12, 17, 21
#: The rest are as they should be; half of the machines have the other of two BIOS versions, which harms nobody.

Row = tuple[str, str, str, str]

#: Size → MiB/s of one core, of a thread per core, of a process per core.
_BLOCKS = {
    "1K": (1_840, 1_130, 16_320),
    "4K": (4_900, 3_180, 39_140),
    "1M": (7_610, 20_710, 60_880),
    "16M": (3_880, 19_170, 27_190),
    "128M": (3_620, 13_340, 21_600),
    "1G": (3_620, 12_370, 21_590),
    "2G": (3_620, 12_350, 21_580),
}
#: Disk → requests a second at random, MiB/s one after the other.
_DISKS = {"sda": (69_700, 478), "sdb": (397, 418), "sdc": (399, 418)}


def left(machine: int, kind: str, part: str) -> int:
    """What of a value a machine's fault leaves, in thousandths."""
    core = int(part.removeprefix("logical_")) if part.startswith("logical_") else None
    if machine == BAD_CORE and core == 5:
        return 600
    if machine == SLOW_DISK and part == "sdb":
        return 550
    if machine == LESS_MEMORY and kind == "memory":
        return 780
    if machine == SLOW_SOCKET and kind == "compute":
        return 940 if core is not None and core >= CORES // 2 else 970 if core is None else 1000
    return 1000


def value(machine: int, place: int, usual: int, wobble: int, thousandths: int) -> str:
    """The usual value, ``wobble`` hundredths of a percent up or down at most; ``place``: of the row in the file."""
    step = (machine * 7919 + place * 104_729 + machine * place * 31) % 2001 - 1000
    return str(usual * thousandths * (10_000_000 + step * wobble) // 10_000_000_000)


def rows(machine: int) -> list[Row]:
    """What eDeploy's health check finds on one machine, 1 to 24."""
    told = list(facts(machine))
    for place, (part, item, kind, usual, wobble) in enumerate(measured()):
        group = "disk" if kind == "disk" else "cpu"
        told.append((group, part, item, value(machine, place, usual, wobble, left(machine, kind, part))))
    return told


def facts(machine: int) -> Iterator[Row]:
    bios = "2.4" if machine == SLOW_SOCKET else "2.6" if machine % 2 else "2.7"
    filled = SLOTS - 2 if machine == LESS_MEMORY else SLOTS
    yield ("system", "product", "serial", f"CZ33{machine:04d}")
    yield ("system", "product", "name", "ProLiant DL360p Gen8")
    yield ("system", "product", "vendor", "HP")
    yield ("firmware", "bios", "version", bios)
    yield ("memory", "total", "size", str(filled * 8 << 30))
    for slot in range(SLOTS):
        is_empty = machine == LESS_MEMORY and slot in (3, 9)
        yield ("memory", f"bank:{slot}", "slot", f"DIMM_{slot + 1}")
        if is_empty:
            yield ("memory", f"bank:{slot}", "description", "DIMM DDR3 Synchronous [empty]")
        else:
            yield ("memory", f"bank:{slot}", "description", "DIMM DDR3 Synchronous 1600 MHz (0.6 ns)")
            yield ("memory", f"bank:{slot}", "size", str(8 << 30))
    for number, disk in enumerate(_DISKS):
        yield ("disk", disk, "size", "400" if number == 0 else "4000")
        yield ("disk", disk, "vendor", "HP")
        yield ("disk", disk, "model", "EO0400FBRWA" if number == 0 else "MB4000GCWDC")
        yield ("disk", disk, "rev", "HPD3")
    yield ("network", "eth0", "serial", f"d8:9d:67:1a:41:{machine:02x}")
    yield ("network", "eth0", "link", "yes")
    yield ("network", "eth0", "size", "10000000000")
    yield ("network", "eth0", "driver", "ixgbe")
    for socket in range(2):
        yield ("cpu", f"physical_{socket}", "product", "Intel(R) Xeon(R) CPU E5-2609 0 @ 2.40GHz")
        yield ("cpu", f"physical_{socket}", "cores", str(CORES // 2))
        yield ("cpu", f"physical_{socket}", "threads", str(CORES // 2))
    yield ("cpu", "physical", "number", "2")
    yield ("cpu", "logical", "number", str(CORES))


def measured() -> Iterator[tuple[str, str, str, int, int]]:
    """Part, item, kind, the usual value, and how far it strays in hundredths of a percent."""
    for core in range(CORES):
        yield f"logical_{core}", "loops_per_sec", "compute", 40_300, 60
        for size, (alone, _, _) in _BLOCKS.items():
            kind = "memory" if size in ("128M", "1G", "2G") else "compute"
            yield f"logical_{core}", f"bandwidth_{size}", kind, alone, 80
    yield "logical", "loops_per_sec", "compute", 322_400, 40
    for size, (_, threads, processes) in _BLOCKS.items():
        kind = "memory" if size in ("128M", "1G", "2G") else "compute"
        yield "logical", f"threaded_bandwidth_{size}", kind, threads, 120
        yield "logical", f"forked_bandwidth_{size}", kind, processes, 120
    for way in ("standalone", "simultaneous"):
        for disk, (requests, rate) in _DISKS.items():
            yield disk, f"{way}_randread_4k_IOps", "disk", requests, 250
            yield disk, f"{way}_randread_4k_KBps", "disk", requests * 4, 250
            yield disk, f"{way}_read_1M_KBps", "disk", rate * 1024, 150
            yield disk, f"{way}_read_1M_IOps", "disk", rate, 150


def write_files(folder: Path) -> None:
    """One ``.hw`` file for each machine."""
    for machine in range(1, MACHINES + 1):
        file = folder / f"ProLiantDL360pGen8-HP-CZ33{machine:04d}.hw"
        file.write_text(",\n ".join(map(repr, rows(machine))).join(("[", "]\n")), encoding="utf-8")
        os.utime(file, (WRITTEN_AT, WRITTEN_AT))


def reports() -> dict[str, str]:
    """File → what the commands print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "hw"
        folder.mkdir()
        write_files(folder)
        store = str(Path(name) / "store.db")
        _ahc(store, "import", str(folder), "--session", "delivery")
        return {
            "fleet.txt": _ahc(store, "report", "--session", "delivery"),
            "fleet.json": _ahc(store, "report", "--session", "delivery", "--format", "json"),
        }


def _ahc(store: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "ahc_server", "--store", store, *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
        timeout=120,
    ).stdout


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--files"]:
        write_files(Path(arguments[1]))
        return
    for name, text in reports().items():
        if arguments == ["--write"]:
            (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
