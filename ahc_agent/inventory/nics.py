"""Network cards: what they are, where they hang, how their link is.

From ``/sys/class/net`` (Documentation/ABI/testing/sysfs-class-net), on the machine itself also from ethtool,
the addresses set, and an LLDP daemon where one runs.

A card is an interface with a device behind it. Bridges, bonds, VLANs, tunnels and ``lo`` are left out; veth and its kin
are listed only in a network namespace that has nothing else (a container, a fleet in a box).
"""

from __future__ import annotations

import ipaddress
import re
import socket

import psutil

from ahc_agent.errors import AhcError
from ahc_agent.facts import Nic
from ahc_agent.inventory import lldp, pci
from ahc_agent.inventory.ethtool import DriverInfo, Ethtool
from ahc_agent.inventory.root import Root

NETWORK = "/sys/class/net"

#: ``type`` of an interface (linux/if_arp.h).
_ARPHRD_INFINIBAND = 32
_IFF_UP = 0x1
#: ``addr_assign_type``: the address is the permanent one (linux/netdevice.h, NET_ADDR_PERM).
_ADDRESS_PERMANENT = 0

#: Drivers of interfaces without hardware of their own that carry data as a card does.
_STAND_INS = frozenset({"veth", "macvlan", "ipvlan"})
#: Drivers of cards that a hypervisor makes up.
_PARAVIRTUAL = frozenset({"virtio_net", "vmxnet3", "xen_netfront", "vif", "hv_netvsc", "ibmveth"})

#: Mbit/s above which a speed is the kernel's "unknown" (65535, 4294967295); 1.6 Tbit/s is the fastest Ethernet.
_SPEED_LIMIT_MBPS = 10_000_000
_UNKNOWN_SPEED_MBPS = 65535
_RATE = re.compile(r"(\d{1,5}(?:\.\d+)?) Gb/sec")


def collect(root: Root) -> list[Nic]:
    """All cards, in natural order of their names."""
    if not root.live:
        return [_read(root, name) for name in _names(root) if _has_device(root, name)]
    names = _visible(root)
    with Ethtool() as ethtool:
        drivers = {name: _driver_info(root, ethtool, name) for name in names}
        cards = [name for name in names if _has_device(root, name)]
        cards = cards or [name for name in names if (info := drivers[name]) and info.driver in _STAND_INS]
        nics = [_read(root, name, drivers[name]) for name in cards]
        for nic in nics:
            nic.permanent_mac = ethtool.permanent_address(nic.name) or nic.permanent_mac
    _add_addresses(nics)
    _add_neighbours(root, nics)
    return nics


def _names(root: Root) -> list[str]:
    # ``bonding_masters`` is a file among the folders; a link whose target is not in the saved tree says nothing.
    return [name for name in root.names(NETWORK) if root.exists(f"{NETWORK}/{name}/address")]


def _visible(root: Root) -> list[str]:
    """Interfaces of this network namespace. A ``/sys`` mounted in another one would describe foreign interfaces."""
    ours = {name: index for index, name in socket.if_nameindex()}
    described = [
        name for name in _names(root) if root.integer(f"{NETWORK}/{name}/ifindex") == ours.get(name, 0)
    ]
    if missing := sorted(ours.keys() - set(described)):
        root.trouble.append(
            f"{NETWORK} shows another network namespace: nothing is known of {', '.join(missing)}"
        )
    return described


def _has_device(root: Root, name: str) -> bool:
    return root.exists(f"{NETWORK}/{name}/device")


def _driver_info(root: Root, ethtool: Ethtool, name: str) -> DriverInfo | None:
    try:
        return ethtool.driver_info(name)
    except OSError as error:
        root.trouble.append(f"{name}: driver information: {error.strerror}")
        return None


def _read(root: Root, name: str, info: DriverInfo | None = None) -> Nic:
    net = root.real(f"{NETWORK}/{name}")
    device = root.real(f"{net}/device")
    place = pci.place_of(root, device)
    function = pci.read(root, place.path) if place.path else None
    driver = (pci.driver(root, device) if root.exists(device) else None) or (info.driver if info else None)
    up = bool((root.integer(f"{net}/flags", 16) or 0) & _IFF_UP)
    carrier = root.integer(f"{net}/carrier") if up else None
    mac = root.text(f"{net}/address")
    duplex = root.text(f"{net}/duplex") if up else None
    return Nic(
        name=name,
        kind=_kind(root, net, driver),
        mac=mac,
        permanent_mac=mac if root.integer(f"{net}/addr_assign_type") == _ADDRESS_PERMANENT else None,
        driver=driver,
        speed_mbps=(_speed_mbps(root, net) if up else None) or _infiniband_mbps(root, net, device),
        duplex=duplex if duplex in ("full", "half") else None,
        carrier=None if carrier is None else carrier == 1,
        carrier_changes=root.integer(f"{net}/carrier_changes"),
        mtu=root.integer(f"{net}/mtu"),
        pci_address=place.address,
        vendor_id=function.vendor_id if function else None,
        device_id=function.device_id if function else None,
        numa_node=place.numa_node,
        firmware=(info.firmware if info else None) or _infiniband_firmware(root, device),
        sriov_total_vfs=root.integer(f"{device}/sriov_totalvfs"),
        sriov_num_vfs=root.integer(f"{device}/sriov_numvfs"),
    )


def _kind(root: Root, net: str, driver: str | None) -> str:
    if root.integer(f"{net}/type") == _ARPHRD_INFINIBAND:
        return "infiniband"
    return "virtual" if driver in _STAND_INS | _PARAVIRTUAL else "physical"


def _speed_mbps(root: Root, net: str) -> int | None:
    speed = root.integer(f"{net}/speed")
    known = speed is not None and 0 < speed < _SPEED_LIMIT_MBPS and speed != _UNKNOWN_SPEED_MBPS
    return speed if known else None


def _infiniband_mbps(root: Root, net: str, device: str) -> int | None:
    """IPoIB of older kernels does not tell a speed; the port of the adapter below does ("40 Gb/sec (4X QDR)")."""
    port = (root.integer(f"{net}/dev_port") or root.integer(f"{net}/dev_id", 16) or 0) + 1
    for adapter in root.names(f"{device}/infiniband")[:1]:
        rate = _RATE.match(root.text(f"{device}/infiniband/{adapter}/ports/{port}/rate") or "")
        return round(float(rate[1]) * 1000) if rate else None
    return None


def _infiniband_firmware(root: Root, device: str) -> str | None:
    adapters = root.names(f"{device}/infiniband")
    return root.text(f"{device}/infiniband/{adapters[0]}/fw_ver") if adapters else None


def _add_addresses(nics: list[Nic]) -> None:
    """IPv4 and IPv6 addresses with their prefix ("10.0.0.3/24"); link-local ones say nothing and are left out."""
    found = psutil.net_if_addrs()
    for nic in nics:
        for entry in found.get(nic.name, []):
            if entry.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            address = ipaddress.ip_address(entry.address.partition("%")[0])
            mask = ipaddress.ip_address(entry.netmask) if entry.netmask else None
            bits = int(mask).bit_count() if mask else address.max_prefixlen
            if not address.is_link_local:
                nic.addresses.append(f"{address}/{bits}")


def _add_neighbours(root: Root, nics: list[Nic]) -> None:
    try:
        neighbours = lldp.from_daemon()
    except AhcError as error:
        root.trouble.append(str(error))
        return
    for nic in nics:
        nic.lldp = neighbours.get(nic.name)
