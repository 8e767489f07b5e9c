"""Fleets whose nodes tell of their wires: what each end of each pair saw, healthy unless a test spoils it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from ahc_agent.facts import Inventory, Lldp, Nic
from ahc_agent.wire.messages import Identity, LinkCounters, PairOutcome, PathFacts, PathMtu, TaskOutcome
from ahc_server.judge.model import Finding
from ahc_server.judge.wires import with_wires
from ahc_server.session import NodeRecord, OutcomeRecord, Session

HEALTHY = {"rx_bytes": 3 * 10**9, "tx_bytes": 3 * 10**9, "rx_packets": 10**6, "tx_packets": 10**6}


def mac(number: int, card: int = 0) -> str:
    return f"0c:42:a1:00:{number:02x}:{card:02x}"


def nic(number: int, card: int = 0, **fields: object) -> Nic:
    told: dict[str, object] = {
        "name": f"eth{card}",
        "mac": mac(number, card),
        "mtu": 9000,
        "addresses": [f"10.{card}.0.{number}/24"],
    }
    return msgspec.convert(told | fields, Nic)


def heard(switch: str, port: str = "Eth1/1", vlans: Sequence[int] = ()) -> Lldp:
    return Lldp(system_name=switch, port_id=port, vlan_ids=list(vlans))


@dataclass
class Wired:
    """``size`` nodes n1, n2, ... with one card each, every pair tested once; methods spoil it."""

    size: int
    nics: dict[str, list[Nic]] = field(default_factory=dict)
    paths: dict[tuple[str, str], PathFacts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in range(1, self.size + 1):
            self.nics[f"n{number}"] = [nic(number)]
        for one in range(1, self.size + 1):
            for other in range(1, self.size + 1):
                if one != other:
                    self.paths[f"n{one}", f"n{other}"] = PathFacts(
                        address=f"10.0.0.{one}",
                        peer_address=f"10.0.0.{other}",
                        peer_mac=mac(other),
                        links=[LinkCounters(card="eth0", rises=dict(HEALTHY), mtu=9000, mac=mac(one))],
                        stack_rises={"TcpOutSegs": 100_000, "TcpRetransSegs": 40},
                        mtu=PathMtu(wanted=9000, sent=9000, received=9000) if one < other else None,
                    )

    @property
    def names(self) -> list[str]:
        return list(self.nics)

    def spoil(self, node: str, how: Callable[[PathFacts], PathFacts]) -> Wired:
        """Everything that one node saw."""
        for (row, peer), path in self.paths.items():
            if row == node:
                self.paths[row, peer] = how(path)
        return self

    def rises(self, node: str, **counts: int) -> Wired:
        """Counters of its card rise by so many in each test."""

        def how(path: PathFacts) -> PathFacts:
            (link,) = path.links
            return msgspec.structs.replace(
                path, links=[msgspec.structs.replace(link, rises=link.rises | counts)]
            )

        return self.spoil(node, how)

    def stack(self, node: str, peer: str | None = None, **counts: int) -> Wired:
        for (row, other), path in self.paths.items():
            if row == node and peer in (None, other):
                self.paths[row, other] = msgspec.structs.replace(path, stack_rises=path.stack_rises | counts)
        return self

    def hole(self, source: str, destination: str, passes: int = 1500) -> Wired:
        """Packets from ``source`` to ``destination`` pass up to a size only; the connecting end is the one that tells."""
        connects = (source, destination) in self.paths and self.paths[source, destination].mtu is not None
        key = (source, destination) if connects else (destination, source)
        path = self.paths[key]
        assert path.mtu is not None
        found = msgspec.structs.replace(path.mtu, **{"sent" if connects else "received": passes})
        self.paths[key] = msgspec.structs.replace(path, mtu=found)
        return self

    def session(self, identities: Mapping[str, Identity] | None = None) -> Session:
        nodes = [
            NodeRecord(
                machine=name,
                node=name,
                identity=(identities or {}).get(name, Identity(name=name)),
                inventory=Inventory(collected_at="2024-05-01T10:00:00Z", nics=self.nics[name]),
            )
            for name in self.names
        ]
        outcomes = [
            OutcomeRecord(
                f"{row}-{peer}",
                row,
                "network",
                "network",
                1,
                self.size,
                TaskOutcome(
                    status="ok",
                    pair=PairOutcome(
                        pair_id="+".join(sorted((row, peer))),
                        role="connect" if row < peer else "listen",
                        peer=peer,
                        connected=True,
                        path=path,
                    ),
                ),
            )
            for (row, peer), path in self.paths.items()
        ]
        return Session("s1", "standard", "done", 0.0, nodes, outcomes)

    def findings(
        self, about: Sequence[Finding] = (), identities: Mapping[str, Identity] | None = None
    ) -> list[Finding]:
        """What is found in all of them, as one group; ``about``: what was found before."""
        session = self.session(identities)
        rows = {record.machine: row for row, record in enumerate(session.nodes)}
        return with_wires(about, session, rows, session.nodes, [list(range(self.size))])
