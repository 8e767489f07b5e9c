"""Addresses: two machines that have the same one, a stranger who answers for a node, data that takes another card.

Sources: what the inventories and the tested pairs tell of addresses (IP, MAC), who answered to ARP (RFC 826) for the
peer's address, and through which cards the data of a test went.
"""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

from ahc_server.judge import wording
from ahc_server.judge.model import Direction, Finding
from ahc_server.judge.wires.model import Seen, cards_of
from ahc_server.session import NodeRecord

#: An accident takes two or three machines; what more of them share is meant (a BMC's USB side, a network that each rack has).
_MOST_ALIKE = 3
#: Where more nodes than this part share addresses with others, nothing is an accident.
_ACCIDENTS = 0.5
#: What more nodes than this part do is the network's make.
_COMMON = 0.5
#: Another card carried the data: so many bytes; the card with the address this part of that at most; in this part of the tests.
_CARRIED_BYTES, _OWN_PART, _MOSTLY = 1_000_000, 0.1, 0.5

_DIRECTIONS: tuple[Direction, ...] = ("tx", "rx")
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_NO_MAC = frozenset({"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"})


def addresses(ways: Sequence[Seen], records: Sequence[NodeRecord]) -> list[Finding]:
    """Findings about addresses."""
    ips, macs = _told_ips(ways, records), _told_macs(ways, records)
    same_machine = _same_machine(macs, records)
    tested = {row for seen in ways for row in (seen.row, seen.peer)}
    found = list(_shared("address", ips, same_machine, records, tested))
    found += _shared("MAC address", macs, same_machine, records, tested)
    found += _strangers(ways, macs, records)
    return found + list(_other_cards(ways, records))


def _told_ips(ways: Sequence[Seen], records: Sequence[NodeRecord]) -> dict[int, set[str]]:
    told: dict[int, set[str]] = defaultdict(set)
    for row, record in enumerate(records):
        for card in cards_of(record):
            told[row].update(card.addresses)
    for seen in ways:
        told[seen.row].add(seen.path.address)
    found: dict[int, set[str]] = {}
    for row, texts in told.items():
        found[row] = {ip for text in texts if (ip := _plain(text)) is not None}
    return {row: each for row, each in found.items() if each}


def _plain(text: str) -> str | None:
    """An address that only one machine can have, without its prefix length."""
    try:
        address = ipaddress.ip_interface(text).ip
    except ValueError:
        return None
    is_own = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    return None if is_own else str(address)


def _told_macs(ways: Sequence[Seen], records: Sequence[NodeRecord]) -> dict[int, set[str]]:
    told: dict[int, set[str]] = defaultdict(set)
    for row, record in enumerate(records):
        for card in cards_of(record):
            told[row].update(mac.lower() for mac in (card.mac, card.permanent_mac) if mac)
        told[row].update(mac.lower() for mac in record.identity.macs)
    for seen in ways:
        told[seen.row].update(link.mac.lower() for link in seen.path.links if link.mac)
    kept = {row: {mac for mac in each if _MAC.fullmatch(mac)} - _NO_MAC for row, each in told.items()}
    return {row: each for row, each in kept.items() if each}


def _same_machine(macs: Mapping[int, set[str]], records: Sequence[NodeRecord]) -> set[frozenset[int]]:
    """Pairs of nodes that are one machine under two names: several agents on it, or one that joined again with another name."""
    alike: dict[frozenset[str], list[int]] = defaultdict(list)
    for row, each in macs.items():
        alike[frozenset(each)].append(row)
    found = set()
    for rows in alike.values():
        for one, other in combinations(rows, 2):
            a, b = records[one].identity, records[other].identity
            if (a.physical_host, a.serial, a.uuid) == (b.physical_host, b.serial, b.uuid):
                found.add(frozenset((one, other)))
    return found


def _shared(
    what: str,
    told: Mapping[int, set[str]],
    same_machine: set[frozenset[int]],
    records: Sequence[NodeRecord],
    tested: Collection[int],
) -> Iterator[Finding]:
    """Pairs of different machines with one address, each pair once.

    ``tested``: rows that were up side by side, as their network was tested. Results of others come from other days and
    other networks, and an address is lent again: there it is a remark.
    """
    having: dict[str, list[int]] = defaultdict(list)
    for row in sorted(told):
        for address in told[row]:
            having[address].append(row)
    pairs: dict[tuple[int, int], list[str]] = defaultdict(list)
    for address, rows in sorted(having.items()):
        if len(rows) <= _MOST_ALIKE:
            for one, other in combinations(rows, 2):
                if frozenset((one, other)) not in same_machine:
                    pairs[one, other].append(address)
    if len({row for pair in pairs for row in pair}) > max(_MOST_ALIKE, _ACCIDENTS * len(told)):
        return
    for (one, other), shared in sorted(pairs.items()):
        names = records[one].node, records[other].node
        both = f"{what} {shared[0]}" if len(shared) == 1 else f"{what}es {wording.listed(shared)}"
        beside = one in tested and other in tested
        yield Finding(
            element=f"pair:{names[0]}-{names[1]}",
            nodes=list(names),
            component="network",
            kind="config",
            severity="fail" if beside else "info",
            cause=f"both have the {both}",
            summary=f"{names[0]} and {names[1]} both have the {both}: "
            f"{'' if beside else 'where both are up in one network, '}what is sent to it reaches one or the other; "
            f"give each its own",
        )


def _strangers(
    ways: Sequence[Seen], macs: Mapping[int, set[str]], records: Sequence[NodeRecord]
) -> Iterator[Finding]:
    """Nodes for whose address somebody else answered, as their peers in the same network saw it.

    Of nodes that told the MAC of the very interface with the address: that of a bond or a bridge may be none of its cards'.
    """
    sure = {
        seen.row
        for seen in ways
        if seen.row in macs and any(link.of_address and link.mac for link in seen.path.links)
    }
    asked: set[int] = set()
    answered: dict[int, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for seen in ways:
        mac = (seen.path.peer_mac or "").lower()
        if not _MAC.fullmatch(mac) or mac in _NO_MAC or seen.peer not in sure:
            continue
        asked.add(seen.peer)
        if mac not in macs[seen.peer]:
            answered[seen.peer][mac].add(seen.row)
    if len(asked) > _MOST_ALIKE and len(answered) > _COMMON * len(asked):
        return  # a gateway that answers for everybody (proxy ARP)
    owners = {mac: row for row in sorted(macs) for mac in macs[row]}
    for row, of_mac in sorted(answered.items()):
        mac, by = max(of_mac.items(), key=lambda each: (len(each[1]), each[0]))
        owner = owners.get(mac)
        who = (
            f"{records[owner].node} ({mac})" if owner is not None else f"a machine with the MAC address {mac}"
        )
        told = next(seen.path.peer_address for seen in ways if seen.peer == row and seen.row in by)
        node = records[row].node
        yield Finding(
            element=f"node:{node}",
            nodes=[node],
            component="network",
            kind="config",
            severity="fail",
            cause=f"{who} answers for its address {told}",
            summary=f"{node}: network: {who} answered for its address {told} when "
            f"{wording.listed([records[each].node for each in sorted(by)], most=3)} asked; look for a second machine with that "
            f"address",
        )


def _other_cards(ways: Sequence[Seen], records: Sequence[NodeRecord]) -> Iterator[Finding]:
    """Nodes whose data mostly went through another card than the one that has the tested address."""
    tests: dict[int, int] = defaultdict(int)
    by_other: dict[tuple[int, str, str], set[Direction]] = {}
    times: dict[tuple[int, str, str], int] = defaultdict(int)
    for seen in ways:
        own = [link for link in seen.path.links if link.of_address]
        if not own:
            continue
        tests[seen.row] += 1
        for other in seen.path.links:
            if other.of_address:
                continue
            ways_taken: set[Direction] = set()
            for direction in _DIRECTIONS:
                carried = other.rises.get(f"{direction}_bytes", 0)
                mine = max(link.rises.get(f"{direction}_bytes", 0) for link in own)
                if carried >= _CARRIED_BYTES and mine <= _OWN_PART * carried:
                    ways_taken.add(direction)
            if ways_taken:
                key = seen.row, own[0].card, other.card
                times[key] += 1
                by_other.setdefault(key, set()).update(ways_taken)
    told = [
        (key, directions)
        for key, directions in sorted(by_other.items())
        if times[key] > _MOSTLY * tests[key[0]]
    ]
    nodes = {row for (row, _, _), _ in told}
    common = len(tests) > _MOST_ALIKE and len(nodes) > _COMMON * len(tests)
    for (row, own_card, card), directions in told:
        node = records[row].node
        only: Direction | None = None if len(directions) == 2 else next(iter(directions))
        verb = {None: "sends and receives", "tx": "sends", "rx": "receives"}[only]
        yield Finding(
            element=f"node:{node}",
            nodes=[node],
            component="network",
            kind="config",
            direction=only,
            severity="info" if common else "warn",
            cause=f"data of {own_card} goes through {card}",
            summary=f"{node}: network: {verb} through {card} what was meant for {own_card}, so {own_card} was not "
            f"measured; check its routes (two cards in one network need source routing and arp_ignore)",
        )
