"""Which switch a node hangs on: the chassis id tells switches apart, the system name is what people read."""

from __future__ import annotations

import pytest

from ahc_agent.facts import Inventory, Lldp, Nic
from ahc_agent.wire.messages import Identity, PairOutcome, PathFacts, TaskOutcome
from ahc_server.judge.network import wiring
from ahc_server.session import NodeRecord, OutcomeRecord, Session
from ahc_server.switches import Switch, data_addresses, heard_switch, labels, switch_of


def nic(name: str, chassis: str | None, address: str | None = None, called: str | None = None) -> Nic:
    heard = Lldp(chassis_id=chassis, system_name=called) if chassis or called else None
    return Nic(name=name, addresses=[address] if address else [], lldp=heard)


def inventory(*nics: Nic) -> Inventory:
    return Inventory(collected_at="2026-01-01T00:00:00Z", nics=list(nics))


@pytest.mark.parametrize(
    ("nics", "identity"),
    [
        ([nic("a", "c1", "10.0.0.1/24"), nic("b", "c2")], "c1"),
        ([nic("a", "c1"), nic("b", None, "10.0.0.1/24")], "c1"),
        ([nic("a", "c1"), nic("b", "c2")], None),
        ([nic("a", "c1", called="leaf"), nic("b", "c2", called="leaf")], None),
        ([nic("a", "c1", called="old name"), nic("b", "c1", called="new name")], "c1"),
        ([nic("a", "c1", "nonsense")], "c1"),
        ([nic("a", None, called="leaf1")], "leaf1"),
        ([], None),
    ],
)
def test_the_switch_is_the_neighbour_of_the_card_with_the_data_address(
    nics: list[Nic], identity: str | None
) -> None:
    found = switch_of(inventory(*nics), ["10.0.0.1/24", "also nonsense"])
    assert (found.identity if found else None) == identity


def test_nothing_heard_is_no_switch() -> None:
    assert heard_switch(None) is None
    assert heard_switch(Lldp(port_id="Eth1")) is None
    assert switch_of(None) is None


def test_switches_of_one_name_are_told_apart_and_others_keep_theirs() -> None:
    some = [Switch("c1", "leaf"), Switch("c2", "leaf"), Switch("c3", "spine"), Switch("c4", "c4")]
    assert labels(some) == {"c1": "leaf (c1)", "c2": "leaf (c2)", "c3": "spine", "c4": "c4"}


def test_the_judge_knows_racks_by_chassis_and_calls_them_by_name() -> None:
    heard = [("c1", "leaf"), ("c1", "leaf"), ("c2", "leaf"), ("c3", None)]
    records = [
        NodeRecord(
            f"n{number}",
            f"n{number}",
            Identity(name=f"n{number}"),
            inventory(nic("a", chassis, None, called)),
        )
        for number, (chassis, called) in enumerate(heard)
    ]
    found = wiring(records)
    assert [found.leaves[number] for number in found.leaf] == ["leaf (c1)", "leaf (c1)", "leaf (c2)", "c3"]


def test_the_judge_takes_the_switch_of_the_card_that_was_tested() -> None:
    record = NodeRecord(
        "n1",
        "n1",
        Identity(name="n1"),
        inventory(nic("m", "mgmt", "10.9.0.1/24"), nic("d", "leaf1", "10.0.0.1/24")),
    )
    path = PathFacts(address="10.0.0.1", peer_address="10.0.0.2")
    pair = PairOutcome(pair_id="p", role="connect", peer="n2", connected=True, path=path)
    outcome = OutcomeRecord("t", "n1", "net", "network", 1, 2, TaskOutcome(status="ok", pair=pair))
    session = Session("s", "", "done", 0.0, [record], [outcome])
    assert wiring([record]).leaves == []
    assert wiring([record], data_addresses(session)).leaves == ["leaf1"]
