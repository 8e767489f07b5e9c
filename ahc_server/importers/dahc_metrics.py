"""The ``metrics`` file that DAHC's server writes beside the results of each step, and its ``affinity`` and ``hosts``.

::

    metrics   {"bench": {"name", "component", "nb-hosts", "hosts-list", "arity", "ip-list", "title", ...},
               "hosts": [HOST], "affinity": {SYSTEM: [HOST]},
               "start_time": {HOST: s}, "start_lag": {HOST: s}, "duration": {HOST: s}}
    affinity  {SYSTEM: [HOST]}      hosts  [SYSTEM]

A HOST is the address and port from which a machine's client was connected, ("10.77.7.35", 49742); SYSTEM is a serial number,
which on virtual machines is the hypervisor's. Times are Unix seconds of the server's clock: ``start_time`` is when it heard that
the machine had begun, ``start_lag`` how long after it had told it to, ``duration`` from there to its result. (``health-server``
of eDeploy: ``compute_metrics``, ``dump_affinity``, ``dump_hosts``.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ahc_agent.errors import FileFormatError
from ahc_server.importers.pyvalue import read_value
from ahc_server.importers.values import number_of, text_of

Host = tuple[str, int]

#: ``Health_Message``'s numbers of modules.
_COMPONENTS = {2: "cpu", 4: "storage", 8: "memory", 16: "network"}
_LATEST_UNIX_S = 4e9
_LONGEST_S = 1e6
_MOST_HOSTS = 100_000


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What is known of one step. Everything may be missing.

    ``hosts``: how many were to run at once; ``asked``: which; ``ran``: those with a result, perhaps of an earlier step;
    ``flows``: how many peers each sent to; ``address``: the data address of each; ``system``: whose machine each is.
    """

    job: str | None = None
    component: str | None = None
    title: str | None = None
    hosts: int | None = None
    flows: int | None = None
    asked: frozenset[Host] = frozenset()
    ran: frozenset[Host] = frozenset()
    address: dict[Host, str] = field(default_factory=dict)
    system: dict[Host, str] = field(default_factory=dict)
    start_s: dict[Host, float] = field(default_factory=dict)
    lag_s: dict[Host, float] = field(default_factory=dict)
    duration_s: dict[Host, float] = field(default_factory=dict)

    @property
    def jitter_s(self) -> float | None:
        """Latest minus earliest start of its machines; of one machine 0, None where no start is known."""
        return max(self.start_s.values()) - min(self.start_s.values()) if self.start_s else None


def read_metrics(text: str, file: str) -> StepMetrics:
    """A ``metrics`` file. Raises FileFormatError where it is none."""
    whole = read_value(text, file)
    if not isinstance(whole, dict) or not isinstance(whole.get("bench"), dict):
        raise FileFormatError(file, "no metrics of a step: they are a dict with 'bench' in it")
    bench = whole["bench"]
    arity = _count(bench.get("arity"))
    component = bench.get("component")
    hosts = _count(bench.get("nb-hosts"))
    return StepMetrics(
        job=text_of(bench.get("name")),
        component=_COMPONENTS.get(component) if isinstance(component, int) else text_of(component),
        title=text_of(bench.get("title")),
        hosts=hosts,
        flows=arity - 1 if arity else None,
        asked=frozenset(_hosts(bench.get("hosts-list"))),
        ran=frozenset(_hosts(whole.get("hosts"))),
        address={host: word for host, value in _of_hosts(bench.get("ip-list")) if (word := text_of(value))},
        system=_systems(whole.get("affinity")),
        start_s=_seconds(whole.get("start_time"), _LATEST_UNIX_S),
        lag_s=_seconds(whole.get("start_lag"), _LONGEST_S),
        duration_s=_seconds(whole.get("duration"), _LONGEST_S),
    )


def read_affinity(text: str, file: str) -> dict[Host, str]:
    """An ``affinity`` file: whose machine each host is. Raises FileFormatError where it is none."""
    whole = read_value(text, file)
    if not isinstance(whole, dict):
        raise FileFormatError(file, "no affinity: that is a dict of hypervisors with their machines")
    return _systems(whole)


def read_systems(text: str, file: str) -> list[str]:
    """A ``hosts`` file: the hypervisors. Raises FileFormatError where it is none."""
    whole = read_value(text, file)
    if not isinstance(whole, list):
        raise FileFormatError(file, "no list of hypervisors")
    return list(dict.fromkeys(word for each in whole[:_MOST_HOSTS] if (word := text_of(each))))


def _systems(found: Any) -> dict[Host, str]:
    if not isinstance(found, dict):
        return {}
    return {host: word for system, of in found.items() if (word := text_of(system)) for host in _hosts(of)}


def _hosts(found: Any) -> Iterator[Host]:
    """Of a list of hosts, or of a dict of such lists."""
    for each in found.values() if isinstance(found, dict) else [found]:
        for host in each if isinstance(each, list) else ():
            if (known := _host(host)) is not None:
                yield known


def _host(each: Any) -> Host | None:
    if not isinstance(each, tuple) or len(each) < 2:
        return None
    address, port = text_of(each[0]), each[1]
    return (address, port) if address and isinstance(port, int) and not isinstance(port, bool) else None


def _of_hosts(found: Any) -> Iterator[tuple[Host, Any]]:
    for each, value in found.items() if isinstance(found, dict) else ():
        if (host := _host(each)) is not None:
            yield host, value


def _seconds(found: Any, most: float) -> dict[Host, float]:
    return {
        host: seconds
        for host, value in _of_hosts(found)
        if (seconds := number_of(value)) is not None and 0 <= seconds <= most
    }


def _count(value: Any) -> int | None:
    return value if type(value) is int and 1 <= value <= _MOST_HOSTS else None
