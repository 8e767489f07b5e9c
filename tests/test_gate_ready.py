"""The gate's check of the ready state: drift closes it, and what nobody can tell does not open it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ahc_server.gate.checks import Data
from ahc_server.gate.policy import parse_policy
from ahc_server.profiles.model import Matches, NodeMatch, Yields
from ahc_server.session import Session
from tests.export_helpers import machine
from tests.gate_helpers import ask, passed, said, whole
from tests.judge_helpers import Fleet

POLICY = "ready-state: true"
AS_IT_IS = Yields(firmware={"bios": "2.19.1"})


def fleet() -> Session:
    session = whole(Fleet(3).benchmarks())
    nodes = [replace(node, inventory=machine(number)) for number, node in enumerate(session.nodes, 1)]
    return replace(session, nodes=nodes)


SESSION = fleet()


def matched(*yields: Yields | None, session: Session = SESSION) -> Data:
    """The session's nodes with what their profiles want; None: a node without a profile."""
    nodes = [
        NodeMatch(
            id=node.node,
            profile=None if want is None else "control",
            why="",
            answers=[],
            yields=want or Yields(),
        )
        for node, want in zip(session.nodes, yields, strict=True)
    ]
    return replace(passed(session), matches=Matches(session=session.name, nodes=nodes, profiles=[]))


def test_it_opens_where_every_node_is_as_its_profile_wants_it() -> None:
    assert ask(matched(AS_IT_IS, AS_IT_IS, AS_IT_IS), POLICY).state == "open"


@pytest.mark.parametrize(
    ("yields", "state", "told"),
    [
        (Yields(firmware={"bios": "2.20.0"}), "closed", "control wants 2.20.0, found 2.19.1"),
        (Yields(firmware={"nic:none": "1"}), "cannot tell", "the machine has no such part"),
        (Yields(bios={"NoSuchSetting": "on"}), "cannot tell", "not told by the machine"),
        (None, "cannot tell", "no profile says how it should be"),
    ],
)
def test_drift_closes_and_what_is_not_told_does_not_open(
    yields: Yields | None, state: str, told: str
) -> None:
    data = matched(AS_IT_IS, yields, AS_IT_IS)
    gate = ask(data, POLICY)
    assert said(gate) == {("ready", state, "node:n2")}
    assert told in gate.reasons[0].summary
    assert ask(data, POLICY, node="n1").state == "open"
    assert ask(data, POLICY, node="n2").state == state


def test_without_an_inventory_nothing_is_ready() -> None:
    nodes = [replace(node, inventory=None) if node.node == "n2" else node for node in SESSION.nodes]
    data = matched(AS_IT_IS, AS_IT_IS, AS_IT_IS, session=replace(SESSION, nodes=nodes))
    assert ("ready", "cannot tell", "node:n2") in said(ask(data, POLICY))


def test_profiles_that_want_nothing_do_not_open_a_gate_that_asks_for_the_ready_state() -> None:
    assert said(ask(matched(Yields(), Yields(), Yields()), POLICY)) == {("ready", "cannot tell", "fleet")}


def test_without_matches_or_with_those_of_another_session_it_cannot_tell() -> None:
    data = matched(AS_IT_IS, AS_IT_IS, AS_IT_IS)
    assert data.matches is not None
    other = replace(data, matches=Matches(session="other", nodes=data.matches.nodes, profiles=[]))
    for each in (passed(SESSION), other):
        assert said(ask(each, POLICY)) == {("ready", "cannot tell", "fleet")}


def test_a_drift_is_waived_by_what_it_is_about() -> None:
    waiver = "{node: n2, component: firmware, kind: config, who: Ada, why: known, until: 2024-06-01}"
    data = matched(AS_IT_IS, Yields(firmware={"bios": "2.20.0"}), AS_IT_IS)
    assert ask(data, f"{POLICY}\nwaivers: [{waiver}]").state == "open"


def test_a_step_asks_for_itself_and_not_asking_is_the_default() -> None:
    text = "ready-state: true\nsteps:\n  pre-deploy: {ready-state: false}\n  post-deploy: {unknown: 0}\n"
    assert [parse_policy(text, step).ready_state for step in ("pre-deploy", "post-deploy")] == [False, True]
    assert not parse_policy("close-on: fail").ready_state
