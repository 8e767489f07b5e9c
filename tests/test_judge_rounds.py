"""What ran at once in rounds of network tests: sums against line speed and across racks, starts, and what stayed open."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import combinations

import pytest

from ahc_agent.facts import Inventory, Lldp, Nic
from ahc_agent.wire.messages import Flow, Identity, PairOutcome, TaskOutcome
from ahc_server.judge.network import wiring
from ahc_server.judge.rounds import Round, round_notes, rounds_of
from ahc_server.pairing import Pair
from ahc_server.report.rounds import round_lines
from ahc_server.rounds import Policy, unseen, unsettled
from ahc_server.rounds.history import Meeting
from ahc_server.session import NodeRecord, OutcomeRecord, Session

LINE = 25e9 / 8
Rate = Callable[[str, str], float]


def nodes(count: int, rack: int | None, speed_mbps: int | None = 25_000) -> list[NodeRecord]:
    def inventory(number: int) -> Inventory:
        heard = (
            None
            if rack is None
            else Lldp(chassis_id=f"c{number // rack}", system_name=f"leaf{number // rack}")
        )
        card = Nic(name="d", carrier=True, speed_mbps=speed_mbps, lldp=heard)
        return Inventory(collected_at="2026-01-01T00:00:00Z", nics=[card])

    return [
        NodeRecord(f"m{number:02d}", f"n{number:02d}", Identity(name=f"n{number:02d}"), inventory(number))
        for number in range(count)
    ]


def ends(
    wave: int, pairs: Sequence[Pair], rate: Rate, delay: Callable[[str], float] = lambda name: 0.0
) -> list[OutcomeRecord]:
    out = []
    for a, b in pairs:
        for own, peer in ((a, b), (b, a)):
            flow = Flow(source=peer, destination=own, bytes_per_s=rate(peer, own))
            pair = PairOutcome(
                pair_id=f"{wave}{a}{b}", role="connect", peer=peer, connected=True, flows=[flow]
            )
            outcome = TaskOutcome(status="ok", start_delay_s=delay(own), clock_error_s=0.0005, pair=pair)
            out.append(OutcomeRecord(f"{wave}{a}{b}{own}", own, "net", "network", 1, 8, outcome, wave=wave))
    return out


def told(records: Sequence[NodeRecord], outcomes: Sequence[OutcomeRecord]) -> list[Round]:
    session = Session("s", "", "done", 0.0, list(records), list(outcomes))
    return rounds_of(session, {each.machine: row for row, each in enumerate(records)}, wiring(records))


ACROSS = [("m00", "m04"), ("m01", "m05"), ("m02", "m06"), ("m03", "m07")]
INSIDE = [("m00", "m01"), ("m02", "m03"), ("m04", "m05"), ("m06", "m07")]


def test_a_round_is_what_its_pairs_move_one_way_beside_what_their_cards_could() -> None:
    (one,) = told(nodes(8, 4), ends(0, ACROSS, lambda a, b: LINE / 2))
    assert (one.round, one.pairs, one.across) == (1, 4, 4)
    assert one.sum_bytes_per_s == pytest.approx(4 * LINE / 2)
    assert one.line_bytes_per_s == pytest.approx(4 * LINE)


def test_what_nobody_told_is_not_known() -> None:
    (one,) = told(nodes(8, None, None), ends(0, ACROSS, lambda a, b: LINE))
    assert (one.across, one.line_bytes_per_s) == (None, None)
    assert round_notes([one]) == []


def test_uplinks_that_hold_all_pairs_back_are_said_with_by_how_much() -> None:
    rounds = told(nodes(8, 4), [*ends(0, ACROSS, lambda a, b: LINE / 2), *ends(1, INSIDE, lambda a, b: LINE)])
    assert [each.across for each in rounds] == [4, 0]
    (note,) = round_notes(rounds)
    assert note.startswith(
        "net: 4 pairs at once across racks move 50.0 Gbit/s one way, 50 % of the line speed"
    )
    assert "50 % of what as many pairs inside racks do; uplinks hold them back by 2.0 to 1" in note


def test_uplinks_that_carry_all_at_once_are_not_blamed() -> None:
    rounds = told(nodes(8, 4), [*ends(0, ACROSS, lambda a, b: LINE), *ends(1, INSIDE, lambda a, b: LINE)])
    (note,) = round_notes(rounds)
    assert "hold them back" not in note and "100 % of what as many pairs inside racks do" in note


def test_starts_are_told_round_by_round_and_said_where_they_are_too_far_apart() -> None:
    late = ends(1, INSIDE, lambda a, b: LINE, lambda name: 0.02 if name == "m03" else 0.001)
    rounds = told(nodes(8, None), [*ends(0, ACROSS, lambda a, b: LINE), *late])
    assert [each.start_jitter_s for each in rounds] == pytest.approx([0.0, 0.019])
    assert [each.clock_error_s for each in rounds] == [0.0005, 0.0005]
    (note,) = round_notes(rounds)
    assert "in 1 of 2 rounds the pairs started up to 19 ms apart" in note


def test_a_table_shows_every_round() -> None:
    rounds = told(nodes(8, 4), [*ends(0, ACROSS, lambda a, b: LINE / 2), *ends(1, INSIDE, lambda a, b: LINE)])
    lines = round_lines(rounds)
    assert len(lines) == 2 + 1 + 2
    assert "50 %" in lines[3] and "0.5 ms" in lines[3]
    assert round_lines([]) == []


# ── what stayed open ───────────────────────────────────────────────────────────────────────────────


def played(records: Sequence[NodeRecord], rate: Rate, racks: dict[str, str], rounds: int) -> Session:
    """As the conductor would run so many rounds."""
    policy = Policy([each.machine for each in records], "seed", rounds, racks=racks)
    seen: list[Meeting] = []
    outcomes: list[OutcomeRecord] = []
    for wave in range(rounds):
        pairs = policy.next_round(wave, seen) or []
        seen += [Meeting(wave, pair) for pair in pairs]
        outcomes += ends(
            wave, pairs, lambda a, b: LINE * rate(a, b) * (1 + 0.01 * ((hash_of(a + b) % 41 - 20) / 20))
        )
    return Session("s", "", "done", 0.0, list(records), outcomes)


def hash_of(name: str) -> int:
    return sum(ord(letter) * 13**place for place, letter in enumerate(name))


def racks_of(count: int, rack: int) -> dict[str, str]:
    return {f"m{number:02d}": f"c{number // rack}" for number in range(count)}


def test_what_is_plain_leaves_nothing_open() -> None:
    assert unsettled(played(nodes(32, 8), lambda a, b: 1.0, racks_of(32, 8), 6)) == []
    assert (
        unsettled(played(nodes(32, 8), lambda a, b: 0.5 if "m07" in (a, b) else 1.0, racks_of(32, 8), 6))
        == []
    )


def test_a_node_in_suspense_is_named_as_people_call_it() -> None:
    session = played(nodes(32, None), lambda a, b: 0.943 if "m07" in (a, b) else 1.0, {}, 2)
    (note,) = unsettled(session)
    assert re.match(r"net: not settled: whether n\d\d(, n\d\d)* (is|are) slow; more rounds tell", note)


def test_a_way_between_two_racks_in_suspense_is_named_by_them() -> None:
    racks = racks_of(64, 8)
    session = played(
        nodes(64, 8), lambda a, b: 0.5 if {racks[a], racks[b]} == {"c1", "c6"} else 1.0, racks, 2
    )
    assert any("the way between racks (leaf1 – leaf6) or single pairs" in note for note in unsettled(session))


def test_where_all_pairs_met_nothing_more_could_be_told() -> None:
    records = nodes(6, None)
    every = list(combinations([each.machine for each in records], 2))
    outcomes = [
        each
        for wave, pair in enumerate(every)
        for each in ends(wave, [pair], lambda a, b: LINE * hash_of(a + b))
    ]
    assert unsettled(Session("s", "", "done", 0.0, records, outcomes)) == []


def test_racks_of_which_no_two_nodes_met_are_counted() -> None:
    racks = racks_of(64, 4)
    assert "; nor the ways between" in (unseen(played(nodes(64, 4), lambda a, b: 1.0, racks, 2)) or "")
    assert "racks" not in (unseen(played(nodes(64, None), lambda a, b: 1.0, {}, 2)) or "")
