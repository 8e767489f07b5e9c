"""The configuration of dnsmasq (dnsmasq(8)): DHCP and TFTP on one interface, DNS nowhere.

Who asks is told apart by DHCP option 93 (client architecture, RFC 4578 and IANA's list): 0 is a BIOS, 7 and 9 are UEFI on
x86-64, 16 is UEFI on x86-64 that fetches by HTTP. iPXE tells itself by option 175. A firmware without iPXE gets iPXE first,
iPXE gets the script. Private options 224 and 225 tell the server and its key to a ramdisk that was booted in another way.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from ahc_agent.errors import UsageError
from ahc_server.netboot.values import Url

#: What Debian's package ``ipxe`` has for firmware without iPXE: BIOS, UEFI.
BIOS_LOADER, UEFI_LOADER = "undionly.kpxe", "ipxe.efi"
SCRIPT = "boot.ipxe"

Network = ipaddress.IPv4Network
Address = ipaddress.IPv4Address

_MOST_LEASES = 1000
_MOST_TRANSFERS = 250
_PATH = re.compile(r"/[A-Za-z0-9._/@%+~=\-]*")


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses to lease, in one network."""

    first: Address
    last: Address
    network: Network


@dataclass(frozen=True, slots=True)
class Lan:
    """The interface, the server's own address on it, and what to lease; None where another DHCP server does that and dnsmasq
    only adds what to boot (ProxyDHCP). ``advertise``: answer routers' solicitations on behalf of iPXE, which else waits for
    13 s."""

    interface: str
    address: Address
    network: Network
    leases: Range | None
    advertise: bool = False


def usual_range(address: Address, network: Network) -> Range:
    """The upper half of a network, 1,000 addresses at most, without the server's own. Raises UsageError for a tiny network."""
    if network.num_addresses < 8:
        raise UsageError(f"{network} is too small to lease addresses from: give --range")
    base, count = int(network.network_address), network.num_addresses
    first, last = base + count // 2, base + count - 2
    own = int(address)
    if first <= own <= last:  # the longer side of it
        first, last = (first, own - 1) if own - first > last - own else (own + 1, last)
    return Range(Address(first), Address(min(last, first + _MOST_LEASES - 1)), network)


def range_of(text: str, address: Address, network: Network) -> Range:
    """``--range FROM,TO``; raises UsageError where that is not in the network, or holds the server's own address."""
    try:
        first, last = (Address(word) for word in text.split(","))
    except ValueError:
        raise UsageError(f"--range {text!r}: FROM,TO is meant, two IPv4 addresses") from None
    inside = {network.network_address, network.broadcast_address}.isdisjoint({first, last})
    if not (first in network and last in network and first <= last and inside):
        raise UsageError(f"--range {text}: not a range of addresses in {network}, where the interface is")
    if first <= address <= last:
        raise UsageError(f"--range {text}: {address} is this machine's own address")
    return Range(first, last, network)


def configuration(
    lan: Lan, base: Url, tftp_root: Path | None, *, server: str | None, key: str | None, loaders: bool
) -> str:
    """``dnsmasq.conf``. ``loaders``: iPXE stands in the TFTP folder for firmware without it. Raises UsageError for a TFTP
    folder whose name dnsmasq would not take as it is."""
    if tftp_root is not None and not _PATH.fullmatch(str(tftp_root)):
        raise UsageError(
            f"{tftp_root}: letters, digits and ._/@%+~=- only, please; dnsmasq is told this name"
        )
    lines = [
        "# DHCP and TFTP for the AHC discovery ramdisk, on one interface and no other",
        "port=0",
        f"interface={lan.interface}",
        "except-interface=lo",
        "# not bind-interfaces: its TFTP would answer whoever reaches this address by another card",
        "bind-dynamic",
        "no-hosts",
        "no-resolv",
        "# each new lease would wait for an echo from its address; the range is to be free",
        "no-ping",
        *(["dhcp-authoritative"] if lan.leases else []),
        "log-dhcp",
        *(
            []
            if tftp_root is None
            else ["enable-tftp", f"tftp-root={tftp_root}", f"tftp-max={_MOST_TRANSFERS}"]
        ),
        "",
        "dhcp-match=set:ipxe,175",
        "dhcp-match=set:bios,option:client-arch,0",
        "dhcp-match=set:uefi,option:client-arch,7",
        "dhcp-match=set:uefi,option:client-arch,9",
        "dhcp-match=set:http,option:client-arch,16",
        *_loads(lan, base, loaders),
        "",
        *([f'dhcp-option=224,"{server}"'] if server else []),
        *([f'dhcp-option=225,"{key}"'] if key else []),
        *_addresses(lan),
    ]
    return "\n".join(lines) + "\n"


def _loads(lan: Lan, base: Url, loaders: bool) -> list[str]:
    if lan.leases is None:
        return _loads_by_proxy(lan, base, loaders)
    lines = [f"dhcp-boot=tag:ipxe,{base}/{SCRIPT}"]
    if loaders:
        lines += [
            f"dhcp-boot=tag:!ipxe,tag:bios,{BIOS_LOADER},,{lan.address}",
            f"dhcp-boot=tag:!ipxe,tag:uefi,{UEFI_LOADER},,{lan.address}",
            f"dhcp-boot=tag:!ipxe,tag:http,{base}/{UEFI_LOADER}",
            "dhcp-option-force=tag:!ipxe,tag:http,option:vendor-class,HTTPClient",
        ]
    return lines


def _loads_by_proxy(lan: Lan, base: Url, loaders: bool) -> list[str]:
    """A BIOS and iPXE take the file of the offer itself; UEFI asks again at port 4011, where dnsmasq names the file of the only
    PXE service that fits (PXE 2.1, 2.2.3)."""
    lines = [f"dhcp-boot=tag:ipxe,{base}/{SCRIPT},,{lan.address}"]
    if loaders:
        lines += [
            f"dhcp-boot=tag:!ipxe,tag:bios,{BIOS_LOADER},,{lan.address}",
            f'pxe-service=tag:!ipxe,X86-64_EFI,"AHC discovery ramdisk",{UEFI_LOADER},{lan.address}',
            f'pxe-service=tag:!ipxe,BC_EFI,"AHC discovery ramdisk",{UEFI_LOADER},{lan.address}',
        ]
    return lines


def _addresses(lan: Lan) -> list[str]:
    if lan.leases is None:
        return [f"dhcp-range={lan.network.network_address},proxy,{lan.network.netmask}"]
    leases = lan.leases
    lines = [
        "# iPXE need not wait for another server that would name the file (its option no-pxedhcp)",
        "dhcp-option=tag:ipxe,encap:175,176,1b",
        f"dhcp-range={leases.first},{leases.last},{leases.network.netmask},1h",
        "# neither router nor name server: there is nothing to reach but this machine",
        "dhcp-option=option:router",
        "dhcp-option=option:dns-server",
    ]
    if lan.advertise:
        lines += [
            "# iPXE waits 13 s for a router advertisement; this one says that there is no router (lifetime 0)",
            "enable-ra",
            f"dhcp-range=::,constructor:{lan.interface},ra-only,64",
            f"ra-param={lan.interface},60,0",
        ]
    return lines
