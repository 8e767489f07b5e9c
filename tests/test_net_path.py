"""What the two ends of a pair tell of the way between them, with real packets between network namespaces."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ahc_agent.inventory.ethtool import Ethtool
from ahc_agent.net import counters, path_mtu
from ahc_agent.net.counters import Meters
from ahc_agent.net.guard import Token
from ahc_agent.net.path import Way
from ahc_agent.net.watch import Watch
from ahc_agent.wire.messages import BenchLimits, Identity, LinkCounters, PairOutcome, PathFacts, TaskOutcome
from ahc_server.judge.model import Finding
from ahc_server.judge.wires import with_wires
from ahc_server.session import NodeRecord, OutcomeRecord, Session
from tests.pair_helpers import LEFT, RIGHT, TOKEN, VethPair, meet, run, tasks, veth_pair
from tests.path_helpers import drops, machine_on, outcomes, switch_of, switched

NFT = shutil.which("nft") is None
RX_TX = ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")


def path(outcome: PairOutcome) -> PathFacts:
    assert outcome.path is not None
    return outcome.path


def of_address(outcome: PairOutcome) -> LinkCounters:
    return next(each for each in path(outcome).links if each.of_address)


def judged(listened: PairOutcome, connected: PairOutcome) -> list[Finding]:
    """What the judge makes of the wires of n1, which listened, and n2."""
    nodes = [NodeRecord(machine=name, node=name, identity=Identity(name=name)) for name in ("n1", "n2")]
    outcomes = [
        OutcomeRecord(name, name, "network", "network", 1, 2, TaskOutcome(status="ok", pair=pair))
        for name, pair in (("n1", listened), ("n2", connected))
    ]
    session = Session("s1", "network", "done", 0.0, nodes, outcomes)
    return with_wires([], session, {"n1": 0, "n2": 1}, nodes, [[0, 1]])


def test_both_ends_tell_the_interface_that_has_their_address_and_what_it_carried() -> None:
    listened, connected = meet(tasks())
    for outcome in (listened, connected):
        link = of_address(outcome)
        assert (link.card, link.mtu) == ("lo", 65536)
        received = sum(each.bytes_per_s or 0.0 for each in outcome.flows)
        assert received > 0 and link.rises["rx_bytes"] > 1e5
        assert path(outcome).stack_rises["TcpOutSegs"] > 0
        assert path(outcome).address == "127.0.0.1"


def test_an_address_of_no_card_is_told_without_links_and_an_unknown_way_has_no_mtu() -> None:
    way = Way("203.0.113.77", "203.0.113.78")
    assert way.card_mtu() is None
    assert way.end() is None, "what never began tells nothing"
    way.begin()
    told = way.end()
    assert told is not None
    assert [each.card for each in told.links if each.of_address] == []


def test_a_listening_end_of_an_older_agent_names_no_port_for_sizes_and_is_not_asked() -> None:
    from tests.pair_helpers import meeting

    with meeting(tasks(bandwidth=False)) as both:
        ports = both.listener.ready.result(timeout=10)
        ports.pop("mtu")
        both.connector.ready.result(timeout=10)
        both.listener.go({})
        both.connector.go(ports)
        listened, connected = both.outcomes()
    assert listened.error is None and connected.error is None
    assert path(connected).mtu is None


def test_counters_that_are_lower_than_before_or_new_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter(
        [
            counters.Reading({"a": {"rx_errors": 5, "tx_errors": 9}}, {"TcpRetransSegs": 3}),
            counters.Reading(
                {"a": {"rx_errors": 7, "tx_errors": 1, "rx_crc_errors": 4}, "b": {"rx_bytes": 10**9}},
                {"TcpRetransSegs": 4, "TcpInErrs": 8},
            ),
        ]
    )
    monkeypatch.setattr(Meters, "_read", lambda self: next(readings))
    monkeypatch.setattr(counters, "with_lower", lambda name: [name])
    links, stack = Meters("a").rises()
    assert [(each.card, each.rises) for each in links] == [("a", {"rx_errors": 2})]
    assert stack == {"TcpRetransSegs": 1}


def test_columns_of_the_stack_are_read_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "snmp").write_text(
        "Ip: Forwarding ReasmFails FragFails\nIp: 1 6 0\n"
        "Tcp: RtoAlgorithm MaxConn OutSegs RetransSegs InErrs OutRsts InCsumErrors\nTcp: 1 -1 9000 41 2 5 1\n"
        "Udp: InDatagrams InCsumErrors\nUdp: 7 3\n"
    )
    (tmp_path / "netstat").write_text("TcpExt: SyncookiesSent TCPTimeouts\nTcpExt: 0 12\nIpExt: InNoRoutes\n")
    monkeypatch.setattr(counters, "_PROC", tmp_path)
    assert counters._read_stack() == {
        "IpReasmFails": 6, "IpFragFails": 0, "TcpOutSegs": 9000, "TcpRetransSegs": 41, "TcpInErrs": 2,
        "TcpInCsumErrors": 1, "UdpInCsumErrors": 3, "TcpExtTCPTimeouts": 12,
    }  # fmt: skip


def test_of_a_drivers_statistics_pauses_and_physical_errors_are_kept_also_at_zero() -> None:
    class Card(Ethtool):
        def statistic_names(self, interface: str) -> list[str]:
            return ["rx_packets", "rx_pause_ctrl_phy", "ch0_events", "rx_symbol_err_phy"]

        def statistics(self, interface: str, count: int) -> list[int]:
            return [5, 0, 9, 77][:count]

    with Card() as card:
        assert Meters(None)._read_driver(card, "eth0") == {"rx_pause_ctrl_phy": 0, "rx_symbol_err_phy": 77}


@pytest.mark.skipif(shutil.which("ethtool") is None, reason="needs ethtool")
def test_the_drivers_statistics_are_those_that_ethtool_shows() -> None:
    told = 0
    with Ethtool() as cards:
        for _, name in socket.if_nameindex():
            names = cards.statistic_names(name)
            shown = subprocess.run(["ethtool", "-S", name], capture_output=True, text=True, check=False)
            listed = [line.rpartition(":")[0].strip() for line in shown.stdout.splitlines()[1:]]
            assert [each.strip() for each in names] == listed
            assert len(cards.statistics(name, len(names))) == len(names)
            assert cards.statistics(name, len(names) + 1) == []
            told += len(names)
            assert cards.mtu(name) == int(Path(f"/sys/class/net/{name}/mtu").read_text())
        assert cards.mtu("no-such-card") is None
    if not told:
        pytest.skip("no card here has statistics of its driver")


def probe_loopback(mtu: int, drop: Any) -> Any:
    """Both sides of the search on loopback; ``drop(length)`` tells which question lengths vanish."""
    ours, theirs = Token.of("p", TOKEN), path_mtu.open_socket(socket.AF_INET, "127.0.0.1")
    asker = path_mtu.open_socket(socket.AF_INET, "127.0.0.1")
    asker.connect(theirs.getsockname())
    stop = threading.Event()

    def answer() -> None:
        theirs.settimeout(0.05)
        while not stop.is_set():
            try:
                data, source = theirs.recvfrom(65535)
            except TimeoutError:
                continue
            asked = path_mtu._read(data, 1, ours)
            if asked is None or drop(len(data) + 28):
                continue
            length = min(asked[1], mtu) - 28
            theirs.sendto(path_mtu._make(2, ours, asked[0], 0, mtu).ljust(length, b"\0"), source)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        return path_mtu.probe(asker, 9000, ours, Watch(threading.Event(), 10))
    finally:
        stop.set()
        thread.join()
        theirs.close()
        asker.close()


@pytest.mark.parametrize("limit", [8999, 1500, 1499, 1400])
def test_the_search_finds_the_largest_size_to_the_byte(limit: int) -> None:
    found = probe_loopback(9000, lambda length: length > limit)
    assert (found.wanted, found.sent, found.received) == (9000, limit, 9000)


def test_no_more_is_wanted_than_both_cards_carry() -> None:
    found = probe_loopback(1500, lambda length: length > 1500)
    assert (found.wanted, found.sent, found.received) == (1500, 1500, 1500)


def test_a_line_that_loses_some_of_any_size_is_no_hole() -> None:
    seen = iter(range(10_000))
    found = probe_loopback(9000, lambda length: next(seen) % 4 < 2)
    assert (found.wanted, found.sent, found.received) == (9000, 9000, 9000)


def test_where_not_even_the_smallest_passes_nothing_is_told() -> None:
    found = probe_loopback(9000, lambda length: True)
    assert (found.wanted, found.sent, found.received) == (9000, None, None)


# ── real packets ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def veth() -> Iterator[VethPair]:
    with veth_pair("path") as pair:
        yield pair


@pytest.mark.root
def test_a_healthy_pair_tells_its_cards_and_its_whole_mtu(veth: VethPair) -> None:
    listened, connected = outcomes(veth, latency=False)
    for outcome, address, peer in ((listened, LEFT, ""), (connected, RIGHT, LEFT)):
        link = of_address(outcome)
        assert (link.card, link.mtu, link.speed_mbps, link.duplex) == ("v0", 1500, 10000, "full")
        assert min(link.rises[name] for name in RX_TX) > 100
        assert (path(outcome).address, path(outcome).peer_address) == (address, peer)
        assert len(path(outcome).links) == 1
    found = path(connected).mtu
    assert found is not None and (found.wanted, found.sent, found.received) == (1500, 1500, 1500)
    assert path(connected).peer_mac == of_address(listened).mac


@pytest.mark.root
@pytest.mark.skipif(NFT, reason="needs nft")
def test_loss_raises_the_retransmissions_of_the_end_that_sends(veth: VethPair) -> None:
    limits = BenchLimits(runtime_s=1.0, ci_target=0.0)
    wanted: dict[str, Any] = {"latency": False, "directions": ("tx",), "limits": limits}
    clean = path(outcomes(veth, **wanted)[1]).stack_rises
    with drops(veth, veth.left, "meta l4proto tcp numgen random mod 100 < 5 drop"):
        lossy = path(outcomes(veth, **wanted)[1]).stack_rises
    share = {
        name: rises.get("TcpRetransSegs", 0) / rises["TcpOutSegs"]
        for name, rises in (("clean", clean), ("lossy", lossy))
    }
    assert share["lossy"] > 0.02
    assert share["lossy"] > 3 * share["clean"]


@pytest.mark.root
@pytest.mark.skipif(NFT, reason="needs nft")
@pytest.mark.parametrize(("end", "sent", "received"), [("left", 1400, 1500), ("right", 1500, 1400)])
def test_a_hole_in_one_direction_is_found_in_that_direction(
    veth: VethPair, end: str, sent: int, received: int
) -> None:
    namespace = veth.left if end == "left" else veth.right
    with drops(veth, namespace, "meta l4proto udp ip length > 1400 drop"):
        _, connected = outcomes(veth, bandwidth=False)
    found = path(connected).mtu
    assert found is not None and (found.wanted, found.sent, found.received) == (1500, sent, received)
    assert connected.error is None


@pytest.mark.root
def test_a_switch_port_that_swallows_large_frames_is_found_both_ways_though_small_ones_pass() -> None:
    with switched("mtu", 1500) as pair:
        listened, connected = outcomes(pair, bandwidth=False)
    found = path(connected).mtu
    assert found is not None and found.wanted == 9000
    assert found.sent is not None and 1500 <= found.sent <= 1504, "bridges let a VLAN tag's 4 bytes more pass"
    assert found.received is not None and 1500 <= found.received <= 1504
    assert connected.error is None and listened.error is None
    assert [each.count for each in connected.round_trips] == [100, 100]
    (told,) = judged(listened, connected)
    assert (told.element, told.severity) == ("pair:n1-n2", "fail")
    assert told.summary.startswith("n1 ↔ n2: packets of 9,000 bytes")


@pytest.mark.root
def test_a_flow_that_leaves_by_another_card_than_the_one_with_its_address_is_told() -> None:
    with veth_pair("asym") as pair:
        run(
            "ip",
            "-n",
            pair.left,
            "link",
            "add",
            "v1",
            "type",
            "veth",
            "peer",
            "name",
            "v1",
            "netns",
            pair.right,
        )
        for namespace, address in ((pair.left, "10.78.0.1/24"), (pair.right, "10.78.0.2/24")):
            run("ip", "-n", namespace, "address", "add", address, "dev", "v1")
            run("ip", "-n", namespace, "link", "set", "v1", "up")
        # Data for the address of v1 goes by v0, both ways: the routing tables do not know which card is meant.
        run("ip", "-n", pair.right, "route", "add", "10.78.0.1/32", "dev", "v0", "src", "10.78.0.2")
        run("ip", "-n", pair.left, "route", "add", "10.78.0.2/32", "dev", "v0", "src", "10.78.0.1")
        listened, connected = outcomes(pair, listen_at="10.78.0.1", latency=False)
    for outcome in (listened, connected):
        assert outcome.error is None
        used = {each.card: each for each in path(outcome).links}
        assert used["v1"].of_address and not used["v0"].of_address
        assert used["v0"].rises["tx_bytes"] > 1e5
        assert used["v1"].rises.get("tx_bytes", 0) < 1e4
    told = judged(listened, connected)
    assert [(each.element, each.cause) for each in told] == [
        ("node:n1", "data of v1 goes through v0"),
        ("node:n2", "data of v1 goes through v0"),
    ]


@pytest.mark.root
def test_the_card_beneath_a_bridge_is_told_after_it() -> None:
    with veth_pair("low") as pair:
        run("ip", "-n", pair.left, "address", "flush", "dev", "v0")
        run("ip", "-n", pair.left, "link", "add", "b0", "type", "bridge")
        run("ip", "-n", pair.left, "link", "set", "v0", "master", "b0")
        run("ip", "-n", pair.left, "address", "add", f"{LEFT}/24", "dev", "b0")
        run("ip", "-n", pair.left, "link", "set", "b0", "up")
        listened, connected = outcomes(pair, latency=False)
    assert listened.error is None and connected.error is None
    told = path(listened).links
    assert [(each.card, each.of_address) for each in told] == [("b0", True), ("v0", True)]
    assert all(each.rises["rx_packets"] > 100 for each in told)
    assert judged(listened, connected) == []


@pytest.mark.root
def test_a_second_machine_with_a_nodes_address_is_told_with_its_mac() -> None:
    with switched("dup", 9000) as pair, machine_on(switch_of("dup"), LEFT) as stranger_mac:
        # The stranger's answer comes first: the node itself is silent.
        pair.inside(pair.left, "sysctl", "-qw", "net.ipv4.conf.v0.arp_ignore=8")
        listened, connected = outcomes(pair, latency=False)
    assert not connected.connected
    assert path(connected).peer_mac == stranger_mac != of_address(listened).mac
    (told,) = judged(listened, connected)
    assert told.element == "node:n1"
    assert told.cause == f"a machine with the MAC address {stranger_mac} answers for its address {LEFT}"
