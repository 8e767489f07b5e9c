"""What rises, vanishes or is there twice on one node's wires is told of that node, and of a healthy network nothing."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.wire.messages import Identity, LinkCounters, PathFacts
from ahc_server.judge.model import Finding
from ahc_server.judge.wires.counters import _medians_of_others
from tests.wires_helpers import Wired, heard, mac, nic

SLOW = Finding(
    element="node:n3",
    nodes=["n3"],
    component="network",
    kind="slow",
    direction="rx",
    severity="fail",
    effect=-0.59,
    summary="n3: network: receives less",
)


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_of_healthy_wires_nothing_is_told(size: int) -> None:
    assert Wired(size).findings() == []


# ── counters ───────────────────────────────────────────────────────────────────────────────────────


def test_crc_errors_are_told_with_the_card_and_its_switch_port() -> None:
    fleet = Wired(8).rises("n3", rx_crc_errors=2603, rx_errors=2603)
    fleet.nics["n3"] = [nic(3, lldp=heard("leaf3", "Eth1/17"))]
    (found,) = fleet.findings()
    assert (found.element, found.component, found.kind, found.severity) == (
        "node:n3",
        "network",
        "health",
        "warn",
    )
    assert found.cause == "CRC errors on eth0 (port Eth1/17 on leaf3) rose by 18,221 during the network tests"
    (evidence,) = found.metrics
    assert (evidence.name, evidence.value, evidence.expected) == ("network.eth0.crc_rise", 18221, 0)


def test_they_are_the_cause_where_the_nodes_network_is_slow() -> None:
    (found,) = Wired(8).rises("n3", rx_crc_errors=2603).findings([SLOW])
    assert (found.kind, found.direction, found.effect) == ("slow", "rx", -0.59)
    assert found.cause == "CRC errors on eth0 rose by 18,221 during the network tests"


def test_they_are_no_cause_of_what_is_slow_elsewhere() -> None:
    disk = msgspec.structs.replace(SLOW, component="disk", direction=None)
    found = Wired(8).rises("n3", rx_crc_errors=2603).findings([disk])
    assert [(each.component, each.cause is None) for each in found] == [("disk", True), ("network", False)]


def test_a_few_errors_and_what_everybody_has_are_not_told() -> None:
    assert Wired(8).rises("n3", rx_crc_errors=1).findings() == []
    fleet = Wired(8)
    for name in fleet.names:
        fleet.rises(name, rx_crc_errors=100)
    assert fleet.findings() == []


def test_errors_are_told_of_a_pair_without_peers_and_drops_are_not() -> None:
    (found,) = Wired(2).rises("n2", rx_crc_errors=500).findings()
    assert found.element == "node:n2"
    assert Wired(2).rises("n2", rx_dropped=100_000).findings() == []


@pytest.mark.parametrize(
    ("counter", "said"),
    [
        ("rx_missed_errors", "frames that it dropped on receipt on eth0 rose by 350,000"),
        ("rx_pause_ctrl_phy", "pause frames that its switch port sent it on eth0 rose by 350,000"),
        ("tx_pause", "pause frames that it sent (it cannot take what comes) on eth0 rose by 350,000"),
        ("tx_carrier_errors", "transmit errors on eth0 rose by 350,000"),
    ],
)
def test_each_counter_is_said_in_words(counter: str, said: str) -> None:
    (found,) = Wired(8).rises("n3", **{counter: 50_000}).findings()
    assert found.cause == f"{said} during the network tests"


def test_drops_of_many_nodes_are_the_networks_and_not_told_of_nodes() -> None:
    fleet = Wired(20)
    for number in range(1, 7):
        fleet.rises(f"n{number}", rx_dropped=50_000)
    assert fleet.findings() == []


def test_a_cable_that_loses_packets_is_told_of_the_end_that_it_belongs_to() -> None:
    fleet = Wired(12)
    for peer in fleet.names:
        if peer != "n5":
            fleet.stack(peer, "n5", TcpRetransSegs=2500)  # whoever sends to n5 has to repeat
    (found,) = fleet.findings()
    assert found.element == "node:n5"
    assert found.cause == "2.4 % of the TCP segments in its tests were sent again, 0.0 % in its peers'"


def test_what_little_was_sent_again_in_each_of_many_tests_is_told_together() -> None:
    fleet = Wired(12)
    for peer in fleet.names:
        fleet.stack("n5", peer, TcpOutSegs=3000, TcpRetransSegs=40)
    (found,) = fleet.findings()
    assert found.element == "node:n5" and "1.3 % of the TCP segments" in str(found.cause)
    assert Wired(4).stack("n2", "n3", TcpOutSegs=3000, TcpRetransSegs=40).findings() == []


def test_what_a_bad_switch_drops_is_not_told_of_the_nodes_behind_it() -> None:
    fleet = Wired(12)
    for peer in fleet.names:
        fleet.stack("n5", peer, TcpRetransSegs=2500)
    switch = msgspec.structs.replace(SLOW, element="leaf:leaf2", nodes=["n4", "n5", "n6"])
    assert [each.element for each in fleet.findings([switch])] == ["leaf:leaf2"]


def test_beside_a_slow_card_which_makes_its_peers_repeat_a_cable_that_loses_packets_is_told() -> None:
    fleet = Wired(12)
    for peer in fleet.names:
        for bad, again in (("n3", 4000), ("n5", 1200)):
            if peer != bad:
                fleet.stack(peer, bad, TcpRetransSegs=again)
    slow, lossy = fleet.findings([SLOW])
    assert (slow.element, lossy.element) == ("node:n3", "node:n5")
    assert "1.2 % of the TCP segments" in str(lossy.cause)
    assert fleet.findings() == [], "two of twelve that nothing else accuses may be the network's doing"


def _of_racks(size: int, per_rack: int) -> Wired:
    fleet = Wired(size)
    for number in range(1, size + 1):
        fleet.nics[f"n{number}"] = [nic(number, lldp=heard(f"leaf{(number - 1) // per_rack + 1}"))]
    return fleet


def test_what_is_sent_again_through_a_full_uplink_accuses_nobody_behind_it() -> None:
    def full_uplink(fleet: Wired) -> Wired:
        for one in fleet.names:
            for other in fleet.names:
                if (one in ("n1", "n2")) != (other in ("n1", "n2")):
                    fleet.stack(one, other, TcpRetransSegs=3000)
        return fleet

    assert full_uplink(_of_racks(24, 2)).findings() == []
    known = [each.element for each in full_uplink(Wired(24)).findings()]
    assert known == ["node:n1", "node:n2"], "where racks are not known they cannot be told from bad cables"


def test_a_bad_cable_shows_inside_its_rack_and_outside() -> None:
    fleet = _of_racks(24, 4)
    for peer in fleet.names:
        if peer != "n5":
            fleet.stack(peer, "n5", TcpRetransSegs=2500)
    assert [each.element for each in fleet.findings()] == ["node:n5"]


def test_what_a_little_less_of_is_usual_everywhere_is_not_told() -> None:
    fleet = Wired(40)
    for one in fleet.names:
        for other in fleet.names:
            again = 11 if "n5" in (one, other) else 9
            if one != other:
                fleet.stack(one, other, TcpOutSegs=1500, TcpRetransSegs=again)
    assert fleet.findings() == []


def test_a_node_of_whose_partners_one_loses_packets_is_not_accused() -> None:
    fleet = Wired(12).stack("n1", "n5", TcpRetransSegs=9000).stack("n5", "n1", TcpRetransSegs=9000)
    assert fleet.findings() == []


def test_wrong_checksums_are_told() -> None:
    (found,) = Wired(4).stack("n2", TcpInCsumErrors=20).findings()
    assert found.element == "node:n2"
    assert "60 packets arrived with a wrong checksum" in found.summary


@given(st.dictionaries(st.integers(0, 99), st.floats(0, 1e9), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_medians_of_others_leave_out_the_own_value(values: dict[int, float]) -> None:
    import numpy as np

    told = _medians_of_others(values)
    for row in values:
        others = [value for each, value in values.items() if each != row]
        assert told[row] == pytest.approx(float(np.median(others)) if others else 0.0)


# ── packets that vanish ────────────────────────────────────────────────────────────────────────────


def test_a_hole_one_way_between_two_nodes_is_told_of_the_pair_with_its_direction() -> None:
    (found,) = Wired(8).hole("n3", "n7").findings()
    assert (found.element, found.nodes, found.kind, found.severity) == (
        "pair:n3-n7",
        ["n3", "n7"],
        "config",
        "fail",
    )
    assert found.summary.startswith(
        "n3 → n7: packets of 9,000 bytes, as the cards at both ends have them, do not pass, 1,500 do"
    )
    (back,) = Wired(8).hole("n7", "n3").findings()
    assert back.summary.startswith("n7 → n3: ")


def test_a_hole_with_all_peers_is_told_of_the_node_alone() -> None:
    fleet = Wired(8)
    for peer in fleet.names:
        if peer != "n4":
            fleet.hole("n4", peer).hole(peer, "n4")
    fleet.nics["n4"] = [nic(4, lldp=heard("leaf1", "Eth1/4"))]
    (found,) = fleet.findings()
    assert (found.element, found.nodes, found.direction) == ("node:n4", ["n4"], None)
    assert "to and from 7 of its 7 peers" in found.summary
    assert found.summary.endswith("check the MTU of its switch port (port Eth1/4 on leaf1)")
    (evidence,) = found.metrics
    assert (evidence.value, evidence.expected, evidence.unit) == (1500, 9000, "bytes")


def test_a_hole_that_a_node_only_sends_into_has_its_direction() -> None:
    fleet = Wired(8)
    for peer in fleet.names:
        if peer != "n4":
            fleet.hole("n4", peer)
    (found,) = fleet.findings()
    assert (found.element, found.direction) == ("node:n4", "tx")


def test_switches_with_a_smaller_mtu_than_all_cards_are_one_finding() -> None:
    fleet = Wired(6)
    for one in fleet.names:
        for other in fleet.names:
            if one != other:
                fleet.hole(one, other)
    (found,) = fleet.findings()
    assert found.nodes == fleet.names
    assert found.summary.startswith("between 15 of 15 pairs packets of 9,000 bytes")


def test_two_nodes_with_a_hole_each_are_two_findings_and_many_pairs_are_one() -> None:
    fleet = Wired(10)
    for node in ("n2", "n9"):
        for peer in fleet.names:
            if peer != node:
                fleet.hole(node, peer)
    assert [each.element for each in fleet.findings()] == ["node:n2", "node:n9"]
    between = Wired(10)
    for one, other in (("n1", "n6"), ("n1", "n7"), ("n2", "n6"), ("n2", "n7")):
        between.hole(one, other)
    (found,) = between.findings()
    assert found.nodes == ["n1", "n2", "n6", "n7"]
    assert "between 4 pairs (n1 → n6, n1 → n7, n2 → n6 and 1 more)" in found.summary


# ── addresses ──────────────────────────────────────────────────────────────────────────────────────


def test_an_address_that_two_machines_have_is_told_of_both() -> None:
    fleet = Wired(8)
    fleet.nics["n6"] = [nic(6, addresses=["10.0.0.6/24", "192.168.7.3/24"])]
    fleet.nics["n2"] = [nic(2, addresses=["10.0.0.2/24", "192.168.7.3/16"])]
    (found,) = fleet.findings()
    assert (found.element, found.severity, found.cause) == (
        "pair:n2-n6", "fail", "both have the address 192.168.7.3",
    )  # fmt: skip


def test_a_mac_that_two_machines_have_is_told_of_both() -> None:
    fleet = Wired(8)
    fleet.nics["n6"] = [nic(6), nic(2, name="eth1", addresses=[])]
    (found,) = fleet.findings()
    assert (found.element, found.cause) == ("pair:n2-n6", f"both have the MAC address {mac(2)}")


def test_what_each_node_has_for_itself_and_what_many_share_is_no_duplicate() -> None:
    fleet = Wired(8)
    for number, name in enumerate(fleet.names, 1):
        own = ["127.0.0.1/8", "169.254.1.1/16", "fe80::1/64", f"10.0.0.{number}/24"]
        usb = nic(99, name="usb0", addresses=["192.168.100.1/24"])
        fleet.nics[name] = [nic(number, addresses=own), *([usb] if number <= 5 else [])]
    assert fleet.findings() == []


def test_several_agents_on_one_machine_share_its_cards_rightly() -> None:
    fleet = Wired(3)
    for name in fleet.names:
        fleet.nics[name] = [nic(1)]
    fleet.paths.clear()
    alike = {name: Identity(name=name, physical_host="box") for name in fleet.names}
    assert fleet.findings(identities=alike) == []
    apart = {name: Identity(name=name, serial=name) for name in fleet.names}
    assert len(fleet.findings(identities=apart)) == 6


def test_a_machine_that_answers_for_another_ones_address_is_named() -> None:
    def how(path: PathFacts) -> PathFacts:
        return msgspec.structs.replace(path, peer_mac=mac(8)) if path.peer_address == "10.0.0.3" else path

    fleet = Wired(8).spoil("n1", how).spoil("n2", how)
    (found,) = fleet.findings()
    assert found.element == "node:n3"
    assert f"n8 ({mac(8)}) answered for its address 10.0.0.3 when n1, n2 asked" in found.summary


def test_a_router_that_answers_for_everybody_accuses_nobody() -> None:
    fleet = Wired(8)
    for name in fleet.names:
        fleet.spoil(name, lambda path: msgspec.structs.replace(path, peer_mac="00:00:5e:00:01:01"))
    assert fleet.findings() == []


def by_another_card(path: PathFacts) -> PathFacts:
    idle = LinkCounters(
        card="eth0", rises={"rx_bytes": 3 * 10**9, "rx_packets": 9, "tx_bytes": 9}, mac=mac(3)
    )
    busy = LinkCounters(card="eth1", of_address=False, rises={"tx_bytes": 3 * 10**9, "tx_packets": 10**6})
    return msgspec.structs.replace(path, links=[idle, busy])


def test_data_that_leaves_by_another_card_is_told_with_both_and_the_direction() -> None:
    (found,) = Wired(8).spoil("n3", by_another_card).findings()
    assert (found.element, found.kind, found.severity, found.direction) == ("node:n3", "config", "warn", "tx")
    assert found.cause == "data of eth0 goes through eth1"


def test_where_all_nodes_send_so_it_is_a_remark() -> None:
    fleet = Wired(8)
    for name in fleet.names:
        fleet.spoil(name, by_another_card)
    found = [each for each in fleet.findings() if each.cause == "data of eth0 goes through eth1"]
    assert [each.severity for each in found] == ["info"] * 8


def test_an_address_of_machines_that_nobody_saw_side_by_side_is_a_remark() -> None:
    """Results that others left: the same address may have been lent to one machine after the other."""
    fleet = Wired(8)
    fleet.nics["n6"] = [nic(6, addresses=["10.0.0.2/24"])]
    fleet.paths.clear()
    (found,) = fleet.findings()
    assert (found.element, found.severity) == ("pair:n2-n6", "info")
