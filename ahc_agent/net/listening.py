"""The listening end of a pair: binds all sockets, lets its peer in, then does as the connecting end says."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass, field

import zmq

from ahc_agent.errors import PeerGone, PeerSilent, ProgramError
from ahc_agent.net import bulk, iperf, latency, path_mtu
from ahc_agent.net.control import Control, Done, Failure, Listening, Step
from ahc_agent.net.guard import Door, Purpose, ZapKeeper
from ahc_agent.net.record import Direction
from ahc_agent.net.run import CONNECT_LIMIT_S, SKEW_S, Run, reason

_BACKLOG = 128


@dataclass(slots=True)
class _Bound:
    """What is bound; ``bulk`` and ``ports`` have an entry per direction: ``bulk_tx``, ``bulk_rx``."""

    door: socket.socket
    datagrams: socket.socket | None = None
    sized: socket.socket | None = None
    bulk: dict[Direction, bulk.Socket] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)


def listen(run: Run) -> None:
    """Be the listening end. Raises PeerError, Cancelled, OSError, zmq.ZMQError; what was seen is in ``run.record``."""
    with ExitStack() as stack:
        try:
            bound = _bind(run, stack)
        except (OSError, zmq.ZMQError) as error:
            raise PeerSilent(
                f"cannot listen on {run.task.address or 'any address'}: {reason(error)}"
            ) from error
        run.wait_go(bound.ports)
        wanted = {Purpose.CONTROL, Purpose.ECHO} if run.task.latency else {Purpose.CONTROL}
        door = Door(bound.door, run.token, run.strangers)
        admitted = door.admit(frozenset(wanted), run.watch.within(CONNECT_LIMIT_S + SKEW_S))
        for sock in admitted.values():
            stack.callback(sock.close)
        bound.door.close()  # nobody else is awaited
        run.record.connected = True
        _obey(run, bound, Control(admitted[Purpose.CONTROL]), admitted.get(Purpose.ECHO))


def _bind(run: Run, stack: ExitStack) -> _Bound:
    task, address = run.task, run.task.address
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    door = stack.enter_context(socket.create_server((address, 0), family=family, backlog=_BACKLOG))
    bound = _Bound(door)
    bound.ports["tcp"] = door.getsockname()[1]
    if run.path.card_mtu() is not None:
        bound.sized = stack.enter_context(path_mtu.open_socket(family, address))
        bound.ports["mtu"] = bound.sized.getsockname()[1]
    if task.latency:
        bound.datagrams = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        bound.datagrams.bind((address, 0))
        bound.ports["udp"] = bound.datagrams.getsockname()[1]
    if run.by_zmq:
        context = bulk.open_context(task.streams)
        stack.callback(context.term)
        ZapKeeper(context, run.token, run.strangers).start()
        for direction in task.directions:
            kind = zmq.PUSH if run.record.sends(direction) else zmq.PULL
            sock, port = bulk.bind(context, kind, address, run.transfer)
            stack.callback(sock.close)
            bound.bulk[direction] = sock
            bound.ports[f"bulk_{direction}"] = port
    elif task.bandwidth:
        kept = stack.enter_context(iperf.reserve(address))
        bound.ports["iperf3"] = kept.getsockname()[1]
    return bound


def _obey(run: Run, bound: _Bound, control: Control, echo: socket.socket | None) -> None:
    while True:
        order = control.receive(run.watch.within(run.step_limit_s))
        match order:
            case Done():
                return
            case Failure(error=text):
                run.record.error(f"at {run.task.peer}: {text}")
            case Step(kind="mtu") if bound.sized is not None:
                limit = run.watch.within(path_mtu.LIMIT_S + SKEW_S)
                mtu = run.path.card_mtu() or path_mtu.LEAST_BYTES
                path_mtu.answer(bound.sized, mtu, control, run.token, run.strangers, limit)
            case Step(kind="bulk", direction=direction) if direction in bound.bulk:
                run.carry(bound.bulk.pop(direction), control, direction)
            case Step(kind="iperf3", direction=direction) if "iperf3" in bound.ports:
                _serve_iperf(run, control, direction, bound.ports["iperf3"])
            case Step(kind="tcp") if echo is not None:
                latency.echo_tcp(echo, control, run.watch.within(run.latency_limit_s + SKEW_S))
            case Step(kind="udp") if bound.datagrams is not None:
                limit = run.watch.within(run.latency_limit_s + SKEW_S)
                latency.echo_udp(bound.datagrams, control, run.token, run.strangers, limit)
            case _:
                raise PeerGone(f"the peer asked for what was not agreed: {order}")


def _serve_iperf(run: Run, control: Control, direction: Direction, port: int) -> None:
    try:
        with iperf.server(run.task, port, run.watch) as program:
            control.send(Listening())
            control.await_halt(run.watch.within(run.step_limit_s))
            seen = iperf.finish_server(program, run.task, direction, run.watch)
    except ProgramError as error:
        run.watch.running()  # called off: that is the reason, not the program
        control.send(Failure(error=str(error)))
        run.record.error(f"{direction}: {error}")
        run.record.flow(direction, None)
    else:
        run.record.flow(direction, seen.bytes_per_s, seen.samples, seen.retransmits)
