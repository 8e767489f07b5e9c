"""The hub and the agent's start against their goals.

- 2,000 simulated agents on a machine with two cores join, beat every 5 s and deliver 300 metrics each; all is in the store in
  under 60 s, the server stays under 500 MiB, nothing is lost.
- ``ahc-agent join``: started to registered in under 0.5 s, under 50 MiB resident. Beside it: a Python that imports pyzmq, the
  least that any agent of this kind takes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ahc_agent.wire.keys import new_pair
from ahc_agent.wire.messages import Ack, AnyTask, Assign, BenchLimits, CpuTask, InventoryTask, Result
from ahc_server.hub import Hub, Joined, Said
from ahc_server.store import Store

AGENTS, PROCESSES, METRICS = 2000, 2, 300
TIME_GOAL_S, MEMORY_GOAL_MIB = 60.0, 500.0
START_GOAL_S, AGENT_MEMORY_GOAL_MIB = 0.5, 50.0

BIN = Path(sys.executable).parent
PLAN = (
    "name: hub\njobs:\n  inventory:\n    component: inventory\n  cpu:\n    component: cpu\n    runtime: 1\n"
)


def memory_mib(pid: int, what: str = "VmRSS") -> float:
    """Resident memory (``VmHWM``: the most it ever was)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no {what} of process {pid}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, str, str]]:
    """``ahc serve`` on a free port: process, store, endpoint, public key."""
    store = tmp_path / "ahc.db"
    serve = subprocess.Popen(
        [BIN / "ahc", "--store", store, "serve", "--bind", "tcp://127.0.0.1:*", "--heartbeat", "5"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert serve.stdout is not None
    try:
        said = dict(serve.stdout.readline().strip().split(": ", 1) for _ in range(2))
        yield serve, store, said["endpoint"], said["public key"]
    finally:
        serve.terminate()
        serve.wait(30)


@pytest.mark.benchmark(group="hub")
def test_2000_agents_join_beat_and_deliver_300_metrics_each(
    benchmark: BenchmarkFixture, server: tuple[subprocess.Popen[str], Path, str, str], tmp_path: Path
) -> None:
    serve, store, endpoint, key = server
    plan = tmp_path / "hub.yaml"
    plan.write_text(PLAN)
    fleet: list[subprocess.Popen[str]] = []
    said: list[dict[str, Any]] = []

    def lines() -> list[dict[str, Any]]:
        return [json.loads(process.stdout.readline()) for process in fleet if process.stdout is not None]

    def run() -> None:
        share = AGENTS // PROCESSES
        for first in range(0, AGENTS, share):
            arguments = [endpoint, key, str(first), str(share), str(METRICS)]
            script = Path(__file__).with_name("simulated_agents.py")
            fleet.append(
                subprocess.Popen([sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True)
            )
        said.extend(lines())
        subprocess.run(
            [BIN / "ahc", "--store", store, "run", plan, "--session", "hub", "--nodes", str(AGENTS)],
            check=True,
        )
        said.extend(lines())

    try:
        run_rounds(benchmark, run, rounds=1, iterations=1)
        most_mib = memory_mib(serve.pid, "VmHWM")
    finally:
        for process in fleet:
            process.kill()
            process.wait()
    with Store(store) as opened:
        session = opened.load_session("hub")
    stored = sum(len(record.columns.names) for record in session.outcomes)
    total_s = seconds(benchmark)
    figures = {
        "agents": AGENTS,
        "total_s": round(total_s, 1),
        "joined_s": round(max(line["joined_s"] for line in said if "joined_s" in line), 1),
        "heartbeats": sum(line["beats"] for line in said if "beats" in line),
        "answered": sum(line["pulses"] for line in said if "pulses" in line),
        "metrics_stored": stored,
        "machines_lost": sum(node.lost is not None for node in session.nodes),
        "server_most_mib": round(most_mib, 1),
        "of_time_goal": round(total_s / TIME_GOAL_S, 2),
        "of_memory_goal": round(most_mib / MEMORY_GOAL_MIB, 2),
    }
    benchmark.extra_info.update(figures)
    print(f"\nhub: {figures}")
    assert {record.outcome.status for record in session.outcomes} == {"ok"}
    for job in ("inventory", "cpu"):
        machines = [record.machine for record in session.outcomes if record.job == job]
        assert len(set(machines)) == len(machines) == AGENTS
    assert stored == AGENTS * METRICS
    assert figures["machines_lost"] == 0
    assert total_s < TIME_GOAL_S
    assert most_mib < MEMORY_GOAL_MIB


class Watched:
    """A hub in this process and one real agent, for what an agent takes to start and to stay."""

    def __init__(self) -> None:
        self.keys = new_pair(easy=True)
        self.hub = Hub(
            "tcp://127.0.0.1:0",
            secret_key=self.keys.secret,
            public_key=self.keys.public,
            server_version="0",
            epoch="0",
        )

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [BIN / "ahc-agent", "join", self.hub.endpoint, f"--server-key={self.keys.public}", "--id", "n1"],
            stderr=subprocess.DEVNULL,
        )

    def wait(self, kind: type) -> Any:
        """Until something of this kind has happened."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            self.hub.socket.poll(1000)
            for event in self.hub.receive():
                said = event.message if isinstance(event, Said) else event
                if isinstance(said, kind):
                    return said
        raise AssertionError(f"no {kind.__name__}")

    def end(self, agent: subprocess.Popen[bytes]) -> None:
        agent.terminate()
        agent.wait(30)
        while self.hub.machines():
            self.hub.socket.poll(100)
            self.hub.receive()


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.hub.close()


@pytest.mark.benchmark(group="agent start to registered")
def test_an_agent_is_registered_in_half_a_second(benchmark: BenchmarkFixture, watched: Watched) -> None:
    agents: list[subprocess.Popen[bytes]] = []

    def start_to_registered() -> None:
        agents.append(watched.start())
        watched.wait(Joined)

    def end() -> None:
        for agent in agents:
            watched.end(agent)
        agents.clear()

    try:
        run_rounds(benchmark, start_to_registered, setup=end, rounds=10, iterations=1)
    finally:
        end()
    median = seconds(benchmark)
    least = min(timed([sys.executable, "-c", "import zmq"]) for _ in range(5))
    benchmark.extra_info.update(
        {"ratio_to_python_with_zmq": round(median / least, 1), "goal_s": START_GOAL_S}
    )
    print(
        f"\nagent start to registered: {median:.3f} s, {median / least:.1f}x of a Python that imports pyzmq ({least:.3f} s)"
    )
    assert median < START_GOAL_S


@pytest.mark.benchmark(group="agent memory")
def test_an_agent_stays_under_50_mib(benchmark: BenchmarkFixture, watched: Watched) -> None:
    tasks: dict[str, AnyTask] = {
        "inventory": InventoryTask(),
        "cpu": CpuTask(limits=BenchLimits(runtime_s=1.0), scopes=("all",)),
    }
    figures: dict[str, float] = {}

    def measure() -> None:
        agent = watched.start()
        try:
            watched.wait(Joined)
            figures["joined"] = memory_mib(agent.pid)
            for name, task in tasks.items():
                watched.hub.send("n1", Assign(task_id=name, task=task, time_limit_s=60))
                assert watched.wait(Result).outcome.status == "ok"
                watched.hub.send("n1", Ack(task_id=name))
                figures[f"after {name}"] = memory_mib(agent.pid)
            figures["most"] = memory_mib(agent.pid, "VmHWM")
        finally:
            watched.end(agent)

    run_rounds(benchmark, measure, rounds=1, iterations=1)
    least = own_memory_mib("import zmq; zmq.Context().socket(zmq.DEALER)")
    benchmark.extra_info.update({name: round(value, 1) for name, value in figures.items()})
    benchmark.extra_info["ratio_to_python_with_zmq"] = round(figures["most"] / least, 2)
    print(
        f"\nagent memory, MiB: { ({n: round(v, 1) for n, v in figures.items()}) }; a Python with pyzmq: {least:.1f}"
    )
    assert max(figures.values()) < AGENT_MEMORY_GOAL_MIB


def run_rounds(benchmark: BenchmarkFixture, what: Callable[[], None], **how: Any) -> None:
    benchmark.pedantic(what, **how)  # type: ignore[no-untyped-call]


def seconds(benchmark: BenchmarkFixture) -> float:
    """Median of the rounds."""
    assert benchmark.stats is not None
    return float(benchmark.stats.stats.median)


def timed(argv: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(argv, check=True)
    return time.monotonic() - start


def own_memory_mib(program: str) -> float:
    """Resident memory of a Python that has done ``program``, as it tells it itself."""
    report = "print(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1])"
    said = subprocess.run(
        [sys.executable, "-c", f"{program}\n{report}"], check=True, capture_output=True, text=True
    )
    return int(said.stdout) / 1024
