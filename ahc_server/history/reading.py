"""One session's values as arrays, under the names that its nodes use themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from ahc_agent.order import natural_order
from ahc_server.history.flowside import FlowSide, flow_sides
from ahc_server.judge.again.second import split_repeats
from ahc_server.judge.disks import DiskNames
from ahc_server.judge.features import Cells, CellWriter, write_measurements
from ahc_server.judge.network import examine_run, pair_runs, wiring, write_capacities
from ahc_server.judge.rampup import judge_rampups
from ahc_server.judge.rampup_model import Rampup
from ahc_server.session import NodeRecord, Session
from ahc_server.switches import data_addresses


class Side(msgspec.Struct, kw_only=True, frozen=True):
    """One session, as the answers name it. ``data_up_to``: when its newest data came in, UTC."""

    session: str
    state: str
    nodes: int
    data_up_to: str


@dataclass(frozen=True, slots=True)
class Reading:
    """``records`` by row, in natural order of their ids; ``cells`` refer to these rows. A disk's part is what its node calls
    it. ``flows``: tests of pairs, where they were asked for."""

    side: Side
    created_at_s: float
    plan: str
    records: list[NodeRecord]
    cells: Cells
    rampups: list[Rampup] = field(default_factory=list)
    flows: list[FlowSide] = field(default_factory=list)


def read(session: Session, *, flows: bool = False) -> Reading:
    """The values of a session, as its plan measured them; what was measured again in doubt (``ahc confirm``) has its own report.
    ``flows``: also what each pair of nodes reached.

    Small beside the session itself, which need not be kept.
    """
    session, _ = split_repeats(session)
    records = sorted(session.nodes, key=lambda record: (natural_order(record.node), record.node))
    rows = {record.machine: row for row, record in enumerate(records)}
    writer = CellWriter()
    write_measurements(session, rows, DiskNames(), writer)
    known = wiring(records, data_addresses(session))
    lost = {row for row, record in enumerate(records) if record.lost is not None}
    runs = [(run, examine_run(run, len(records), known, lost)) for run in pair_runs(session, rows)]
    for run, answer in runs:
        write_capacities(run, len(records), writer, answer)
    times = [session.created_at_s]
    times += [at for step in session.steps for at in (step.started_at_s, step.ended_at_s) if at is not None]
    newest = datetime.fromtimestamp(max(times), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    side = Side(session=session.name, state=session.state, nodes=len(records), data_up_to=newest)
    ramps = judge_rampups(session, records, {}).rampups
    sides = flow_sides(runs, known, [record.node for record in records]) if flows else []
    return Reading(side, session.created_at_s, session.plan, records, writer.cells(), ramps, sides)
