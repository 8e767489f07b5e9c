"""The checks of a gate: each a function from policy and data to the reasons against opening it.

No check may stay silent where it lacks what it asks for: then it says so, as "cannot tell".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from ahc_agent.facts import Inventory
from ahc_server import readystate
from ahc_server.gate.books import Books
from ahc_server.gate.model import Check, Reason
from ahc_server.gate.policy import Compare, Policy, Required, closes
from ahc_server.history.model import Comparison
from ahc_server.history.networks import NetworkChange
from ahc_server.judge import wording
from ahc_server.judge.model import Finding, Report
from ahc_server.profiles.model import Matches
from ahc_server.session import Session

#: Clocks of two machines differ; data that is newer than now by more is not believed.
CLOCK_SLACK_S = 300.0
FLEET: Final = "fleet"


@dataclass(frozen=True, slots=True)
class Data:
    """What a gate decides from. ``matches``, ``comparison``: None where the policy asks for none, or where there is none;
    ``problem``: check → why there is none."""

    session: Session
    report: Report
    matches: Matches | None = None
    comparison: Comparison | None = None
    problem: Mapping[str, str] | None = None

    def why_not(self, check: Check) -> str:
        return (self.problem or {}).get(check, "nobody asked for it")


@dataclass(frozen=True, slots=True)
class Asked:
    """Policy, data, their books, and the moment (Unix seconds) for which the gate answers."""

    policy: Policy
    data: Data
    books: Books
    now_s: float


def whole_session(asked: Asked) -> Iterator[Reason]:
    for nodes, text in asked.books.gaps(asked.data.report):
        if not nodes:
            yield _cannot_tell("session", FLEET, text)
            continue
        element = f"{'node' if len(nodes) == 1 else 'pair'}:{'-'.join(nodes)}"
        component = None if len(nodes) == 1 else "network"
        told = f"{'-'.join(nodes)}: {text}"
        yield _cannot_tell("session", element, told, list(nodes), kind="not-measured", component=component)
    if asked.books.newest_s > asked.now_s + CLOCK_SLACK_S:
        yield _cannot_tell("session", FLEET, "its data is from the future: one of two clocks is wrong")
    if asked.data.report.session != asked.data.session.name:
        yield _cannot_tell("session", FLEET, "the report is of another session")


def findings(asked: Asked) -> Iterator[Reason]:
    close_on = asked.policy.close_on
    blamed: set[tuple[str, str]] = set()
    for finding in asked.data.report.findings:
        if finding.severity == "fail" or (
            finding.kind != "not-measured" and closes(finding.severity, close_on)
        ):
            yield _found(finding)
        if finding.kind != "not-measured":
            blamed.update((node, finding.severity) for node in finding.nodes)
    for node in asked.data.report.nodes:
        severe = node.verdict == "fail" or (node.verdict == "warn" and close_on != "fail")
        if severe and (node.id, node.verdict) not in blamed:
            text = f"{node.id}: its verdict is {node.verdict}, and no finding tells why"
            yield _closed("findings", f"node:{node.id}", text, [node.id], severity=node.verdict)


def unknown_nodes(asked: Asked) -> Iterator[Reason]:
    """Nodes that could not be judged. "not-judged" are those that were measured: how many of them are tolerated is decided when
    waivers were heard. What was not measured is never tolerated: it could be what stood against a node."""
    told: set[str] = set()
    why: dict[str, Finding] = {}
    for finding in asked.data.report.findings:
        if finding.kind != "not-measured":
            continue
        if finding.element.startswith("node:"):
            told.update(finding.nodes)
            yield _unjudged(finding.element, finding.nodes, finding, finding.summary)
        elif finding.severity != "info":
            yield _unjudged(finding.element, [], finding, finding.summary)
        for node in finding.nodes:
            why.setdefault(node, finding)
    for verdict in asked.data.report.nodes:
        node = verdict.id
        if verdict.verdict != "unknown" or node in told:
            continue
        reason = why.get(node)
        text = "could not be judged" + ("" if reason is None else f": {reason.summary}")
        yield _unjudged(f"node:{node}", [node], reason, f"{node}: {text}", kind="not-judged")


def expected_nodes(asked: Asked) -> Iterator[Reason]:
    session, expected = asked.data.session, asked.policy.expected
    there = {record.node for record in session.nodes}
    for record in session.nodes:
        if record.lost is not None:
            text = (
                f"{record.node} vanished from the session ({record.lost}); check power, console and network"
            )
            yield _closed("expected", f"node:{record.node}", text, [record.node], kind="vanished")
    if isinstance(expected, int):
        if len(there) < expected:
            text = f"{wording.nodes_word(len(there))} in the session where {expected:,} are expected"
            yield _closed("expected", FLEET, text, kind="vanished")
    elif expected is not None:
        for node in expected:
            if node not in there:
                text = f"{node} is expected and not in the session; check power, boot and network"
                yield _closed("expected", f"node:{node}", text, [node], kind="vanished")
        for node in there.difference(expected):
            text = f"{node} is in the session and not on the policy's list"
            yield _closed("expected", f"node:{node}", text, [node], kind="unexpected")


def measured(asked: Asked) -> Iterator[Reason]:
    for required in asked.policy.measured:
        yield from _one_required(asked, required)


def _one_required(asked: Asked, required: Required) -> Iterator[Reason]:
    what, component = required.what, required.what.partition(".")[0]
    taken = asked.books.taken(what)
    if not taken:
        text = f"{what}: required by the policy, and no node of the session has it"
        yield _cannot_tell("measured", FLEET, text, kind="not-measured", component=component)
        return
    for node in {record.node for record in asked.data.session.nodes}:
        kind, text = "stale", ""
        at_s = taken.get(node)
        if node not in taken:
            kind, text = "not-measured", f"{what} was not measured"
        elif at_s is None:
            text = f"nobody knows when {what} was measured"
        elif at_s > asked.now_s + CLOCK_SLACK_S:
            text = f"{what} was measured in the future: one of two clocks is wrong"
        elif required.age_s is not None and asked.now_s - at_s > required.age_s:
            text = f"{what} was measured {age(asked.now_s - at_s)} ago, {age(required.age_s)} at most are allowed"
        if text:
            yield _cannot_tell(
                "measured", f"node:{node}", f"{node}: {text}", [node], kind=kind, component=component
            )


def _matches(asked: Asked) -> Matches | Reason:
    """Who serves as what, or why that cannot be told."""
    matches = asked.data.matches
    if matches is not None and matches.session == asked.data.session.name:
        return matches
    why = asked.data.why_not("profiles") if matches is None else "the matches are of another session"
    return _cannot_tell("profiles", FLEET, f"profiles were not matched: {why}")


def profiles(asked: Asked) -> Iterator[Reason]:
    matches = _matches(asked)
    if isinstance(matches, Reason):
        yield matches
        return
    there = {record.node for record in asked.data.session.nodes if record.lost is None}
    for name, least in asked.policy.least:
        got, maybe = set(), set()
        for node in matches.nodes:
            if node.profile == name:
                got.add(node.id)
            elif node.profile is None and any(
                each.profile == name and each.fit == "unknown" for each in node.answers
            ):
                maybe.add(node.id)
        got, maybe = got & there, (maybe - got) & there
        if len(got) < least:
            text = f"profile {name}: {wording.nodes_word(len(got))}, {least:,} at least are wanted"
            text += "".join(f"; {each.why}" for each in matches.unfilled if each.profile == name)
            if len(got) + len(maybe) < least:
                yield _closed("profiles", FLEET, text, kind="missing")
            else:
                yield _cannot_tell("profiles", FLEET, f"{text}; of {len(maybe):,} more it cannot be told")


def ready(asked: Asked) -> Iterator[Reason]:
    """Drift closes. What is not told, and a node without a profile of which nobody knows how it should be, cannot be told."""
    matches = _matches(asked)
    if isinstance(matches, Reason):
        yield msgspec.structs.replace(matches, check="ready")
        return
    inventories = {
        record.node: record.inventory
        for record in asked.data.session.nodes
        if record.inventory is not None and record.lost is None
    }
    if not any(
        readystate.wants(node, Inventory(collected_at=""))
        for node in matches.nodes
        if node.profile is not None
    ):
        text = "no node has a profile that says what firmware, BIOS, RAID or BMC should be"
        yield _cannot_tell("ready", FLEET, text)
    placed = {node.id for node in matches.nodes if node.profile is not None}
    for record in asked.data.session.nodes:
        if record.node not in placed:
            text = f"{record.node}: no profile says how it should be"
            yield _cannot_tell("ready", f"node:{record.node}", text, [record.node], kind="missing")
    for drift in readystate.findings(readystate.compare(matches, inventories)):
        state: Literal["closed", "cannot tell"] = "cannot tell" if drift.kind == "not-measured" else "closed"
        yield msgspec.structs.replace(_found(drift), check="ready", state=state)


def compared(asked: Asked) -> Iterator[Reason]:
    comparison, wanted = asked.data.comparison, asked.policy.compare
    assert wanted is not None
    if comparison is None or comparison.after.session != asked.data.session.name:
        why = asked.data.why_not("compare") if comparison is None else "it is of another session"
        yield _cannot_tell("compare", FLEET, f"not compared with the session before: {why}")
        return
    if not comparison.metrics:
        yield _cannot_tell(
            "compare", FLEET, f"nothing was measured both in {comparison.before.session} and now"
        )
    yield from _worse(comparison, wanted)
    for node in comparison.gone:
        text = f"{node} was in {comparison.before.session} and is not in this session"
        yield _closed("compare", f"node:{node}", text, [node], kind="vanished")
    for node in comparison.new:
        text = f"{node} was not in {comparison.before.session}: there is nothing to compare it with"
        yield _cannot_tell("compare", f"node:{node}", text, [node], kind="unexpected")
    for gap in comparison.gaps:
        for node in gap.nodes if gap.blocking else ():
            if node not in comparison.gone:
                yield _cannot_tell(
                    "compare", f"node:{node}", f"{node}: {gap.what}", [node], kind="not-measured"
                )
        if gap.blocking and not gap.nodes:
            yield _cannot_tell("compare", FLEET, gap.what)


def _worse(comparison: Comparison, wanted: Compare) -> Iterator[Reason]:
    for change in comparison.changed:
        if change.kind == "slower" and closes(change.severity, wanted.close_on):
            yield Reason(
                check="compare",
                state="closed",
                element=f"node:{change.node}",
                nodes=[change.node],
                component=change.component,
                kind="slower",
                severity=change.severity,
                summary=change.summary,
            )
    for shared in comparison.shared:
        if shared.kind == "slower" and shared.matters and closes(shared.severity, wanted.close_on):
            yield Reason(
                check="compare",
                state="closed",
                element=f"group:{shared.group}",
                nodes=shared.nodes,
                component=shared.component,
                kind="slower",
                severity=shared.severity,
                summary=shared.summary,
            )
    for network in comparison.networks or []:
        yield from _worse_network(network, wanted)


def _worse_network(network: NetworkChange, wanted: Compare) -> Iterator[Reason]:
    """The elements that went bad. The comparison knows a severity of the worst of a job alone, and it counts for all of them."""
    if network.severity == "info" or not closes(network.severity, wanted.close_on):
        return
    came = [(each.element, f"{each.by} {wording.percent(each.effect)}") for each in network.came]
    came = came or [
        (f"pair:{pair.replace(' → ', '-')}", "nothing comes through") for pair in network.silenced
    ]
    for element, text in came or [(FLEET, "the network became worse")]:
        _, _, name = element.partition(":")
        yield Reason(
            check="compare",
            state="closed",
            element=element,
            nodes=[name] if element.startswith("node:") else [],
            component="network",
            kind="slower",
            severity=network.severity,
            summary=f"{name or element}: network, job {network.job}: {text} since the session before",
        )


#: Every check, and whether a policy asks it. The first four cannot be switched off.
CHECKS: Final[Mapping[Check, tuple[Callable[[Policy], bool], Callable[[Asked], Iterator[Reason]]]]] = {
    "session": (lambda _: True, whole_session),
    "findings": (lambda _: True, findings),
    "unknown": (lambda _: True, unknown_nodes),
    "expected": (lambda _: True, expected_nodes),
    "measured": (lambda policy: bool(policy.measured), measured),
    "profiles": (lambda policy: bool(policy.least), profiles),
    "ready": (lambda policy: policy.ready_state, ready),
    "compare": (lambda policy: policy.compare is not None, compared),
}


def age(seconds: float) -> str:
    """90000 s as people say it: 25 hours."""
    for name, unit in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.0f} {name}"
    return f"{seconds:,.0f} seconds"


def _found(finding: Finding) -> Reason:
    return Reason(
        check="findings",
        state="closed",
        element=finding.element,
        nodes=finding.nodes,
        component=finding.component,
        kind=finding.kind,
        severity=finding.severity,
        summary=finding.summary,
    )


def _unjudged(
    element: str, nodes: list[str], finding: Finding | None, text: str, kind: str = "not-measured"
) -> Reason:
    return Reason(
        check="unknown",
        state="cannot tell",
        element=element,
        nodes=nodes,
        component=None if finding is None else finding.component,
        kind=kind,
        severity=None if finding is None else finding.severity,
        summary=text,
    )


def _closed(
    check: Check,
    element: str,
    text: str,
    nodes: list[str] | None = None,
    *,
    kind: str | None = None,
    severity: str | None = None,
) -> Reason:
    return Reason(
        check=check,
        state="closed",
        element=element,
        nodes=nodes or [],
        kind=kind,
        severity=severity,
        summary=text,
    )


def _cannot_tell(
    check: Check,
    element: str,
    text: str,
    nodes: list[str] | None = None,
    *,
    kind: str | None = None,
    component: str | None = None,
) -> Reason:
    return Reason(
        check=check,
        state="cannot tell",
        element=element,
        nodes=nodes or [],
        component=component,
        kind=kind,
        summary=text,
    )
