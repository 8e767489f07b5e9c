"""What one spoilt value must not do, what two that agree must; and one cause that shows in several places."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from ahc_agent.facts import Cpu, Disk
from ahc_agent.measure import Measurement
from tests.judge_helpers import Fleet, inventory, judge, serious

Metric = tuple[str, str, str, str, bool, float, float]


def of_cores(count: int) -> tuple[Metric, ...]:
    """What eDeploy measures on single cores, without what all do together."""
    made: list[Metric] = []
    for core in range(count):
        made.append(("cpu", f"core{core}", "loops_per_s", "loops/s", True, 400.0, 1.0))
        for size, rate, noise in (
            ("4K", 4.9e9, 2.0),
            ("1M", 7.6e9, 0.3),
            ("128M", 3.6e9, 0.7),
            ("1G", 3.6e9, 0.5),
        ):
            made.append(("memory", f"core{core}", f"write_{size}_bytes_per_s", "bytes/s", True, rate, noise))
    return tuple(made)


def of_disks(names: Sequence[str], *, together: bool) -> tuple[Metric, ...]:
    made: list[Metric] = []
    for name in names:
        for run in ("", "_together") if together else ("",):
            for what, rate in (("randread_4k", 400.0), ("read_1M", 420.0)):
                made.append(("disk", name, f"{what}{run}_iops", "IOPS", True, rate, 2.0))
                made.append(("disk", name, f"{what}{run}_bytes_per_s", "bytes/s", True, rate * 4096, 2.0))
    return tuple(made)


def machines(fleet: Fleet, *, sockets: int = 2, cores: int = 4) -> Fleet:
    for name in fleet.names:
        known = inventory()
        known.cpu = Cpu(model="Xeon", sockets=sockets, cores=cores, logical_present=cores, threads_per_core=1)
        fleet.inventories[name] = known
    return fleet


def times(fleet: Fleet, node: str, part: str, factors: dict[str, float | None]) -> Fleet:
    """Multiply values of a part, by the beginning of the quantity's name; None loses them."""

    def how(old: Measurement) -> Measurement | None:
        found = [factor for start, factor in factors.items() if old.quantity.startswith(start)]
        if old.part != part or not found or old.value is None:
            return old
        return None if found[0] is None else replace(old, value=old.value * found[0])

    return fleet.change(node, how)


@pytest.mark.parametrize("factor", [0.1, 0.7, 1.4, 3.0])
@pytest.mark.parametrize("what", ["loops", "write_4K", "write_128M"])
def test_one_spoilt_value_of_a_core_blames_no_socket_of_two_cores(what: str, factor: float) -> None:
    fleet = machines(Fleet(24).benchmarks(of_cores(4)))
    assert serious(judge(times(fleet, "n5", "core1", {what: factor}))) == []


@pytest.mark.parametrize(
    ("what", "factor"),
    [
        *(
            (what, factor)
            for what in ("randread_4k_iops", "read_1M_bytes_per_s")
            for factor in (0.1, 0.5, 3.0)
        ),
        *((run, factor) for run in ("randread_4k", "read_1M") for factor in (0.85, 3.0)),
    ],
)
def test_one_spoilt_value_and_one_disturbed_run_of_the_only_disk_are_no_finding(
    what: str, factor: float
) -> None:
    fleet = Fleet(24).benchmarks(of_disks(["sda"], together=False))
    assert serious(judge(times(fleet, "n5", "sda", {what: factor}))) == []


@pytest.mark.parametrize("factor", [0.7, 0.5])
def test_what_both_rates_of_the_only_run_lost_by_a_fifth_and_more_is_a_fault(factor: float) -> None:
    fleet = Fleet(24).benchmarks(of_disks(["sda"], together=False))
    [found] = serious(judge(times(fleet, "n5", "sda", {"randread_4k": factor})))
    assert (found.component, found.nodes) == ("disk", ["n5"])


@pytest.mark.parametrize("factor", [0.1, 0.5])
def test_one_spoilt_value_of_a_disk_whose_other_run_is_lost_is_no_finding(factor: float) -> None:
    fleet = Fleet(24).benchmarks(of_disks(["sda", "sdb"], together=True))
    times(fleet, "n5", "sda", {"read_1M_together": None})
    assert serious(judge(times(fleet, "n5", "sda", {"read_1M_iops": factor}))) == []


def test_a_disk_slow_in_both_its_runs_is_one() -> None:
    fleet = Fleet(24).benchmarks(of_disks(["sda"], together=False))
    [found] = serious(judge(times(fleet, "n5", "sda", {"": 0.9})))
    assert (found.component, found.nodes) == ("disk", ["n5"])


@pytest.mark.parametrize(
    "slow",
    [
        {"": 0.8},
        {"loops": 0.8, "write_4K": 0.8, "write_1M": 0.8},
        {"loops": 0.8, "write_128M": 0.8, "write_1G": 0.8},
    ],
    ids=["everything", "clock and caches", "clock and memory"],
)
def test_a_core_that_two_kinds_of_blocks_agree_on_is_bad(slow: dict[str, float | None]) -> None:
    fleet = machines(Fleet(24).benchmarks(of_cores(8)), cores=8)
    [found] = serious(judge(times(fleet, "n5", "core3", slow)))
    assert (found.component, found.nodes) == ("cpu", ["n5"])
    assert "CPU core 3: " in found.summary
    assert "loops/s where its 23 peers have" in found.summary


ALL_AT_ONCE: Metric = ("cpu", "all", "loops_per_s", "loops/s", True, 400.0, 1.0)


@pytest.mark.parametrize("loss", [0.15, 0.5])
def test_one_value_of_a_core_makes_its_node_unknown_and_accuses_it_of_nothing(loss: float) -> None:
    fleet = machines(Fleet(24).benchmarks(of_cores(8)), cores=8)
    report = judge(times(fleet, "n5", "core3", {"loops": 1 - loss}))
    assert [(node.id, node.verdict) for node in report.nodes if node.verdict != "pass"] == [("n5", "unknown")]
    [found] = report.findings
    assert (found.component, found.kind, found.severity) == ("cpu", "not-measured", "info")
    assert "in 1 of 5 metrics" in found.summary and "repeat" in found.summary


@pytest.mark.parametrize("loss", [0.15, 0.5])
def test_a_core_that_is_slow_in_computing_alone_is_bad_where_all_cores_together_lost_its_share(
    loss: float,
) -> None:
    fleet = machines(Fleet(24).benchmarks((*of_cores(8), ALL_AT_ONCE)), cores=8)
    times(fleet, "n5", "core3", {"loops": 1 - loss})
    [found] = serious(judge(times(fleet, "n5", "all", {"loops": 1 - loss / 8})))
    assert (found.component, found.nodes) == ("cpu", ["n5"])
    assert "CPU core 3: " in found.summary


@pytest.mark.parametrize("together", [1.0, 0.5])
def test_all_cores_together_that_lost_nothing_or_far_too_much_do_not_speak_for_a_bad_core(
    together: float,
) -> None:
    fleet = machines(Fleet(24).benchmarks((*of_cores(8), ALL_AT_ONCE)), cores=8)
    times(fleet, "n5", "core3", {"loops": 0.7})
    report = judge(times(fleet, "n5", "all", {"loops": together}))
    assert serious(report) == []
    assert {node.id for node in report.nodes if node.verdict == "unknown"} == {"n5"}


def test_both_threads_of_a_core_that_are_slow_in_computing_alone_are_a_bad_core() -> None:
    fleet = machines(Fleet(24).benchmarks(of_cores(16)), cores=16)
    for thread in ("core3", "core11"):
        times(fleet, "n5", thread, {"loops": 0.8})
    [found] = serious(judge(fleet))
    assert (found.component, found.nodes) == ("cpu", ["n5"])
    assert "CPU core 3, core 11: " in found.summary


def test_two_spoilt_values_of_two_cores_that_lost_unlike_are_no_finding() -> None:
    fleet = machines(Fleet(24).benchmarks(of_cores(8)), cores=8)
    times(fleet, "n5", "core3", {"loops": 0.8})
    assert serious(judge(times(fleet, "n5", "core6", {"loops": 0.3}))) == []


@pytest.mark.parametrize("cores", [range(8), range(4, 8)], ids=["all", "a socket"])
@pytest.mark.parametrize("loss", [0.05, 0.1, 0.3])
def test_memory_that_slow_cores_slow_is_no_second_finding(cores: Sequence[int], loss: float) -> None:
    fleet = machines(Fleet(24).benchmarks(of_cores(8)), cores=8)
    for core in cores:
        times(fleet, "n5", f"core{core}", {"": 1 - loss})
    [found] = serious(judge(fleet))
    assert (found.component, found.nodes) == ("cpu", ["n5"])
    assert "with it memory" in found.summary


def test_memory_that_is_slower_than_its_slow_cores_is_a_second_finding() -> None:
    fleet = machines(Fleet(24).benchmarks(of_cores(8)), cores=8)
    for core in range(8):
        times(fleet, "n5", f"core{core}", {"loops": 0.95, "write_4K": 0.95, "write_1M": 0.95, "write_1": 0.7})
    assert sorted(each.component for each in serious(judge(fleet))) == ["cpu", "memory"]


def test_without_peers_disks_of_two_kinds_are_not_compared() -> None:
    """A volume of spinning drives beside four SSDs."""
    names = ["sda", "sdb", "sdc", "sdd", "sde"]
    fleet = times(Fleet(1).benchmarks(of_disks(names, together=True)), "n1", "sda", {"": 0.01})
    known = inventory()
    known.disks = [Disk(name="sda", size_bytes=4 * 10**12, rotational=True, model="LOGICAL VOLUME")]
    known.disks += [
        Disk(name=name, size_bytes=480 * 10**9, rotational=False, model="SSD") for name in names[1:]
    ]
    fleet.inventories["n1"] = known
    assert serious(judge(fleet)) == []
    [found] = serious(judge(times(fleet, "n1", "sdc", {"": 0.2})))
    assert "sdc" in found.summary


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_one_spoilt_value_blames_no_socket_where_the_other_core_of_its_socket_was_lost(factor: float) -> None:
    fleet = machines(Fleet(24).benchmarks(of_cores(4)))
    times(fleet, "n5", "core0", {"loops": None})
    assert serious(judge(times(fleet, "n5", "core1", {"loops": factor}))) == []
