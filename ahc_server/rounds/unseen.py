"""What a session's choice of pairs could not have seen, and what it saw and could not settle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from ahc_server.rounds.history import History
from ahc_server.session import OutcomeRecord, Session
from ahc_server.switches import data_addresses, labels, switch_of

#: Names in one sentence.
_MOST_NAMED = 8
_MORE = "more rounds tell (`most-rounds`, `budget`)"

_Pairs = dict[frozenset[str], list[OutcomeRecord]]


def unseen(session: Session) -> str | None:
    """One sentence for the report's notes where not every pair of machines met; None where all did, or no network was tested.

    Each node is judged by a few partners: a card, a cable or a switch shows there. What is wrong between two nodes alone (a
    hash bucket, a route) shows only when these two meet; the way between two racks only when some of theirs do.
    """
    told = []
    for (job, _), pairs in sorted(_met(session).items()):
        partners = Counter(name for pair in pairs for name in pair)
        every = len(partners) * (len(partners) - 1) // 2
        if len(pairs) < every:
            told.append((len(pairs) / every, job, len(pairs), every, pairs))
    if not told:
        return None
    _, job, pairs_met, every, pairs = min(told, key=lambda each: each[:4])
    text = (
        f"{job}: {pairs_met:,} of {every:,} pairs of nodes met: what is wrong between two nodes alone was not looked for among "
        f"the others (`rounds: all` does)"
    )
    return text + _unseen_ways(_racks(session), list(pairs))


def _unseen_ways(racks: Mapping[str, str], pairs: Sequence[frozenset[str]]) -> str:
    leaves = {racks[name] for pair in pairs for name in pair if name in racks}
    every = len(leaves) * (len(leaves) - 1) // 2
    ways = {frozenset(racks[name] for name in pair) for pair in pairs if pair <= racks.keys()}
    met = sum(len(way) > 1 for way in ways)
    return f"; nor the ways between {every - met:,} of {every:,} pairs of racks" if met < every else ""


def unsettled(session: Session) -> list[str]:
    """A sentence for each job whose rounds were chosen and ended before everything was told; what stands is in the findings."""
    notes = []
    for (job, _), pairs in sorted(_met(session).items()):
        names = sorted({name for pair in pairs for name in pair})
        if len(pairs) < len(names) * (len(names) - 1) // 2:
            open_ = _open(session, names, [record for each in pairs.values() for record in each])
            if open_:
                notes.append(f"{job}: not settled: {'; '.join(open_)}; {_MORE}")
    return notes


def _open(session: Session, names: Sequence[str], records: Sequence[OutcomeRecord]) -> list[str]:
    from ahc_server.rounds.doubts import doubts  # which asks the judge's localiser, and so imports this

    history = History()
    for record in records:
        pair = record.outcome.pair
        if pair is not None:
            ends = record.machine, pair.peer
            history.begin_once(pair.pair_id, record.wave, ends if pair.role == "connect" else ends[::-1])
            history.hear(pair.pair_id, record.machine, pair)
    seen = history.before(1 + max(record.wave for record in records))
    found = doubts(names, _racks(session), seen)
    called = {node.machine: node.node for node in session.nodes}
    nodes = [called[name] for each in found.about("slow") for name in each.about]
    sides = [called[name] for each in found.about("uplink") for name in each.about]
    ways = [f"{a} – {b}" for each in found.about("way") for a, b in [each.about]]
    paths = found.about("path") if found.has_bad_paths else []
    pairs = [f"{called[a]} – {called[b]}" for each in paths for a, b in [each.about]]
    told: tuple[tuple[list[str], Callable[[str], str]], ...] = (
        (nodes, lambda some: f"whether {some} {_is(nodes)} slow"),
        (sides, lambda some: f"whether it is the card or the rack's uplink of {some}"),
        (ways, lambda some: f"whether the way between racks ({some}) or single pairs of them are slow"),
        (pairs, lambda some: f"whether {some} had a bad path or a bad moment"),
    )
    out = [sentence(_listed(some)) for some, sentence in told if some]
    return [*out, "flows stray so much that a loss of a tenth does not show"] if found.is_vague else out


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _met(session: Session) -> dict[tuple[str, int], _Pairs]:
    """(job, hosts at once) → pair → what its ends said. What a lost node missed was no choice."""
    lost = {node.machine for node in session.nodes if node.lost is not None}
    known = {node.machine for node in session.nodes}
    met: dict[tuple[str, int], _Pairs] = {}
    for record in session.outcomes:
        if record.outcome.pair is not None:
            ends = frozenset((record.machine, record.outcome.pair.peer))
            if not lost & ends and ends <= known and len(ends) == 2:
                met.setdefault((record.job, record.hosts), {}).setdefault(ends, []).append(record)
    return met


def _racks(session: Session) -> dict[str, str]:
    """Machine → the name of its switch, where it is known."""
    addresses = data_addresses(session)
    switches = {
        node.machine: switch_of(node.inventory, addresses.get(node.machine, ())) for node in session.nodes
    }
    names = labels(each for each in switches.values() if each is not None)
    return {machine: names[each.identity] for machine, each in switches.items() if each is not None}
