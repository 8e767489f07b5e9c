"""README.txt of a boot folder: what to do with it, for whoever runs the network."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from ahc_server.netboot.dnsmasq import BIOS_LOADER, SCRIPT, UEFI_LOADER, Lan, usual_range
from ahc_server.netboot.values import Url

NO_INTERFACE = "CHANGE-ME"
#: A line that dnsmasq refuses. An interface that is not there does not stop it: it would wait for one of that name.
EDIT_FIRST = f"""# Write your interface and addresses where the example's are, then delete the next line
conf-file=/{NO_INTERFACE}

"""


def example_lan(http: Url) -> Lan:
    """A network for ``dnsmasq.conf`` where none was named: the /24 of the web server, or a private one."""
    try:
        address = ipaddress.IPv4Address(http.host)
    except ValueError:
        address = ipaddress.IPv4Address("192.168.77.1")
    network = ipaddress.IPv4Network((int(address), 24), strict=False)
    return Lan(NO_INTERFACE, address, network, usual_range(address, network), advertise=True)


def text(folder: Path, http: Url, *, loaders: bool, uploads: bool) -> str:
    return f"""AHC discovery ramdisk: this folder boots machines from the network
==================================================================

Web server       Serve this folder at {http}/ (any web server does; only reading is needed).
                 Check what was copied: sha256sum --check SHA256SUMS
{_UPLOADS if uploads else ""}
DHCP server      Tell machines what to load. Which, depends on what asks:

    iPXE (option 175 in its request)                 {http}/{SCRIPT}
    BIOS, option 93 = 0                              {BIOS_LOADER} by TFTP
    UEFI, option 93 = 7 or 9                         {UEFI_LOADER} by TFTP
    UEFI that fetches by HTTP, option 93 = 16        {http}/{UEFI_LOADER}, and option 60 = HTTPClient

                 The loaders are of Debian's package ipxe{"" if loaders else ", which is not installed here"}.
                 dnsmasq.conf in this folder says all of this to dnsmasq. ISC dhcpd:

    option client-arch code 93 = unsigned integer 16;
    if exists user-class and option user-class = "iPXE" {{ filename "{http}/{SCRIPT}"; }}
    elsif option client-arch = 00:00 {{ filename "{BIOS_LOADER}"; }}
    else {{ filename "{UEFI_LOADER}"; }}

Without iPXE     GRUB: grub.cfg (grub/grub.cfg for Debian's signed grubnetx64.efi, behind shim: Secure Boot).
                 PXELINUX: pxelinux.cfg/default, with this folder ({folder}) as the TFTP folder, and in it
                 pxelinux.0 and ldlinux.c32 of Debian's packages pxelinux and syslinux-common; pxelinux.0 is DHCP's file.

For a lab        ahc netboot FOLDER ... --serve --interface NAME   serves all of this from this machine.

The scripts show the fingerprint of the server's key; `ahc serve` prints it too. Compare them.
"""


_UPLOADS = """
Results          Machines send theirs by HTTP PUT into uploads/. Web servers take that only when told to; `ahc netboot --serve
                 --upload` does. Then: ahc import uploads/ --session NAME
"""
