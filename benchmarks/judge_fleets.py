"""The table of the judge's goals on labelled fleets, side by side with other rules.

.venv/bin/python -m benchmarks.judge_fleets --seeds 0:40 --judge current --judge cardiff
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from ahc_server.judge import judge_session
from benchmarks.fleets import hw, peers
from benchmarks.fleets.generate import LAST_LOOK, Fleet, generate
from benchmarks.fleets.score import Answer, Case, Figure, Result, answer_of, figures, score
from benchmarks.fleets.sessions import session_of


def current(fleet: Fleet) -> Answer:
    """The judge of this checkout."""
    return answer_of(judge_session(session_of(fleet), generated_at="2024-01-01T00:00:00Z"))


JUDGES: dict[str, Callable[[Fleet], Answer]] = {
    "current": current,
    "threshold": peers.threshold,
    "cardiff": peers.cardiff,
}


@dataclass(slots=True)
class Scored:
    """One judge's results over all fleets, and the seconds that it took."""

    results: list[Result] = field(default_factory=list)
    seconds: float = 0.0


def run(seeds: range, judges: list[str], *, last_look: bool = False) -> dict[str, Scored]:
    """Score judges on the fleets of these seeds. Raises KeptSeedError for seeds of the last look unless this is it."""
    scored = {name: Scored() for name in judges}
    for seed in seeds:
        fleet = generate(seed, last_look=last_look)
        for name in judges:
            start = time.perf_counter()
            answer = JUDGES[name](fleet)
            scored[name].seconds += time.perf_counter() - start
            scored[name].results.append(score(fleet, answer))
    return scored


def table(scored: dict[str, Scored]) -> str:
    """All figures, one line each: a column for each judge."""
    columns = {name: figures(each.results) for name, each in scored.items()}
    names = list(columns)
    width = 58
    head = f"{'':{width}} {'goal':>7}  " + "  ".join(f"{name:>38}" for name in names)
    lines = [head]
    for rows in zip(*columns.values(), strict=True):
        goal = f"{'≤' if rows[0].at_most else '≥'} {rows[0].goal:.4g}"
        lines.append(f"{rows[0].name:{width}} {goal:>7}  " + "  ".join(f"{_cell(row):>38}" for row in rows))
    seconds = "  ".join(f"{f'{each.seconds:.1f} s':>38}" for each in scored.values())
    lines.append(f"{'time':{width}} {'':>7}  {seconds}")
    return "\n".join(lines)


def _cell(figure: Figure) -> str:
    if figure.value is None:
        return f"{figure.counts}       –     "
    verdict = "pass" if figure.reached else "FAIL"
    return f"{figure.counts}  {figure.value:8.3f}  {verdict}"


def detail(scored: Scored) -> str:
    """Every class and size of fault: how many, how many an oracle can see, how many were found, and as what."""
    by_class: dict[tuple[str, float], list[Case]] = {}
    for result in scored.results:
        if not result.populations:
            for case in result.cases:
                by_class.setdefault((case.label.kind, case.label.size), []).append(case)
    lines = [
        f"{'fault':28} {'size':>5} {'faults':>7} {'visible':>8} {'found':>6} {'of visible':>11} {'right':>6}"
    ]
    for (kind, size), cases in sorted(by_class.items()):
        found = sum(case.found for case in cases)
        visible = [case for case in cases if case.label.visible]
        both = sum(case.found for case in visible)
        right = sum(case.right for case in cases)
        lines.append(
            f"{kind:28} {size:5.2f} {len(cases):7} {len(visible):8} {found:6} {both:5} / {len(visible):3} {right:6}"
        )
    lines.append("")
    for result in scored.results:
        if result.false_alarms or (result.fault_free and result.loud):
            said: dict[str, int] = {}
            for components in result.false_alarms.values():
                said["+".join(components)] = said.get("+".join(components), 0) + 1
            gaps = " (gaps only)" if result.loud_of_gaps else ""
            lines.append(
                f"seed {result.fleet} {result.scenario}, {result.nodes} nodes: false alarms {said}{gaps}"
            )
    return "\n".join(lines)


def _seeds(text: str) -> range:
    first, _, end = text.partition(":")
    return range(int(first), int(end or int(first) + 1))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seeds", type=_seeds, default=range(40), help="FIRST:END, END not included")
    options.add_argument(
        "--judge", action="append", choices=sorted(JUDGES), help="may be repeated; all by default"
    )
    options.add_argument(
        "--detail", action="store_true", help="also every class of fault and every false alarm"
    )
    options.add_argument(
        "--last-look", action="store_true", help=f"allow the seeds {LAST_LOOK.start} to {LAST_LOOK.stop - 1}"
    )
    options.add_argument("--write", type=Path, metavar="DIR", help="write the fleets as .hw files instead")
    chosen = options.parse_args()
    if not chosen.last_look and any(seed in LAST_LOOK for seed in chosen.seeds):
        options.error("these seeds are kept for the last look: say --last-look if this is it")
    if chosen.write is not None:
        for seed in chosen.seeds:
            hw.write(generate(seed, last_look=chosen.last_look), chosen.write / f"{seed}")
        return
    scored = run(chosen.seeds, chosen.judge or list(JUDGES), last_look=chosen.last_look)
    print(table(scored))
    if chosen.detail:
        for name, each in scored.items():
            print(f"\n{name}\n{detail(each)}")


if __name__ == "__main__":
    main()
