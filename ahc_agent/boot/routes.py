"""Addresses and routes such that what is bound to an address leaves by that address' card, also where cards share a subnet.

Linux answers for all its addresses on all its cards, and sends by the first route that fits: with two cards in one subnet all
traffic takes one of them, and a test of the other would measure nothing. So each address gets a routing table of its own,
chosen by a rule on the source address, and a card answers only to ARP requests for its own addresses (``arp_ignore``,
``arp_announce``, ``rp_filter``: Documentation/networking/ip-sysctl.rst of the kernel).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ahc_agent.boot.arguments import Address, Interface
from ahc_agent.errors import ProgramFailed
from ahc_agent.programs import run

_SYSCTL = Path("/proc/sys/net/ipv4/conf")
#: arp_ignore 1: answer only where the address is on the card that was asked; arp_announce 2: ask with an address of the card that
#: asks; rp_filter 2: take what is reachable by any card.
_SETTINGS = {"arp_ignore": "1", "arp_announce": "2", "rp_filter": "2"}
#: Tables and rules of the cards, in the order of ``Place.number``; below the rules of main (32766).
_FIRST_TABLE, _FIRST_RULE = 1000, 1000
_TIME_LIMIT_S = 20.0
_FAILED = re.compile(r"Command failed -:(\d+)")
_SHOWN = 400
#: The kernel's words for a part that is not there any more (its card may be gone as well), and for a rule that is there already.
_GONE = re.compile(
    r"No such (process|device|file or directory)|Cannot assign requested address|Cannot find device .*|FIB table does not exist"
    r"|(ipv[46]: )?[Aa]ddress not found"
)
_THERE = re.compile("File exists")


@dataclass(frozen=True, slots=True)
class Place:
    """An address on a card. ``number``: the card's own, small, for ever; the lowest is preferred for everything else.

    ``by_kernel``: the kernel has it by router advertisements, and keeps its routes in the main table. ``on_link``: the others of
    its network are reached without a router.
    """

    card: str
    number: int
    address: Interface
    gateway: Address | None = None
    mtu: int | None = None
    by_kernel: bool = False
    on_link: bool = True


def commands(place: Place) -> list[str]:
    """What ``ip -batch`` is to do for one address."""
    lines: list[str] = []
    address, card, table = place.address, place.card, _FIRST_TABLE + place.number
    host, network = str(address.ip), str(address.network)
    if place.mtu is not None:
        lines.append(f"link set dev {card} mtu {place.mtu}")
    metric = 100 + place.number
    on_link = f"{network} dev {card} src {host}" if place.on_link else None
    # A gateway outside of the subnet (as some clouds give) is reached on the link all the same.
    way = f"default via {place.gateway} dev {card} src {host} onlink" if place.gateway is not None else None
    if not place.by_kernel:
        # Looking for others with the same IPv6 address takes a second, in which no route can name it.
        at_once = " nodad" if address.version == 6 else ""
        lines.append(f"address replace {address} dev {card} noprefixroute{at_once}")
        lines += [f"route replace {each} metric {metric}" for each in (on_link, way) if each is not None]
    lines += [f"route replace {each} table {table}" for each in (on_link, way) if each is not None]
    lines.append(f"rule add from {host} lookup {table} priority {_FIRST_RULE + place.number}")
    return lines


def undo(place: Place) -> list[str]:
    """What takes an address back. The kernel takes the routes of the main table away with it."""
    host, card, table = place.address.ip, place.card, _FIRST_TABLE + place.number
    lines = [f"rule delete from {host} lookup {table} priority {_FIRST_RULE + place.number}"]
    if place.gateway is not None:
        lines.append(f"route delete default via {place.gateway} dev {card} table {table}")
    if place.on_link:
        lines.append(f"route delete {place.address.network} dev {card} table {table}")
    return lines if place.by_kernel else [*lines, f"address delete {place.address} dev {card}"]


def take_back(places: Iterable[Place]) -> None:
    """Take addresses away. What is gone already is no failure: it can all be done again.

    Raises ProgramError that tells which commands failed; all others are done.
    """
    _tell([each for place in places for each in _apply(undo(place), place.address.version, _GONE)])


def give(place: Place) -> None:
    """Give a card its address; otherwise as ``take_back``."""
    _tell(_apply(commands(place), place.address.version, _THERE))


def _tell(wrong: Sequence[str]) -> None:
    if wrong:
        raise ProgramFailed("ip", "; ".join(wrong)[:_SHOWN])


def is_there(place: Place) -> bool:
    """Whether the machine has the address, whatever else of it failed."""
    family = socket.AF_INET if place.address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.bind((str(place.address.ip), 0))
    except OSError:
        return False
    return True


def _apply(lines: Sequence[str], version: int, harmless: re.Pattern[str]) -> list[str]:
    """Answers with what went wrong. One that fails does not keep the next from being done. The family must be said: rules do not
    tell it by the address."""
    argv = ["ip", f"-{version}", "-force", "-batch", "-"]
    done = run(argv, time_limit_s=_TIME_LIMIT_S, stdin=_batch(lines), ok_statuses=None)
    return failures(lines, done.stderr.decode("utf-8", "replace"), harmless) if done.exit_status else []


def failures(lines: Sequence[str], said: str, harmless: re.Pattern[str]) -> list[str]:
    """What ``ip -batch`` said of the lines that failed: why, then ``Command failed -:LINE`` (iproute2, ``lib/utils.c``)."""
    wrong, why = [], ""
    for line in filter(None, map(str.strip, said.splitlines())):
        if found := _FAILED.fullmatch(line):
            number = int(found[1])
            what = lines[number - 1] if 0 < number <= len(lines) else f"line {number}"
            if not harmless.fullmatch(why):
                wrong.append(f"{what}: {why or 'no reason was given'}")
            why = ""
        else:
            why = line.removeprefix("RTNETLINK answers: ").removeprefix("Error: ").rstrip(".")
    return [*wrong, why] if why else wrong


def forget(cards: Sequence[str]) -> None:
    """Take back what an agent that ran here before did to these cards. Raises ProgramError where that cannot be."""
    # What routers advertise stays: the kernel would have it again only when they do so the next time.
    lines = [f"address flush dev {card} scope global permanent" for card in cards]
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
