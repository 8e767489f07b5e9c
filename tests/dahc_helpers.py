"""A run of DAHC as its server leaves it: folders, results, metrics, affinity, hosts and plan; small, with faults on request."""

from __future__ import annotations

import os
import pprint
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

Host = tuple[str, int]
BEGUN_S = 1_414_090_000.0
#: Component → (number in the server's messages, folder's prefix).
_CODES = {"cpu": 2, "storage": 4, "memory": 8, "network": 16}
PLAN: dict[str, Any] = {
    "name": "small",
    "required-hosts": 12,
    "jobs": {
        "cpu": {"component": "cpu", "required-hosts": "1-12", "step-hosts": 3, "runtime": 10, "cores": 2},
        "read_rand": {
            "component": "storage",
            "required-hosts": "1-12",
            "step-hosts": 3,
            "runtime": 10,
            "mode": "random",
            "access": "read",
            "block-size": "4k",
            "device": "vda",
        },
        "tcp_bandwidth": {
            "component": "network",
            "required-hosts": "3-12",
            "step-hosts": 3,
            "arity": 3,
            "runtime": 10,
            "mode": "bandwidth",
            "connection": "tcp",
        },
    },
}


@dataclass
class Dahc:
    """``speed``: (job, machine, machines at once) → factor on what a machine measures. ``absent``: (job, hosts, machine) without
    a file; ``stale``: with a file, but not asked; ``empty``: with a file without a measurement."""

    machines: int = 12
    hypervisors: int = 3
    counts: tuple[int, ...] = (1, 3, 6, 9, 12)
    jobs: tuple[str, ...] = ("cpu", "read_rand", "tcp_bandwidth")
    noise: float = 0.01
    seed: int = 1
    title: str = "mtu=1500"
    plan: dict[str, Any] = field(default_factory=lambda: PLAN)
    speed: Callable[[str, int, int], float] = lambda job, machine, hosts: 1.0
    absent: set[tuple[str, int, int]] = field(default_factory=set)
    stale: set[tuple[str, int, int]] = field(default_factory=set)
    empty: set[tuple[str, int, int]] = field(default_factory=set)
    virtual: bool = True
    files: frozenset[str] = frozenset({"metrics", "affinity", "hosts", "plan"})

    def host(self, machine: int) -> Host:
        """All behind one address, as virtual machines behind a NAT are."""
        return "10.77.7.35", 40_000 + machine

    def serial(self, machine: int) -> str:
        return f"hv-{machine % self.hypervisors}" if self.virtual else f"sn-{machine}"

    def rows(self, machine: int) -> list[tuple[str, ...]]:
        return [
            ("system", "product", "serial", self.serial(machine)),
            ("system", "product", "name", "OpenStack Compute" if self.virtual else "R640"),
            ("system", "product", "vendor", "Red Hat" if self.virtual else "Dell"),
            ("system", "product", "uuid", f"DDAE577F-D11A-425B-924F-{machine:012X}"),
            ("memory", "total", "size", "4294967296"),
            ("disk", "vda", "size", "128"),
            ("network", "eth0", "ipv4", f"192.168.254.{machine + 1}"),
            ("network", "eth0", "ipv4-cidr", "24"),
            ("network", "eth0", "driver", "virtio_net"),
            ("network", "eth0", "serial", f"fa:16:3e:00:00:{machine:02x}"),
            ("cpu", "physical", "number", "2"),
            ("cpu", "logical", "number", "2"),
            ("cpu", "physical_0", "product", "Xeon"),
            ("cpu", "physical_0", "flags", "fpu hypervisor" if self.virtual else "fpu"),
        ]

    def write(self, root: Path) -> Path:
        random = np.random.default_rng(self.seed)
        at = BEGUN_S
        for job in self.jobs:
            component = self.plan["jobs"][job]["component"]
            for hosts in self.counts:
                if component == "network" and hosts % 3:
                    continue
                folder = root / str(hosts) / f"{component}-{job}"
                folder.mkdir(parents=True)
                self._step(folder, job, component, hosts, at, random)
                at += 20.0
        if "affinity" in self.files:
            _dump(root / "affinity", self._affinity(range(self.machines)))
        if "hosts" in self.files:
            _dump(root / "hosts", sorted({self.serial(machine) for machine in range(self.machines)}))
        if "plan" in self.files:
            _write(root / "plan.yaml", yaml.safe_dump(self.plan, sort_keys=False))
        return root

    def _step(
        self, folder: Path, job: str, component: str, hosts: int, at: float, random: np.random.Generator
    ) -> None:
        here = range(hosts)
        for machine in here:
            scatter = float(np.exp(self.noise * random.standard_normal()))
            value = self.speed(job, machine, hosts) * scatter
            rows = self.rows(machine)
            if (job, hosts, machine) not in self.empty:
                rows += self._results(job, machine, value)
            if (job, hosts, machine) not in self.absent:
                _dump(folder / f"vm-{self.serial(machine)}-{machine:02d}.hw", rows)
        if "metrics" in self.files:
            _dump(folder / "metrics", self._metrics(job, component, hosts, at))

    def _results(self, job: str, machine: int, value: float) -> list[tuple[str, ...]]:
        if job == "cpu":
            return [("cpu", "logical", "loops_per_sec", str(round(1000 * value)))]
        if job == "read_rand":
            return [
                ("disk", "vda", "standalone_randread_4k_KBps", str(round(40_000 * value))),
                ("disk", "vda", "standalone_randread_4k_IOps", str(round(10_000 * value))),
            ]
        peers = [peer for peer in range(machine - machine % 3, machine - machine % 3 + 3) if peer != machine]
        item = "bandwidth" if job == "tcp_bandwidth" else "requests_per_sec"
        return [("network", item, f"192.168.254.{peer + 1}/10001", f"{500 * value:.2f}") for peer in peers]

    def _metrics(self, job: str, component: str, hosts: int, at: float) -> dict[str, Any]:
        asked = [machine for machine in range(hosts) if (job, hosts, machine) not in self.stale]
        bench = {
            "name": job,
            "title": self.title,
            "component": _CODES[component],
            "nb-hosts": hosts,
            "runtime": 10,
            "hosts-list": self._affinity(asked) if component == "network" else [self.host(m) for m in asked],
        }
        if component == "network":
            bench["arity"] = 3
            bench["ip-list"] = {self.host(m): f"192.168.254.{m + 1}" for m in asked}
        return {
            "bench": bench,
            "affinity": self._affinity(asked),
            "hosts": [self.host(m) for m in range(hosts)],
            "start_time": {self.host(m): at + 0.01 * m for m in asked},
            "start_lag": {self.host(m): 0.005 * m for m in asked},
            "duration": {self.host(m): 10.0 for m in asked},
        }

    def _affinity(self, machines: range | list[int]) -> dict[str, list[Host]]:
        found: dict[str, list[Host]] = {}
        for machine in machines:
            found.setdefault(self.serial(machine), []).append(self.host(machine))
        return found


def _dump(path: Path, value: object) -> None:
    _write(path, pprint.pformat(value))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    os.utime(path, (BEGUN_S, BEGUN_S))
