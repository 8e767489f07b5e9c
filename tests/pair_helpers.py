"""Both ends of a pair without a server.

As a program (``python -m tests.pair_helpers``), one end in a process of its own, spoken to in JSON lines on standard input
and output: the task goes in, ``{"ready": ports}`` comes out, a Go goes in, ``{"outcome": ...}`` and then ``{"grown_mib": ...}``
(peak resident memory beyond that at the start) come out.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ahc_agent.errors import Cancelled
from ahc_agent.net import run_pair
from ahc_agent.task import TaskContext
from ahc_agent.wire.messages import BenchLimits, Go, PairOutcome, PairTask
from tests.conftest import REPOSITORY

TOKEN = "0123456789abcdef" * 2
QUICK = BenchLimits(runtime_s=0.3, ci_target=0.0)


def tasks(address: str = "127.0.0.1", connect_from: str = "", **fields: Any) -> tuple[PairTask, PairTask]:
    """The two tasks of one pair: n1 listens at ``address``, n2 connects."""
    common: dict[str, Any] = {
        "pair_id": "p1",
        "token": TOKEN,
        "limits": QUICK,
        "warmup_s": 0.1,
        "round_trips": 100,
    } | fields
    return (
        PairTask(role="listen", peer="n2", address=address, **common),
        PairTask(role="connect", peer="n1", address=connect_from, peer_address=address, **common),
    )


@dataclass
class End:
    """One end in a thread of this process; the test plays the server."""

    task: PairTask
    machine: str
    cancelled: threading.Event = field(default_factory=threading.Event)
    ready: Future[dict[str, int]] = field(default_factory=Future)
    goes: queue.Queue[Go] = field(default_factory=queue.Queue)

    def context(self) -> TaskContext:
        return TaskContext(
            machine=self.machine,
            cancelled=self.cancelled,
            ready=self.ready.set_result,
            wait_go=self._wait_go,
        )

    def go(self, ports: dict[str, int]) -> None:
        self.goes.put(Go(task_id="t", delay_s=0.01, ports=ports))

    def _wait_go(self, limit_s: float) -> Go:
        while not self.cancelled.is_set():
            try:
                return self.goes.get(timeout=0.05)
            except queue.Empty:
                pass
        raise Cancelled("cancelled")


@dataclass
class Meeting:
    """Two ends under way."""

    listener: End
    connector: End
    listened: Future[PairOutcome]
    connected: Future[PairOutcome]

    def go(self, **ports: int) -> dict[str, int]:
        """Wait for both, let both go; ``ports`` overrides what the connecting end is told."""
        told = self.listener.ready.result(timeout=10) | ports
        self.connector.ready.result(timeout=10)
        self.listener.go({})
        self.connector.go(told)
        return told

    def outcomes(self, timeout_s: float = 30) -> tuple[PairOutcome, PairOutcome]:
        return self.listened.result(timeout_s), self.connected.result(timeout_s)


@contextmanager
def meeting(pair: tuple[PairTask, PairTask]) -> Iterator[Meeting]:
    """Start both ends in threads; they are called off on the way out."""
    listener, connector = End(pair[0], "n1"), End(pair[1], "n2")
    with ThreadPoolExecutor(2) as threads:
        try:
            yield Meeting(
                listener,
                connector,
                threads.submit(run_pair, listener.task, listener.context()),
                threads.submit(run_pair, connector.task, connector.context()),
            )
        finally:
            listener.cancelled.set()
            connector.cancelled.set()


def meet(pair: tuple[PairTask, PairTask]) -> tuple[PairOutcome, PairOutcome]:
    """Run a pair from start to end: what the listening and what the connecting end saw."""
    with meeting(pair) as both:
        both.go()
        return both.outcomes()


class Remote:
    """One end as a process of its own, started by ``prefix`` (``ip netns exec NAME``)."""

    def __init__(self, task: PairTask, machine: str, prefix: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.pair_helpers", machine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        )
        self._write(msgspec.json.encode(task))

    def ready(self) -> dict[str, int]:
        ports = self._read()["ready"]
        assert isinstance(ports, dict)
        return ports

    def go(self, ports: dict[str, int]) -> None:
        self._write(msgspec.json.encode(Go(task_id="t", delay_s=0.01, ports=ports)))

    def outcome(self) -> PairOutcome:
        return msgspec.convert(self._read()["outcome"], PairOutcome)

    def grown_mib(self) -> float:
        return float(self._read()["grown_mib"])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the end died"
        said = json.loads(line)
        assert isinstance(said, dict)
        return said


def run(*argv: str) -> str:
    """A helper program of a test (ip, tc): its output; fails loudly."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class VethPair:
    """Two network namespaces joined by a veth pair: ``left`` is 10.77.0.1, ``right`` 10.77.0.2, both on ``v0``."""

    left: str
    right: str

    def prefix(self, namespace: str) -> list[str]:
        return ["ip", "netns", "exec", namespace]

    def inside(self, namespace: str, *argv: str) -> str:
        return run(*self.prefix(namespace), *argv)


LEFT, RIGHT = "10.77.0.1", "10.77.0.2"


def pair_of(name: str) -> VethPair:
    """Two names that no other process takes."""
    return VethPair(f"ahcp-{name}-{os.getpid()}-l", f"ahcp-{name}-{os.getpid()}-r")


@contextmanager
def veth_pair(name: str) -> Iterator[VethPair]:
    """Make the namespaces ``ahcp-NAME-…-l`` and ``-r``, remove them always."""
    pair = pair_of(name)
    try:
        for namespace in (pair.left, pair.right):
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        run(
            "ip",
            "-n",
            pair.left,
            "link",
            "add",
            "v0",
            "type",
            "veth",
            "peer",
            "name",
            "v0",
            "netns",
            pair.right,
        )
        for namespace, address in ((pair.left, LEFT), (pair.right, RIGHT)):
            run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", "v0")
            run("ip", "-n", namespace, "link", "set", "v0", "up")
        yield pair
    finally:
        for namespace in (pair.left, pair.right):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, timeout=20, check=False)


def _main() -> None:
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=PairTask)

    def say(name: str, value: object) -> None:
        print(msgspec.json.encode({name: value}).decode(), flush=True)

    def wait_go(limit_s: float) -> Go:
        return msgspec.json.decode(sys.stdin.buffer.readline(), type=Go)

    def memory_mib(field: str) -> float:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field)) / 1024

    context = TaskContext(machine=sys.argv[1], ready=lambda ports: say("ready", ports), wait_go=wait_go)
    before_mib = memory_mib("VmRSS:")
    say("outcome", run_pair(task, context))
    say("grown_mib", memory_mib("VmHWM:") - before_mib)


if __name__ == "__main__":
    _main()
