"""What a session's choice of pairs could not have seen."""

from __future__ import annotations

from collections import Counter

from ahc_server.session import Session


def unseen(session: Session) -> str | None:
    """One sentence for the report's notes where not every pair of machines met; None where all did, or no network was tested.

    Each node is judged by a few partners: a card, a cable or a switch shows there. What is wrong between two nodes alone (a
    hash bucket, a route) shows only when these two meet.
    """
    lost = {node.machine for node in session.nodes if node.lost is not None}
    met: dict[tuple[str, int], set[frozenset[str]]] = {}
    for record in session.outcomes:
        if record.outcome.pair is not None:
            ends = frozenset((record.machine, record.outcome.pair.peer))
            if lost & ends:
                continue  # what a lost node missed was no choice
            met.setdefault((record.job, record.hosts), set()).add(ends)
    told = []
    for (job, _), pairs in sorted(met.items()):
        partners = Counter(name for pair in pairs for name in pair)
        every = len(partners) * (len(partners) - 1) // 2
        if len(pairs) < every:
            told.append((len(pairs) / every, job, len(pairs), every))
    if not told:
        return None
    _, job, pairs_met, every = min(told)
    return (
        f"{job}: {pairs_met:,} of {every:,} pairs of nodes met: what is wrong between two nodes alone was not looked for among "
        f"the others (`rounds: all` does)"
    )
