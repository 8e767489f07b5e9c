"""The judge: a session in, a report out. No I/O, no clock, no chance: the same data gives the same report.

::

    session ──▶ features, network                   what was measured, as arrays, and how far it can be trusted
            ──▶ hardware, groups                    who can be compared with whom, and (disks) which part with which
            ──▶ facts/, health                      what the machines are, how they differ, what they say of their health
            ──▶ outofband                           what their BMCs say of it
            ──▶ gather, scores, suspects            who is slower than its peers, with false discoveries controlled
            ──▶ findings, causes, populations       one finding per sheep and cause
            ──▶ wires                               what nodes tell of their cards, addresses and cables
            ──▶ coverage, connections, again/       what could not be judged, who cannot talk, what a second run says
            ──▶ model.Report                        the verdicts
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from ahc_agent.order import natural_order
from ahc_server.judge import wording
from ahc_server.judge.again.confirm import SecondRuns, split_repeats
from ahc_server.judge.blame import counted, with_causes
from ahc_server.judge.boots import told_by_boots
from ahc_server.judge.connections import broken_connections
from ahc_server.judge.cores import layouts_of
from ahc_server.judge.coverage import Coverage, Fleet, fleet_of, gaps, lost_nodes
from ahc_server.judge.disks import match_disks
from ahc_server.judge.elements import element_findings, named, node_findings, notes, with_proof
from ahc_server.judge.facts.oddities import odd_nodes, oddities
from ahc_server.judge.facts.table import table
from ahc_server.judge.features import CellWriter, matrices, write_measurements
from ahc_server.judge.findings import accused
from ahc_server.judge.groups import Grouping, group_nodes
from ahc_server.judge.hardware import hardware_of
from ahc_server.judge.health import ill_parts, merged
from ahc_server.judge.health_peers import beside_peers
from ahc_server.judge.localise import Answer
from ahc_server.judge.model import Counts, Finding, Group, NodeVerdict, Report, Verdict
from ahc_server.judge.network import PairRun, Wiring, examine_run, pair_runs, wiring, write_capacities
from ahc_server.judge.outofband import told_by_bmcs
from ahc_server.judge.populations import populations
from ahc_server.judge.rampup import judge_rampups
from ahc_server.judge.rounds import Round, round_notes, rounds_of
from ahc_server.judge.stalls import stalled_flows
from ahc_server.judge.suspects import GroupTest, examine
from ahc_server.judge.thresholds import SHIPPED, Tables
from ahc_server.judge.unexplained import unexplained
from ahc_server.judge.wires import with_wires
from ahc_server.rounds.unseen import unseen, unsettled
from ahc_server.rounds.untried import untried
from ahc_server.session import NodeRecord, Session
from ahc_server.switches import data_addresses

_RANK = {"fail": 0, "warn": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Judgement:
    """The report, and the tests behind it, group by group, for those who want to see every value.

    ``nodes`` are the display ids by row, which ``GroupTest.matrix.rows`` refers to; so do ``runs``, the tests of pairs with what
    the localiser makes of them, and ``wiring``. ``rounds``: what ran at once in them.
    """

    report: Report
    nodes: list[str]
    tests: list[GroupTest]
    runs: list[tuple[PairRun, Answer]] = field(default_factory=list)
    wiring: Wiring | None = None
    rounds: list[Round] = field(default_factory=list)


def judge_session(session: Session, *, generated_at: str, limits: Tables | None = None) -> Report:
    """Judge a session. ``generated_at`` is written into the report as it is. ``limits``: by default those that are shipped."""
    return judge(session, generated_at=generated_at, limits=limits).report


def judge(session: Session, *, generated_at: str, limits: Tables | None = None) -> Judgement:
    """As ``judge_session``, with the tests behind the report."""
    chosen = limits or SHIPPED
    session, repeats = split_repeats(session)
    # Of two reasons for one gap the first is told: the order of the data must not choose it.
    session = replace(
        session, outcomes=sorted(session.outcomes, key=lambda each: (each.task_id, each.machine))
    )
    records = sorted(session.nodes, key=lambda record: (natural_order(record.node), record.node))
    fleet = fleet_of(session, records)
    rows = {record.machine: row for row, record in enumerate(records)}
    lost = {row for row, record in enumerate(records) if record.lost is not None}

    inventories = [record.inventory for record in records]
    hardware = hardware_of(inventories)
    grouping = group_nodes(hardware)
    disks = match_disks(inventories, grouping.groups)

    writer = CellWriter()
    write_measurements(session, rows, disks, writer)
    known = wiring(records, data_addresses(session))
    runs = [(run, examine_run(run, len(records), known, lost)) for run in pair_runs(session, rows)]
    for run, answer in runs:
        write_capacities(run, len(records), writer, answer)
        fleet.asked.setdefault((run.job, run.hosts), set()).update(run.rows)
        fleet.subject_of.setdefault(run.job, "network")
    told_of_network = named(runs)
    cells = writer.cells()
    made = matrices(cells, grouping.groups, len(records))
    tables = [table([int(row) for row in matrix.rows], inventories, disks) for matrix in made]
    thresholds = [chosen.holding_for([records[int(row)] for row in matrix.rows]) for matrix in made]
    tests = examine(
        cells,
        made,
        [[(fact.component, codes) for fact, codes in each.batches()] for each in tables],
        [layouts_of([inventories[int(row)] for row in matrix.rows]) for matrix in made],
        thresholds,
        disks,
        told_of_network.nodes,
    )

    ran = counted(session, rows)
    row_of = {node: row for row, node in enumerate(fleet.names)}
    again = SecondRuns(repeats, fleet.names, rows, disks)
    broken, isolated = broken_connections(runs, fleet.names)
    coverage = [lost_nodes(fleet, session)]
    findings = broken + element_findings(runs, fleet.names, chosen.holding_for(records))
    for number, (test, facts, holding) in enumerate(zip(tests, tables, thresholds, strict=True)):
        group = f"g{number + 1}"
        members = [int(row) for row in test.matrix.rows]
        odd = oddities(facts, group, fleet.names, disks)
        coverage.append(gaps(test, cells, fleet, group, holding, isolated, odd.explained))
        slow, remarks = accused(test, fleet.names, disks, holding)
        slow = [
            replace(each, finding=with_proof(each.finding, told_of_network, row_of, fleet.names, inventories))
            for each in slow
        ]
        blamed, causes = with_causes(slow, test, facts, disks, ran)
        parted, halved = populations(test, group, fleet.names, facts, {members[each.place] for each in slow})
        coverage.append(Coverage(parted, halved))
        about = again.join([*blamed, *remarks], test)
        findings += odd_nodes(odd, fleet.names, len(members) - 1, about, causes) + odd.shared
        findings += merged(beside_peers(members, group, fleet.names, inventories), about)
    findings += node_findings(told_of_network, findings, fleet.names, chosen.holding_for(records))
    told = [(record.node, record.inventory) for record in records if record.inventory is not None]
    findings = merged((ill for name, inventory in told for ill in ill_parts(name, inventory)), findings)
    findings = merged(told_by_bmcs(records), findings)
    findings += told_by_boots(records)
    findings = with_wires(findings, session, rows, records, grouping.groups)
    coverage.append(_ungrouped(grouping, fleet))
    for part in coverage:
        findings += part.findings
    group_of = {fleet.names[row]: f"g{number + 1}" for number, of in enumerate(grouping.groups) for row in of}
    ramps = judge_rampups(session, records, group_of, findings)
    findings += ramps.findings + stalled_flows(
        session, {each.machine: each.node for each in records}, group_of
    )
    unjudged = set().union(*(part.unjudged for part in coverage))
    report = _report(session, generated_at, fleet, grouping, findings, unjudged)
    by = [chosen.note] if chosen.note else []
    rounds = rounds_of(session, rows, known)
    report = msgspec.structs.replace(
        report,
        notes=[
            *by,
            *report.notes,
            *ramps.notes,
            *notes(runs, fleet.names),
            *round_notes(rounds),
            *unexplained(runs, fleet.names, {each.job for each in rounds}),
            *again.notes(),
        ],
        rampups=ramps.rampups or msgspec.UNSET,
    )
    return Judgement(report=report, nodes=fleet.names, tests=tests, runs=runs, wiring=known, rounds=rounds)


def _ungrouped(grouping: Grouping, fleet: Fleet) -> Coverage:
    """Nodes of which nothing is known that they could be compared by."""
    coverage = Coverage(unjudged={int(row) for row in grouping.alone})
    for row in grouping.alone:
        record = fleet.records[row]
        if record.lost is None:
            reasons = [said for (at, _), said in fleet.reasons.items() if at == row]
            reason = reasons[0] if reasons else None
            coverage.findings.append(
                Finding(
                    element=f"node:{record.node}",
                    nodes=[record.node],
                    component="system",
                    kind="not-measured",
                    severity="warn",
                    cause=reason,
                    summary=f"{record.node}: no inventory, so it is not known whom to compare it with"
                    + (f": {reason}" if reason else ""),
                )
            )
    return coverage


def _report(
    session: Session,
    generated_at: str,
    fleet: Fleet,
    grouping: Grouping,
    findings: list[Finding],
    unjudged: set[int],
) -> Report:
    names = fleet.names
    verdicts = _verdicts(names, findings, unjudged)
    groups = [
        Group(
            id=f"g{number + 1}",
            size=len(group),
            nodes=[names[row] for row in group],
            hardware=grouping.usual[number].line(),
        )
        for number, group in enumerate(grouping.groups)
    ]
    group_of = {node: group.id for group in groups for node in group.nodes}
    counted = Counter(verdicts.values())
    return Report(
        session=session.name,
        generated_at=generated_at,
        nodes=[NodeVerdict(id=name, group=group_of.get(name), verdict=verdicts[name]) for name in names],
        groups=groups,
        findings=sorted(findings, key=_seriousness),
        counts=Counts(
            nodes=len(names),
            passed=counted["pass"],
            warn=counted["warn"],
            fail=counted["fail"],
            unknown=counted["unknown"],
        ),
        notes=_notes(session, fleet.records),
    )


def _verdicts(names: Sequence[str], findings: Sequence[Finding], unjudged: set[int]) -> dict[str, Verdict]:
    """The worst that is known of each node. What was not measured makes it unknown, and a gap is no guilt; nor is a switch's
    fault one of the nodes behind it."""
    verdicts: dict[str, Verdict] = {
        name: "unknown" if row in unjudged else "pass" for row, name in enumerate(names)
    }
    for finding in sorted(findings, key=_seriousness, reverse=True):
        for name in finding.nodes:
            if finding.kind == "not-measured" or finding.element.startswith("group:"):
                if finding.element.startswith("node:") and verdicts[name] == "pass":
                    verdicts[name] = "unknown"
            elif finding.severity != "info" and not finding.element.startswith(("leaf:", "link:")):
                verdicts[name] = finding.severity
    return verdicts


def _seriousness(finding: Finding) -> tuple[object, ...]:
    """Most serious first: severity, evidence before gaps, size of the effect, name."""
    return (
        _RANK[finding.severity],
        finding.kind == "not-measured",
        finding.effect if finding.effect is not None else 0.0,
        natural_order(finding.element),
        finding.component,
        finding.summary,
    )


def _notes(session: Session, records: Sequence[NodeRecord]) -> list[str]:
    """Sentences about the data itself: ids that are not what was asked, collectors that could not read."""
    told: dict[str, list[str]] = {}
    for record in records:
        if record.id_note:
            told.setdefault(f"id: {record.id_note}", []).append(record.node)
        for error in record.inventory.errors if record.inventory is not None else ():
            told.setdefault(f"inventory, {error.collector}: {error.error}", []).append(record.node)
    notes = [] if session.state == "done" else [f"the session is {session.state}: it may lack results"]
    notes += [*([text] if (text := unseen(session)) is not None else []), *unsettled(session)]
    notes += _untried(session)
    return notes + [f"{text} ({_who(nodes, len(records))})" for text, nodes in sorted(told.items())]


def _untried(session: Session) -> list[str]:
    """A sentence for each reason why pairs that were to meet did not: nobody knows anything of them."""
    called = {record.machine: record.node for record in session.nodes}
    told: dict[tuple[str, str], list[str]] = {}
    for each in untried(session):
        pair = " – ".join(sorted((called.get(end, end) for end in each.ends), key=natural_order))
        told.setdefault((each.job, each.why), []).append(pair)
    return [
        f"{job}: not tested, so nobody knows: {wording.listed(pairs)} ({why})"
        for (job, why), pairs in sorted(told.items())
    ]


def _who(nodes: Sequence[str], fleet: int) -> str:
    if len(nodes) == fleet and fleet > 1:
        return f"all {fleet:,} nodes"
    return f"{wording.nodes_word(len(nodes))}: {wording.listed(list(dict.fromkeys(nodes)))}"
