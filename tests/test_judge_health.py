"""What machines say of their own health becomes a finding that names the part."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ahc_agent.facts import Disk, EdacController, EdacDimm, Inventory, Mce, Sensor, Smart
from tests.judge_helpers import GB, Fleet, inventory, judge, verdicts


def with_smart(smart: Smart | None) -> Inventory:
    known = inventory()
    known.disks = [
        Disk(name="disk0", size_bytes=960 * GB, rotational=False, model="PM883", serial="S4X7", smart=smart)
    ]
    return known


def fleet(odd: Inventory, size: int = 6) -> Fleet:
    made = Fleet(size).benchmarks()
    made.inventories["n2"] = odd
    return made


@pytest.mark.parametrize(
    ("smart", "severity", "said"),
    [
        (Smart(passed=False), "fail", "self-assessment (SMART)"),
        (
            Smart(passed=True, critical_warning=0b100),
            "fail",
            "critical warning 0x04 (unreliable through media errors)",
        ),
        (Smart(passed=True, pending_sectors=8), "warn", "8 sectors that it cannot read (pending)"),
        (Smart(passed=True, reallocated_sectors=1200), "warn", "1,200 sectors reallocated"),
        (Smart(media_errors=3), "warn", "3 media errors"),
        (Smart(uncorrectable_errors=3), "warn", "3 uncorrectable errors"),
        (
            Smart(percentage_used=104),
            "warn",
            "104 % of its rated life used up; watch whether it grows, and replace",
        ),
        (Smart(available_spare_percent=4), "warn", "4 % of its spare blocks left"),
    ],
)
def test_an_ill_disk_is_told_with_its_serial(smart: Smart, severity: str, said: str) -> None:
    report = judge(fleet(with_smart(smart)))
    [found] = report.findings
    assert (found.element, found.component, found.kind, found.severity) == (
        "node:n2",
        "disk",
        "health",
        severity,
    )
    assert said in found.summary and "disk disk0 (PM883, serial S4X7)" in found.summary
    assert "replace" in found.summary
    assert [each.name.startswith("disk.disk0.") for each in found.metrics] == [True]
    assert verdicts(report)["n2"] == severity


@pytest.mark.parametrize(
    ("smart", "said"),
    [
        (
            Smart(crc_errors=4_000),
            "4,000 checksum errors on the way to its controller; check its cable and backplane",
        ),
        (Smart(temperature_celsius=78.0), "78 °C hot; check the air flow around it"),
    ],
)
def test_what_is_wrong_around_a_disk_is_no_reason_to_replace_it(smart: Smart, said: str) -> None:
    [found] = judge(fleet(with_smart(smart))).findings
    assert found.severity == "warn"
    assert said in found.summary


@pytest.mark.parametrize(
    "smart",
    [
        Smart(crc_errors=3),
        Smart(temperature_celsius=55.0),
        Smart(percentage_used=80),
        Smart(unsafe_shutdowns=40),
    ],
)
def test_what_every_disk_has_some_of_is_no_finding(smart: Smart) -> None:
    assert judge(fleet(with_smart(smart))).findings == []


def test_all_signs_of_one_disk_are_one_finding() -> None:
    [found] = judge(fleet(with_smart(Smart(passed=False, pending_sectors=8, reallocated_sectors=2)))).findings
    assert len(found.metrics) == 3
    assert found.severity == "fail"


@pytest.mark.parametrize(
    "smart",
    [
        None,
        Smart(),
        Smart(passed=True, reallocated_sectors=0, pending_sectors=0, media_errors=0, critical_warning=0),
    ],
)
def test_a_healthy_or_silent_disk_is_no_finding(smart: Smart | None) -> None:
    assert judge(fleet(with_smart(smart))).findings == []


def test_a_disk_that_is_ill_and_slow_is_one_finding_with_its_cause() -> None:
    [found] = judge(fleet(with_smart(Smart(pending_sectors=8))).slow("n2", "disk", 0.4)).findings
    assert (found.kind, found.severity) == ("slow", "fail")
    assert found.cause == "8 sectors that it cannot read (pending)"


def test_an_ill_disk_does_not_explain_a_slow_one_beside_it() -> None:
    disks = tuple(
        ("disk", name, "read_1M_bytes_per_s", "bytes/s", True, 200e6, 1.0) for name in ("sda", "sdb")
    )
    made = Fleet(6).benchmarks(disks).slow("n2", "disk", 0.4, part="sdb")
    for name in made.names:
        known = made.inventories[name] = inventory()
        known.disks = [
            Disk(name=each, size_bytes=960 * GB, serial=f"{name}{each}") for each in ("sda", "sdb")
        ]
    made.inventories["n2"].disks[0].smart = Smart(pending_sectors=8)  # type: ignore[union-attr]
    assert {each.kind for each in judge(made).findings} == {"health", "slow"}


def with_edac(uncorrectable: int, correctable: int, dimms: Sequence[EdacDimm] = ()) -> Inventory:
    known = inventory()
    known.health.edac = [
        EdacController(
            controller="mc0",
            uncorrectable_errors=uncorrectable,
            correctable_errors=correctable,
            dimms=list(dimms),
        )
    ]
    return known


def test_the_dimm_with_uncorrectable_errors_is_named() -> None:
    dimms = [
        EdacDimm(label="CPU0_A1", uncorrectable_errors=0, correctable_errors=0),
        EdacDimm(label="CPU0_A2", uncorrectable_errors=2, correctable_errors=5),
    ]
    [found] = judge(fleet(with_edac(2, 5, dimms))).findings
    assert (found.component, found.kind, found.severity) == ("memory", "health", "fail")
    assert found.summary == "n2: DIMM CPU0_A2: 2 uncorrectable errors since boot; replace the DIMM"


def test_errors_that_no_dimm_has_are_the_controllers() -> None:
    [found] = judge(fleet(with_edac(1, 0, [EdacDimm(label="A1", uncorrectable_errors=0)]))).findings
    assert "memory controller mc0: 1 uncorrectable errors" in found.summary


@pytest.mark.parametrize(("corrected", "findings"), [(99, 0), (4_000, 1)])
def test_many_corrected_errors_are_a_warning_and_few_are_none(corrected: int, findings: int) -> None:
    found = judge(fleet(with_edac(0, corrected))).findings
    assert [each.severity for each in found] == ["warn"] * findings


@pytest.mark.parametrize(("exceptions", "told"), [(None, False), (0, False), (2, True)])
def test_machine_check_exceptions_are_told_and_polls_are_not(exceptions: int | None, told: bool) -> None:
    known = inventory()
    known.health.mce = Mce(banks=20, exceptions=exceptions, polls=50_000)
    found = judge(fleet(known)).findings
    assert [(each.component, each.kind, each.severity) for each in found] == [
        ("health", "health", "warn")
    ] * told


@pytest.mark.parametrize(
    ("value", "critical", "told"), [(101.0, 100.0, True), (70.0, 100.0, False), (40.0, 0.0, False)]
)
def test_heat_at_its_critical_limit_fails(value: float, critical: float, told: bool) -> None:
    known = inventory()
    known.health.sensors = [
        Sensor(name="Package id 0", kind="temperature", unit="celsius", value=value, critical=critical)
    ]
    found = judge(fleet(known)).findings
    assert [each.severity for each in found] == ["fail"] * told
    assert all("Package id 0 101 °C, its critical limit is 100 °C" in each.summary for each in found)


def test_a_node_that_cannot_be_compared_is_still_told_its_illness() -> None:
    report = judge(fleet(with_smart(Smart(passed=False)), size=2))
    assert verdicts(report) == {"n1": "unknown", "n2": "fail"}
