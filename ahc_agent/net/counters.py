"""What the cards and the network stack count, read before and after a pair's test: errors, drops, pauses, retransmissions.

Sources: ``/proc/net/dev`` (of the network namespace, whatever ``/sys`` shows), ``/sys/class/net/*/statistics``
(Documentation/ABI/testing/sysfs-class-net-statistics), ``ethtool -S`` for what only drivers count,
``/proc/net/snmp`` and ``/proc/net/netstat`` (RFC 1213, RFC 4022). A few milliseconds each time, outside the measured
time; nothing of it is needed for the test, so what cannot be read is logged and left out.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass, field
from pathlib import Path

from ahc_agent.inventory.ethtool import Ethtool
from ahc_agent.wire.messages import LinkCounters

log = logging.getLogger(__name__)

_PROC = Path("/proc/net")
_SYS = Path("/sys/class/net")

#: Columns of ``/proc/net/dev`` (net/core/net-procfs.c), by their names under ``statistics``; None: not kept.
_DEV_COLUMNS = (
    "rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "rx_fifo_errors", "rx_frame_errors", None, None,
    "tx_bytes", "tx_packets", "tx_errors", "tx_dropped", "tx_fifo_errors", "collisions", "tx_carrier_errors", None,
)  # fmt: skip
#: What ``/proc/net/dev`` adds up or leaves out; ``carrier_changes`` stands beside the folder ``statistics``.
_SYS_FILES = (
    "statistics/rx_crc_errors",
    "statistics/rx_length_errors",
    "statistics/rx_missed_errors",
    "carrier_changes",
)
#: Of the driver's own statistics: pause frames, and errors of the physical layer, under the names that drivers give them.
_DRIVER_NAMES = frozenset(
    (
        "rx_pause", "tx_pause",  # be2net, enic, bnx2x, sfc
        "rx_flow_control_xoff", "tx_flow_control_xoff",  # e1000e, igb
        "rx_flow_control_xoff.nic", "tx_flow_control_xoff.nic",  # ice
        "rx_link_xoff", "tx_link_xoff", "port.link_xoff_rx", "port.link_xoff_tx",  # ixgbe, i40e
        "rx_pause_ctrl_phy", "tx_pause_ctrl_phy", "rx_symbol_err_phy", "rx_crc_errors_phy",  # mlx5
        "rx_pcs_symbol_err_phy", "rx_discards_phy", "link_down_events_phy", "rx_out_of_buffer",  # mlx5
        "rx_pause_frames", "tx_pause_frames", "rx_fcs_err_frames",  # bnxt
        "rx_no_dma_resources", "rx_no_buffer_count", "rx_long_length_errors", "rx_align_errors",  # igb, ixgbe
        "port.rx_crc_errors", "port.illegal_bytes", "port.rx_dropped",  # i40e
    )
)  # fmt: skip
#: Lines "Tcp:", "Udp:", "TcpExt:" of the stack, and the columns kept.
_STACK = {
    "snmp": {
        "Ip": ("ReasmFails", "FragFails"),
        "Tcp": ("OutSegs", "RetransSegs", "InErrs", "InCsumErrors"),
        "Udp": ("InCsumErrors",),
    },
    "netstat": {"TcpExt": ("TCPTimeouts", "TCPLostRetransmit"), "IpExt": ("InCsumErrors",)},
}
#: A card that the address does not name is told when it carried this part of what the busiest card did, and so many bytes.
_ALSO_USED = 0.5
_USED_BYTES = 1_000_000
_MOST_LINKS = 16
_NAME_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Reading:
    """All counters at one moment: interface → name → count, and the stack's."""

    cards: dict[str, dict[str, int]] = field(default_factory=dict)
    stack: dict[str, int] = field(default_factory=dict)


class Meters:
    """The counters of the cards under one address, and of the stack, from its making on."""

    def __init__(self, interface: str | None) -> None:
        """``interface``: the one that has the address ("" or None: not known)."""
        self._cards = with_lower(interface) if interface else []
        self._driver_names: dict[str, list[str]] = {}
        self._before = self._read()

    def rises(self) -> tuple[list[LinkCounters], dict[str, int]]:
        """What rose since then: the address's cards first, then other cards that carried data; and the stack's counters."""
        after = self._read()
        rises = {name: _rises(self._before.cards.get(name, {}), now) for name, now in after.cards.items()}
        links = [_link(name, rises[name], of_address=True) for name in self._cards if name in rises]
        carried = {
            name: max(rise.get("rx_bytes", 0), rise.get("tx_bytes", 0)) for name, rise in rises.items()
        }
        least = max(_USED_BYTES, _ALSO_USED * max(carried.values(), default=0))
        links += [
            _link(name, rises[name], of_address=False)
            for name in sorted(carried)
            if name not in self._cards and carried[name] >= least and name != "lo"
        ]
        return links[:_MOST_LINKS], _rises(self._before.stack, after.stack)

    def _read(self) -> Reading:
        cards = _read_dev()
        with Ethtool() as ethtool:
            for name in self._cards:
                if name in cards:
                    cards[name].update(_read_sys(name))
                    cards[name].update(self._read_driver(ethtool, name))
        return Reading(cards, _read_stack())

    def _read_driver(self, ethtool: Ethtool, name: str) -> dict[str, int]:
        try:
            if name not in self._driver_names:
                self._driver_names[name] = ethtool.statistic_names(name)
            names = self._driver_names[name]
            if _DRIVER_NAMES.isdisjoint(names):
                return {}
            values = ethtool.statistics(name, len(names))
        except OSError as error:
            log.warning("%s: its driver's statistics cannot be read: %s", name, error.strerror)
            return {}
        return {each: value for each, value in zip(names, values, strict=False) if each in _DRIVER_NAMES}


def with_lower(interface: str) -> list[str]:
    """An interface and the cards beneath it (a bond's, a VLAN's), the interface itself first."""
    found = [interface]
    for name in found:  # grows while it is walked
        if _shows_ours(name) and len(found) < _MOST_LINKS:
            lower = sorted(each.name.removeprefix("lower_") for each in (_SYS / name).glob("lower_*"))
            found += [each for each in lower if each not in found]
    return found[:_MOST_LINKS]


def _shows_ours(name: str) -> bool:
    """Whether ``/sys`` tells of this interface: one that is mounted in another network namespace tells of others."""
    try:
        return int((_SYS / name / "ifindex").read_text()) == socket.if_nametoindex(name)
    except (OSError, ValueError):
        return False


def _read_dev() -> dict[str, dict[str, int]]:
    cards: dict[str, dict[str, int]] = {}
    for line in _lines(_PROC / "dev")[2:]:
        name, _, rest = line.partition(":")
        values = rest.split()
        if len(values) == len(_DEV_COLUMNS):
            cards[name.strip()] = {
                column: int(value)
                for column, value in zip(_DEV_COLUMNS, values, strict=True)
                if column and value.isdecimal()
            }
    return cards


def _read_sys(name: str) -> dict[str, int]:
    if not _shows_ours(name):
        return {}
    found = {}
    for path in _SYS_FILES:
        lines = _lines(_SYS / name / path)
        if lines and lines[0].isdecimal():
            found[path.rpartition("/")[2]] = int(lines[0])
    return found


def _read_stack() -> dict[str, int]:
    """ "Tcp: RtoAlgorithm RtoMin ..." and "Tcp: 1 200 ..." are two lines of each protocol."""
    found: dict[str, int] = {}
    for file, wanted in _STACK.items():
        lines = _lines(_PROC / file)
        for head, values in zip(lines[::2], lines[1::2], strict=False):
            names, counts = head.split(), values.split()
            protocol = names[0].rstrip(":") if names else ""
            for name, count in zip(names[1:], counts[1:], strict=False):
                if name in wanted.get(protocol, ()) and count.isdecimal():
                    found[protocol + name] = int(count)
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        log.warning("%s cannot be read: %s", path, error.strerror)
        return []


def _rises(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """What grew. A counter that is new, or lower than before (its driver was loaded again), tells nothing."""
    return {name: rise for name, now in after.items() if name in before and (rise := now - before[name]) > 0}


def _link(name: str, rises: dict[str, int], *, of_address: bool) -> LinkCounters:
    ours = _shows_ours(name)

    def told(file: str) -> str | None:
        try:
            return (_SYS / name / file).read_text().strip() or None if ours else None
        except OSError:
            return None  # EINVAL: the card is down, or of a kind that has no such thing

    duplex = told("duplex")
    return LinkCounters(
        card=name[:_NAME_LIMIT],
        of_address=of_address,
        rises=rises,
        speed_mbps=_speed(told("speed")),
        duplex="full" if duplex == "full" else "half" if duplex == "half" else None,
        mtu=_number(told("mtu")),
        mac=told("address"),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _speed(text: str | None) -> int | None:
    """Kernels say -1, 65535 or 4294967295 where it is not known."""
    speed = _number(text)
    return speed if speed is not None and 0 < speed < 10_000_000 and speed != 65535 else None
