"""What agents tell of their pairs, as rounds read it, and what rounds left unseen."""

from __future__ import annotations

from collections.abc import Sequence

from ahc_agent.wire.messages import Flow, Identity, PairOutcome, RoundTrips, TaskOutcome
from ahc_server.pairing import Pair
from ahc_server.rounds import (
    History,
    Meeting,
    unseen,
)
from ahc_server.session import NodeRecord, OutcomeRecord, Session
from tests.rounds_helpers import names

# ── what agents tell ───────────────────────────────────────────────────────────────────────────────


def told(
    peer: str, *flows: tuple[str, str, float], connected: bool = True, us: float | None = None
) -> PairOutcome:
    trips = [RoundTrips(protocol="tcp", count=9, p50_us=us)] if us is not None else []
    return PairOutcome(
        pair_id="p",
        role="connect",
        peer=peer,
        connected=connected,
        flows=[Flow(source=a, destination=b, bytes_per_s=value) for a, b, value in flows],
        round_trips=trips,
    )


def test_what_arrived_counts_as_the_receiver_saw_it() -> None:
    for order in ((0, 1), (1, 0)):
        history = History()
        history.begin("p", 3, ("a", "b"))
        says = [("a", told("b", ("a", "b", 9.0), us=8.0)), ("b", told("a", ("a", "b", 7.0), us=6.0))]
        for place in order:
            history.hear("p", *says[place])
        assert history.before(4) == [Meeting(3, ("a", "b"), {("a", "b"): 7.0}, 6.0)]
        assert history.before(3) == []


def test_nobody_is_heard_about_pairs_or_machines_that_are_not_its_own() -> None:
    history = History()
    history.begin("p", 0, ("a", "b"))
    history.hear("p", "c", told("a", ("c", "a", 1.0)))
    history.hear("q", "a", told("b", ("a", "b", 1.0)))
    history.hear("p", "a", told("c", ("a", "c", 1.0), ("a", "a", 1.0), ("b", "a", -1.0)))
    assert history.before(1) == [Meeting(0, ("a", "b"), {}, None)]


def test_who_cannot_connect_is_silent_both_ways_unless_the_other_end_heard_something() -> None:
    history = History()
    history.begin("p", 0, ("a", "b"))
    history.hear("p", "a", told("b", connected=False))
    assert history.before(1)[0].flows == {("a", "b"): 0.0, ("b", "a"): 0.0}


# ── what was not seen ──────────────────────────────────────────────────────────────────────────────


def session(count: int, pairs: Sequence[Pair], lost: Sequence[str] = ()) -> Session:
    nodes = [
        NodeRecord(name, name, Identity(name=name), lost="silent" if name in lost else None)
        for name in names(count)
    ]
    outcomes = [
        OutcomeRecord(
            f"{a}{b}{end}", end, "net", "network", 1, count, TaskOutcome(status="ok", pair=told(peer))
        )
        for a, b in pairs
        for end, peer in ((a, b), (b, a))
    ]
    return Session("s", "", "done", 0.0, nodes, outcomes)


def every(count: int) -> list[Pair]:
    return [(f"n{a}", f"n{b}") for b in range(count) for a in range(b)]


def test_the_report_says_how_many_pairs_never_met() -> None:
    said = unseen(session(6, every(6)[:9]))
    assert said is not None and "9 of" in said and "rounds: all" in said


def test_where_all_met_and_where_none_did_there_is_nothing_to_say() -> None:
    assert unseen(session(6, every(6))) is None
    assert unseen(session(6, [])) is None


def test_pairs_that_a_lost_machine_missed_were_no_choice() -> None:
    pairs = [pair for pair in every(6) if pair not in (("n0", "n5"), ("n1", "n5"))]
    assert unseen(session(6, pairs, lost=["n5"])) is None
