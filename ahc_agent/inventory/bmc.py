"""The BMC collector: the address and firmware of the machine's baseboard management controller.

Sources: ``ipmitool lan print`` and ``ipmitool mc info`` over the kernel's IPMI device, on this machine only; the driver's own
attributes in ``/sys/devices/platform/ipmi_bmc.*`` (kernel: drivers/char/ipmi/ipmi_msghandler.c), also in saved trees; SMBIOS
type 38, which tells that there is a BMC even where no driver is loaded.
"""

from __future__ import annotations

import ipaddress
import re

from ahc_agent import programs
from ahc_agent.errors import CannotAnswer, NotThere, ProgramError, ProgramFailed
from ahc_agent.facts import Bmc
from ahc_agent.inventory.cpuinfo import first_values
from ahc_agent.inventory.root import Root, whole_number
from ahc_agent.inventory.smbios import IPMI_DEVICE, read_tables

_DEVICES = ("/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0")
_DRIVER_FOLDER = "/sys/devices/platform"
_TIME_LIMIT_S = 10.0

#: IPMI channels that can be a LAN (IPMI 2.0, 6.3: 0 is IPMB, 0Ch to 0Fh are not for LANs).
_CHANNELS = range(1, 12)

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")


def collect(root: Root) -> Bmc:
    """What the BMC tells. Raises NotThere without a BMC, CannotAnswer where there is one but no driver for it."""
    bmc = _from_driver(root)
    if root.live and any(root.exists(device) for device in _DEVICES):
        return ask_ipmitool(root, bmc or Bmc())
    if bmc is not None:
        return bmc
    # Trouble with the tables is told by the collectors whose subject they are.
    tables = read_tables(Root(root.path))
    if tables is not None and tables.first(IPMI_DEVICE) is not None:
        raise CannotAnswer("SMBIOS lists a BMC but no driver talks to it (modprobe ipmi_si ipmi_devintf)")
    raise NotThere("no BMC")


def _from_driver(root: Root) -> Bmc | None:
    names = [name for name in root.names(_DRIVER_FOLDER) if name.startswith("ipmi_bmc")]
    if not names:
        return None
    folder = f"{_DRIVER_FOLDER}/{names[0]}"
    return Bmc(
        firmware=root.text(f"{folder}/firmware_revision"),
        manufacturer_id=root.integer(f"{folder}/manufacturer_id", 0),
        product_id=root.integer(f"{folder}/product_id", 0),
    )


def ask_ipmitool(root: Root, bmc: Bmc) -> Bmc:
    """Fill ``bmc`` by ipmitool; what it cannot say goes to ``root.trouble``."""
    try:
        info = parse_mc_info(programs.run(["ipmitool", "mc", "info"], time_limit_s=_TIME_LIMIT_S).text())
    except ProgramError as error:
        root.trouble.append(str(error))
        return bmc
    lan: Bmc | None = None
    try:
        lan = _first_lan()
        if lan is None:
            root.trouble.append("ipmitool: no LAN channel answers")
    except ProgramError as error:
        root.trouble.append(str(error))
    lan = lan or Bmc()
    return Bmc(
        address=lan.address,
        mac=lan.mac,
        channel=lan.channel,
        firmware=info.firmware or bmc.firmware,
        manufacturer_id=info.manufacturer_id if info.manufacturer_id is not None else bmc.manufacturer_id,
        product_id=info.product_id if info.product_id is not None else bmc.product_id,
    )


def lan_address(root: Root, time_limit_s: float) -> str | None:
    """Where this machine's BMC is reached, within ``time_limit_s`` a channel. None where there is none, or it does not tell."""
    if not (root.live and any(root.exists(device) for device in _DEVICES)):
        return None
    try:
        lan = _first_lan(time_limit_s)
    except ProgramError:
        return None  # the inventory says why
    return None if lan is None else lan.address


def _first_lan(time_limit_s: float = _TIME_LIMIT_S) -> Bmc | None:
    """The first LAN channel with an address, else the first LAN channel."""
    unset: Bmc | None = None
    for channel in _CHANNELS:
        try:
            text = programs.run(["ipmitool", "lan", "print", str(channel)], time_limit_s=time_limit_s).text()
        except ProgramFailed:
            # Not a LAN channel: ipmitool ends with status 1, and the search goes on.
            continue
        lan = parse_lan_print(text, channel)
        if lan.address is not None:
            return lan
        if unset is None and lan.mac is not None:
            unset = lan
    return unset


def parse_lan_print(text: str, channel: int) -> Bmc:
    """The address and MAC of ``ipmitool lan print``; an address of 0.0.0.0 is none."""
    values = first_values(text)
    mac = values.get("MAC Address", "").lower()
    return Bmc(
        address=_address(values.get("IP Address", "")),
        mac=mac if _MAC.fullmatch(mac) else None,
        channel=channel,
    )


def parse_mc_info(text: str) -> Bmc:
    """Firmware revision and ids of ``ipmitool mc info`` ("Product ID : 256 (0x0100)")."""
    values = first_values(text)
    return Bmc(
        firmware=values.get("Firmware Revision"),
        manufacturer_id=_leading_number(values.get("Manufacturer ID")),
        product_id=_leading_number(values.get("Product ID")),
    )


def _leading_number(text: str | None) -> int | None:
    return whole_number(text.split()[0]) if text else None


def _address(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if address.is_unspecified else str(address)
