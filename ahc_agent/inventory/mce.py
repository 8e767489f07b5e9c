"""The machine check collector (x86).

Sources: ``/sys/devices/system/machinecheck`` (kernel ABI file sysfs-mce) for the banks; ``/proc/interrupts`` for counts since
boot: MCE lines count exceptions (errors that could not be corrected on the spot), MCP lines polls of the banks.
"""

from __future__ import annotations

import re

from ahc_agent.errors import NotThere
from ahc_agent.facts import Mce
from ahc_agent.inventory.root import Root

_BANK_FOLDER = "/sys/devices/system/machinecheck"
_BANK = re.compile(r"bank\d{1,3}")


def collect(root: Root) -> Mce:
    """Banks and counts. Raises NotThere where the kernel has no machine check support."""
    machines = root.names(_BANK_FOLDER)
    first = next((name for name in machines if name.startswith("machinecheck")), None)
    banks = [name for name in root.names(f"{_BANK_FOLDER}/{first}") if _BANK.fullmatch(name)] if first else []
    interrupts = root.text("/proc/interrupts") or ""
    exceptions = interrupt_total(interrupts, "MCE")
    polls = interrupt_total(interrupts, "MCP")
    if not banks and exceptions is None and polls is None:
        raise NotThere("no machine check support")
    return Mce(banks=len(banks) or None, exceptions=exceptions, polls=polls)


def interrupt_total(interrupts: str, name: str) -> int | None:
    """The sum over all CPUs of one line of ``/proc/interrupts`` ("MCE:  0  0   Machine check exceptions")."""
    found = re.search(rf"^[ \t]*{re.escape(name)}:((?:[ \t]+\d{{1,15}})+)", interrupts, re.M)
    return sum(int(count) for count in found[1].split()) if found else None
