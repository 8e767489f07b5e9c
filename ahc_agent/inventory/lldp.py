"""The switch port at the other end of the cable: LLDP (IEEE Std 802.1AB-2016), heard or asked of ``lldpd``.

Switches announce themselves every 30 s by default, so an inventory does not wait: it asks ``lldpctl`` where the daemon
runs. ``listen`` waits for announcements itself, for as long as the caller can spare; an ``Ear`` listens without waiting
while an agent runs. Whatever is heard is hostile until parsed: any machine on the wire can send it.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ahc_agent.errors import CannotAnswer, ProgramFailed, WireError
from ahc_agent.facts import CollectorError, Inventory, Lldp, Nic
from ahc_agent.programs import run

ETHERTYPE = 0x88CC
#: The address "nearest bridge": no bridge forwards it (IEEE 802.1AB, table 7-1).
MULTICAST = bytes.fromhex("0180c200000e")

DAEMON_SOCKET = "/run/lldpd.socket"
_CONTROL = "lldpctl"
_TIME_LIMIT_S = 5.0

_END, _CHASSIS_ID, _PORT_ID, _TTL, _PORT_DESCRIPTION, _SYSTEM_NAME, _ORGANISATION = 0, 1, 2, 3, 4, 5, 127
_IEEE_802_1 = b"\x00\x80\xc2"
_PORT_VLAN, _VLAN_NAME = 1, 3

#: Subtypes whose value is an address; all others are text (tables 8-2 and 8-3).
_CHASSIS_MAC, _CHASSIS_ADDRESS = 4, 5
_PORT_MAC, _PORT_ADDRESS = 3, 4
#: IANA address family numbers.
_ADDRESS_BYTES = {1: 4, 2: 16}

_ETHERNET_HEADER_BYTES = 14
_FRAME_BYTES = 1522
#: What the kernel keeps of each card until somebody asks: some dozens of announcements.
_KEPT_BYTES = 65536
_FRAMES_A_LOOK = 1000
#: How often an ear looks for cards that have come.
_FOLLOW_EVERY_S = 2.0
_VLANS_LIMIT = 4094

_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_MR_MULTICAST = 263, 1, 0


def parse(frame: bytes) -> Lldp | None:
    """The neighbour in an Ethernet frame; None where it says goodbye (time to live 0).

    Raises WireError for a frame that is no LLDP or breaks the standard's order (chassis, port, time to live).
    """
    if len(frame) < _ETHERNET_HEADER_BYTES or frame[12:14] != ETHERTYPE.to_bytes(2, "big"):
        raise WireError("LLDP", "not an LLDP frame")
    found = Lldp()
    time_to_live: int | None = None
    for index, (kind, value) in enumerate(_elements(frame[_ETHERNET_HEADER_BYTES:])):
        mandatory = {0: _CHASSIS_ID, 1: _PORT_ID, 2: _TTL}.get(index)
        if mandatory is not None and kind != mandatory:
            raise WireError("LLDP", f"element {index} is of type {kind}, not {mandatory}")
        if kind == _CHASSIS_ID:
            found.chassis_id = _identity(value, _CHASSIS_MAC, _CHASSIS_ADDRESS)
        elif kind == _PORT_ID:
            found.port_id = _identity(value, _PORT_MAC, _PORT_ADDRESS)
        elif kind == _TTL:
            if len(value) < 2:
                raise WireError("LLDP", "the time to live is cut short")
            time_to_live = int.from_bytes(value[:2], "big")
        elif kind == _PORT_DESCRIPTION:
            found.port_description = _text(value)
        elif kind == _SYSTEM_NAME:
            found.system_name = _text(value)
        elif kind == _ORGANISATION:
            _add_vlan(found, value)
    if time_to_live is None:
        raise WireError("LLDP", "chassis, port or time to live is missing")
    return found if time_to_live else None


def listen(interfaces: Iterable[str], seconds: float) -> dict[str, Lldp]:
    """The first neighbour heard on each interface within ``seconds``. Returns early when all have been heard.

    Raises CannotAnswer without the right to open raw sockets (CAP_NET_RAW). Interfaces that are down or gone,
    and malformed frames, are passed over.
    """
    sockets: dict[socket.socket, str] = {}
    heard: dict[str, Lldp] = {}
    try:
        for interface in interfaces:
            if opened := _open(interface):
                sockets[opened] = interface
        deadline = time.monotonic() + seconds
        while len(heard) < len(sockets) and (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([s for s, name in sockets.items() if name not in heard], [], [], left)
            for one in ready:
                if (neighbour := _receive(one)) is not None:
                    heard[sockets[one]] = neighbour
    finally:
        for one in sockets:
            one.close()
    return heard


def hear(nics: Iterable[Nic], seconds: float) -> None:
    """Fill ``lldp`` of cards with a link whose neighbour no daemon has told. Raises CannotAnswer as ``listen`` does."""
    unknown = {nic.name: nic for nic in nics if nic.carrier and nic.lldp is None}
    for name, neighbour in listen(unknown, seconds).items():
        unknown[name].lldp = neighbour


class Ear:
    """Listens on cards from its making on, without waiting: the kernel keeps what comes until ``listen`` takes it.

    ``interfaces``: these only; None: all but loopback, those that come later as they come. A card that was away and came back
    is another one to the kernel: whoever was heard there is forgotten.

    An agent has heard its switches by the time it is asked for its inventory. The kernel keeps the oldest announcements and
    drops what no longer fits, so that ``listen`` has to be called now and then: a cable may be moved while the agent waits.
    Without the right to listen the ear is deaf, and says so in the inventory. ``listen`` and ``tell`` may be called from two
    threads.
    """

    def __init__(self, interfaces: Iterable[str] | None = None) -> None:
        self._only = None if interfaces is None else frozenset(interfaces)
        self._sockets: dict[tuple[int, str], socket.socket] = {}
        self._heard: dict[str, Lldp] = {}
        self._deaf: str | None = None
        self._lock = threading.Lock()
        self._followed_at_s = 0.0
        self._follow()

    def listen(self) -> None:
        """Take what came since the last time; of each card the latest counts."""
        with self._lock:
            if time.monotonic() - self._followed_at_s > _FOLLOW_EVERY_S:
                self._follow()
            for (_, name), one in self._sockets.items():
                for neighbour in _drain(one):
                    self._heard[name] = neighbour

    def tell(self, inventory: Inventory) -> None:
        """Fill ``lldp`` of the cards whose neighbour was heard, where no daemon has told it."""
        with self._lock:
            self._follow()
        self.listen()
        for nic in inventory.nics:
            nic.lldp = nic.lldp or self._heard.get(nic.name)
        if self._deaf is not None:
            inventory.errors.append(CollectorError(collector="lldp", error=self._deaf))

    def close(self) -> None:
        with self._lock:
            for one in self._sockets.values():
                one.close()
            self._sockets.clear()

    def _follow(self) -> None:
        """Listen on the cards that are there now, by number and name. One that is down is heard once it is up."""
        self._followed_at_s = time.monotonic()
        there = {card for card in socket.if_nameindex() if self._wants(card[1])}
        for card in self._sockets.keys() - there:
            self._sockets.pop(card).close()
            self._heard.pop(card[1], None)
        for card in sorted(there - self._sockets.keys()):
            try:
                opened = _open(card[1])
            except CannotAnswer as error:
                self._deaf = str(error)
                return
            if opened is not None:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KEPT_BYTES)
                self._sockets[card] = opened

    def _wants(self, name: str) -> bool:
        return name != "lo" if self._only is None else name in self._only


def from_daemon(socket_path: str = DAEMON_SOCKET) -> dict[str, Lldp]:
    """Neighbours that ``lldpd`` knows, by interface; {} where it does not run. Raises ProgramError."""
    if not Path(socket_path).is_socket():
        return {}
    done = run([_CONTROL, "-u", socket_path, "-f", "json"], time_limit_s=_TIME_LIMIT_S)
    try:
        return parse_lldpctl(msgspec.json.decode(done.stdout))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProgramFailed(_CONTROL, f"said what is no JSON ({error})") from error


def parse_lldpctl(told: Any) -> dict[str, Lldp]:
    """``lldpctl -f json`` or ``-f json0``.

    In "json" what occurs once is an object, keyed by its name where it has one ({"eth0": {...}}), or a plain value; in
    "json0" everything is a list, names are under "name" and values under "value".
    """
    interfaces = _list(_first(told, "lldp").get("interface"))
    found: dict[str, Lldp] = {}
    for interface in interfaces:
        for name, facts in _named(interface):
            chassis = [pair for entry in _list(facts.get("chassis")) for pair in _named(entry)]
            port = _first(facts, "port")
            system_name, body = chassis[0] if chassis else (None, {})
            vlans = [_value(entry, "vlan-id") for entry in _list(facts.get("vlan"))]
            found.setdefault(
                name or "",
                Lldp(
                    chassis_id=_value(body, "id"),
                    port_id=_value(port, "id"),
                    port_description=_value(port, "descr"),
                    system_name=system_name or _value(body, "name"),
                    vlan_ids=[int(vlan) for vlan in vlans if vlan and vlan.isdecimal() and len(vlan) <= 4][
                        :_VLANS_LIMIT
                    ],
                ),
            )
    return found


def _elements(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Type-length-value elements up to the end mark: 7 bits of type, 9 of length (8.4). Raises WireError."""
    offset = 0
    while offset + 2 <= len(body):
        header = int.from_bytes(body[offset : offset + 2], "big")
        kind, length = header >> 9, header & 0x1FF
        value = body[offset + 2 : offset + 2 + length]
        if kind == _END:
            return
        if len(value) < length:
            raise WireError("LLDP", f"an element of type {kind} is cut short")
        yield kind, value
        offset += 2 + length


def _identity(value: bytes, mac_subtype: int, address_subtype: int) -> str | None:
    """A chassis or port id: one byte of subtype, then a MAC, a network address or a text."""
    if len(value) < 2:
        raise WireError("LLDP", "an identity is empty")
    subtype, body = value[0], value[1:]
    if subtype == mac_subtype and len(body) == 6:
        return body.hex(":")
    if subtype == address_subtype and len(body) == 1 + _ADDRESS_BYTES.get(body[0], -1):
        return str(ipaddress.ip_address(body[1:]))
    return _text(body)


def _add_vlan(found: Lldp, value: bytes) -> None:
    """IEEE 802.1 elements: port VLAN id, VLAN names (IEEE Std 802.1Q-2018, D.2)."""
    if value[:3] != _IEEE_802_1 or len(value) < 6 or value[3] not in (_PORT_VLAN, _VLAN_NAME):
        return
    vlan = int.from_bytes(value[4:6], "big") & 0xFFF
    # 0 means that the port has no VLAN.
    if vlan and vlan not in found.vlan_ids and len(found.vlan_ids) < _VLANS_LIMIT:
        found.vlan_ids.append(vlan)


def _text(value: bytes) -> str | None:
    """A text fit for a terminal: UTF-8, else hexadecimal digits; control characters are dropped."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex()
    return "".join(character for character in text if character.isprintable()).strip() or None


def _open(interface: str) -> socket.socket | None:
    opened: socket.socket | None = None
    try:
        index = socket.if_nametoindex(interface)
        opened = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0
        )
        opened.bind((interface, ETHERTYPE))
        membership = struct.pack("=iHH8s", index, _PACKET_MR_MULTICAST, len(MULTICAST), MULTICAST)
        opened.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
        return opened
    except PermissionError as error:
        raise CannotAnswer("LLDP: listening needs the right CAP_NET_RAW (run it as root)") from error
    except OSError:
        # It is gone or down: nobody can be heard there.
        if opened is not None:
            opened.close()
        return None


def _receive(one: socket.socket) -> Lldp | None:
    try:
        return _neighbour(*one.recvfrom(_FRAME_BYTES))
    except OSError:
        return None


def _drain(one: socket.socket) -> Iterator[Lldp]:
    """Who has announced itself since the last look, oldest first; no flood holds the caller."""
    for _ in range(_FRAMES_A_LOOK):
        try:
            received = one.recvfrom(_FRAME_BYTES)
        except OSError:  # nothing more, or the card is gone
            return
        if (neighbour := _neighbour(*received)) is not None:
            yield neighbour


def _neighbour(frame: bytes, address: Any) -> Lldp | None:
    """Who sent a frame; None for our own, for a goodbye, and for what is no LLDP."""
    try:
        return parse(frame) if address[2] != socket.PACKET_OUTGOING else None
    except WireError:
        return None


def _list(value: Any) -> list[dict[str, Any]]:
    values = value if isinstance(value, list) else [value]
    return [entry for entry in values if isinstance(entry, dict)]


def _first(value: Any, key: str) -> dict[str, Any]:
    found = _list(value.get(key) if isinstance(value, dict) else None)
    return found[0] if found else {}


def _named(entry: dict[str, Any]) -> list[tuple[str | None, dict[str, Any]]]:
    """A thing that may carry its name as its key ({"eth0": {...}}), as a field, or not at all."""
    name = entry.get("name")
    if isinstance(name, str):
        return [(name, entry)]
    if "id" in entry or "name" in entry:
        return [(None, entry)]
    return [(key, facts) for key, facts in entry.items() if isinstance(facts, dict)]


def _value(entry: dict[str, Any], key: str) -> str | None:
    """A value that is a plain text, {"value": text}, or a list of one of these; cut at 255 as on the wire."""
    found = entry.get(key)
    found = found[0] if isinstance(found, list) and found else found
    found = found.get("value") if isinstance(found, dict) else found
    return found[:255] if isinstance(found, str) else None
