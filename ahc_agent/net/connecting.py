"""The connecting end of a pair: makes all connections and leads through the measurements."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing

import zmq

from ahc_agent.errors import CannotAnswer, ProgramError, ProgramMissing, ProgramTimeout
from ahc_agent.net import bulk, iperf, latency, path_mtu
from ahc_agent.net.control import Control, Done, Failure, Halt, Step
from ahc_agent.net.guard import Purpose, knock
from ahc_agent.net.record import Direction
from ahc_agent.net.run import CONNECT_LIMIT_S, Run
from ahc_agent.net.watch import Watch
from ahc_agent.programs import find
from ahc_agent.wire.messages import Go


def connect(run: Run) -> None:
    """Be the connecting end. Raises PeerError, Cancelled, OSError, zmq.ZMQError; what was seen is in ``run.record``."""
    task = run.task
    go = run.wait_go({})
    with ExitStack() as stack:
        watch = run.watch.within(CONNECT_LIMIT_S)
        control = Control(stack.enter_context(_knock(run, go, Purpose.CONTROL, watch)))
        echo = stack.enter_context(_knock(run, go, Purpose.ECHO, watch)) if task.latency else None
        run.record.connected = True
        if "mtu" in go.ports:
            _measure_path_mtu(run, control, go.ports["mtu"])
        if run.by_zmq:
            context = bulk.open_context(task.streams)
            stack.callback(context.term)
            for direction in task.directions:
                run.context.progress(0.1, f"bandwidth {direction} with {task.peer}")
                _carry(run, context, control, direction, _port(go, f"bulk_{direction}"))
        elif task.bandwidth:
            for direction in task.directions:
                run.context.progress(0.1, f"iperf3 {direction} with {task.peer}")
                _carry_by_iperf(run, control, direction, _port(go, "iperf3"))
        if echo is not None:
            run.context.progress(0.8, f"round trips with {task.peer}")
            _measure_round_trips(run, control, echo, _port(go, "udp"))
        control.send(Done())


def _port(go: Go, purpose: str) -> int:
    if purpose not in go.ports:
        raise CannotAnswer(f"the Go for this pair names no port for {purpose}")
    return go.ports[purpose]


def _knock(run: Run, go: Go, purpose: Purpose, watch: Watch) -> socket.socket:
    task = run.task
    return knock((task.peer_address, _port(go, "tcp")), task.address, purpose, run.token, watch)


def _measure_path_mtu(run: Run, control: Control, port: int) -> None:
    """First of all: where large packets vanish, the bandwidth tests may never end."""
    task = run.task
    mtu = run.path.card_mtu()
    if mtu is None:
        return
    family = socket.AF_INET6 if ":" in task.peer_address else socket.AF_INET
    with path_mtu.open_socket(family, task.address) as sock:
        sock.connect((task.peer_address, port))
        control.send(Step(kind="mtu"))
        run.path.mtu = path_mtu.probe(sock, mtu, run.token, run.watch)
    control.send(Halt())


def _carry(run: Run, context: bulk.Context, control: Control, direction: Direction, port: int) -> None:
    task = run.task
    kind = zmq.PUSH if run.record.sends(direction) else zmq.PULL
    sock = bulk.connect(context, kind, (task.peer_address, port), task.address, run.token, run.transfer)
    with closing(sock):
        control.send(Step(kind="bulk", direction=direction))
        run.carry(sock, control, direction)


def _carry_by_iperf(run: Run, control: Control, direction: Direction, port: int) -> None:
    if find(iperf.PROGRAM) is None:
        missing = ProgramMissing(iperf.PROGRAM)
        control.send(Failure(error=str(missing)))
        _note_failure(run, direction, missing)
        return
    control.send(Step(kind="iperf3", direction=direction))
    answer = control.receive(run.watch.within(run.step_limit_s))
    if isinstance(answer, Failure):
        run.record.error(f"{direction}: at {run.task.peer}: {answer.error}")
        run.record.flow(direction, None)
        return
    try:
        seen = iperf.run_client(run.task, direction, port, run.watch)
    except ProgramError as error:
        run.watch.running()  # called off: that is the reason, not the program
        _note_failure(run, direction, error)
    else:
        run.record.flow(direction, seen.bytes_per_s, seen.samples, seen.retransmits)
    control.send(Halt())


def _note_failure(run: Run, direction: Direction, error: ProgramError) -> None:
    """Nothing came through where iperf3 waited in vain; otherwise the flow is unknown."""
    in_vain = isinstance(error, ProgramTimeout) or "timed out" in str(error)
    run.record.flow(direction, 0.0 if in_vain else None)
    run.record.error(f"{direction}: {error}")


def _measure_round_trips(run: Run, control: Control, echo: socket.socket, udp_port: int) -> None:
    task = run.task
    if "tcp" in task.round_trip_protocols:
        control.send(Step(kind="tcp"))
        limit = run.watch.within(run.latency_limit_s)
        run.record.round_trips(latency.ping_tcp(echo, task.round_trips, limit))
        control.send(Halt())
    if "udp" not in task.round_trip_protocols:
        return
    family = socket.AF_INET6 if ":" in task.peer_address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        if task.address:
            datagrams.bind((task.address, 0))
        datagrams.connect((task.peer_address, udp_port))
        control.send(Step(kind="udp"))
        limit = run.watch.within(run.latency_limit_s)
        run.record.round_trips(latency.ping_udp(datagrams, run.token, task.round_trips, limit))
    control.send(Halt())
