"""Pairwise results into the store: a session of nodes known by their names, and one step with all rounds.

What the document says of a node stands in its inventory, where an agent's would: the card's speed, and as its LLDP neighbour
the switch. So the judge reads both in one place.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import gmtime, strftime

from ahc_agent.errors import UsageError
from ahc_agent.facts import Inventory, Lldp, Nic
from ahc_agent.wire.messages import Hello, Identity, TaskOutcome
from ahc_server import __version__
from ahc_server.flows import FlowTable
from ahc_server.importers.pairwise import Pairwise
from ahc_server.importers.session import session_uid
from ahc_server.store import Store
from ahc_server.store.kept import keep
from ahc_server.store.records import Record, ResultKept, SessionChanged, StepEnded, StepStarted, TaskRow

PLAN_NAME = "pairwise"
JOB = "pairwise"
_INVENTORY, _NETWORK = 1, 2


def write(store: Store, session: str, pairwise: Pairwise) -> None:
    """As a session, in one transaction. Its time is the file's. Raises UsageError where the name is taken."""
    uid = session_uid(session)
    at_s = pairwise.at_unix_s
    with store.transaction():
        if store.has_session(session):
            raise UsageError(f"there is a session {session!r} already (choose another name)")
        number = store.create_session(
            session,
            uid,
            PLAN_NAME,
            "# imported pairwise network results\n",
            [(node, _hello(node)) for node in pairwise.nodes],
            at_s,
            "done",
        )
        store.apply(number, list(_inventories(pairwise, uid)))
        hosts = len(pairwise.nodes)
        store.apply(number, [StepStarted(_NETWORK, JOB, "network", hosts, pairwise.nodes, at_s)])
        store.add_flows(number, _tables(pairwise))
        store.apply(number, [StepEnded(_NETWORK, at_s, None), SessionChanged("done", at_s)])


def _hello(node: str) -> Hello:
    return Hello(
        identity=Identity(name=node, hostname=node), instance="import", agent_version=f"import {__version__}"
    )


def _inventories(pairwise: Pairwise, uid: str) -> Iterator[Record]:
    at_s = pairwise.at_unix_s
    yield StepStarted(_INVENTORY, "inventory", "inventory", len(pairwise.nodes), pairwise.nodes, at_s)
    line = pairwise.line_bits_per_s
    for number, node in enumerate(pairwise.nodes):
        leaf = pairwise.leaf.get(node)
        card = Nic(
            name="card",
            speed_mbps=None if line is None else round(line / 1e6),
            carrier=True,
            lldp=None if leaf is None else Lldp(system_name=leaf),
        )
        inventory = Inventory(collected_at=strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(at_s)), nics=[card])
        outcome = TaskOutcome(status="ok", started_at_unix_s=at_s, inventory=inventory)
        task = f"{uid}-{_INVENTORY}-{number}"
        yield TaskRow(task, _INVENTORY, 0, node, task, "solo", 1, "done")
        yield ResultKept(task, keep(outcome), at_s)
    yield StepEnded(_INVENTORY, at_s, None)


def _tables(pairwise: Pairwise) -> Iterator[FlowTable]:
    for wave, each in enumerate(pairwise.rounds):
        yield FlowTable(
            JOB,
            _NETWORK,
            len(pairwise.nodes),
            wave,
            pairwise.nodes,
            each.source,
            each.destination,
            each.bytes_per_s,
            each.rtt_us,
        )
