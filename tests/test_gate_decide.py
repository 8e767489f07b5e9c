"""What closes a gate, what it cannot tell, what is waived and tolerated, and how it says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from lxml import etree

from ahc_server.gate.checks import Data
from ahc_server.gate.draw import draw_text
from ahc_server.gate.junit import draw_junit
from ahc_server.gate.model import Gate
from ahc_server.history.compare import compare
from ahc_server.history.reading import read
from ahc_server.judge.model import Finding
from ahc_server.profiles.model import Answer, Fit, Matches, NodeMatch
from ahc_server.session import Session
from tests.gate_helpers import BEGUN_S, DAY_S, ENDED_S, ask, finding, judged, passed, said, whole
from tests.judge_helpers import Fleet
from tests.test_report_junit import SCHEMA

SESSION = whole(Fleet(6).benchmarks())


def not_measured(node: str, **more: object) -> Finding:
    fields = {"kind": "not-measured", "severity": "warn", "summary": f"{node}: disk sda was not measured"}
    return finding(node, **(fields | more))


def waiver(what: str, until: str = "2024-06-01") -> str:
    return f"waivers:\n- {{{what}, who: Ada, why: known, until: {until}}}\n"


# Findings


@pytest.mark.parametrize(
    ("policy", "severity", "state"),
    [
        ("close-on: fail", "fail", "closed"),
        ("close-on: fail", "warn", "open"),
        ("close-on: warn", "warn", "closed"),
        ("close-on: warn", "fail", "closed"),
        ("close-on: warn", "info", "open"),
        ("close-on: info", "info", "closed"),
    ],
)
def test_what_is_as_severe_as_the_policy_says_closes_and_what_is_worse(
    policy: str, severity: str, state: str
) -> None:
    assert ask(passed(SESSION, [finding("n3", severity=severity)]), policy).state == state


def test_one_node_is_closed_by_the_switch_it_hangs_on_and_not_by_other_nodes() -> None:
    data = passed(SESSION, [finding("n3"), finding("n1", element="leaf:sw1", nodes=["n1", "n2"])])
    states = {node: ask(data, node=node).state for node in ("n1", "n2", "n3", "n4")}
    assert states == {"n1": "closed", "n2": "closed", "n3": "closed", "n4": "open"}


def test_a_node_that_is_not_there_cannot_be_told_of_and_one_that_is_expected_is_closed() -> None:
    assert ask(passed(SESSION), node="n9").state == "cannot tell"
    assert ask(passed(SESSION), "expected: [n9]", node="n9").state == "closed"


# Nodes that could not be judged


def test_unknown_nodes_are_tolerated_up_to_a_number_and_that_is_told() -> None:
    few = finding("g1", element="group:g1", nodes=["n1", "n3"], kind="not-measured", severity="info")
    data = passed(SESSION, [few], n1="unknown", n3="unknown")
    assert ask(data, "unknown: 1").state == "cannot tell"
    gate = ask(data, "unknown: 2")
    assert gate.state == "open"
    assert gate.notes == ["tolerated: 2 nodes of 2 at most could not be judged: n1, n3"]
    assert ask(data, "unknown: 2", node="n1").state == "cannot tell"


def test_a_node_that_was_not_measured_is_never_tolerated() -> None:
    data = passed(SESSION, [not_measured("n3", severity="info")], n3="unknown")
    assert said(ask(data, "unknown: 6")) == {("unknown", "cannot tell", "node:n3")}
    assert ask(data, waiver("node: n3, kind: not-measured")).state == "open"


def test_a_warning_does_not_hide_that_something_was_not_measured() -> None:
    data = passed(SESSION, [finding("n3", severity="warn"), not_measured("n3")], n3="warn")
    assert said(ask(data)) == {("unknown", "cannot tell", "node:n3")}


def test_a_fail_closes_also_where_it_says_that_something_was_not_measured() -> None:
    gate = ask(passed(SESSION, [not_measured("n3", severity="fail")]), "unknown: 6")
    assert gate.state == "closed"
    assert said(gate) == {("findings", "closed", "node:n3"), ("unknown", "cannot tell", "node:n3")}


def test_closed_beats_cannot_tell_and_both_are_told() -> None:
    gate = ask(passed(SESSION, [finding("n3")], n1="unknown"))
    assert (gate.state, gate.exit_code) == ("closed", 1)
    assert [reason.state for reason in gate.reasons] == ["closed", "cannot tell"]


# Expected nodes, and the session's own books


def test_nodes_that_vanished_or_never_came_close() -> None:
    lost = replace(SESSION, nodes=[replace(SESSION.nodes[0], lost="silent for 30 s"), *SESSION.nodes[1:]])
    assert ("expected", "closed", "node:n1") in said(ask(passed(lost)))
    assert said(ask(passed(SESSION), "expected: 7")) == {("expected", "closed", "fleet")}
    gate = ask(passed(SESSION), "expected: [n1, n2, n3, n4, n5, n9]")
    assert said(gate) == {("expected", "closed", "node:n9"), ("expected", "closed", "node:n6")}
    assert {reason.kind for reason in gate.reasons} == {"vanished", "unexpected"}
    assert "n9" in gate.nodes


def test_what_the_books_miss_is_named() -> None:
    bad = [each for each in SESSION.outcomes if each.task_id != "disk-n3"]
    [reason] = ask(passed(replace(SESSION, outcomes=bad))).reasons
    assert reason.summary == "step 3 (disk) ran on 6 nodes, results are of 5"


# What is required, and its age


@pytest.mark.parametrize(
    ("measured", "later_s", "state"),
    [
        ("{cpu: 7d, inventory: any}", 0.0, "open"),
        ("{inventory: 7d}", 7 * DAY_S, "cannot tell"),
        ("{cpu: 7d}", 6 * DAY_S, "open"),
        ("{cpu: 7d}", 7 * DAY_S, "cannot tell"),
        ("{cpu: any}", 700 * DAY_S, "open"),
        ("{network: any}", 0.0, "cannot tell"),
        ("{disk.*.randread_4k_iops: 1d}", 0.0, "open"),
        ("{disk.*.write_4k_iops: 1d}", 0.0, "cannot tell"),
    ],
)
def test_what_is_required_is_there_and_young_enough(measured: str, later_s: float, state: str) -> None:
    assert ask(passed(SESSION), f"measured: {measured}", now_s=ENDED_S + later_s).state == state


def test_an_age_counts_from_the_start_of_the_step_and_is_told() -> None:
    gate = ask(passed(SESSION), "measured: {cpu: 12h}", now_s=BEGUN_S + 3 * DAY_S)
    assert gate.reasons[0].summary == "n1: cpu was measured 3 days ago, 12 hours at most are allowed"
    assert {reason.kind for reason in gate.reasons} == {"stale"} and len(gate.reasons) == 6


def test_a_network_test_counts_for_both_ends() -> None:
    paired = whole(Fleet(4).benchmarks().network(cut=[("n1", "n2"), ("n1", "n3"), ("n1", "n4")]))
    assert said(ask(passed(paired), "measured: {network: 1d}")) == {("measured", "cannot tell", "node:n1")}


# Profiles


def matched(fits: dict[str, Fit | str]) -> Data:
    nodes = [
        NodeMatch(
            id=node,
            profile="control" if fit == "fits" else None,
            why="",
            answers=[Answer(profile="control", fit=fit)],  # type: ignore[arg-type]
        )
        for node, fit in fits.items()
    ]
    return replace(passed(SESSION), matches=Matches(session="s1", nodes=nodes, profiles=[]))


@pytest.mark.parametrize(
    ("fits", "state"),
    [
        ({"n1": "fits", "n2": "fits"}, "open"),
        ({"n1": "fits", "n2": "fails"}, "closed"),
        ({"n1": "fits", "n2": "unknown"}, "cannot tell"),
        ({"n1": "fits", "n9": "fits"}, "closed"),
    ],
)
def test_so_many_nodes_of_a_profile_are_there(fits: dict[str, Fit | str], state: str) -> None:
    assert ask(matched(fits), "least: {control: 2}").state == state


def test_without_matches_it_cannot_tell_and_for_one_node_no_count_is_asked() -> None:
    assert ask(passed(SESSION), "least: {control: 1}").state == "cannot tell"
    assert ask(passed(SESSION), "least: {control: 1}", node="n1").state == "open"


# The session before


def since(before: Session, after: Session, policy: str = "compare: {}") -> Gate:
    comparison = compare(read(before, flows=True), read(after, flows=True))
    return ask(replace(passed(after), comparison=comparison), policy)


def test_what_became_slower_than_itself_closes() -> None:
    before = replace(whole(Fleet(12, seed=3).benchmarks()), name="before")
    assert since(before, whole(Fleet(12, seed=4).benchmarks())).state == "open"
    gate = since(before, whole(Fleet(12, seed=4).benchmarks().slow("n3", "cpu", 0.6)))
    assert ("compare", "closed", "node:n3") in said(gate)
    assert gate.before == "before"


def test_a_node_that_is_gone_since_closes_and_a_new_one_cannot_be_told_of() -> None:
    six, seven = whole(Fleet(6).benchmarks()), whole(Fleet(7).benchmarks())
    assert said(since(replace(seven, name="before"), six)) == {("compare", "closed", "node:n7")}
    assert said(since(replace(six, name="before"), seven)) == {("compare", "cannot tell", "node:n7")}


def test_without_a_session_before_it_cannot_tell() -> None:
    data = replace(passed(SESSION), problem={"compare": "there is no session before"})
    [reason] = ask(data, "compare: {}").reasons
    assert (reason.state, reason.summary) == (
        "cannot tell",
        "not compared with the session before: there is no session before",
    )


# Waivers


def test_a_waiver_holds_to_the_end_of_its_last_day_and_then_is_none() -> None:
    data = passed(SESSION, [finding("n3")], n3="fail")
    text = waiver("node: n3, component: disk", "2024-05-01")
    at_s = 1_714_607_999.0  # the last second of that day, UTC
    gate = ask(data, text, now_s=at_s)
    assert gate.state == "open"
    assert [(each.who, each.why, each.until) for each in gate.waived] == [("Ada", "known", "2024-05-01")]
    gate = ask(data, text, now_s=at_s + 1)
    assert gate.state == "closed"
    assert gate.expired == ["node:n3, disk: Ada, known; ended after 2024-05-01"]


@pytest.mark.parametrize(
    "what", ["node: n4", "node: n3, component: cpu", "kind: config", "component: network", "element: leaf:n3"]
)
def test_a_waiver_for_something_else_helps_nobody(what: str) -> None:
    gate = ask(passed(SESSION, [finding("n3")]), waiver(what))
    assert gate.state == "closed"
    assert gate.notes and gate.notes[0].endswith("(Ada) meets nothing")


def test_a_waiver_for_a_node_is_none_for_its_switch() -> None:
    data = passed(SESSION, [finding("n1", element="leaf:sw1", nodes=["n1"])])
    assert ask(data, waiver("node: n1")).state == "closed"
    assert ask(data, waiver("element: 'leaf:sw1'")).state == "open"


def test_what_a_node_lacks_can_be_waived_and_what_the_session_lacks_cannot() -> None:
    lost = replace(
        SESSION, nodes=[replace(SESSION.nodes[0], lost="gone", inventory=None), *SESSION.nodes[1:]]
    )
    assert ask(passed(lost, [not_measured("n1")], n1="unknown"), waiver("node: n1")).state == "open"
    assert ask(passed(SESSION), "expected: 7\n" + waiver("kind: vanished")).state == "closed"
    assert (
        ask(passed(SESSION), "measured: {network: any}\n" + waiver("kind: not-measured")).state
        == "cannot tell"
    )
    unfinished = replace(SESSION, state="running")
    every_kind = waiver("kind: not-measured") + "- {component: system, who: A, why: B, until: 2024-06-01}\n"
    assert ask(passed(unfinished), every_kind).state == "cannot tell"


# How it is told


def test_one_screen_tells_the_worst_first_and_folds_what_is_alike() -> None:
    data = passed(SESSION, [finding("n3"), not_measured("n2")], n2="unknown")
    gate = ask(data, "measured: {cpu: 12h}\n" + waiver("node: n2"), now_s=BEGUN_S + 3 * DAY_S)
    text = draw_text(gate, 100)
    assert text.startswith("CLOSED  6 nodes, session s1\npolicy policy, at 2024-05-04T")
    told = text[text.index("Why") :].splitlines()
    assert told[1].split() == "closed, fail n3 disk sda −40 %".split()  # noqa: SIM905
    assert "cpu was measured 3 days ago, 12 hours at most are allowed: n1, n3, n4, n5, n6" in " ".join(
        text.split()
    )
    assert "(waived by Ada until 2024-06-01: known)" in text
    assert all(len(line) <= 100 for line in text.splitlines()) and len(text.splitlines()) < 40


def test_hostile_names_move_no_cursor_and_break_no_xml() -> None:
    bad = "n\x1b[2J<&\u202e]]>"
    session = replace(SESSION, nodes=[replace(SESSION.nodes[0], node=bad), *SESSION.nodes[1:]], name=bad)
    gate = ask(passed(session, [finding(bad)]))
    assert "\x1b" not in draw_text(gate) + draw_junit(gate)
    etree.XMLSchema(etree.fromstring(SCHEMA)).assertValid(etree.fromstring(draw_junit(gate).encode()))


def junit(gate: Gate) -> dict[tuple[str, str], str]:
    """(check, node) → how an independent reader takes it; the counts of each suite must agree."""
    kinds = {Failure: "failure", Error: "error", Skipped: "skipped"}
    found = {}
    for suite in JUnitXml.fromstring(draw_junit(gate).encode()):
        told = []
        for case in suite:
            told.append(kinds[type(case.result[0])] if case.result else "passed")
            found[str(case.classname), str(case.name)] = told[-1]
        counted = (suite.tests, suite.failures, suite.errors, suite.skipped)
        assert counted == (len(told), told.count("failure"), told.count("error"), told.count("skipped"))
    return found


def test_junit_has_a_case_per_node_and_check_and_is_valid_by_ants_schema() -> None:
    data = passed(SESSION, [finding("n3"), finding("n4"), finding("n5", element="leaf:sw1")], n2="unknown")
    gate = ask(data, "expected: 7\n" + waiver("node: n4"))
    etree.XMLSchema(etree.fromstring(SCHEMA)).assertValid(etree.fromstring(draw_junit(gate).encode()))
    cases = junit(gate)
    assert {case for case, how in cases.items() if how == "passed"} == {
        (f"gate.{check}", node)
        for check in ("session", "findings", "unknown", "expected")
        for node in ("fleet", "n1", "n2", "n3", "n4", "n5", "n6")
    } - {
        ("gate.findings", "n3"),
        ("gate.findings", "n4"),
        ("gate.unknown", "n2"),
        ("gate.expected", "fleet"),
    }
    assert cases["gate.findings", "n3"] == cases["gate.findings", "leaf:sw1"] == "failure"
    assert cases["gate.findings", "n4"] == "skipped"
    assert cases["gate.unknown", "n2"] == "error"
    assert cases["gate.expected", "fleet"] == "failure"


def test_the_real_judges_verdicts_reach_it() -> None:
    slow = whole(Fleet(8).benchmarks().slow("n3", "disk", 0.3))
    gate = ask(judged(slow))
    assert {reason.element for reason in gate.reasons} == {"node:n3"}
