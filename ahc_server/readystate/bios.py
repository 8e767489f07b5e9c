"""BIOS settings, by what they do to the machine: no inventory reads the settings themselves.

The kernel shows what some settings did: Hyper-Threading, virtualisation, turbo, SR-IOV, NUMA. A table knows the vendors' names
for these; every other setting is "not told", for the BMC to answer. Names: Dell's and HPE's attribute registries and
Supermicro's manuals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ahc_agent.facts import Inventory
from ahc_server.profiles.model import Yields
from ahc_server.readystate.model import Want, told

_ON = {"enabled", "enable", "on", "true", "yes", "1"}
_OFF = {"disabled", "disable", "off", "false", "no", "0"}

#: True: on, False: off, None: cannot be told.
Sign = Callable[[Inventory], bool | None]


def _threads(inventory: Inventory) -> bool | None:
    count = inventory.cpu.threads_per_core
    return None if count is None else count > 1


def _virtualization(inventory: Inventory) -> bool | None:
    """The flags stay where firmware switched VT-x off on some machines, so only their absence proves something."""
    flags = set(inventory.cpu.flags)
    return None if not flags or flags & {"vmx", "svm"} else False


def _turbo(inventory: Inventory) -> bool | None:
    return inventory.cpu.boost


def _sriov(inventory: Inventory) -> bool | None:
    """A card that offers functions proves it; none proves nothing, since the cards may have none."""
    return True if any(nic.sriov_total_vfs for nic in inventory.nics) else None


def _interleaved(inventory: Inventory) -> bool | None:
    """Node interleaving makes one NUMA node of several sockets."""
    sockets = inventory.cpu.sockets
    if not sockets or sockets < 2 or not inventory.numa:
        return None
    return len(inventory.numa) == 1


#: The setting's name, lower case without spaces and signs → its sign and what that is.
_SIGNS: dict[str, tuple[Sign, str]] = {
    name: (sign, by)
    for names, sign, by in (
        (
            ("logicalproc", "prochyperthreading", "hyperthreading", "hyperthreadingall", "smt"),
            _threads,
            "threads per core",
        ),
        (
            ("procvirtualization", "intelprocvt", "virtualization", "vmx", "svm", "svmmode"),
            _virtualization,
            "CPU flags",
        ),
        (
            ("procturbomode", "procturbo", "turbomode", "turbo", "coreperformanceboost"),
            _turbo,
            "the kernel's boost switch",
        ),
        (("sriovglobalenable", "sriov", "sriovsupport"), _sriov, "virtual functions that cards offer"),
        (("nodeinterleave", "nodeinterleaving"), _interleaved, "NUMA nodes"),
    )
    for name in names
}


def look(yields: Yields, inventory: Inventory) -> Iterable[Want]:
    """One wish for each setting."""
    for name, expected in yields.bios.items():
        sign, by = _SIGNS.get(re.sub(r"[^a-z0-9]", "", name.lower()), (None, ""))
        wanted = _switch(expected)
        state = sign(inventory) if sign is not None and wanted is not None else None
        if state is None:
            yield Want("bios", name, expected, None, "unknown", "the BMC knows it")
        else:
            found = "Enabled" if state else "Disabled"
            yield told("bios", name, expected, found, state == wanted, f"by {by}")


def _switch(text: str) -> bool | None:
    word = text.strip().lower()
    return True if word in _ON else False if word in _OFF else None
