"""Addresses and routes such that what is bound to an address leaves by that address' card, also where cards share a subnet.

Linux answers for all its addresses on all its cards, and sends by the first route that fits: with two cards in one subnet all
traffic takes one of them, and a test of the other would measure nothing. So each address gets a routing table of its own,
chosen by a rule on the source address, and a card answers only to ARP requests for its own addresses (``arp_ignore``,
``arp_announce``, ``rp_filter``: Documentation/networking/ip-sysctl.rst of the kernel).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ahc_agent.boot.arguments import Address, Interface
from ahc_agent.programs import run

_SYSCTL = Path("/proc/sys/net/ipv4/conf")
#: arp_ignore 1: answer only where the address is on the card that was asked; arp_announce 2: ask with an address of the card that
#: asks; rp_filter 2: take what is reachable by any card.
_SETTINGS = {"arp_ignore": "1", "arp_announce": "2", "rp_filter": "2"}
#: Tables and rules of the cards, in the order of ``Place.number``; below the rules of main (32766).
_FIRST_TABLE, _FIRST_RULE = 1000, 1000
_TIME_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Place:
    """An address on a card. ``number``: the card's own, small, for ever; the lowest is preferred for everything else."""

    card: str
    number: int
    address: Interface
    gateway: Address | None = None
    mtu: int | None = None


def commands(place: Place) -> list[str]:
    """What ``ip -batch`` is to do for one address."""
    lines: list[str] = []
    address, card, table = place.address, place.card, _FIRST_TABLE + place.number
    host, network = str(address.ip), str(address.network)
    if place.mtu is not None:
        lines.append(f"link set dev {card} mtu {place.mtu}")
    # Looking for others with the same IPv6 address takes a second, in which no route can name it.
    at_once = " nodad" if address.version == 6 else ""
    lines.append(f"address replace {address} dev {card} noprefixroute{at_once}")
    metric = 100 + place.number
    on_link = f"{network} dev {card} src {host}"
    lines.append(f"route replace {on_link} metric {metric}")
    lines.append(f"route replace {on_link} table {table}")
    if place.gateway is not None:
        # A gateway outside of the subnet (as some clouds give) is reached on the link all the same.
        way = f"via {place.gateway} dev {card} src {host} onlink"
        lines.append(f"route replace default {way} metric {metric}")
        lines.append(f"route replace default {way} table {table}")
    lines.append(f"rule add from {host} lookup {table} priority {_FIRST_RULE + place.number}")
    return lines


def undo(place: Place) -> list[str]:
    """What takes an address back. The kernel takes the routes of the main table away with it."""
    host, card, table = place.address.ip, place.card, _FIRST_TABLE + place.number
    lines = [f"rule delete from {host} lookup {table} priority {_FIRST_RULE + place.number}"]
    if place.gateway is not None:
        lines.append(f"route delete default via {place.gateway} dev {card} table {table}")
    lines.append(f"route delete {place.address.network} dev {card} table {table}")
    return [*lines, f"address delete {place.address} dev {card}"]


def change(before: Place | None, after: Place | None) -> None:
    """Give a card its address, or take it away, or both. Raises ProgramError that tells the last command that failed."""
    if before is not None:
        _apply(undo(before), before.address.version)
    if after is not None:
        _apply(commands(after), after.address.version)


def forget_gone(place: Place) -> None:
    """Take back what stays of a card that is not there any more: its rule. Raises ProgramError."""
    _apply(undo(place)[:1], place.address.version)


def _apply(lines: Sequence[str], version: int) -> None:
    """One that fails does not keep the next from being done. The family must be said: rules do not tell it by the address."""
    argv = ["ip", f"-{version}", "-force", "-batch", "-"]
    run(argv, time_limit_s=_TIME_LIMIT_S, stdin=_batch(lines))


def forget(cards: Sequence[str]) -> None:
    """Take back what an agent that ran here before did to these cards. Raises ProgramError where that cannot be."""
    lines = [f"address flush dev {card} scope global" for card in cards]
    for number in range(len(cards) + 1):  # 0 may have been kept for a card that never came
        lines.append(f"rule delete priority {_FIRST_RULE + number}")
        lines.append(f"route flush table {_FIRST_TABLE + number}")
    for family in ("-4", "-6"):
        argv = ["ip", family, "-force", "-batch", "-"]
        run(argv, time_limit_s=_TIME_LIMIT_S, stdin=_batch(lines), ok_statuses=None)


def _batch(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def prepare(cards: Iterable[str]) -> list[str]:
    """Each card answers for its own addresses only; answers with what could not be set, as sentences."""
    wrong = []
    for card in ("all", *cards):
        for name, value in _SETTINGS.items():
            try:
                (_SYSCTL / card / name).write_text(value)
            except OSError as error:
                wrong.append(f"{card}: {name} cannot be set: {error.strerror}")
    return wrong
