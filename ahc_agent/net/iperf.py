"""Bandwidth by iperf3: the other engine, for cards that ZeroMQ cannot fill, and for UDP.

iperf3 knows no token: whoever reaches its port first during a transfer is served. ``--one-off`` limits that to one
client, and a measurement lost that way is an error in the outcome, not a wrong figure: the server reports what *its*
client sent. Use it in networks whose hosts are all yours.

Times of iperf3 are whole seconds: runtime and warm-up are rounded up. Field names as iperf 3.12 prints them
(``iperf3 --json``).
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ahc_agent.errors import ProgramFailed
from ahc_agent.net.watch import Watch
from ahc_agent.programs import Running, running
from ahc_agent.wire.messages import PairTask

PROGRAM = "iperf3"
#: Starting, connecting and the exchange of results, beyond the transfer itself.
OVERHEAD_S = 4.0
_START_LIMIT_S = 2.0
#: Intervals cut shorter than this part of their length are the remainder at the end.
_WHOLE_INTERVAL = 0.8
_INTERVAL_S = 0.1
_MOST_SAMPLES = 2000
_LISTEN_STATE = "0A"


class _Sum(msgspec.Struct):
    """``sum``, ``sum_sent``, ``sum_received``: all streams together."""

    bits_per_second: float = 0.0
    seconds: float = 0.0
    retransmits: int | None = None
    omitted: bool = False


class _Interval(msgspec.Struct):
    sum: _Sum = msgspec.field(default_factory=_Sum)


class _End(msgspec.Struct):
    sum_sent: _Sum | None = None
    sum_received: _Sum | None = None


class _Output(msgspec.Struct):
    intervals: list[_Interval] = []
    end: _End = msgspec.field(default_factory=_End)
    error: str | None = None


_decoder = msgspec.json.Decoder(_Output)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one end saw of a transfer."""

    bytes_per_s: float
    samples: list[float]
    retransmits: int | None


def parse(output: bytes, *, sender: bool, interval_s: float) -> Seen:
    """Read ``iperf3 --json`` of the sending or of the receiving end. Raises ProgramFailed."""
    try:
        seen = _decoder.decode(output)
    except msgspec.MsgspecError as error:
        raise ProgramFailed(PROGRAM, f"output cannot be read: {error}") from error
    if seen.error:
        raise ProgramFailed(PROGRAM, seen.error[:300])
    total = seen.end.sum_sent if sender else seen.end.sum_received
    if total is None:
        raise ProgramFailed(PROGRAM, "printed no result")
    samples = [
        interval.sum.bits_per_second / 8
        for interval in seen.intervals
        if not interval.sum.omitted and interval.sum.seconds >= _WHOLE_INTERVAL * interval_s
    ]
    return Seen(total.bits_per_second / 8, samples[:_MOST_SAMPLES], total.retransmits if sender else None)


def interval_s(task: PairTask) -> float:
    """Length of a sample."""
    return max(_INTERVAL_S, math.ceil(task.limits.runtime_s) / _MOST_SAMPLES)


def limit_s(task: PairTask) -> float:
    """A transfer that has not ended by then never will."""
    warmup_s = math.ceil(task.warmup_s + task.limits.rampup_s)
    return max(1, math.ceil(task.limits.runtime_s)) + warmup_s + OVERHEAD_S


def client_arguments(task: PairTask, direction: str, port: int) -> list[str]:
    """Command line of the connecting end."""
    argv = [PROGRAM, "--client", task.peer_address, "--port", str(port), "--json"]
    argv += ["--connect-timeout", "3000"]
    argv += ["--time", str(max(1, math.ceil(task.limits.runtime_s)))]
    argv += ["--omit", str(math.ceil(task.warmup_s + task.limits.rampup_s))]
    argv += ["--interval", f"{interval_s(task):.3f}", "--parallel", str(task.streams)]
    if task.address:
        argv += ["--bind", task.address]
    if direction == "rx":
        argv.append("--reverse")
    if task.connection == "udp":
        argv += ["--udp", "--bitrate", "0"]
    return argv


def run_client(task: PairTask, direction: str, port: int, watch: Watch) -> Seen:
    """The connecting end of one transfer. Raises ProgramError."""
    with running(client_arguments(task, direction, port)) as program:
        # iperf3 says in its output why it failed, whatever its exit status.
        finished = program.finish(limit_s(task), ok_statuses=None, cancelled=watch.cancelled)
    return parse(finished.stdout, sender=direction == "tx", interval_s=interval_s(task))


@contextmanager
def server(task: PairTask, port: int, watch: Watch) -> Iterator[Running]:
    """The listening end of one transfer, once it listens. Raises ProgramError."""
    argv = [
        PROGRAM,
        "--server",
        "--one-off",
        "--json",
        "--port",
        str(port),
        "--interval",
        f"{interval_s(task):.3f}",
    ]
    if task.address:
        argv += ["--bind", task.address]
    with running(argv) as program:
        started = watch.within(_START_LIMIT_S)
        while not _listens(port):
            if not program.alive() or not started.running():
                parse(program.finish(0.5, ok_statuses=None).stdout, sender=False, interval_s=1)
                raise ProgramFailed(PROGRAM, f"does not listen on port {port}")
            time.sleep(0.01)
        yield program


def finish_server(program: Running, task: PairTask, direction: str, watch: Watch) -> Seen:
    """Wait for the end of the one transfer. Raises ProgramError."""
    finished = program.finish(limit_s(task), ok_statuses=None, cancelled=watch.cancelled)
    return parse(finished.stdout, sender=direction == "rx", interval_s=interval_s(task))


def reserve(address: str) -> socket.socket:
    """A socket that keeps a free port for iperf3: bound, never listening, so that iperf3 can bind beside it.

    Raises OSError.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, 0))
    except OSError:
        sock.close()
        raise
    return sock


def _listens(port: int) -> bool:
    """Whether anything listens on a TCP port of this network namespace (proc(5), ``/proc/net/tcp``)."""
    wanted = f":{port:04X}"
    for table in ("/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 3 and fields[1].endswith(wanted) and fields[3] == _LISTEN_STATE:
                return True
    return False
