"""What disturbed a benchmark, from counters as the kernel shows them."""

from __future__ import annotations

import resource
import types
from pathlib import Path

import pytest

from ahc_agent.bench import conditions
from ahc_agent.bench.conditions import Watch, cpu_times, frequency_hz, hottest_celsius, throttle_events
from ahc_agent.inventory.root import Root
from tests.bench_helpers import tree, two_node_machine


def stat(*rows: tuple[int, ...]) -> str:
    """``/proc/stat`` with these counters (user nice system idle iowait irq softirq steal) for CPU 0, 1, ..."""
    total = " ".join(str(sum(column)) for column in zip(*rows, strict=True))
    lines = [f"cpu  {total} 0 0", *(f"cpu{n} {' '.join(map(str, row))} 0 0" for n, row in enumerate(rows))]
    return "\n".join(lines) + "\nintr 1 2 3\nctxt 4\n"


IDLE = (1000, 0, 500, 9000, 10, 1, 2, 100)


class Machine:
    """A tree whose ``/proc/stat`` moves on, and the CPU time that our own programs used."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder = folder
        self.own = types.SimpleNamespace(ru_utime=5.0, ru_stime=1.0, ru_nivcsw=7)
        monkeypatch.setattr(resource, "getrusage", lambda who: types.SimpleNamespace(**vars(self.own)))
        self.rows = [list(IDLE), list(IDLE)]
        self.show()

    def show(self) -> None:
        tree(self.folder, {"/proc/stat": stat(*(tuple(row) for row in self.rows))})

    def passes(self, cpu: int, *, user: int = 0, system: int = 0, idle: int = 0, steal: int = 0) -> None:
        for column, ticks in ((0, user), (2, system), (3, idle), (7, steal)):
            self.rows[cpu][column] += ticks
        self.show()

    def watch(self, *cpus: int, kernel_work_is_own: bool = False) -> Watch:
        watch = Watch(cpus, kernel_work_is_own=kernel_work_is_own, root=Root(self.folder))
        watch.start()
        return watch


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(conditions, "_TICK_S", 0.01)
    return Machine(tmp_path, monkeypatch)


def test_only_the_cpus_in_use_are_counted() -> None:
    text = stat((1, 2, 3, 4, 5, 6, 7, 8), (10, 20, 30, 40, 50, 60, 70, 80), (100,) * 8)
    assert cpu_times(text, frozenset({0, 1})) == (11, 22, 33, 44, 55, 66, 77, 88)
    assert cpu_times(text, frozenset({7})) is None
    assert cpu_times("", frozenset({0})) is None


def test_our_own_work_disturbs_nobody(machine: Machine) -> None:
    watch = machine.watch(0)
    machine.passes(0, user=48, system=2)
    machine.own.ru_utime += 0.48
    machine.own.ru_stime += 0.02
    machine.own.ru_nivcsw += 3
    assert watch.lap() == ""
    total = watch.total()
    assert total is not None
    assert (total.others_cpu_fraction, total.steal_fraction, total.involuntary_switches) == (0.0, 0.0, 3)
    assert (total.throttle_events, total.frequency_hz, total.temperature_celsius) == (None, None, None)


def test_others_and_the_hypervisor_are_accused(machine: Machine) -> None:
    watch = machine.watch(0)
    machine.passes(0, user=70, steal=30)
    machine.own.ru_utime += 0.45
    assert watch.lap() == "steal 0.30, others 0.25"
    machine.passes(0, user=50)
    machine.own.ru_utime += 0.5
    assert watch.lap() == "", "each lap counts from the one before"
    total = watch.total()
    assert total is not None
    assert total.steal_fraction == pytest.approx(0.2) and total.others_cpu_fraction == pytest.approx(
        0.1667, abs=1e-4
    )


def test_load_on_other_cpus_does_not_disturb_a_pinned_run(machine: Machine) -> None:
    watch = machine.watch(0)
    machine.passes(0, user=50)
    machine.passes(1, user=50)
    machine.own.ru_utime += 0.5
    assert watch.lap() == ""
    both = machine.watch(0, 1)
    machine.passes(0, user=50)
    machine.passes(1, user=50)
    machine.own.ru_utime += 0.5
    assert both.lap() == "others 0.50"


def test_a_tick_or_two_accuse_nobody(machine: Machine) -> None:
    watch = machine.watch(0)
    machine.passes(0, user=10, steal=3)
    machine.own.ru_utime += 0.08
    assert watch.lap() == ""


def test_the_kernels_work_for_a_disk_is_the_benchmarks_own(machine: Machine) -> None:
    strict, lenient = machine.watch(0), machine.watch(0, kernel_work_is_own=True)
    machine.passes(0, user=10, system=60, idle=30)
    machine.own.ru_utime += 0.1
    assert strict.lap() == "others 0.60"
    assert lenient.lap() == ""


def test_heat_disturbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_node_machine(tmp_path)
    machine = Machine(tmp_path, monkeypatch)

    def throttled(count: int) -> None:
        base = "/sys/devices/system/cpu/cpu{}/thermal_throttle/{}_throttle_count"
        files = {base.format(cpu, kind): f"{count}\n" for cpu in range(8) for kind in ("core", "package")}
        tree(tmp_path, files)

    throttled(2)
    watch = machine.watch(0)
    before = throttle_events(Root(tmp_path))
    throttled(3)
    after = throttle_events(Root(tmp_path))
    assert before is not None and after is not None and after > before
    assert watch.lap() == "throttled"
    total = watch.total()
    assert total is not None and total.throttle_events == after - before


def test_frequency_and_temperature_where_the_machine_tells(tmp_path: Path) -> None:
    cpus = "/sys/devices/system/cpu"
    root = Root(
        tree(
            tmp_path,
            {
                f"{cpus}/cpu0/cpufreq/scaling_cur_freq": "3000000\n",
                f"{cpus}/cpu1/cpufreq/scaling_cur_freq": "2000000\n",
                "/sys/class/hwmon/hwmon0/name": "k10temp\n",
                "/sys/class/hwmon/hwmon0/temp1_input": "61500\n",
                "/sys/class/hwmon/hwmon0/temp2_input": "58000\n",
            },
        )
    )
    assert frequency_hz(root, (0, 1)) == 2_500_000_000
    assert frequency_hz(root, (5,)) is None
    assert hottest_celsius(root) == 61.5
    assert hottest_celsius(Root(tmp_path / "nothing")) is None


def test_a_machine_that_counts_nothing_has_no_conditions(tmp_path: Path) -> None:
    watch = Watch([0], root=Root(tmp_path))
    watch.start()
    assert watch.lap() == "" and watch.total() is None


def test_this_machine_counts() -> None:
    watch = Watch([0])
    watch.start()
    total = watch.total()
    assert total is not None and total.involuntary_switches is not None
