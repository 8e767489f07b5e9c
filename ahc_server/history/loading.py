"""Sessions of a store, as what is compared: read one after another, so that only their values stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from ahc_agent.errors import NoData
from ahc_server.history.reading import Reading, read
from ahc_server.judge import judge_session
from ahc_server.judge.thresholds import Tables
from ahc_server.session import Session
from ahc_server.store import Store


def load(store: Store, name: str | None, *, flows: bool = False) -> Reading:
    """One session; the newest where no name is given; ``flows``: with what each pair of nodes reached. Raises NoData,
    CannotAnswer."""
    with _session(store, name) as session:
        return read(session, flows=flows)


def judged(store: Store, name: str | None, limits: Tables | None = None) -> tuple[Reading, dict[str, str]]:
    """A session and the judge's verdict of each node, by the limits that are shipped or others."""
    with _session(store, name) as session:
        reading = read(session)
        report = judge_session(session, generated_at=reading.side.data_up_to, limits=limits)
    return reading, {node.id: node.verdict for node in report.nodes}


def load_newest(store: Store, most: int) -> list[Reading]:
    """The newest sessions that have nodes and are over, oldest first."""
    found: list[Reading] = []
    for summary in store.sessions():
        if len(found) == most:
            break
        if summary.nodes and summary.state in ("done", "stopped"):
            found.append(load(store, summary.name))
    # Sessions of one time stay in the order in which they came in.
    found.reverse()
    return sorted(found, key=lambda reading: reading.created_at_s)


@contextmanager
def _session(store: Store, name: str | None) -> Iterator[Session]:
    session = store.load_session(name)
    if not session.nodes:
        raise NoData(f"session {session.name} has no nodes")
    # A large session is many objects that all stay: the cycle collector need not look through them.
    gc.freeze()
    try:
        yield session
    finally:
        gc.unfreeze()
