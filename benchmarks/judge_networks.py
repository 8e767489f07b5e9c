"""The table of the localiser's goals on labelled networks, beside simple rules.

.venv/bin/python -m benchmarks.judge_networks --seeds 0:60
.venv/bin/python -m benchmarks.judge_networks --seeds 0:60 --fabric second --rule report --rule threshold
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

from ahc_server.judge.localise import localise
from benchmarks.networks import second
from benchmarks.networks.generate import LAST_LOOKS, Network, Plan, generate, is_kept
from benchmarks.networks.read import answers_of, network_of
from benchmarks.networks.rules import imported, threshold, threshold_by_leaf
from benchmarks.networks.score import Answer, Result, figures, score


def current(network: Network) -> list[Answer]:
    """The localiser of this checkout."""
    return answers_of(localise(network_of(network.document)), network.names)


RULES: dict[str, Callable[[Network], list[Answer]]] = {
    "current": current,
    "report": imported,
    "threshold": threshold,
    "threshold-by-leaf": threshold_by_leaf,
}
_BY_DEFAULT = ["current", "threshold", "threshold-by-leaf"]


def run(
    seeds: range, rules: list[str], *, last_look: bool = False, fabric: str = "first"
) -> dict[str, list[Result]]:
    scored: dict[str, list[Result]] = {name: [] for name in rules}
    for seed in seeds:
        network = second.generate(seed) if fabric == "second" else generate(seed, last_look=last_look)
        for name in rules:
            start = time.perf_counter()
            answers = RULES[name](network)
            seconds = time.perf_counter() - start
            result = score(network, answers)
            result.seconds = seconds
            result.flows = sum(map(len, network.document["rounds"]))
            scored[name].append(result)
    return scored


def table(scored: dict[str, list[Result]]) -> str:
    columns = {name: figures(results) for name, results in scored.items()}
    lines = [f"{'':44} {'goal':>7}  " + "  ".join(f"{name:>32}" for name in columns)]
    for rows in zip(*columns.values(), strict=True):
        goal = f"{'≤' if rows[0].at_most else '≥'} {rows[0].goal:.4g}"
        cells = []
        for row in rows:
            value = "–" if row.value is None else f"{row.value:.3f}"
            cells.append(f"{row.counts:>16} {value:>8} {'pass' if row.reached else 'FAIL':>6}")
        lines.append(f"{rows[0].name:44} {goal:>7}  " + "  ".join(cells))
    slowest = {
        name: max(results, key=lambda each: each.seconds) for name, results in scored.items() if results
    }
    for name, each in slowest.items():
        total = sum(one.seconds for one in scored[name])
        lines.append(
            f"{name}: {total:.1f} s in all, the slowest {each.seconds:.2f} s for {each.flows:,} flows"
        )
    return "\n".join(lines)


def detail(results: list[Result]) -> str:
    lines = []
    for each in results:
        if each.missed or each.wrong:
            lines.append(f"seed {each.seed}: {each.scenario}")
            lines += [f"    missed {text}" for text in each.missed[:8]]
            lines += [f"    wrong  {text}" for text in each.wrong[:8]]
    return "\n".join(lines)


def rounds_needed(of: range, nodes: int, sigma: float) -> str:
    """How many rounds of random pairs it takes to find every node at 80 % or 90 % and no other."""
    lines = [
        f"{nodes:,} nodes, {sigma:.0%} noise, one node in 50 slow; found / slow, false nodes over {len(of)} networks"
    ]
    for size in (0.2, 0.1):
        for rounds in (3, 4, 5, 6, 8, 10):
            plan = Plan(
                nodes, 32, 1.0, 25.0, sigma, 4.0, 0.001, 0.005, 0.01, True, "matchings", rounds, True, True
            )
            found = slow = false = 0
            for seed in of:
                network = generate(seed, plan=plan, size=size)
                result = score(network, current(network))
                found, slow, false = found + result.found, slow + result.wanted, false + result.false_nodes
            lines.append(
                f"{size:.0%} slower, {rounds:2} rounds: {found} / {slow} = {found / slow:.3f}, {false} false"
            )
    return "\n".join(lines)


def seeds(text: str) -> range:
    first, _, end = text.partition(":")
    return range(int(first), int(end or int(first) + 1))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seeds", type=seeds, default=range(60), help="FIRST:END, END not included")
    options.add_argument(
        "--rule",
        action="append",
        choices=sorted(RULES),
        help=f"may be repeated; {', '.join(_BY_DEFAULT)} by default. report: by ahc import and ahc report",
    )
    options.add_argument("--fabric", choices=("first", "second"), default="first", help="which generator")
    options.add_argument("--detail", action="store_true", help="also every miss and every false answer")
    options.add_argument(
        "--last-look",
        action="store_true",
        help=f"allow the kept seeds {' and '.join(f'{each.start}:{each.stop}' for each in LAST_LOOKS)}",
    )
    options.add_argument("--rounds", action="store_true", help="how many rounds it takes instead")
    options.add_argument("--nodes", type=int, default=1024)
    options.add_argument("--noise", type=float, default=0.03)
    chosen = options.parse_args()
    if chosen.rounds:
        print(rounds_needed(chosen.seeds, chosen.nodes, chosen.noise))
        return
    if chosen.fabric == "first" and not chosen.last_look and any(map(is_kept, chosen.seeds)):
        options.error("these seeds are kept for the last look: say --last-look if this is it")
    scored = run(chosen.seeds, chosen.rule or _BY_DEFAULT, last_look=chosen.last_look, fabric=chosen.fabric)
    print(table(scored))
    if chosen.detail:
        for name, results in scored.items():
            print(f"\n{name}\n{detail(results)}")


if __name__ == "__main__":
    main()
