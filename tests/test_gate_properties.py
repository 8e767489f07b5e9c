"""The gate fails closed: no policy, and nothing that happens to data on its way, opens it while a fail stands."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ahc_agent.wire.messages import TaskOutcome
from ahc_server.gate.checks import Data
from ahc_server.gate.decide import decide
from ahc_server.gate.policy import Compare, Policy, Required, Waiver
from ahc_server.judge.model import Finding
from ahc_server.session import Session
from tests.gate_helpers import DAY_S, ENDED_S, NOW_S, ask, finding, judged, passed, said, whole, with_report
from tests.judge_helpers import Fleet

NAMES = [f"n{number}" for number in range(1, 9)]
LEAST = 8
RANK = {"open": 0, "cannot tell": 1, "closed": 2}

ages = st.one_of(st.none(), st.floats(60, 30 * DAY_S))
days = st.dates(datetime.date(2024, 4, 1), datetime.date(2024, 6, 1))
waivers = st.builds(
    Waiver,
    who=st.just("Ada"),
    why=st.just("known"),
    until=days,
    element=st.one_of(st.none(), st.sampled_from([f"node:{name}" for name in NAMES])),
    component=st.one_of(st.none(), st.sampled_from(["cpu", "disk", "memory", "system"])),
    kind=st.sampled_from(["slow", "config", "not-measured", "vanished", "stale"]),
)
policies = st.builds(
    Policy,
    file=st.just("policy"),
    close_on=st.sampled_from(["fail", "warn", "info"]),
    unknown=st.integers(0, 20),
    expected=st.one_of(st.none(), st.integers(1, 10), st.just(tuple(NAMES))),
    measured=st.lists(
        st.builds(Required, st.sampled_from(["cpu", "disk", "memory", "inventory", "disk.*.read*"]), ages),
        max_size=3,
    ).map(tuple),
    least=st.sampled_from([(), (("control", 3),)]),
    compare=st.sampled_from([None, Compare()]),
    waivers=st.lists(waivers, max_size=3).map(tuple),
)
#: Policies that ask for no more than what every policy asks, with all the tolerance that there is.
lenient = policies.map(lambda each: replace(each, least=(), compare=None, waivers=()))


def stands(policy: Policy, found: Finding, now_s: float) -> bool:
    """Whether nobody answers for a finding: written apart from the gate's own rule."""
    day = datetime.datetime.fromtimestamp(now_s, datetime.UTC).date()
    return not any(
        day <= waiver.until
        and waiver.element in (None, found.element)
        and waiver.component in (None, found.component)
        and waiver.kind in (None, found.kind)
        for waiver in policy.waivers
    )


# What can become of data. Each takes a session and a source of chance, and answers another session.

Harm = Callable[[Session, Random], Session]


def lose_outcomes(session: Session, chance: Random) -> Session:
    lost = set(chance.sample(range(len(session.outcomes)), chance.randint(1, len(session.outcomes))))
    return replace(session, outcomes=[o for place, o in enumerate(session.outcomes) if place not in lost])


def lose_nodes(session: Session, chance: Random) -> Session:
    """Nodes vanish with all that they brought."""
    gone = {node.machine for node in chance.sample(session.nodes, chance.randint(1, len(session.nodes)))}
    return replace(
        session,
        nodes=[node for node in session.nodes if node.machine not in gone],
        outcomes=[each for each in session.outcomes if each.machine not in gone],
    )


def forget_nodes(session: Session, chance: Random) -> Session:
    """What they brought stays."""
    return replace(session, nodes=chance.sample(session.nodes, chance.randint(0, len(session.nodes) - 1)))


def lose_inventories(session: Session, chance: Random) -> Session:
    gone = {node.machine for node in chance.sample(session.nodes, chance.randint(1, len(session.nodes)))}
    nodes = [replace(node, inventory=None) if node.machine in gone else node for node in session.nodes]
    return replace(session, nodes=nodes)


def fail_outcomes(session: Session, chance: Random) -> Session:
    bad = set(chance.sample(range(len(session.outcomes)), chance.randint(1, len(session.outcomes))))
    failed = TaskOutcome(status="failed", error="it went away")
    return replace(
        session,
        outcomes=[
            replace(each, outcome=failed, measured=None) if place in bad else each
            for place, each in enumerate(session.outcomes)
        ],
    )


def lose_steps(session: Session, chance: Random) -> Session:
    return replace(session, steps=chance.sample(session.steps, chance.randint(0, len(session.steps) - 1)))


def lose_a_step_with_all_its_traces(session: Session, chance: Random) -> Session:
    gone = chance.choice(session.steps).step if session.steps else 0
    return replace(
        session,
        steps=[step for step in session.steps if step.step != gone],
        outcomes=[each for each in session.outcomes if each.step != gone],
    )


def double_outcomes(session: Session, chance: Random) -> Session:
    return replace(session, outcomes=[*session.outcomes, chance.choice(session.outcomes)])


def double_nodes(session: Session, chance: Random) -> Session:
    return replace(session, nodes=[*session.nodes, chance.choice(session.nodes)])


def swap_machines(session: Session, chance: Random) -> Session:
    """A result under the name of a machine that is not there."""
    place = chance.randrange(len(session.outcomes))
    outcomes = list(session.outcomes)
    outcomes[place] = replace(outcomes[place], machine="stranger")
    return replace(session, outcomes=outcomes)


def leave_unfinished(session: Session, chance: Random) -> Session:
    return replace(session, state=chance.choice(["running", "stopping", "stopped", "failed"]))


def future(session: Session, _: Random) -> Session:
    steps = [replace(step, ended_at_s=NOW_S + DAY_S) for step in session.steps]
    return replace(session, steps=steps)


HARMS: dict[str, Harm] = {
    harm.__name__: harm
    for harm in (
        lose_outcomes,
        lose_nodes,
        forget_nodes,
        lose_inventories,
        fail_outcomes,
        lose_steps,
        lose_a_step_with_all_its_traces,
        double_outcomes,
        double_nodes,
        swap_machines,
        leave_unfinished,
        future,
    )
}


def shuffled(data: Data, chance: Random) -> Data:
    def mixed(items: list[Any]) -> list[Any]:
        return chance.sample(items, len(items))

    session = data.session
    session = replace(
        session, nodes=mixed(session.nodes), outcomes=mixed(session.outcomes), steps=mixed(session.steps)
    )
    report = data.report
    return with_report(
        replace(data, session=session), nodes=mixed(report.nodes), findings=mixed(report.findings)
    )


@cache
def healthy() -> Session:
    return whole(Fleet(LEAST).benchmarks())


@cache
def one_slow() -> Session:
    return whole(Fleet(LEAST).benchmarks().slow("n3", "disk", 0.3))


@cache
def lame() -> Data:
    return judged(one_slow())


def test_a_healthy_fleet_opens_it_and_a_slow_disk_closes_it() -> None:
    """Without the first the properties below would say nothing."""
    assert ask(judged(healthy())).state == "open"
    assert ask(judged(one_slow())).state == "closed"


@given(
    policy=policies,
    chance=st.randoms(use_true_random=False),
    harms=st.lists(st.sampled_from(sorted(HARMS)), max_size=3),
)
def test_no_policy_and_no_harm_to_data_opens_it_while_a_fail_stands(
    policy: Policy, chance: Random, harms: list[str]
) -> None:
    session = healthy()
    for name in harms:
        if session.nodes and session.outcomes and session.steps:
            session = HARMS[name](session, chance)
    found = finding(chance.choice(NAMES), component=chance.choice(["cpu", "disk"]))
    gate = decide(policy, shuffled(passed(session, [found]), chance), NOW_S)
    if stands(policy, found, NOW_S):
        assert (gate.state, gate.exit_code) == ("closed", 1)
        assert any(reason.summary == found.summary for reason in gate.reasons)


@given(policy=lenient, chance=st.randoms(use_true_random=False), node=st.sampled_from([None, *NAMES]))
@pytest.mark.parametrize("harm", [*HARMS])
def test_what_is_lost_doubled_or_unfinished_never_opens(
    harm: str, policy: Policy, chance: Random, node: str | None
) -> None:
    """Even where the judge had nothing to say against anybody; for the fleet, and for each of its nodes."""
    session = HARMS[harm](healthy(), chance)
    assert decide(policy, passed(session), NOW_S, node).state != "open"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    chance=st.randoms(use_true_random=False),
    harms=st.lists(st.sampled_from([*HARMS][:6]), min_size=1, max_size=2),
    unknown=st.integers(0, 20),
)
def test_losing_data_never_opens_a_gate_that_the_real_judge_closed(
    chance: Random, harms: list[str], unknown: int
) -> None:
    """The data lost may be what stood against n3: then the gate says that it cannot tell, however much is tolerated."""
    session = one_slow()
    for name in harms:
        if session.nodes and session.outcomes and session.steps:
            session = HARMS[name](session, chance)
    data = judged(session) if session.nodes else passed(session)
    policy = Policy(file="policy", unknown=unknown)
    for node in (None, "n3"):
        assert decide(policy, data, NOW_S, node).state != "open"


@cache
def slow_sender() -> Session:
    return whole(Fleet(8).benchmarks().network(tx={"n3": 0.4}))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chance=st.randoms(use_true_random=False), of_n3=st.booleans())
def test_losing_tests_of_pairs_never_opens_it(chance: Random, of_n3: bool) -> None:
    """Most of what stood against a slow card is gone, both ends of each test: every step still has a result of every node."""
    session = slow_sender()
    assert ask(judged(session)).state == "closed"
    pairs = {each.outcome.pair.pair_id for each in session.outcomes if each.outcome.pair is not None}
    lost = sorted(pair for pair in pairs if not of_n3 or "n3" in pair.split("+"))
    gone = set(chance.sample(lost, chance.randint(1, len(lost) - 1)))
    left = [
        each
        for each in session.outcomes
        if each.outcome.pair is None or each.outcome.pair.pair_id not in gone
    ]
    data = judged(replace(session, outcomes=left))
    assert decide(Policy(file="policy", unknown=8), data, NOW_S).state != "open"


@given(policy=policies, chance=st.randoms(use_true_random=False))
def test_the_order_of_data_changes_nothing(policy: Policy, chance: Random) -> None:
    here, there = decide(policy, lame(), NOW_S), decide(policy, shuffled(lame(), chance), NOW_S)
    assert (here.state, said(here)) == (there.state, said(there))
    assert here.checks == there.checks


@given(policy=policies, severity=st.sampled_from(["info", "warn", "fail"]), node=st.sampled_from(NAMES))
def test_another_finding_never_makes_it_kinder(policy: Policy, severity: str, node: str) -> None:
    before = decide(policy, lame(), NOW_S)
    more = [*lame().report.findings, finding(node, component="memory", severity=severity)]
    after = decide(policy, with_report(lame(), findings=more), NOW_S)
    assert RANK[after.state] >= RANK[before.state]


@given(policy=policies, hours=st.tuples(st.floats(0, 2000), st.floats(0, 2000)))
def test_time_alone_never_opens_it(policy: Policy, hours: tuple[float, float]) -> None:
    """Data grows old and waivers end: what is open later was open before."""
    sooner, later = (ENDED_S + 3600 * each for each in sorted(hours))
    states = [decide(policy, passed(healthy()), at).state for at in (sooner, later)]
    assert states[1] != "open" or states[0] == "open"


@given(policy=policies)
def test_a_verdict_without_a_finding_closes_all_the_same(policy: Policy) -> None:
    gate = decide(policy, passed(healthy(), n5="fail"), NOW_S)
    assert gate.state == "closed"
    assert ("findings", "closed", "node:n5") in said(gate)


@given(policy=policies, node=st.sampled_from(NAMES))
def test_the_gate_of_one_node_is_never_kinder_to_it_than_the_fleets(policy: Policy, node: str) -> None:
    policy = replace(policy, least=(), unknown=0)
    mine = {reason for reason in said(decide(policy, lame(), NOW_S)) if reason[2] == f"node:{node}"}
    assert mine <= said(decide(policy, lame(), NOW_S, node))


@given(policy=policies)
def test_its_json_says_what_the_exit_code_says(policy: Policy) -> None:
    gate = decide(policy, lame(), NOW_S)
    read = msgspec.json.decode(msgspec.json.encode(gate))
    assert read["exit_code"] == {"open": 0, "closed": 1, "cannot tell": 3}[read["state"]]
    worst = {each["state"] for each in read["checks"]}
    assert read["state"] == next((each for each in ("closed", "cannot tell") if each in worst), "open")
