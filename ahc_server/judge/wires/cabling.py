"""Cables and switch ports, as LLDP tells them, against those of the peers.

Without a plan nobody knows how it is meant, so only what a node has otherwise than nearly all its peers is told: both cards
on one switch where the others have two, a card on the switch of another pair of cards, two cables swapped, another VLAN.
Two switches with one name are two (``switches``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from ahc_server.judge import wording
from ahc_server.judge.model import Finding, Severity
from ahc_server.judge.wires.model import cards_of, port_of
from ahc_server.session import NodeRecord
from ahc_server.switches import heard_switch, labels

#: So many nodes have to be cabled alike before one of them is otherwise.
_ALIKE = 3
#: Nearly all peers.
_NEARLY_ALL = 0.8

#: Card → identity of its switch, in the order of the cards.
_Cabling = tuple[tuple[str, str], ...]
#: Identity of a switch → what people call it.
_Names = Mapping[str, str]


def cabling(group: Sequence[int], name: str, records: Sequence[NodeRecord]) -> list[Finding]:
    """Findings about one group, ``group`` rows, of comparable nodes."""
    cabled = {row: each for row in group if (each := _cabling(records[row]))}
    if len(cabled) <= _ALIKE:
        return []
    heard = (heard_switch(nic.lldp) for row in cabled for nic in cards_of(records[row]))
    called = labels(each for each in heard if each is not None)
    by_cards: dict[tuple[str, ...], dict[int, _Cabling]] = defaultdict(dict)
    for row, each in cabled.items():
        by_cards[tuple(card for card, _ in each)][row] = each
    found: list[Finding] = []
    for cards, of_rows in sorted(by_cards.items()):
        if len(of_rows) > _ALIKE:
            single = _on_one_switch(of_rows, cards, name, records, called)
            told = {node for each in single for node in each.nodes if each.element.startswith("node:")}
            rest = {row: each for row, each in of_rows.items() if records[row].node not in told}
            found += [*single, *_at_wrong_switch(rest, records, called)]
    return found + list(_other_vlans(group, records, called))


def _cabling(record: NodeRecord) -> _Cabling:
    known = ((nic.name, heard_switch(nic.lldp)) for nic in cards_of(record))
    return tuple((card, switch.identity) for card, switch in known if switch is not None)


def _finding(record: NodeRecord, summary: str, cause: str, severity: Severity = "warn") -> Finding:
    return Finding(
        element=f"node:{record.node}",
        nodes=[record.node],
        component="network",
        kind="config",
        severity=severity,
        cause=cause,
        summary=f"{record.node}: network: {summary}",
    )


def _on_one_switch(
    of_rows: Mapping[int, _Cabling],
    cards: Sequence[str],
    group: str,
    records: Sequence[NodeRecord],
    called: _Names,
) -> list[Finding]:
    """Cards that share a switch where those of the others are on two."""
    found: list[Finding] = []
    for first, second in combinations(range(len(cards)), 2):
        shared = [row for row, each in of_rows.items() if each[first][1] == each[second][1]]
        pair = f"{cards[first]} and {cards[second]}"
        apart = len(of_rows) - len(shared)
        if shared and apart >= max(_ALIKE, _NEARLY_ALL * len(of_rows)):
            for row in shared:
                said = f"{pair} both hang on {called[of_rows[row][first][1]]}"
                usual = f"where those of {apart:,} peers hang on two switches"
                text = f"{said}, {usual}; if that one fails, both links are gone: move a cable"
                found.append(_finding(records[row], text, said))
    if len(cards) > 1 and all(len({switch for _, switch in each}) == 1 for each in of_rows.values()):
        nodes = [records[row].node for row in sorted(of_rows)]
        found.append(
            Finding(
                element=f"group:{group}",
                nodes=nodes,
                component="network",
                kind="config",
                severity="info",
                summary=f"{group}: on each of {wording.nodes_word(len(nodes))} all cards hang on one switch "
                f"({wording.listed(cards)})",
            )
        )
    return found


def _at_wrong_switch(
    of_rows: Mapping[int, _Cabling], records: Sequence[NodeRecord], called: _Names
) -> Iterator[Finding]:
    """Nodes whose combination of switches nobody else has, one cable (or a swap of two) away from one that several have."""
    counted = Counter(of_rows.values())
    usual = [each for each, count in sorted(counted.items()) if count >= _ALIKE]
    ordinary = sum(counted[each] for each in usual)
    if ordinary < _NEARLY_ALL * len(of_rows):
        return
    for row, mine in sorted(of_rows.items()):
        if mine in usual or len(mine) < 2:
            continue
        record = records[row]
        for theirs in usual:
            wrong = [
                (card, has, should)
                for (card, has), (_, should) in zip(mine, theirs, strict=True)
                if has != should
            ]
            if len(wrong) == 2 and (wrong[0][1], wrong[1][1]) == (wrong[1][2], wrong[0][2]):
                (one, has, _), (other, has_too, _) = wrong
                said = f"the cables of {one} and {other} are swapped"
                yield _finding(
                    record,
                    f"{said}: {one} hangs on {called[has]} and {other} on {called[has_too]}, on {counted[theirs]:,} peers the "
                    f"other way round",
                    said,
                )
                break
            if len(wrong) == 1:
                card, has, should = wrong[0]
                rest = wording.listed(
                    [f"{each} on {called[switch]}" for each, switch in theirs if each != card]
                )
                said = f"{card} hangs on {called[has]}"
                port = port_of(record, card, called) or called[has]
                yield _finding(
                    record,
                    f"{card} hangs on {port}, where on {counted[theirs]:,} peers with {rest} it hangs on {called[should]}; "
                    f"check which port its cable belongs in",
                    said,
                )
                break


def _other_vlans(group: Sequence[int], records: Sequence[NodeRecord], called: _Names) -> Iterator[Finding]:
    """Cards whose switch port tells other VLANs than nearly all other ports of the same switch where peers have this card."""
    told: dict[tuple[str, str], dict[int, tuple[int, ...]]] = defaultdict(dict)
    for row in group:
        for nic in cards_of(records[row]):
            heard = heard_switch(nic.lldp)
            if heard is not None and nic.lldp is not None and nic.lldp.vlan_ids:
                told[nic.name, heard.identity][row] = tuple(sorted(set(nic.lldp.vlan_ids)))
    for (card, switch), of_rows in sorted(told.items()):
        usual, count = Counter(of_rows.values()).most_common(1)[0]
        if count < _ALIKE or count < _NEARLY_ALL * (len(of_rows) - 1):
            continue
        for row, mine in sorted(of_rows.items()):
            if mine != usual:
                has, want = (wording.listed([str(each) for each in ids]) for ids in (mine, usual))
                said = f"the port of {card} has VLAN {has}"
                port = port_of(records[row], card, called) or called[switch]
                theirs = f"those of {count:,} peers on {called[switch]} VLAN {want}"
                yield _finding(
                    records[row], f"{port}, where {card} hangs, has VLAN {has}, {theirs}; set it alike", said
                )
