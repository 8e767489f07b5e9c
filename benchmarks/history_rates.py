"""How often a comparison, a baseline and the change points name a healthy node, and what they find: by simulation, seeds fixed.

Run: ``.venv/bin/python benchmarks/history_rates.py`` (about four minutes). The tables in docs/history.md are its output.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from ahc_server.history.baseline import baseline_of
from ahc_server.history.check import check
from ahc_server.history.compare import compare
from ahc_server.history.timeline import timeline
from tests.history_helpers import Draw, Machines, normal

SIZES = (3, 5, 20, 100)
NOISES = (0.005, 0.02, 0.05)
NODES = 200
SESSIONS = 8

DRAWS: dict[str, Draw] = {
    "normal": normal,
    "heavy tails (t, 3 degrees)": lambda random: float(random.standard_t(3)) / 3**0.5,
    "skewed (only losses)": lambda random: float(1 - random.exponential()),
    "0.1 % glitches to a half": lambda random: float(
        random.standard_normal() if random.random() > 0.001 else np.log(0.5) / 0.02
    ),
}


def told(machines: Machines) -> dict[str, tuple[set[str], bool]]:
    """Of one healthy fleet: by command, who is named with "warn" or worse, and whether the fleet as a whole is."""
    runs = [machines.read(machines.run()) for _ in range(SESSIONS)]
    compared = compare(runs[0], runs[1])
    base = baseline_of(runs[0], "base", dict.fromkeys(machines.names, "pass"))
    checked = check(runs[1], base)
    points = timeline(runs).points
    return {
        "compare": (
            {each.node for each in compared.changed if each.severity != "info"},
            any(each.severity != "info" for each in compared.shared),
        ),
        "baseline": (
            {f.nodes[0] for f in checked.findings if f.element.startswith("node:") and f.severity != "info"},
            any(f.element.startswith("group:") and f.severity != "info" for f in checked.findings),
        ),
        "history": (
            {each.nodes[0] for each in points if not each.shared and each.severity != "info"},
            any(each.shared and each.severity != "info" for each in points),
        ),
    }


def false_alarms() -> None:
    print("Healthy fleets: of 1,000 nodes, how many are named / of 100 fleets, in how many the whole is")
    print(f"{'':28}{'noise':>7}  {'':10}" + "".join(f"{f'{size} nodes':>12}" for size in SIZES))
    for kind, draw in DRAWS.items():
        for noise in NOISES:
            cells: dict[str, list[str]] = {"compare": [], "baseline": [], "history": []}
            for size in SIZES:
                fleets = [
                    told(Machines(size, noise=noise, seed=seed, draw=draw))
                    for seed in range(max(NODES // size, 4))
                ]
                for command, row in cells.items():
                    named = sum(len(fleet[command][0]) for fleet in fleets)
                    whole = sum(fleet[command][1] for fleet in fleets)
                    row.append(f"{1000 * named / (size * len(fleets)):.0f}/{100 * whole / len(fleets):.0f}")
            for command, row in cells.items():
                shown = f"{100 * noise:5.1f} %" if command == "compare" else ""
                print(
                    f"{kind:28}{shown:>7}  {command:10}" + "".join(f"{cell:>12}" for cell in row), flush=True
                )
                kind = ""


LOSSES = (0.03, 0.05, 0.10, 0.15, 0.20, 0.30)
FLEETS = 20
Found = Callable[[Machines, str, float], bool]


def one_compared(machines: Machines, component: str, left: float) -> bool:
    before, after = machines.run(), machines.run().slow("n2", component, left)
    answer = compare(machines.read(before), machines.read(after))
    return [each.node for each in answer.changed if each.severity != "info"] == ["n2"]


def all_compared(machines: Machines, component: str, left: float) -> bool:
    before, after = machines.run(), machines.run().slow("", component, left)
    answer = compare(machines.read(before), machines.read(after))
    whole = {each.component for each in answer.shared if each.severity != "info"}
    return whole == {component} and not [each for each in answer.changed if each.severity != "info"]


def one_in_history(machines: Machines, component: str, left: float) -> bool:
    runs = [machines.run(f"run{number}") for number in range(SESSIONS)]
    for run in runs[5:]:
        run.slow("n2", component, left)
    points = timeline([machines.read(run) for run in runs]).points
    return {(each.nodes[0], each.after) for each in points if each.severity != "info"} == {("n2", "run5")}


def all_against_baseline(machines: Machines, component: str, left: float) -> bool:
    base = baseline_of(machines.read(machines.run()), "base", dict.fromkeys(machines.names, "pass"))
    findings = check(machines.read(machines.run().slow("", component, left)), base).findings
    return {(f.element, f.component) for f in findings if f.severity != "info"} == {("group:g1", component)}


QUESTIONS: dict[str, tuple[Found, tuple[int, ...]]] = {
    "compare, one node": (one_compared, (3, 5, 20)),
    "compare, all nodes": (all_compared, (3, 5, 20)),
    "baseline, all nodes": (all_against_baseline, (3, 5, 20)),
    "history, one node": (one_in_history, (3, 5, 20)),
}


def detection() -> None:
    print("\nNoise 2 %: of 100 fleets, in how many the change is found, and nothing else is told")
    print(f"{'':22}{'':8}{'nodes':>6}" + "".join(f"{f'−{100 * loss:.0f} %':>8}" for loss in LOSSES))
    for name, (question, sizes) in QUESTIONS.items():
        for component in ("cpu", "memory", "disk"):
            for size in sizes:
                cells = [
                    sum(
                        question(Machines(size, noise=0.02, seed=seed), component, 1 - loss)
                        for seed in range(FLEETS)
                    )
                    for loss in LOSSES
                ]
                shown = "".join(f"{100 * found / FLEETS:8.0f}" for found in cells)
                print(f"{name:22}{component:8}{size:6}{shown}", flush=True)
                name = ""


if __name__ == "__main__":
    warnings.simplefilter("error")
    false_alarms()
    detection()
