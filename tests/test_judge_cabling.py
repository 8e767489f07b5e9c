"""Which switch ports cards hang on: told is what one node has otherwise than nearly all its peers."""

from __future__ import annotations

from ahc_agent.facts import Nic
from ahc_server.judge.wires.planned import planned
from ahc_server.switches import data_addresses
from tests.wires_helpers import Wired, heard, nic


def two_cards(number: int, first: str, second: str) -> list[Nic]:
    return [
        nic(number, 0, lldp=heard(first, f"Eth1/{number}")),
        nic(number, 1, lldp=heard(second, f"Eth1/{number}")),
    ]


def racks(size: int, per_rack: int = 6) -> Wired:
    """Racks of ``per_rack`` nodes, each with two leaf switches: "leaf1a" for eth0, "leaf1b" for eth1."""
    fleet = Wired(size)
    for number, name in enumerate(fleet.names, 1):
        rack = (number - 1) // per_rack + 1
        fleet.nics[name] = two_cards(number, f"leaf{rack}a", f"leaf{rack}b")
    return fleet


def test_of_racks_cabled_as_they_should_be_nothing_is_told() -> None:
    assert racks(18).findings() == []


def test_two_cards_on_one_switch_are_told_where_the_peers_have_two() -> None:
    fleet = racks(12)
    fleet.nics["n4"] = two_cards(4, "leaf1a", "leaf1a")
    (found,) = fleet.findings()
    assert (found.element, found.severity) == ("node:n4", "warn")
    assert found.cause == "eth0 and eth1 both hang on leaf1a"
    assert "where those of 11 peers hang on two switches" in found.summary


def test_switches_that_share_a_name_are_told_apart_by_their_chassis() -> None:
    fleet = racks(12)
    for number, name in enumerate(fleet.names, 1):
        for card, each in enumerate(fleet.nics[name]):
            assert each.lldp is not None
            each.lldp.system_name = "switch"
            each.lldp.chassis_id = f"00:00:00:00:0{(number - 1) // 6}:0{card}"
    assert fleet.findings() == [], "two switches for each node, though all have one name"
    both = fleet.nics["n4"]
    assert both[0].lldp is not None and both[1].lldp is not None
    both[1].lldp.chassis_id = both[0].lldp.chassis_id
    (found,) = fleet.findings()
    assert found.element == "node:n4"
    assert found.cause == "eth0 and eth1 both hang on switch (00:00:00:00:00:00)"


def test_where_all_have_one_switch_it_is_a_remark_on_the_group() -> None:
    fleet = Wired(6)
    for number, name in enumerate(fleet.names, 1):
        fleet.nics[name] = two_cards(number, "leaf1", "leaf1")
    (found,) = fleet.findings()
    assert (found.element, found.severity) == ("group:g1", "info")


def test_swapped_cables_are_told() -> None:
    fleet = racks(12)
    fleet.nics["n9"] = two_cards(9, "leaf2b", "leaf2a")
    (found,) = fleet.findings()
    assert (found.element, found.cause) == ("node:n9", "the cables of eth0 and eth1 are swapped")


def test_a_cable_in_another_racks_switch_is_told_with_its_port() -> None:
    fleet = racks(18)
    fleet.nics["n2"] = two_cards(2, "leaf1a", "leaf3b")
    (found,) = fleet.findings()
    assert found.element == "node:n2"
    assert found.summary.startswith(
        "n2: network: eth1 hangs on port Eth1/2 on leaf3b, where on 5 peers with eth0 on leaf1a it hangs on leaf1b"
    )


def test_where_nothing_is_usual_nobody_is_accused() -> None:
    fleet = Wired(8)
    for number, name in enumerate(fleet.names, 1):
        fleet.nics[name] = two_cards(number, f"leaf{number}", f"leaf{number % 3}x")
    assert fleet.findings() == []
    few = racks(3)
    few.nics["n1"] = two_cards(1, "leaf1b", "leaf1a")
    assert few.findings() == []


def test_one_card_per_node_tells_nothing_of_cables() -> None:
    fleet = Wired(12)
    for number, name in enumerate(fleet.names, 1):
        fleet.nics[name] = [nic(number, lldp=heard("leaf1" if number != 5 else "leaf2"))]
    assert fleet.findings() == []


def test_another_vlan_than_the_other_ports_of_the_switch_is_told() -> None:
    fleet = Wired(8)
    for number, name in enumerate(fleet.names, 1):
        vlans = [100, 200] if number != 5 else [100]
        fleet.nics[name] = [nic(number, lldp=heard("leaf1", f"Eth1/{number}", vlans))]
    (found,) = fleet.findings()
    assert (found.element, found.cause) == ("node:n5", "the port of eth0 has VLAN 100")
    assert "port Eth1/5 on leaf1" in found.summary
    assert "those of 7 peers on leaf1 VLAN 100, 200" in found.summary


def meant(fleet: Wired, **elsewhere: str) -> dict[str, str]:
    """The first half of the nodes hangs on leaf1, the others on leaf2, and the plan says so but for ``elsewhere``."""
    half = fleet.size // 2
    for number, name in enumerate(fleet.names, 1):
        fleet.nics[name] = [nic(number, lldp=heard("leaf1" if number <= half else "leaf2", f"Eth1/{number}"))]
    said = {name: "leaf1" if number <= half else "leaf2" for number, name in enumerate(fleet.names, 1)}
    return said | elsewhere


def against_plan(fleet: Wired, said: dict[str, str]) -> list[tuple[str, str, str | None]]:
    session = fleet.session()
    found = planned(said, session.nodes, data_addresses(session))
    return [(each.element, each.severity, each.cause) for each in found]


def test_nodes_that_hang_where_the_plan_says_are_not_told() -> None:
    fleet = Wired(8)
    assert against_plan(fleet, meant(fleet)) == []


def test_two_nodes_in_each_others_place_are_told_as_swapped() -> None:
    fleet = Wired(8)
    assert against_plan(fleet, meant(fleet, n2="leaf2", n7="leaf1")) == [
        ("node:n2", "warn", "its cable and that of n7 are swapped"),
        ("node:n7", "warn", "its cable and that of n2 are swapped"),
    ]


def test_a_node_on_another_switch_than_the_plans_is_told_alone() -> None:
    fleet = Wired(8)
    said = meant(fleet, n2="leaf2")
    assert against_plan(fleet, said) == [("node:n2", "warn", "it hangs on leaf1, in the plan on leaf2")]


def test_nodes_that_the_plan_does_not_name_or_that_heard_nobody_say_nothing() -> None:
    fleet = Wired(8)
    said = meant(fleet, n2="leaf2")
    fleet.nics["n2"] = [nic(2)]
    del said["n7"]
    assert against_plan(fleet, said) == []


def test_a_plan_that_most_nodes_contradict_is_itself_doubted() -> None:
    fleet = Wired(8)
    said = dict.fromkeys(meant(fleet), "rack-a")
    ((element, severity, cause),) = against_plan(fleet, said)
    assert (element, severity, cause) == ("node:n1", "info", None)
