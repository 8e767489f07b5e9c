"""The network in the report: the matrix, the racks and the proofs, as data and as text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_server.judge.localise import Answer
from ahc_server.judge.network import PairRun, examine_run
from ahc_server.report.formats import Drawing, draw
from ahc_server.report.network.levels import BLANK, DEAD, FASTER, LEVELS, USUAL, Witness, level_of
from ahc_server.report.network.matrix import UNKNOWN, bins_of, leaf_bins, matrix
from ahc_server.report.network.picture import named, pictures, through
from ahc_server.report.network.proof import Proof, proofs
from ahc_server.report.network.racks import racks
from ahc_server.report.text import Sections
from tests.network_helpers import LINE, all_pairs, network
from tests.network_report_helpers import (
    FINDINGS,
    NODES,
    RACKS,
    fabric,
    finding,
    inventories,
    judgement,
)


def proof_of(element: str) -> Proof:
    made = fabric()
    return next(
        each for each in proofs(made, pictures(made), inventories()) if each.finding.element == element
    )


def numbers(proof: Proof) -> dict[str, tuple[int, int]]:
    """Side → flows and how many of them are bad."""
    return {each.what: (each.flows, each.bad) for each in proof.sides}


# ── levels ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("part", "level"), [(1.2, FASTER), (1.0, USUAL), (0.95, USUAL), (0.9, 2), (0.8, 3), (0.5, 4), (0.1, 5)]
)
def test_each_part_of_the_usual_rate_has_its_level(part: float, level: int) -> None:
    assert level_of(np.log([part]), np.zeros(1, dtype=bool), "rate").tolist() == [level]


@pytest.mark.parametrize(
    ("times", "level"), [(0.7, FASTER), (1.2, USUAL), (1.4, 2), (2.0, 3), (4.0, 4), (9.0, 5)]
)
def test_each_round_trip_has_its_level(times: float, level: int) -> None:
    assert level_of(-np.log([times]), np.zeros(1, dtype=bool), "rtt").tolist() == [level]


@given(st.lists(st.floats(-8, 3), min_size=2, max_size=50), st.sampled_from(["rate", "rtt"]))
def test_what_is_worse_never_looks_better(away: list[float], witness: Witness) -> None:
    values = np.sort(np.array(away))
    levels = level_of(values, np.zeros(len(values), dtype=bool), witness)
    assert np.all(np.diff(levels) <= 0)
    assert levels.min() >= FASTER and levels.max() < DEAD


def test_nothing_measured_is_blank_and_no_connection_is_none_of_the_others() -> None:
    level = level_of(np.array([np.nan, np.nan]), np.array([False, True]), "rate")
    assert level.tolist() == [BLANK, DEAD]
    assert len({each.glyph for each in LEVELS}) == len(LEVELS) and " " not in {each.glyph for each in LEVELS}


# ── matrix ─────────────────────────────────────────────────────────────────────────────────────────


def test_nodes_stand_by_leaf_in_the_order_in_which_people_count_and_strangers_last() -> None:
    [picture] = pictures(
        judgement([f"n{n}" for n in (10, 2, 1)], {"n10": "leaf10", "n2": "leaf2"}, lambda a, b: 1.0)
    )
    assert [picture.names[row] for row in picture.order] == ["n2", "n10", "n1"]


def test_a_cell_is_the_median_of_its_flows_against_the_usual() -> None:
    [picture] = pictures(fabric())
    bins = bins_of(picture, 20)
    place = {each.label: number for number, each in enumerate(bins)}
    whole = matrix(picture, picture.sights[0], bins, bins)

    def cell(source: str, destination: str) -> tuple[int, float]:
        at = place[source], place[destination]
        return int(whole.level[at]), round(float(np.exp(whole.away[at])), 2)

    assert cell("n2", "n4") == (4, 0.5)
    assert cell("n4", "n2") == (USUAL, 1.0)
    assert cell("n4", "n5") == (4, 0.6)
    assert whole.level[place["n3"], place["n9"]] == DEAD
    assert np.all(np.diag(whole.level) == BLANK)
    assert whole.flows.sum() == 12 * 11


def test_leaves_are_folded_into_their_medians() -> None:
    [picture] = pictures(fabric())
    bins = leaf_bins(picture, 9)
    assert [each.label for each in bins] == ["leaf1", "leaf2", "leaf3", UNKNOWN]
    level = matrix(picture, picture.sights[0], bins, bins).level
    assert level[:, 1].tolist() == [4, USUAL, 4, 4]
    assert level[3, 3] == BLANK, "one node alone has no flow with itself"
    assert set(np.delete(level, 1, axis=1).ravel().tolist()) == {USUAL, BLANK}


@given(
    st.integers(2, 40),
    st.lists(st.sampled_from(["leaf1", "leaf2", "leaf3", "leaf4", ""]), min_size=40, max_size=40),
    st.integers(1, 12),
)
def test_folding_loses_no_flow(nodes: int, leaves: list[str], most: int) -> None:
    names = [f"n{number}" for number in range(nodes)]
    told = {name: leaf for name, leaf in zip(names, leaves, strict=False) if leaf}
    [picture] = pictures(judgement(names, told, lambda a, b: 1.0))
    bins = bins_of(picture, most)
    assert len(bins) <= most or nodes <= most
    assert sorted(row for each in bins for row in each.rows.tolist()) == [*range(nodes)]
    assert matrix(picture, picture.sights[0], bins, bins).flows.sum() == nodes * (nodes - 1)


def test_racks_that_were_inferred_are_called_after_their_first_node() -> None:
    made = judgement(NODES[:4], {}, lambda a, b: 1.0)
    [(run, answer)] = made.runs
    made = replace(made, runs=[(run, Answer(usual=answer.usual, leaf=np.array([-1, 0, 0, -1])))])
    [picture] = pictures(made)
    assert (picture.told, list(picture.leaves)) == (False, ["of-n2"])
    assert [each.name for each in racks(made, [picture])] == ["of-n2", UNKNOWN]


def test_of_a_ramp_up_the_run_with_the_most_nodes_is_drawn() -> None:
    large, small = (judgement(NODES[:count], {}, lambda a, b: 1.0) for count in (6, 3))
    [picture] = pictures(replace(large, runs=[*small.runs, *large.runs]))
    assert picture.hosts == 6


# ── proofs ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_cards_own_flows_speak_for_it_and_its_peers_with_others_clear_them() -> None:
    proof = proof_of("node:n2")
    # What it sends into leaf2 is slow for another reason, and left out; so is what its peers send there.
    assert numbers(proof) == {"it sends": (7, 7), "it receives": (11, 0), "its peers, with others": (80, 0)}
    sends = proof.sides[0]
    assert sends.told() == "12.0 Gbit/s (−50 %)"
    assert all(each.startswith("n2 → n") for each in sends.examples())


def test_a_leaf_is_proven_by_one_way_and_cleared_by_the_other_and_by_what_stays_inside() -> None:
    assert numbers(proof_of("leaf:leaf2")) == {
        "that leave it": (32, 0),
        "that come in": (28, 28),
        "inside it": (12, 0),
        "between other leaves": (32, 0),
    }


def test_a_pair_that_cannot_talk_is_proven_by_both_ends_with_others() -> None:
    proof = proof_of("pair:n3-n9")
    told = numbers(proof)
    assert (told["one way"], told["the other way"]) == ((1, 1), (1, 1))
    assert told["n3 with others"][1] == told["n9 with others"][1] == 0
    assert proof.sides[0].told() == "no connection"


def test_round_trips_are_proven_by_round_trips() -> None:
    proof = proof_of("node:n12")
    assert numbers(proof)["it sends"] == (11, 11)
    assert proof.sides[0].told() == "60.0 µs (+200 %)"


def test_ports_and_counters_stand_beside_the_flows() -> None:
    proof = proof_of("node:n2")
    assert proof.ports == ["cable: eth2 of n2 goes to port Eth1/2 of leaf1"]
    assert proof.counters == ["counters: n2: CRC errors on eth2 rose by 18,220 during the network tests"]
    assert proof_of("leaf:leaf2").counters == []


def test_flows_through_a_link_run_between_its_two_leaves_only() -> None:
    [picture] = pictures(fabric())
    link = finding(
        "link:leaf1-leaf3", [name for name in NODES if RACKS.get(name) in ("leaf1", "leaf3")], -0.3
    )
    ways = np.flatnonzero(through(link, picture))
    ends = {
        (RACKS[picture.names[picture.source[way]]], RACKS[picture.names[picture.destination[way]]])
        for way in ways.tolist()
    }
    assert ends == {("leaf1", "leaf3"), ("leaf3", "leaf1")}
    assert len(ways) == 2 * 4 * 3


def test_a_pair_that_met_twice_is_one_example() -> None:
    slow = finding("node:n1", ["n1"], -0.5, direction="tx")
    again = [[(0, 1), (2, 3)], [(0, 1), (2, 3)], [(0, 2), (1, 3)]]
    made = judgement(NODES[:4], {}, lambda a, b: 0.5 if a == "n1" else 1.0, findings=[slow], rounds=again)
    [proof] = proofs(made, pictures(made), {})
    sends = proof.sides[0]
    assert (sends.flows, sends.bad) == (3, 3)
    assert sorted(way.destination for way in sends.ways) == ["n2", "n3"]


def test_a_pair_that_is_bad_one_way_is_told_with_that_way() -> None:
    """From n9 to n3, and the other way is well."""
    bad = finding("pair:n3-n9", ["n3", "n9"], -0.6, direction="rx")
    made = judgement(NODES, RACKS, lambda a, b: 0.4 if (a, b) == ("n9", "n3") else 1.0, findings=[bad])
    [picture] = pictures(made)
    [way] = np.flatnonzero(through(bad, picture)).tolist()
    assert (picture.names[picture.source[way]], picture.names[picture.destination[way]]) == ("n9", "n3")
    [proof] = proofs(made, [picture], {})
    assert (numbers(proof)["one way"], numbers(proof)["the other way"]) == ((1, 0), (1, 1))
    told = draw("text", Drawing(made, Sections(full=True), {}, width=100))
    assert "pair:n3-n9: slow −60 %, from n9 to n3" in told


# ── racks ──────────────────────────────────────────────────────────────────────────────────────────


def test_racks_show_verdicts_and_uplinks_and_the_nodes_that_nobody_placed() -> None:
    made = fabric()
    found = racks(made, pictures(made))
    assert [(each.name, each.state, len(each.nodes)) for each in found] == [
        ("leaf1", "no finding", 4),
        ("leaf2", "in −40 %", 4),
        ("leaf3", "no finding", 3),
        (UNKNOWN, "", 1),
    ]
    assert dict(found[0].nodes) == {"n1": "pass", "n2": "fail", "n3": "fail", "n4": "pass"}


def test_uplinks_that_no_flow_crossed_are_not_called_well() -> None:
    made = judgement(NODES[:8], RACKS, lambda a, b: 1.0, rounds=[[(0, 1), (2, 3), (4, 5), (6, 7)]])
    assert [each.state for each in racks(made, pictures(made))] == ["not measured", "not measured"]


def test_where_no_leaf_is_known_there_are_no_racks() -> None:
    made = judgement(NODES, {}, lambda a, b: 1.0)
    assert racks(made, pictures(made)) == []


# ── text ───────────────────────────────────────────────────────────────────────────────────────────


def text(width: int = 100, *, full: bool = True) -> str:
    return draw("text", Drawing(fabric(), Sections(full=full), inventories(), width=width))


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    drawn = text(width)
    lines = drawn[drawn.index("Network, job") : drawn.index("Outliers")].splitlines()
    assert max(map(len, lines)) <= width


def test_what_is_named_is_marked_in_the_map_of_its_quantity() -> None:
    bandwidth, _, times = text().partition("Network, job pairs: round trips")
    marked = [
        [line.split()[1] for line in part.splitlines() if line.startswith("  ! ")]
        for part in (bandwidth, times.partition("Racks")[0])
    ]
    assert marked == [["n2", "n3", "leaf2", "n9"], ["n3", "n9", "n12"]]


def test_the_short_report_has_the_map_by_leaves_only() -> None:
    short = text(full=False)
    assert "\n    leaf1          ·▓··\n  ! leaf2          ····\n" in short
    assert "What proves" not in short and "Racks" not in short


def test_a_network_without_findings_takes_no_room_in_the_short_report_and_a_line_in_the_full_one() -> None:
    made = judgement(NODES, RACKS, lambda a, b: 1.0)
    assert "Network" not in draw("text", Drawing(made))
    assert "all as usual, over 132 flows" in draw("text", Drawing(made, Sections(full=True)))


def test_findings_are_known_by_their_elements() -> None:
    assert [*named(fabric().report)] == ["pair:n3-n9", "node:n2", "leaf:leaf2", "node:n12"]
    assert named(fabric().report)["node:n2"] is FINDINGS[1]


def test_a_thousand_nodes_are_folded_to_a_screen() -> None:
    names = [f"n{number}" for number in range(200)]
    told = {name: f"leaf{place // 10 + 1}" for place, name in enumerate(names)}
    bad = finding("node:n77", ["n77"], -0.5, direction="rx")
    made = judgement(names, told, lambda a, b: 0.5 if b == "n77" else 1.0, findings=[bad])
    drawn = draw("text", Drawing(made, Sections(full=True), width=100))
    network = drawn[drawn.index("Network, job") : drawn.index("Racks")].splitlines()
    assert len(network) < 40
    assert any("n77" in line and line.endswith("sends") for line in network)
    [receives] = [line for line in network if line.endswith("receives")]
    assert receives.count("▓") == 20


# ── what the localiser hands over ──────────────────────────────────────────────────────────────────


def test_flows_keep_their_numbers_where_those_of_a_lost_node_are_left_out() -> None:
    """n0 was gone: what it could not send proves nothing, and all other flows are still called by their own numbers."""
    of = network(12, all_pairs(12), lambda a, b: 0.0 if 0 in (a, b) else 0.5 if a == 5 else 1.0)
    nothing = np.zeros(0, dtype=np.int64)
    run = PairRun("pairs", 12, nothing, nothing, np.zeros(0), {}, of.flows, {"tcp": of.flows.rtt_us})
    answer = examine_run(run, 12, None, {0})
    [found] = answer.culprits
    assert (found.nodes, found.way) == ((5,), "tx")
    assert set(of.flows.source[found.flows].tolist()) == {5}
    assert answer.usual is not None
    gone = (of.flows.source == 0) | (of.flows.destination == 0)
    assert np.array_equal(np.isnan(answer.usual), gone)
    assert answer.usual[~gone] == pytest.approx(LINE, rel=0.03)
