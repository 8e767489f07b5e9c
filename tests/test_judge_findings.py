"""What a finding says: which machine, which part, how much, why, and what to check."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
import pytest

from ahc_agent.facts import Disk, Inventory
from ahc_agent.measure import Measurement, Sample
from ahc_server.judge.model import Finding
from tests.judge_helpers import STANDARD, Fleet, disturbed, inventory, judge, serious

Metrics = tuple[tuple[str, str, str, str, bool, float, float], ...]

CORES: Metrics = tuple(("cpu", f"core{n}", "loops_per_s", "loops/s", True, 400.0, 1.0) for n in range(8))
BLOCKS: Metrics = tuple(
    ("memory", f"core{n}", f"write_{size}_bytes_per_s", "bytes/s", True, value, 1.0)
    for n in range(8)
    for size, value in (("1M", 20e9), ("128M", 8e9), ("2G", 8e9))
)
DISKS: Metrics = tuple(
    ("disk", name, quantity, unit, True, value, 1.0)
    for name in ("sda", "sdb")
    for quantity, unit, value in (
        ("read_1M_bytes_per_s", "bytes/s", 200e6),
        ("randread_4k_iops", "IOPS", 160.0),
    )
)


def only(fleet: Fleet) -> Finding:
    [found] = serious(judge(fleet))
    return found


def two_sockets() -> Inventory:
    known = inventory()
    known.cpu.socket_cpus = ["0-3", "4-7"]
    return known


# ── which part, and how much ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fleet", "said"),
    [
        (
            lambda: Fleet(12).benchmarks().slow("n3", "disk", 0.41),
            r"n3: disk disk0: .* where its 11 peers have .* \(−59 %\).*; healthy ones stay within [\d.]+ %; check its SMART",
        ),
        (
            lambda: Fleet(12).benchmarks().slow("n3", "memory", 0.6),
            r"n3: memory.*: writes from .* \(1M blocks\) [\d.]+ GB/s where its 11 peers have 1?[\d.]+ GB/s "
            r"\(−4[01] %\).*check that all DIMMs are there",
        ),
        (
            lambda: Fleet(12).benchmarks().slow("n3", "cpu", 0.9),
            r"n3: CPU: .* events/s where its 11 peers have .* events/s \(−(9\.\d|10) %\).*check cooling",
        ),
        (
            lambda: Fleet(12).benchmarks().slow("n3", "cpu", 0.8, part="socket1").slow("n3", "cpu", 0.9, part="all"),
            r"n3: CPU socket 1( against the others)?: (socket 1 )?[\d,]+ events/s where its 11 peers have [\d,]+ events/s \(−2",
        ),
        (
            lambda: Fleet(12).benchmarks(CORES).slow("n3", "cpu", 0.5, part="core6"),
            r"n3: CPU core 6: 20\d loops/s where its 11 peers have 40\d loops/s \(−50 %\)",
        ),
        (
            lambda: Fleet(12).benchmarks(DISKS).slow("n3", "disk", 0.5, part="sdb"),
            r"n3: disk sdb: .* \(−50 %\)",
        ),
    ],
    ids=["disk", "memory", "cpu", "socket", "core", "one of two disks"],
)  # fmt: skip
def test_a_finding_says(fleet: Callable[[], Fleet], said: str) -> None:
    found = only(fleet())
    assert re.match(said, found.summary), found.summary
    assert (found.element, found.nodes) == ("node:n3", ["n3"])


def test_cores_of_several_metrics_are_told_by_their_middle() -> None:
    found = only(Fleet(12).benchmarks((*CORES, *BLOCKS)).slow("n3", "memory", 0.7))
    assert found.component == "memory"
    assert "−30 % in the middle of 16 metrics" in found.summary
    assert found.effect == pytest.approx(-0.30, abs=0.01)


def test_a_slow_socket_that_the_machine_tells_of_is_named() -> None:
    fleet = Fleet(12).benchmarks((*CORES, *BLOCKS))
    fleet.inventories = dict.fromkeys(fleet.names, two_sockets())
    for core in range(4, 8):
        fleet.slow("n9", "cpu", 0.95, part=f"core{core}")
    found = only(fleet)
    assert found.summary.startswith("n9: CPU socket 1 against the others:")
    assert found.effect == pytest.approx(-0.05, abs=0.008)


def test_a_slow_socket_of_machines_that_do_not_tell_is_named_by_its_cores() -> None:
    fleet = Fleet(12).benchmarks((*CORES, *BLOCKS))
    known = inventory()
    known.cpu.logical_present = 8
    fleet.inventories = dict.fromkeys(fleet.names, known)
    for core in range(4, 8):
        fleet.slow("n9", "cpu", 0.95, part=f"core{core}")
    assert only(fleet).summary.startswith("n9: CPU cores 4–7 against the others:")


def test_throttling_is_unstable_and_says_how_far_cores_stray() -> None:
    fleet = Fleet(12).benchmarks(CORES)
    for core, factor in enumerate((0.95, 0.95, 1.05, 1.05) * 2):
        fleet.slow("n5", "cpu", factor, part=f"core{core}")
    found = only(fleet)
    assert (found.kind, found.component) == ("unstable", "cpu")
    assert re.search(
        r"its cores stray by \d[\d.]* % more from each other than those of its 11 peers", found.summary
    )


def test_a_node_whose_samples_stray_is_unstable() -> None:
    def noisy(name: str) -> Callable[[Measurement], Measurement]:
        def how(old: Measurement) -> Measurement:
            assert old.value is not None
            step = 0.25 if name == "n5" else 0.01
            samples = [Sample(value=old.value * (1 + step * side)) for side in (-1, 0, 1)]
            return msgspec.structs.replace(old, samples=samples, ci95=old.value * step * 2.48)

        return how

    fleet = Fleet(12).benchmarks(CORES)
    for name in fleet.names:
        fleet.change(name, noisy(name))
    found = only(fleet)
    assert (found.kind, found.element) == ("unstable", "node:n5")
    assert "its own samples stray by" in found.summary


@pytest.mark.parametrize(
    ("tx", "rx", "direction", "check"),
    [
        ({"n2": 0.5}, {}, "tx", "its sending side"),
        ({}, {"n2": 0.5}, "rx", "interrupts on the node"),
        ({"n2": 0.5}, {"n2": 0.5}, None, "negotiated speed"),
    ],
)
def test_a_card_is_told_with_its_direction(
    tx: dict[str, float], rx: dict[str, float], direction: str | None, check: str
) -> None:
    found = only(Fleet(8).network(tx=tx, rx=rx))
    assert (found.element, found.component, found.direction) == ("node:n2", "network", direction)
    assert check in found.summary


def test_a_disk_is_told_with_its_model_and_serial() -> None:
    fleet = Fleet(6).benchmarks(DISKS).slow("n4", "disk", 0.5, part="sdb")
    for name in fleet.names:
        known = inventory()
        known.disks = [
            Disk(
                name=disk,
                size_bytes=4 * 10**12,
                rotational=True,
                model="ST4000NM0035",
                serial=f"Z{disk}{name}",
            )
            for disk in ("sda", "sdb")
        ]
        fleet.inventories[name] = known
    assert only(fleet).summary.startswith("n4: disk sdb (ST4000NM0035, serial Zsdbn4): ")


# ── the evidence ─────────────────────────────────────────────────────────────────────────────────


def test_metrics_carry_value_expectation_unit_and_effect() -> None:
    found = only(Fleet(12, noise=0.001).benchmarks(DISKS).slow("n3", "disk", 0.5, part="sdb"))
    assert {each.name for each in found.metrics} == {
        "disk.sdb.read_1M_bytes_per_s",
        "disk.sdb.randread_4k_iops",
    }
    for each in found.metrics:
        assert each.value is not None and each.expected is not None
        assert each.value / each.expected - 1 == pytest.approx(-0.5, abs=0.01)
        assert each.effect == pytest.approx(-0.5, abs=0.01)
    assert {each.unit for each in found.metrics} == {"bytes/s", "IOPS"}


def test_of_times_more_is_worse() -> None:
    times = tuple(metric for metric in STANDARD if metric[2].endswith("p50_us"))
    found = only(Fleet(12).benchmarks(times).slow("n3", "disk", 0.4))
    [carried] = found.metrics
    assert carried.value is not None and carried.expected is not None
    assert carried.value / carried.expected == pytest.approx(2.5, rel=0.03)
    assert found.effect == pytest.approx(-1.5, abs=0.05)
    assert "(+15" in found.summary


def test_what_the_node_does_as_well_as_its_peers_carries_nothing() -> None:
    def random_only(old: Measurement) -> Measurement:
        if old.quantity != "randread_4k_iops" or old.part != "sdb" or old.value is None:
            return old
        return msgspec.structs.replace(old, value=old.value * 0.6)

    sampled = Fleet(12).benchmarks(DISKS)
    for name in sampled.names:
        sampled.change(
            name, lambda old: msgspec.structs.replace(old, ci95=0.01, samples=[Sample(value=1.0)] * 3)
        )
    found = only(sampled.change("n7", random_only))
    assert [each.name for each in found.metrics] == ["disk.sdb.randread_4k_iops"]


def test_a_batch_is_reckoned_into_what_is_expected() -> None:
    """Eight nodes have another disk model, half as fast: the sheep among them is held to its own kind."""
    fleet = Fleet(20).benchmarks(DISKS)
    for name in fleet.names:
        known = inventory()
        model = "slow" if int(name[1:]) <= 8 else "fast"
        known.disks = [
            Disk(name=disk, size_bytes=4 * 10**12, rotational=True, model=model) for disk in ("sda", "sdb")
        ]
        fleet.inventories[name] = known
        if model == "slow":
            fleet.slow(name, "disk", 0.5)
    fleet.slow("n3", "disk", 0.6, part="sda")
    found = only(fleet)
    assert found.element == "node:n3"
    assert found.effect == pytest.approx(-0.4, abs=0.02)
    [reads] = [each for each in found.metrics if each.name.endswith("read_1M_bytes_per_s")]
    assert reads.expected == pytest.approx(100e6, rel=0.02)


# ── remarks that blame nobody ────────────────────────────────────────────────────────────────────


def test_one_odd_value_is_told_and_blames_nobody() -> None:
    def glitch(old: Measurement) -> Measurement:
        if (old.part, old.unit) != ("sda", "IOPS") or old.value is None:
            return old
        return msgspec.structs.replace(old, value=old.value * 0.4)

    report = judge(Fleet(12).benchmarks(DISKS).change("n5", glitch))
    [found] = report.findings
    assert (found.element, found.kind, found.severity) == ("node:n5", "not-measured", "info")
    assert "disk sda: random reads (4k)" in found.summary
    assert "one value of one run, which nothing else supports, so it cannot be told: repeat" in found.summary
    assert report.counts.warn == report.counts.fail == 0


def test_a_disturbed_loss_is_told_and_blames_nobody() -> None:
    fleet = Fleet(12).benchmarks(DISKS).slow("n5", "disk", 0.7)
    found = judge(fleet.change("n5", lambda old: disturbed(old, 0.3))).findings
    assert {each.severity for each in found} == {"info"}
    assert any("its samples were disturbed" in each.summary for each in found)


def test_a_node_that_is_faster_is_asked_what_it_is() -> None:
    [found] = judge(Fleet(12).benchmarks(DISKS).slow("n5", "disk", 2.0, part="sdb")).findings
    assert (found.kind, found.severity) == ("fast", "info")
    assert found.summary.endswith("check whether it really has the same hardware and settings")


def test_no_summary_holds_a_number_that_nobody_can_read() -> None:
    fleet = Fleet(12).benchmarks().network(tx={"n1": 0.3}).slow("n2", "disk", 1e-4).slow("n3", "cpu", 3.0)
    for found in judge(fleet.slow("n4", "memory", 0.01)).findings:
        assert not re.search(r"nan|inf(?!o)|e[+-]\d\d|-0", found.summary), found.summary
        assert found.effect is None or abs(found.effect) < 100


def test_of_the_bytes_and_the_operations_of_one_run_only_one_is_said() -> None:
    rates: Metrics = tuple(
        ("disk", "sda", f"{pattern}{way}_{unit}", "", True, value, 1.0)
        for pattern, value in (("read_1M", 200e6), ("randread_4k", 640e3))
        for way in ("", "_together")
        for unit in ("bytes_per_s", "iops")
    )
    found = only(Fleet(12).benchmarks(rates).slow("n3", "disk", 0.5))
    assert len(found.metrics) == 8
    assert len(re.findall(r"random reads", found.summary)) == 1
    assert len(re.findall(r"sequential reads", found.summary)) == 1
