"""Why: the facts that set slow nodes apart from their peers, ranked by how well they explain; nothing where nothing does.

Every node has something odd about it, so being odd explains nothing yet. For each fact three things are weighed, as in a
naive Bayes classifier: how plausible it is that such a fact slows such a part (a table), how much more often the slow nodes have
it than their peers, and how many peers have it and are well. A fact is offered as the cause where these together
are more likely with it than without it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ahc_agent.order import natural_order
from ahc_server.judge import wording
from ahc_server.judge.arrays import Ints
from ahc_server.judge.facts.drift import difference, followers, phrases
from ahc_server.judge.facts.table import FactTable
from ahc_server.judge.facts.told import Fact

#: Odds that a fact of this kind is why such a part is slow, before looking at who has it: log, by plausibility.
_LIKELY, _POSSIBLE, _FAR_FETCHED = -1.0, -3.0, -6.0
#: Component of the finding → facts ("component/name") that are likely to slow it.
_CAUSES = {
    "cpu": r"cpu/.*|firmware/(BIOS|microcode)",
    "memory": r"(memory|numa)/.*|cpu/(sockets|threads per core)|firmware/BIOS",
    "numa": r"(memory|numa)/.*|cpu/(sockets|threads per core)|firmware/BIOS",
    "disk": r"disk/.*|firmware/firmware of .* disks",
    "network": r"network/.*|firmware/firmware of .* cards",
}
#: What can slow anything.
_ANYTHING = (
    r"firmware/(BIOS|microcode)|system/(kernel|kernel arguments|virtualization|product|board)|cpu/.*|numa/.*"
)
#: Of nodes that have the cause, so many are slow; of those that have not, so many have it without its being the cause, at least.
_SLOW_WITH_IT, _ODD_ANYWAY = 0.9, 0.02
_WELL_WITH_IT = 0.4
#: Where so many peers have the same, it sets nobody apart.
_COMMON = 0.5
#: What divides two populations: so many nodes on the right side, by chance with no more than this probability.
_AGREEMENT, _BY_CHANCE = 0.9, 0.01


@dataclass(frozen=True, slots=True)
class Cause:
    """``odds``: log odds that this is why, for comparing causes. ``facts``: empty for what was counted during the run."""

    text: str
    odds: float
    facts: tuple[Fact, ...] = ()


def explain(
    sheep: Collection[int],
    members: Collection[int],
    table: FactTable,
    component: str,
    *,
    part: str | None = None,
    ran: Mapping[int, Mapping[str, str]] | None = None,
    own: Callable[[str], str] = str,
) -> Cause | None:
    """The best explanation of why ``sheep`` are slow in ``component`` where the other ``members`` are not; None: nothing is.

    ``sheep`` and ``members`` are rows of the fleet. ``part``: the place of the disk or card that is slow, if it is one.
    ``ran``: row → name of a count → what it was during the run, of the nodes where it says something ("throttle counter
    rose by 214 during the run"). ``own``: the place of a disk → its name on the node.
    """
    ranked = explanations(sheep, members, table, component, part=part, ran=ran, own=own)
    return ranked[0] if ranked else None


def explanations(
    sheep: Collection[int],
    members: Collection[int],
    table: FactTable,
    component: str,
    *,
    part: str | None = None,
    ran: Mapping[int, Mapping[str, str]] | None = None,
    own: Callable[[str], str] = str,
    aside: Collection[int] = (),
) -> list[Cause]:
    """All explanations that are more likely than none, the best first. Of facts that follow from another only this one.
    ``aside``: members that are neither sheep nor healthy peers."""
    sides = _Sides.of(sheep, members, table, aside)
    of_name: dict[tuple[str, str], list[tuple[float, int, int]]] = {}
    for column in table.mixed():
        fact = table.facts[column]
        if part is not None and _is_of_another(fact, part):
            continue
        if (found := _odds(sides, column, component)) is not None:
            odds, code = found
            if odds > 0:
                of_name.setdefault(fact[:2], []).append((odds, column, code))
    follow = followers(name for _, name in of_name)
    causes = [_cause(sides, several, own) for (_, name), several in of_name.items() if name not in follow]
    causes += _counted(sheep, members, component, ran or {}, aside)
    return sorted(causes, key=lambda cause: (-round(cause.odds, 6), cause.text))


@dataclass(frozen=True, slots=True)
class _Sides:
    """A part of some members, and the others. ``inside`` (k,): where the part stands in the table; ``others``: how many they
    are. ``outside``: where they stand, None where they are the whole table without ``inside`` and ``neither``."""

    table: FactTable
    inside: Ints
    others: int
    outside: Ints | None
    neither: Ints

    @classmethod
    def of(
        cls, part: Collection[int], members: Collection[int], table: FactTable, aside: Collection[int] = ()
    ) -> _Sides:
        """``aside``: members that belong to neither, and not to the part."""
        inside, neither = table.places(part), table.places(aside)
        if len(members) == len(table.rows):
            return cls(table, inside, len(table.rows) - len(inside) - len(neither), None, neither)
        everybody = table.places(members)
        outside = everybody[~np.isin(everybody, np.r_[inside, neither])]
        return cls(table, inside, len(outside), outside, neither)

    def counts(self, column: int) -> tuple[Ints, Ints]:
        """How many of the part, and how many of the others, have each value of a fact. The others of a whole table are what
        the part leaves of it: nobody has to be counted anew for each of many sick nodes."""
        inside = self.table.counts(column, self.inside)
        if self.outside is not None:
            return inside, self.table.counts(column, self.outside)
        others = self.table.everybody[column] - inside
        return inside, others - self.table.counts(column, self.neither) if len(self.neither) else others


def _is_of_another(fact: Fact, part: str) -> bool:
    """Whether it is about another disk or card than the one that is slow."""
    of_parts = fact.component in ("disk", "network") or fact.name.startswith("firmware of ")
    return of_parts and fact.place not in ("", part)


def _odds(sides: _Sides, column: int, component: str) -> tuple[float, int] | None:
    """Log odds of a fact being the cause, and the code of the value that the slow nodes have."""
    mine, theirs = sides.counts(column)
    sheep, peers = int(mine.sum()), int(theirs.sum())
    if 2 * sheep <= len(sides.inside) or not peers:
        return None
    code = int(np.argmax(mine))
    with_it, well_with_it = int(mine[code]), int(theirs[code])
    if well_with_it >= _COMMON * peers:
        return None
    return _plausible(sides.table.facts[column], component) + _weight(
        with_it, sheep, well_with_it, peers
    ), code


def _weight(with_it: int, sheep: int, well_with_it: int, peers: int) -> float:
    """Log likelihood ratio of who has it, with it as the cause and without."""
    anyway = max((well_with_it + 0.5) / (peers + 1), _ODD_ANYWAY)
    return (
        with_it * math.log(_SLOW_WITH_IT / anyway)
        + (sheep - with_it) * math.log((1 - _SLOW_WITH_IT) / (1 - anyway))
        + well_with_it * math.log(_WELL_WITH_IT)
    )


def _plausible(fact: Fact, component: str) -> float:
    text = f"{fact.component}/{fact.name}"
    if re.fullmatch(_CAUSES.get(component, f"{re.escape(component)}/.*"), text):
        return _LIKELY
    return _POSSIBLE if re.fullmatch(_ANYTHING, text) else _FAR_FETCHED


def _cause(sides: _Sides, several: list[tuple[float, int, int]], own: Callable[[str], str]) -> Cause:
    """In words. ``several``: odds, column and value of one fact at several places; those at the best of them are told."""
    best = max(odds for odds, _, _ in several)
    told = [(column, code) for odds, column, code in several if odds > best - 1e-9]
    column, code = told[0]
    table, sheep = sides.table, len(sides.inside)
    facts = tuple(table.facts[each] for each, _ in told)
    if sheep == 1:
        place = int(sides.inside[0])
        said = phrases(table, place, [difference(table, each, place) for each, _ in told], own)
        return Cause("; ".join(text for _, text in said), best, facts)
    mine, theirs = sides.counts(column)
    places = wording.listed(
        sorted((own(f.place) if f.component == "disk" else f.place for f in facts), key=natural_order)
    )
    title = f"{facts[0].name} ({places})" if places else facts[0].name
    text = f"{_who(int(mine[code]), sheep)} have {title}: {table.values[column][code]}"
    others, with_it = int(theirs.sum()), int(theirs[code])
    usual = table.values[column][int(np.argmax(theirs))]
    have = int(np.max(theirs))
    text += f", {'the other' if have == others else f'{have:,} of the other'} {others:,} {usual}"
    return Cause(text + (f", and {with_it:,} have the same" if with_it else ""), best, facts)


def _who(with_it: int, sheep: int) -> str:
    if with_it < sheep:
        return f"{with_it:,} of the {sheep:,} slow nodes"
    return "both slow nodes" if sheep == 2 else f"all {sheep:,} slow nodes"


def _counted(
    sheep: Collection[int],
    members: Collection[int],
    component: str,
    ran: Mapping[int, Mapping[str, str]],
    aside: Collection[int],
) -> list[Cause]:
    """What was counted during the run and sets the sheep apart."""
    mine = Counter(name for row in sheep for name in ran.get(row, ()))
    if not mine:
        return []
    peers = set(members) - set(sheep) - set(aside)
    causes = []
    for name, with_it in sorted(mine.items()):
        well_with_it = sum(name in ran.get(row, ()) for row in peers)
        # What a machine counts of itself while it is slow is about that very slowness.
        odds = _weight(with_it, len(sheep), well_with_it, len(peers)) + (
            _LIKELY if component == "cpu" else _POSSIBLE
        )
        if odds > 0:
            text = next(ran[row][name] for row in sorted(sheep) if name in ran.get(row, ()))
            also = f" (on {_who(with_it, len(sheep))})" if len(sheep) > 1 else ""
            causes.append(Cause(text + also, odds))
    return causes


def divides(part: Collection[int], members: Collection[int], table: FactTable) -> Cause | None:
    """The fact that agrees best with a division of ``members`` in ``part`` and the others; None where none agrees well.

    By chance a fact of which k of n nodes have a value agrees with a given division as well with the
    hypergeometric probability; that many facts were tried is counted (Bonferroni).
    """
    sides = _Sides.of(part, members, table)
    inside, outside = len(sides.inside), sides.others
    columns = table.mixed()
    best: tuple[float, int] | None = None
    for column in columns:
        ours, others = sides.counts(column)
        mine, theirs = int(ours.sum()), int(others.sum())
        told = mine + theirs
        if not mine or not theirs or told < _AGREEMENT * (inside + outside):
            continue
        agreeing = int(np.maximum(ours, others).sum())
        right_here, right_there = (
            ours[ours > others].sum() / mine,
            others[others > ours].sum() / theirs,
        )
        if agreeing < _AGREEMENT * told or min(right_here, right_there) < _AGREEMENT:
            continue
        inner = ours > others
        chance = _log_chance(int(ours[inner].sum()), mine, int(others[inner].sum()), theirs)
        if chance + math.log(len(columns)) < math.log(_BY_CHANCE) and (best is None or chance < best[0]):
            best = chance, column
    return None if best is None else _division(sides, best[1], -best[0])


def _division(sides: _Sides, column: int, odds: float) -> Cause:
    table = sides.table
    fact, values = table.facts[column], table.values[column]

    def said(counts: Ints, of: int) -> str:
        code = int(np.argmax(counts))
        return f"{values[code]} on {int(counts[code]):,} of {of:,}"

    ours, others = sides.counts(column)
    same = [each for each in table.facts if each[:2] == fact[:2]]
    title = fact.name if len(same) > 1 else str(fact)
    return Cause(
        f"{title}: {said(ours, len(sides.inside))}, {said(others, sides.others)} others", odds, (fact,)
    )


def _log_chance(here: int, inside: int, there: int, outside: int) -> float:
    """Fisher's exact test: log probability that of inside + outside nodes, of which here + there have something, at least
    ``here`` are inside."""
    having = here + there

    def log_of(k: int) -> float:
        return (
            _log_choose(inside, k) + _log_choose(outside, having - k) - _log_choose(inside + outside, having)
        )

    terms = [log_of(k) for k in range(here, min(inside, having) + 1)]
    top = max(terms)
    return top + math.log(sum(math.exp(term - top) for term in terms))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
