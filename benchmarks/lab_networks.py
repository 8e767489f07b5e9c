"""Faults of networks on real packets: is each named right, and are the healthy ones left in peace?

::

    python -m benchmarks.lab_networks --seeds 20                     each fault with seeds 0 to 19, in fleets of three shapes
    python -m benchmarks.lab_networks --seeds 0:10 --results r.jsonl   two of these side by side share a file of results
    python -m benchmarks.lab_networks --table r.jsonl                what a file of results says
    python -m benchmarks.lab_networks --large                        64 nodes on 8 leaves: a slow card and a slow uplink

Needs root. A fleet is a lab with leaf switches (``ahc lab --leaves``): real agents, a real server, bridges, cables that
are shaped (tbf) and lose frames (nft). One fleet serves many seeds: break, run the plan, report, heal. The seed chooses the
node, the leaf or the two nodes.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from ahc_agent import programs
from ahc_server.lab.check import SeenReport, accused, elements, mistake
from ahc_server.lab.fabric import FabricNetwork
from ahc_server.lab.faults import FAULTS
from ahc_server.lab.fleet import Fleet, report_command
from ahc_server.lab.model import Breakage, LabSpec, node_names
from ahc_server.paths import Where
from ahc_server.plan.cabling import cabling_lines

#: Nodes and leaves; a seed takes one of them in turn.
SHAPES = ((12, 3), (16, 4), (8, 2))
HEALTHY = "none"
PROVED = ("slow-rx", "slow-tx", "loss", "slow-uplink", "down", "black-hole", "swapped", HEALTHY)
PLAN = """name: proof
jobs:
  network: {{component: network, rounds: 6, runtime: {runtime}, mode: bandwidth}}
"""
RUNTIME_S, LARGE_RUNTIME_S = 0.8, 2.0
_RUN_LIMIT_S = 600.0


class Result(msgspec.Struct, kw_only=True):
    """One run. ``element``: what was broken, ``wrong``: what the report got wrong about it. ``direction``: whether it is told
    right: tx or rx where it has one, else none. ``accused``: healthy ones, with what is said of them."""

    fault: str
    seed: int
    nodes: int
    leaves: int
    element: str
    wrong: str | None
    direction: bool
    accused: list[tuple[str, str]]
    seconds: float


def breakages_of(fault: str, seed: int, network: FabricNetwork) -> list[Breakage]:
    """What a seed breaks."""
    if fault == HEALTHY:
        return []
    chance = random.Random(f"{fault} {seed}")
    kind = FAULTS[fault].of[0]
    if kind == "leaf":
        name = chance.choice(network.racks.leaves)
    elif kind == "pair":
        one, other = chance.sample(network.racks.leaves, 2)
        name = "-".join(chance.choice(network.racks.inside(leaf)) for leaf in (one, other))
    else:
        name = chance.choice(list(network.racks.of))
    return [Breakage(name, FAULTS[fault], kind=kind)]


class Proof:
    """A fleet that is up, with its agents."""

    def __init__(self, fleet: Fleet, runtime_s: float) -> None:
        self.fleet = fleet
        assert isinstance(fleet.parts.network, FabricNetwork)
        self.network = fleet.parts.network
        self.plan = fleet.folder / "proof.yaml"
        self.plan.write_text(PLAN.format(runtime=runtime_s) + cabling_lines(self.network.racks.of))
        fleet.start_server()
        for node in fleet.spec.nodes:
            fleet.start_agent(node)

    def report(self, breakages: Sequence[Breakage], session: str) -> SeenReport:
        """Break, run, report, heal."""
        try:
            for breakage in breakages:
                self.fleet.inject(breakage)
            run = self.fleet.start_run(str(self.plan), session)
            if run.wait(_RUN_LIMIT_S) != 0:
                raise RuntimeError(f"{session}: the run ended with {run.returncode}")
        finally:
            self.network.heal()
        argv = report_command(self.fleet.where, session, "json")
        said = programs.run(argv, time_limit_s=_RUN_LIMIT_S, ok_statuses=(0, 1)).stdout
        return msgspec.json.decode(said, type=SeenReport)

    def prove(self, fault: str, seed: int) -> Result:
        began = time.monotonic()
        broken = breakages_of(fault, seed, self.network)
        read = self.report(broken, f"{fault}-{seed}")
        leaves = self.network.racks.leaves
        wrong = next((said for each in broken if (said := mistake(read, each, leaves))), None)
        return Result(
            fault=fault,
            seed=seed,
            nodes=len(self.fleet.spec.nodes),
            leaves=len(leaves),
            element=" ".join(f"{each.kind}:{each.name}" for each in broken),
            wrong=wrong,
            direction=all(_direction_is_right(read, each, leaves) for each in broken),
            accused=accused(read, broken, leaves),
            seconds=time.monotonic() - began,
        )


def _direction_is_right(read: SeenReport, breakage: Breakage, leaves: Sequence[str]) -> bool:
    told = [each for each in read.serious if each.element in elements(breakage, leaves)]
    return bool(told) and all(each.direction == breakage.fault.direction for each in told)


def run_all(
    faults: Sequence[str],
    seeds: Iterable[int],
    results: Path,
    shapes: Sequence[tuple[int, int]],
    runtime_s: float,
) -> None:
    """Append a line of JSON to ``results`` for each run."""
    of_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
    for seed in seeds:
        of_shape[shapes[seed % len(shapes)]].append(seed)
    for (nodes, leaves), own in of_shape.items():
        with tempfile.TemporaryDirectory(prefix="ahc-proof-") as folder:
            spec = LabSpec(node_names(nodes), leaves=leaves)
            with Fleet(spec, Where(Path(folder) / "ahc.db")) as fleet:
                proof = Proof(fleet, runtime_s)
                for seed in own:
                    for fault in faults:
                        result = proof.prove(fault, seed)
                        with results.open("ab") as file:
                            file.write(msgspec.json.encode(result) + b"\n")
                        _say(result)


def run_large() -> None:
    """64 nodes on 8 leaves, with a slow receiving card and an uplink at half its rate at once."""
    spec = LabSpec(node_names(64), leaves=8)
    with (
        tempfile.TemporaryDirectory(prefix="ahc-proof-") as folder,
        Fleet(spec, Where(Path(folder) / "ahc.db")) as fleet,
    ):
        began = time.monotonic()
        proof = Proof(fleet, LARGE_RUNTIME_S)
        broken = [Breakage("n21", FAULTS["slow-rx"]), Breakage("leaf6", FAULTS["slow-uplink"], kind="leaf")]
        read = proof.report(broken, "large")
        leaves = proof.network.racks.leaves
        wrong = [said for each in broken if (said := mistake(read, each, leaves))]
        for each in read.serious:
            print(each.severity, each.element, each.kind, each.direction)
        print("wrong:", wrong or "nothing", "accused:", accused(read, broken, leaves) or "nobody")
        print(f"{time.monotonic() - began:.0f} s, cards of {proof.network.line_bits_per_s / 1e6:g} Mbit/s")


def table(results: Sequence[Result]) -> str:
    """Markdown, one line a fault; faults of leaves by how many leaves there were."""
    lines = [
        "| fault | runs | named right | direction right | healthy nodes accused | healthy links and switches accused |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    of_row: dict[str, list[Result]] = {fault: [] for fault in PROVED}
    for each in results:
        row = f"{each.fault}, {each.leaves} leaves" if each.element.startswith("leaf:") else each.fault
        of_row.setdefault(row, []).append(each)
    for row, own in sorted(of_row.items(), key=lambda item: item[0] == HEALTHY):
        if not own:
            continue
        named = sum(each.wrong is None for each in own)
        right = sum(each.direction for each in own)
        healthy = sum(each.nodes - _broken_nodes(each) for each in own)
        nodes = sum(":" not in name for each in own for name, _ in each.accused)
        between = sum(":" in name for each in own for name, _ in each.accused)
        told = "– | –" if row == HEALTHY else f"{named}/{len(own)} | {right}/{len(own)}"
        lines.append(f"| {row} | {len(own)} | {told} | {nodes} of {healthy:,} | {between} |")
    return "\n".join(lines)


def _broken_nodes(result: Result) -> int:
    kind, _, name = result.element.partition(":")
    return {"node": 1, "pair": 2}.get(kind, 0) if name else 0


def _say(result: Result) -> None:
    said = result.wrong or ("named" if result.element else "quiet")
    extra = f"; accused: {result.accused}" if result.accused else ""
    print(
        f"{result.fault} seed {result.seed} ({result.nodes}/{result.leaves}) {result.element}: {said}{extra}"
        f"  [{result.seconds:.0f} s]",
        file=sys.stderr,
        flush=True,
    )


def _seeds(text: str) -> range:
    low, colon, high = text.partition(":")
    return range(int(low), int(high)) if colon else range(int(low))


def _shape(text: str) -> tuple[int, int]:
    nodes, leaves = text.split("x")
    return int(nodes), int(leaves)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=_seeds, default=range(20), help="N, or A:B")
    parser.add_argument("--fault", action="append", choices=PROVED, help="only these (repeatable)")
    parser.add_argument(
        "--results", type=Path, help="append to this file, and print a table of all that is in it"
    )
    parser.add_argument("--table", type=Path, help="print the table of a file of results")
    parser.add_argument(
        "--shape", action="append", type=_shape, metavar="NODESxLEAVES", help="fleets (repeatable)"
    )
    parser.add_argument(
        "--runtime", type=float, default=RUNTIME_S, metavar="S", help="of each direction of a pair"
    )
    parser.add_argument("--large", action="store_true")
    given = parser.parse_args()
    results = given.table or given.results or Path(tempfile.mkdtemp(prefix="ahc-proof-")) / "results.jsonl"
    if given.large:
        run_large()
        return
    if not given.table:
        run_all(given.fault or PROVED, given.seeds, results, given.shape or SHAPES, given.runtime)
    lines = results.read_bytes().splitlines()
    print(table([msgspec.json.decode(line, type=Result) for line in lines]))


if __name__ == "__main__":
    main()
