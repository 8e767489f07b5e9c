"""The judge on labelled fleets, beside a fixed threshold and eDeploy's cardiff: the table of its goals."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.fleets.score import figures
from benchmarks.judge_fleets import JUDGES, run, table

SEEDS = range(40)


def test_the_goals_of_the_judge(benchmark: BenchmarkFixture) -> None:
    scored = benchmark.pedantic(run, args=(SEEDS, list(JUDGES)), rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    print(f"\nseeds {SEEDS.start} to {SEEDS.stop - 1}\n{table(scored)}")
    benchmark.extra_info["figures"] = {
        name: {figure.name.strip(): figure.value for figure in figures(each.results)}
        for name, each in scored.items()
    }
