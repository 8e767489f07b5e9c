"""Many agents in one process, for the hub's benchmark: real sockets, real CURVE, real messages, nothing measured.

``python simulated_agents.py ENDPOINT SERVER_KEY FIRST COUNT METRICS`` joins machines ``n<FIRST>``... with a key pair each,
sends heartbeats as told, answers a task with ``METRICS`` canned measurements (or a canned inventory) until that is
acknowledged, and prints one JSON line when all have joined and one when the last acknowledgement has come. It then
goes on until it is killed.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import zmq

from ahc_agent.facts import Inventory
from ahc_agent.measure import Conditions, Measurement, Sample
from ahc_agent.wire import codec
from ahc_agent.wire.keys import new_pair
from ahc_agent.wire.messages import (
    Ack,
    Assign,
    Heartbeat,
    Hello,
    Identity,
    InventoryTask,
    Pulse,
    Result,
    TaskOutcome,
    Welcome,
)

_SEND_AGAIN_S = 10.0
#: What each of them is asked for: the inventory, then the measurements.
TASKS = 2


def measurements(count: int) -> list[Measurement]:
    """As a node with many disks and cores delivers them: five samples each, with the conditions of the run."""
    conditions = Conditions(
        steal_fraction=0.01,
        others_cpu_fraction=0.02,
        involuntary_switches=3,
        throttle_events=0,
        frequency_hz=2_400_000_000,
    )
    return [
        Measurement(
            component="cpu",
            part=f"core{number}",
            quantity="events_per_s",
            unit="1/s",
            value=1000.0 + number / 7,
            ci95=3.1,
            samples=[Sample(value=1000.0 + number / 7 + turn / 3, at_s=turn * 0.25) for turn in range(5)],
            stop="converged",
            duration_s=1.25,
            conditions=conditions,
        )
        for number in range(count)
    ]


class Simulated:
    """One agent."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, server_key: str, name: str
    ) -> None:
        keys = new_pair()
        self.name = name
        self.socket = context.socket(zmq.DEALER)
        self.socket.set(zmq.CURVE_SERVERKEY, server_key.encode())
        self.socket.set(zmq.CURVE_PUBLICKEY, keys.public.encode())
        self.socket.set(zmq.CURVE_SECRETKEY, keys.secret.encode())
        self.socket.set(zmq.LINGER, 0)
        self.socket.connect(endpoint)
        identity = Identity(name=name, uuid=f"00000000-0000-4000-8000-{int(name[1:]):012x}", macs=[])
        self.socket.send(codec.encode(Hello(identity=identity, instance=name, agent_version="0")))
        self.joined = False
        self.beats = self.pulses = 0
        self.heartbeat_s, self.beat_due = 5.0, float("inf")
        self.unacknowledged: dict[str, tuple[bytes, float]] = {}
        self.acknowledged = 0

    def read(self, now: float, inventory: TaskOutcome, measured: TaskOutcome) -> None:
        while True:
            try:
                message = codec.read_from_server(self.socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                return
            if isinstance(message, Welcome):
                self.joined = True
                self.heartbeat_s = message.heartbeat_s
                self.beat_due = now + message.heartbeat_s * (int(self.name[1:]) % 100) / 100
            elif isinstance(message, Pulse):
                self.pulses += 1
            elif isinstance(message, Assign):
                outcome = inventory if isinstance(message.task, InventoryTask) else measured
                frame = codec.encode(Result(task_id=message.task_id, outcome=outcome))
                self.unacknowledged[message.task_id] = (frame, now + _SEND_AGAIN_S)
                self.socket.send(frame)
            elif isinstance(message, Ack):
                self.acknowledged += self.unacknowledged.pop(message.task_id, None) is not None

    def beat(self, now: float) -> None:
        if now >= self.beat_due:
            self.beats += 1
            self.beat_due += self.heartbeat_s
            self.socket.send(codec.encode(Heartbeat(sequence=self.beats, sent_at_ns=time.monotonic_ns())))
        for task_id, (frame, again_at) in self.unacknowledged.items():
            if now >= again_at:
                self.unacknowledged[task_id] = (frame, now + _SEND_AGAIN_S)
                self.socket.send(frame)


def main(endpoint: str, server_key: str, first: int, count: int, metrics: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    inventory = TaskOutcome(status="ok", inventory=Inventory(collected_at="2024-01-01T00:00:00Z"))
    measured = TaskOutcome(status="ok", duration_s=1.0, measurements=measurements(metrics))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, count + 10)
    started = time.monotonic()
    agents = {}
    poller = zmq.Poller()
    for number in range(first, first + count):
        agent = Simulated(context, endpoint, server_key, f"n{number}")
        agents[agent.socket] = agent
        poller.register(agent.socket, zmq.POLLIN)
    said_joined = said_done = False
    while True:
        readable = poller.poll(100)
        now = time.monotonic()
        for socket, _ in readable:
            agents[socket].read(now, inventory, measured)
        for agent in agents.values():
            agent.beat(now)
        if not said_joined and all(agent.joined for agent in agents.values()):
            said_joined = True
            print(json.dumps({"joined_s": now - started}), flush=True)
        if not said_done and all(agent.acknowledged == TASKS for agent in agents.values()):
            said_done = True
            beats, pulses = (
                sum(getattr(agent, name) for agent in agents.values()) for name in ("beats", "pulses")
            )
            print(json.dumps({"done_s": now - started, "beats": beats, "pulses": pulses}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
