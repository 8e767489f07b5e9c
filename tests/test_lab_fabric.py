"""The lab's leaf switches: what they carry, how they break, and that the report names what was broken."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ahc_agent.errors import UsageError
from ahc_agent.inventory import lldp
from ahc_server.lab import processes
from ahc_server.lab.announce import frame
from ahc_server.lab.check import compare
from ahc_server.lab.fabric import FabricNetwork, fitting_bits_per_s, racks
from ahc_server.lab.faults import FAULTS
from ahc_server.lab.model import Breakage, node_names, parse_breakages
from ahc_server.lab.processes import Place
from ahc_server.plan import parse_plan
from ahc_server.plan.cabling import cabling_lines, cabling_of
from tests.lab_helpers import lab_of, needs_lab, traces, wait_for
from tests.test_lab import finished, lab

NODES = node_names(7)
LEAVES = ("leaf1", "leaf2", "leaf3")

# ── what an operator writes ──────────────────────────────────────────────────────────────────────────


def test_racks_are_filled_one_after_the_other_and_hold_two_nodes_at_least() -> None:
    made = racks(NODES, 3)
    assert made.leaves == LEAVES
    assert [made.inside(leaf) for leaf in LEAVES] == [["n1", "n2", "n3"], ["n4", "n5"], ["n6", "n7"]]
    for count in (0, 4):
        with pytest.raises(UsageError, match="1 to 3"):
            racks(NODES, count)


def test_the_more_nodes_the_slower_are_their_cards() -> None:
    assert fitting_bits_per_s(8) > fitting_bits_per_s(32) > fitting_bits_per_s(64)


def test_what_is_broken_is_a_node_a_leaf_or_a_pair() -> None:
    texts = ["n3=slow-rx:0.5", "node:n1=loss", "leaf:leaf2=slow-uplink", "pair:n1-n7=swapped"]
    assert parse_breakages(texts, NODES, FAULTS, LEAVES) == (
        Breakage("n3", FAULTS["slow-rx"], 0.5),
        Breakage("n1", FAULTS["loss"]),
        Breakage("leaf2", FAULTS["slow-uplink"], kind="leaf"),
        Breakage("n1-n7", FAULTS["swapped"], kind="pair"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("leaf:leaf9=slow-uplink", "no leaf 'leaf9'"),
        ("n3=slow-uplink", "slow-uplink is a fault of a leaf"),
        ("leaf:leaf1=slow-disk", "slow-disk is a fault of a node"),
        ("rack:r1=down", "an element is node:NAME, leaf:NAME, pair:NAME"),
        ("pair:n1-n1=swapped", "write a pair as pair:n1-n7"),
        ("pair:n1-n9=swapped", "no node 'n9'"),
        ("n3=loss:0.5", "no strength"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_breakages([text], NODES, FAULTS, LEAVES)


def test_faults_of_switches_need_switches() -> None:
    with pytest.raises(UsageError, match="add --leaves 2"):
        parse_breakages(["n3=slow-rx"], NODES, FAULTS)


def test_the_cabling_of_a_plan_is_read_as_it_is_written() -> None:
    meant = racks(NODES, 3).of
    text = "jobs:\n  a: {component: inventory}\n" + cabling_lines(meant)
    assert parse_plan(text).cabling == meant == cabling_of(text)


# ── the check ────────────────────────────────────────────────────────────────────────────────────────


def report(element: str, nodes: list[str], bad: str = "", direction: str | None = None) -> bytes:
    finding = {
        "element": element, "nodes": nodes, "component": "network", "severity": "fail", "direction": direction,
    }  # fmt: skip
    verdicts = [{"id": node, "verdict": "fail" if node in bad.split() else "pass"} for node in NODES]
    return json.dumps({"nodes": verdicts, "findings": [finding]}).encode()


def wrong(said: bytes, text: str, leaves: tuple[str, ...] = LEAVES) -> list[str]:
    return compare(said, parse_breakages([text], NODES, FAULTS, leaves), leaves)


def test_a_bad_leaf_is_named_without_its_nodes() -> None:
    assert wrong(report("leaf:leaf2", ["n4", "n5"]), "leaf:leaf2=slow-uplink") == []
    assert len(wrong(report("leaf:leaf1", ["n1", "n2"]), "leaf:leaf2=slow-uplink")) == 2
    assert wrong(report("leaf:leaf2", ["n4", "n5"], "n4"), "leaf:leaf2=slow-uplink") == [
        "n4 is healthy, but the report says fail"
    ]


def test_of_two_leaves_the_link_between_them_may_be_named() -> None:
    said = report("link:leaf1-leaf2", ["n1", "n4"])
    assert wrong(said, "leaf:leaf2=slow-uplink", ("leaf1", "leaf2")) == []
    assert len(wrong(said, "leaf:leaf2=slow-uplink")) == 2


def test_the_direction_of_a_slow_card_has_to_be_told() -> None:
    assert wrong(report("node:n3", ["n3"], "n3", "rx"), "n3=slow-rx") == []
    (sentence,) = wrong(report("node:n3", ["n3"], "n3", "tx"), "n3=slow-rx")
    assert "does not say rx" in sentence


def test_both_nodes_of_swapped_cables_must_not_pass() -> None:
    assert wrong(report("node:n1", ["n1"], "n1 n7"), "pair:n1-n7=swapped") == []
    assert len(wrong(report("node:n1", ["n1"], "n1"), "pair:n1-n7=swapped")) == 1


# ── real packets ─────────────────────────────────────────────────────────────────────────────────────


def test_the_leaves_announce_themselves_as_switches_do() -> None:
    told = lldp.parse(frame(bytes.fromhex("020000000103"), bytes.fromhex("020000000099"), "port4", "leaf2"))
    assert told is not None
    assert (told.chassis_id, told.port_id, told.system_name) == ("02:00:00:00:01:03", "port4", "leaf2")


#: Sends every datagram back.
ECHO = """import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7007))
print(1, flush=True)
while True:
    s.sendto(*s.recvfrom(9000))
"""
#: Prints how many datagrams came back, none of which may be broken up (IP_MTU_DISCOVER, IP_PMTUDISC_PROBE).
ASK = """import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 10, 3)
s.settimeout(0.5)
came = 0
for number in range(int(sys.argv[3])):
    try:
        s.sendto(bytes(int(sys.argv[2]) - 28), (sys.argv[1], 7007))
        came += bool(s.recv(9000))
    except OSError:
        pass
print(came)
"""


class Wires:
    """A fabric of seven nodes, with an echo on n1; ``lab_id`` marks its processes."""

    def __init__(self) -> None:
        self.lab_id = secrets.token_hex(4)
        self.net = FabricNetwork(NODES, 3)
        argv = [sys.executable, "-c", ECHO]
        echo = processes.start(argv, self.lab_id, place=self.place("n1"), stdout=subprocess.PIPE)
        assert echo.stdout is not None and echo.stdout.readline() == b"1\n"
        self._echo = echo

    def place(self, node: str) -> Place:
        return Place(self.net.descriptor(node), node)

    def answers(self, node: str, size: int = 500, count: int = 3) -> int:
        """How many datagrams of a size (of the IP packet) n1 answered."""
        argv = [sys.executable, "-c", ASK, self.net.address("n1"), str(size), str(count)]
        child = processes.start(argv, self.lab_id, place=self.place(node), stdout=subprocess.PIPE)
        return int(child.communicate(timeout=120)[0])

    def close(self) -> None:
        self._echo.kill()
        self._echo.wait()
        processes.kill_marked(self.lab_id)
        self.net.close()


@pytest.fixture
def wires() -> Iterator[Wires]:
    made = Wires()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.root
@needs_lab
def test_links_that_are_down_carry_nothing_and_do_so_again_when_healed(wires: Wires) -> None:
    assert wires.answers("n2") == wires.answers("n7") == 3
    wires.net.unplug("n2")
    wires.net.unplug_uplink("leaf3")
    assert wires.answers("n2") == wires.answers("n7") == 0
    assert wires.answers("n4") == 3
    wires.net.heal()
    assert wires.answers("n2") == wires.answers("n7") == 3


@pytest.mark.root
@needs_lab
def test_a_black_hole_swallows_large_packets_alone(wires: Wires) -> None:
    wires.net.set_port_mtu("n7", 1400)
    assert (wires.answers("n7", 1500), wires.answers("n7", 1400)) == (0, 3)
    assert wires.answers("n4", 1500) == 3
    wires.net.heal()
    assert wires.answers("n7", 1500) == 3


@pytest.mark.root
@needs_lab
def test_a_cable_loses_frames_both_ways_and_no_more_when_healed(wires: Wires) -> None:
    wires.net.lose("n4", 0.5)
    assert 0 < wires.answers("n4", count=24) < 24
    wires.net.heal()
    assert wires.answers("n4") == 3


@pytest.mark.root
@needs_lab
def test_nodes_whose_cables_are_swapped_reach_the_others_from_their_new_rack(wires: Wires) -> None:
    wires.net.swap("n2", "n7")
    assert wires.answers("n2") == wires.answers("n7") == 3
    wires.net.unplug_uplink("leaf3")
    assert (wires.answers("n2"), wires.answers("n7")) == (0, 3)


PLAN = """
name: wires
jobs:
  network: {component: network, rounds: 4, runtime: 0.8, mode: bandwidth}
"""


@pytest.mark.alone
@pytest.mark.root
@needs_lab
def test_the_report_names_a_slow_card_and_swapped_cables_and_nobody_else(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    faults = ("n2=slow-rx", "pair:n8-n12=swapped")
    broken = [word for fault in faults for word in ("--break", fault)]
    arguments = ["--nodes", "12", "--leaves", "3", *broken, "--plan", str(plan), "--check"]
    child = lab(tmp_path / "store" / "ahc.db", *arguments)
    lab_id = wait_for(lambda: lab_of(child.pid))
    status, out, err = finished(child)
    assert status == 0, err + out
    assert "its cable and that of n12 are swapped" in " ".join(out.split())
    assert traces(lab_id) == []
