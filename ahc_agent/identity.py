"""Who this machine is, and how others reach it: what the first message to a server says.

Fast on purpose: what the system collector reads, the cards' addresses, and that of the BMC where there is a driver for one; no
inventory.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ahc_agent.errors import AhcError, NotThere
from ahc_agent.facts import System
from ahc_agent.inventory import system
from ahc_agent.inventory.bmc import lan_address
from ahc_agent.inventory.root import Root
from ahc_agent.programs import run
from ahc_agent.wire.messages import Identity

_NET = "/sys/class/net"
_ETHERNET = 1
_ANY_PORT = 9
#: A BMC that does not say its address within this holds nobody up.
_BMC_LIMIT_S = 3.0

#: Outside programs whose version the server should know, and how they tell it.
_PROGRAMS = {
    "ethtool": "--version",
    "fio": "--version",
    "ipmitool": "-V",
    "iperf3": "--version",
    "smartctl": "--version",
    "sysbench": "--version",
}
_VERSION = re.compile(r"\d+(\.\d+)+")


def read_identity(
    root: str | Path = "/", name: str | None = None, physical_host: str | None = None
) -> Identity:
    """The identity of a machine, from its tree. ``name`` and ``physical_host`` are the operator's word and stand.

    The serial number is the product's, on bare metal else the board's. A virtual machine's ``physical_host`` is the
    serial number that its hypervisor shows it: OpenStack's is the hypervisor's own, so machines that share it share a host.
    """
    tree = Root(root)
    try:
        machine = system.collect(tree)
    except NotThere:
        machine = System()
    virtual = machine.virtualization not in (None, "none")
    if physical_host is None and virtual:
        physical_host = machine.serial or machine.chassis_serial
    return Identity(
        name=name,
        serial=_short(machine.serial or (None if virtual else machine.board_serial)),
        uuid=_short(machine.uuid, 64),
        macs=_macs(tree),
        hostname=_short(machine.hostname),
        physical_host=_short(physical_host),
        bmc_address=lan_address(tree, _BMC_LIMIT_S),
    )


def own_addresses(server: str) -> list[str]:
    """Addresses of this machine with their prefix length ("10.1.0.3/24"), that from which the server is reached first.

    ``server``: ``tcp://HOST:PORT``. Loopback addresses only when the server is reached by one; no link-local ones.
    """
    import psutil

    first = source_address(server.removeprefix("tcp://").rpartition(":")[0])
    found: list[tuple[bool, str]] = []
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family not in (socket.AF_INET, socket.AF_INET6) or not address.netmask:
                continue
            try:
                ip = ipaddress.ip_address(address.address)
                prefix = bin(int(ipaddress.ip_address(address.netmask))).count("1")
            except ValueError:
                continue  # link-local IPv6 carries its interface ("fe80::1%eth0")
            if not ip.is_link_local and (not ip.is_loopback or str(ip) == first):
                found.append((str(ip) != first, f"{ip}/{prefix}"))
    return [text for _, text in sorted(found, key=lambda one: one[0])]


def program_versions() -> dict[str, str]:
    """Version of each outside program that is installed. They are asked at once: 0.1 s altogether."""
    with ThreadPoolExecutor(len(_PROGRAMS)) as pool:
        versions = pool.map(_version, _PROGRAMS)
    return {program: version for program, version in zip(_PROGRAMS, versions, strict=True) if version}


def _version(program: str) -> str | None:
    try:
        text = run([program, _PROGRAMS[program]], time_limit_s=5, ok_statuses=None).text()
    except AhcError:
        return None  # not installed; a task that needs it says so
    found = _VERSION.search(text)
    return found.group() if found else "unknown"


def _macs(tree: Root) -> list[str]:
    """MAC addresses of the machine's own Ethernet cards, those that the card was made with first, each group sorted."""
    found: set[tuple[bool, str]] = set()
    for name in tree.names(_NET):
        card = f"{_NET}/{name}"
        if tree.integer(f"{card}/type") != _ETHERNET or not tree.exists(f"{card}/device"):
            continue
        # A card in a bond wears the bond's address; the kernel keeps its own aside.
        own = tree.text(f"{card}/bonding_slave/perm_hwaddr")
        mac = (own or tree.text(f"{card}/address") or "").lower()
        if re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", mac) and mac not in (
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
        ):
            made_with = own is not None or tree.integer(f"{card}/addr_assign_type") == 0
            found.add((not made_with, mac))
    return list(dict.fromkeys(mac for _, mac in sorted(found)))[:256]


def _short(text: str | None, limit: int = 256) -> str | None:
    return text[:limit] if text and text.isprintable() else None


def source_address(address: str) -> str | None:
    """The address that this machine uses towards another: the kernel's own answer, nothing is sent. A name instead of an IP
    address is looked up, which may take half a minute."""
    try:
        target = socket.getaddrinfo(address.strip("[]"), _ANY_PORT, type=socket.SOCK_DGRAM)[0]
        with socket.socket(target[0], socket.SOCK_DGRAM) as probe:
            probe.connect(target[4])
            return str(probe.getsockname()[0])
    except (OSError, ValueError):
        return None
