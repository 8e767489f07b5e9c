"""Small fleets for the judge's and the report's tests, built from the real message types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ahc_agent.facts import Cpu, Disk, Inventory, Memory, Nic, System
from ahc_agent.measure import Conditions, Measurement, Sample
from ahc_agent.wire.messages import Flow, Identity, PairOutcome, RoundTrips, TaskOutcome
from ahc_server.judge import judge_session
from ahc_server.judge.model import Finding, Report
from ahc_server.session import NodeRecord, OutcomeRecord, Session

GB = 10**9

#: (component, part, quantity, unit, higher is better, healthy value, noise in parts of the usual one)
STANDARD: tuple[tuple[str, str, str, str, bool, float, float], ...] = (
    ("cpu", "socket0", "events_per_s", "events/s", True, 1180.0, 0.5),
    ("cpu", "socket1", "events_per_s", "events/s", True, 1180.0, 0.5),
    ("cpu", "all", "events_per_s", "events/s", True, 18_800.0, 0.5),
    ("memory", "node0", "write_1M_bytes_per_s", "bytes/s", True, 11.2e9, 1.0),
    ("memory", "node1", "write_1M_bytes_per_s", "bytes/s", True, 11.2e9, 1.0),
    ("memory", "all", "write_1M_bytes_per_s", "bytes/s", True, 21.0e9, 1.0),
    ("disk", "disk0", "read_1M_bytes_per_s", "bytes/s", True, 52.0e6, 1.0),
    ("disk", "disk0", "randread_4k_iops", "IOPS", True, 480.0, 1.0),
    ("disk", "disk0", "randread_4k_p50_us", "us", False, 2000.0, 2.0),
    ("disk", "disk0", "randread_4k_p99_us", "us", False, 6000.0, 8.0),
)


def inventory(
    *,
    cpu: str = "Xeon Gold 6130",
    memory: int = 192 * 2**30,
    disks: Sequence[int] = (960 * GB,),
    nics: Sequence[int | None] = (25_000,),
    product: str = "R640",
) -> Inventory:
    return Inventory(
        collected_at="2024-05-01T10:00:00Z",
        system=System(vendor="Dell", product=product),
        cpu=Cpu(model=cpu, sockets=2, cores=32, logical_present=64),
        memory=Memory(total_bytes=memory),
        disks=[Disk(name=f"disk{n}", size_bytes=size, rotational=False) for n, size in enumerate(disks)],
        nics=[Nic(name=f"eth{n}", speed_mbps=speed) for n, speed in enumerate(nics)],
    )


def measurement(
    component: str,
    part: str,
    quantity: str,
    unit: str,
    higher_is_better: bool,
    value: float | None,
    **more: object,
) -> Measurement:
    return Measurement(
        component=component,  # type: ignore[arg-type]
        part=part,
        quantity=quantity,
        unit=unit,
        higher_is_better=higher_is_better,
        value=value,
        **more,  # type: ignore[arg-type]
    )


def disturbed(of: Measurement, steal: float) -> Measurement:
    """The same measurement with all its samples marked as taken under steal."""
    assert of.value is not None
    return Measurement(
        component=of.component,
        part=of.part,
        quantity=of.quantity,
        unit=of.unit,
        higher_is_better=of.higher_is_better,
        value=of.value,
        samples=[Sample(value=of.value, disturbed=f"steal {steal:.2f}")] * 3,
        conditions=Conditions(steal_fraction=steal),
    )


class Fleet:
    """A fleet under construction; every method returns the fleet, ``session()`` ends it.

    Factors change what a node would have measured: ``slow("n3", "disk", 0.4)``.
    """

    def __init__(self, size: int, *, noise: float = 0.003, seed: int = 1, heavy_tails: bool = False) -> None:
        self.names = [f"n{number + 1}" for number in range(size)]
        self.inventories: dict[str, Inventory | None] = dict.fromkeys(self.names, inventory())
        self.lost: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.outcomes: list[OutcomeRecord] = []
        self._random = np.random.default_rng(seed)
        self._noise = noise
        self._heavy = heavy_tails

    def with_noise(self, noise: float, seed: int) -> Fleet:
        """What is measured from here on scatters by ``noise``."""
        self._random = np.random.default_rng(seed)
        self._noise = noise
        return self

    def _scatter(self, noise: float) -> float:
        draw = self._random.standard_t(4) if self._heavy else self._random.standard_normal()
        return float(np.exp(noise * self._noise * draw))

    def benchmarks(
        self, metrics: Sequence[tuple[str, str, str, str, bool, float, float]] = STANDARD
    ) -> Fleet:
        for name in self.names:
            for component in dict.fromkeys(metric[0] for metric in metrics):
                taken = [
                    measurement(*metric[:5], metric[5] * self._scatter(metric[6]))
                    for metric in metrics
                    if metric[0] == component
                ]
                outcome = TaskOutcome(status="ok", started_at_unix_s=1_714_557_600.0, measurements=taken)
                self._add(f"{component}-{name}", name, component, outcome)
        return self

    def _add(self, task: str, name: str, component: str, outcome: TaskOutcome, hosts: int = 0) -> None:
        step = {"cpu": 1, "memory": 2, "disk": 3, "network": 4}.get(component, 0)
        self.outcomes.append(
            OutcomeRecord(task, name, component, component, step, hosts or len(self.names), outcome)
        )

    def change(self, name: str, how: Callable[[Measurement], Measurement | None]) -> Fleet:
        """Pass every measurement of a node through ``how``; None removes it."""
        for number, record in enumerate(self.outcomes):
            if record.machine == name and record.outcome.measurements:
                taken = [new for old in record.outcome.measurements if (new := how(old)) is not None]
                outcome = TaskOutcome(
                    status=record.outcome.status, started_at_unix_s=1_714_557_600.0, measurements=taken
                )
                self.outcomes[number] = replace(record, outcome=outcome)
        return self

    def slow(self, name: str, component: str, factor: float, part: str | None = None) -> Fleet:
        def how(old: Measurement) -> Measurement:
            if old.component != component or part not in (None, old.part) or old.value is None:
                return old
            value = old.value * factor if old.higher_is_better else old.value / factor
            return measurement(old.component, old.part, old.quantity, old.unit, old.higher_is_better, value)

        return self.change(name, how)

    def network(
        self,
        tx: dict[str, float] | None = None,
        rx: dict[str, float] | None = None,
        cut: Sequence[tuple[str, str]] = (),
        rtt: dict[str, float] | None = None,
        base: float = 3.0e9,
    ) -> Fleet:
        """All pairs, both directions; ``tx``, ``rx`` are factors on what a node can do, ``rtt`` adds microseconds."""
        for first, one in enumerate(self.names):
            for other in self.names[first + 1 :]:
                is_cut = (one, other) in cut or (other, one) in cut
                flows = [
                    Flow(
                        source=a,
                        destination=b,
                        bytes_per_s=base
                        * min((tx or {}).get(a, 1.0), (rx or {}).get(b, 1.0))
                        * self._scatter(1.0),
                    )
                    for a, b in ((one, other), (other, one))
                ]
                p50 = 40.0 + (rtt or {}).get(one, 0.0) + (rtt or {}).get(other, 0.0)
                times = RoundTrips(protocol="tcp", count=1000, p50_us=p50 * self._scatter(2.0))
                for name, peer, role in ((one, other, "connect"), (other, one, "listen")):
                    pair = PairOutcome(
                        pair_id=f"{one}+{other}",
                        role=role,  # type: ignore[arg-type]
                        peer=peer,
                        connected=not is_cut,
                        flows=[] if is_cut else flows,
                        round_trips=[times] if role == "connect" and not is_cut else [],
                        error="connection timed out" if is_cut else None,
                    )
                    self._add(
                        f"pair-{one}-{other}-{role}", name, "network", TaskOutcome(status="ok", pair=pair)
                    )
        return self

    def session(self) -> Session:
        nodes = [
            NodeRecord(
                machine=name,
                node=name,
                identity=Identity(name=name),
                inventory=self.inventories[name],
                lost=self.lost.get(name),
                id_note=self.notes.get(name),
            )
            for name in self.names
        ]
        outcomes = [record for record in self.outcomes if record.machine in set(self.names)]
        return Session("s1", "standard", "done", 1_714_557_000.0, nodes, outcomes)


def judge(fleet: Fleet) -> Report:
    return judge_session(fleet.session(), generated_at="2024-05-01T10:30:00Z")


def verdicts(report: Report) -> dict[str, str]:
    return {node.id: node.verdict for node in report.nodes}


def serious(report: Report) -> list[Finding]:
    return [each for each in report.findings if each.severity != "info"]
