"""The decision: a policy, data and a moment in, open, closed or cannot tell out. No I/O, no clock; it fails closed.

Whatever the policy, a finding of severity ``fail`` closes unless somebody answers for it by name until a day that has not
passed; and what is missing, doubled, from another session or from the future never opens. The order of the data changes
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ahc_agent.order import natural_order
from ahc_server.gate.books import Books
from ahc_server.gate.checks import CHECKS, FLEET, Asked, Data
from ahc_server.gate.model import ASKS, EXIT, Check, Checked, Gate, Reason, State, Waived
from ahc_server.gate.policy import Policy, waives
from ahc_server.judge import wording

_SEVERE = {"fail": 0, "warn": 1, "info": 2, None: 3}
_PLACE = {check: place for place, check in enumerate(CHECKS)}


def decide(policy: Policy, data: Data, now_s: float, node: str | None = None) -> Gate:
    """May this fleet be deployed, at ``now_s`` (Unix seconds)? With ``node``: may this one?

    For one node nothing is tolerated that could not be judged, and minimum counts are not asked. But the session has to be
    whole all the same: a node is judged by its peers.
    """
    books = Books(data.session)
    asked = Asked(policy, data, books, now_s)
    checks = [check for check, (is_asked, _) in CHECKS.items() if is_asked(policy)]
    reasons = [reason for check in checks for reason in CHECKS[check][1](asked)]
    notes: list[str] = []
    if node is not None:
        checks = [check for check in checks if check != "profiles"]
        reasons = [*_about(node, reasons), *_stranger(node, asked)]
    reasons, waived, expired = _hear(policy, reasons, now_s, notes, whole=node is None)
    reasons = _tolerate(policy.unknown if node is None else 0, reasons, notes)
    reasons.sort(key=_seriousness)
    state = _state(reasons)
    comparison = data.comparison
    if comparison is not None and "compare" in checks:
        notes += [f"compared with {comparison.before.session}: {note}" for note in comparison.notes]
    return Gate(
        state=state,
        exit_code=EXIT[state],
        policy=policy.file,
        step=policy.step,
        session=data.session.name,
        before=None if comparison is None or "compare" not in checks else comparison.before.session,
        node=node,
        at=_utc(now_s),
        data_up_to=_utc(books.newest_s),
        nodes=[node] if node is not None else _everyone(asked),
        checks=[_checked(check, reasons) for check in checks],
        reasons=reasons,
        waived=sorted(waived, key=lambda each: _seriousness(each.reason)),
        expired=expired,
        notes=notes,
    )


def _about(node: str, reasons: Iterable[Reason]) -> list[Reason]:
    """What concerns one node: itself, what it hangs on, and whether the session is whole."""
    return [
        reason
        for reason in reasons
        if node in reason.nodes
        or reason.element == f"node:{node}"
        or reason.check == "session"
        or (reason.element == FLEET and reason.check not in ("expected", "profiles"))
    ]


def _stranger(node: str, asked: Asked) -> list[Reason]:
    if node in {record.node for record in asked.data.session.nodes}:
        return []
    text = f"{node} is not in session {asked.data.session.name}"
    return [Reason(check="session", state="cannot tell", element=FLEET, nodes=[node], summary=text)]


def _hear(
    policy: Policy, reasons: Sequence[Reason], now_s: float, notes: list[str], *, whole: bool
) -> tuple[list[Reason], list[Waived], list[str]]:
    """Reasons that stand, reasons that somebody answers for, waivers that are over. What concerns the fleet as a whole cannot
    be waived: there the policy itself says what it wants."""
    today = datetime.fromtimestamp(now_s, UTC).date()
    standing: list[Reason] = []
    waived: list[Waived] = []
    used: set[int] = set()
    over = [waiver for waiver in policy.waivers if not waiver.holds(today)]
    for reason in reasons:
        found = None
        for place, waiver in enumerate(policy.waivers):
            matches = reason.element != FLEET and waives(
                waiver, reason.element, reason.component, reason.kind
            )
            if matches and waiver.holds(today):
                found = found or waiver
                used.add(place)
        if found is None:
            standing.append(reason)
        else:
            waived.append(Waived(reason=reason, who=found.who, why=found.why, until=found.until.isoformat()))
    if whole:
        notes += [
            f"the waiver for {waiver.about} ({waiver.who}) meets nothing"
            for place, waiver in enumerate(policy.waivers)
            if place not in used and waiver.holds(today)
        ]
    expired = [f"{each.about}: {each.who}, {each.why}; ended after {each.until.isoformat()}" for each in over]
    return standing, waived, expired


def _tolerate(most: int, reasons: list[Reason], notes: list[str]) -> list[Reason]:
    """Without the nodes that were measured and could not be judged, where there are no more of them than are tolerated."""
    unknown = [reason for reason in reasons if reason.check == "unknown" and reason.kind == "not-judged"]
    nodes = sorted({node for reason in unknown for node in reason.nodes}, key=natural_order)
    if not nodes or len(nodes) > most:
        return reasons
    notes.append(
        f"tolerated: {wording.nodes_word(len(nodes))} of {most:,} at most could not be judged: {wording.listed(nodes)}"
    )
    gone = set(map(id, unknown))
    return [reason for reason in reasons if id(reason) not in gone]


def _checked(check: Check, reasons: Sequence[Reason]) -> Checked:
    mine = [reason for reason in reasons if reason.check == check]
    return Checked(check=check, state=_state(mine), asks=ASKS[check], reasons=len(mine))


def _state(reasons: Iterable[Reason]) -> State:
    states = Counter(reason.state for reason in reasons)
    return "closed" if states["closed"] else "cannot tell" if states["cannot tell"] else "open"


def _everyone(asked: Asked) -> list[str]:
    """All nodes of the session, and those that are expected by name."""
    expected = asked.policy.expected
    names = {record.node for record in asked.data.session.nodes}
    names.update(() if expected is None or isinstance(expected, int) else expected)
    return sorted(names, key=lambda name: (natural_order(name), name))


def _seriousness(reason: Reason) -> tuple[object, ...]:
    return (
        reason.state != "closed",
        _SEVERE.get(reason.severity, 3),
        _PLACE[reason.check],
        natural_order(reason.element),
        reason.element,
        reason.component or "",
        reason.kind or "",
        reason.summary,
    )


def _utc(at_s: float) -> str:
    return datetime.fromtimestamp(int(at_s), UTC).isoformat().replace("+00:00", "Z")
