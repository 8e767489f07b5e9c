"""What a requirement says of a node: fits, fails, or cannot be told; with expected and found."""

from __future__ import annotations

import pytest

from ahc_agent.facts import CollectorError, Disk, Nic, PciDevice
from ahc_server.judge.model import Finding
from ahc_server.profiles.subject import Reading
from tests.profile_helpers import GIB, TB, answer, disk, fit, nic, subject

NODE = subject(
    cores=32,
    memory=192 * GIB,
    disks=[disk("sda", 240 * 10**9, False, "SSD"), *(disk(f"sd{letter}") for letter in "bcde")],
    nics=[nic("eth0", 1000), nic("eth1", 25_000, 0), nic("eth2", 25_000, 1)],
    numa=[96 * GIB, 96 * GIB],
    flags=["vmx", "pdpe1gb", "aes"],
)


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("- cpu.cores: 32", "fits"),
        ("- cpu.cores: 31", "fails"),
        ("- cpu.cores: [16, 32]", "fits"),
        ("- cpu.cores: {between: [16, 31]}", "fails"),
        ("- cpu.cores: {more-than: 16, less-than: 64}", "fits"),
        ("- cpu.cores: {not: 32}", "fails"),
        ("- cpu.cores: {any-of: [8, {at-least: 32}]}", "fits"),
        ("- cpu.model: Xeon Gold 6130", "fits"),
        ("- cpu.model: {matches: '.*Gold 6[0-9]{3}'}", "fits"),
        ("- cpu.model: {matches: Gold}", "fails"),
        ("- cpu.model: {starts-with: [Xeon, EPYC]}", "fits"),
        ("- cpu.model: {contains: Gold}", "fits"),
        ("- cpu.model: {not: {matches: '(?i).*xeon.*'}}", "fails"),
        ("- cpu.hyperthreading: true", "fits"),
        ("- cpu.virtualization: true", "fits"),
        ("- cpu.flags: {contains: [vmx, aes]}", "fits"),
        ("- cpu.flags: {contains-any: [svm, vmx]}", "fits"),
        ("- cpu.flags: {contains-none: [svm, vmx]}", "fails"),
        ("- cpu.flags: {any: {starts-with: pdpe}, count: {at-least: 3}}", "fits"),
        ("- memory.total_bytes: {at-least: 192 GiB}", "fits"),
        ("- memory.total_bytes: {at-least: 193 GiB}", "fails"),
        ("- memory.total_bytes: {at-least: 200 GB}", "fits"),
        ("- memory.per_core_bytes: {at-least: 6 GiB}", "fits"),
        ("- memory.total_bytes: {at-least: 2 times numa.smallest_memory_bytes}", "fits"),
        ("- memory.total_bytes: {more-than: 200 % of $numa.smallest_memory_bytes}", "fails"),
        ("- numa: {count: 2, all: {memory_bytes: {at-least: 96 GiB}}}", "fits"),
        ("- disks: {count: {at-least: 5}}", "fits"),
        (
            "- disks: {where: {rotational: true, size_bytes: {at-least: 1 TB}}, same: [model], count: 4}",
            "fits",
        ),
        ("- disks: {where: {rotational: true}, same: model, count: {at-least: 5}}", "fails"),
        ("- disks: {sum: {size_bytes: {at-least: 16 TB}}}", "fits"),
        ("- disks: {where: {rotational: true}, sum: {size_bytes: {more-than: 16 TB}}}", "fails"),
        ("- disks: {none: {rotational: false}}", "fails"),
        ("- disks: {any: {rotational: false, size_bytes: {at-least: 1 TB}}}", "fails"),
        ("- disks: {all: {size_bytes: {at-least: 1 TB}}}", "fails"),
        ("- disks: {where: {rotational: true}, all: {size_bytes: {at-least: 1 TB}}}", "fits"),
        ("- disks: {where: {model: Z}, all: {size_bytes: {at-least: 1 TB}}}", "fails"),
        ("- disks: {where: {model: Z}, count: 0}", "fits"),
        ("- nics: {where: {speed_mbps: 25 Gbit/s}, different: numa_node, count: 2}", "fits"),
        ("- nics: {where: {speed_mbps: {at-least: 1 Gbit/s}}, different: numa_node, count: 3}", "fails"),
        ("- verdict: [pass, warn]", "fits"),
        ("- either: [cpu.cores: 8, cpu.cores: 32]", "fits"),
        ("- either: [cpu.cores: 8, cpu.cores: 16]", "fails"),
        ("- findings: {none: {severity: fail}}", "fits"),
    ],
)
def test_a_requirement_fits_or_fails(requirement: str, expected: str) -> None:
    assert fit(requirement, NODE) == expected


UNTOLD = subject(
    cores=None,
    memory=None,
    model=None,
    verdict=None,
    disks=[disk("sda", None), disk("sdb", 4 * TB)],
    nics=[nic("eth0", None)],
)


@pytest.mark.parametrize(
    "requirement",
    [
        "- cpu.cores: {at-least: 1}",
        "- cpu.cores: {not: 7}",
        "- cpu.cores: {not-in: [7]}",
        "- cpu.model: {not: {matches: '.*'}}",
        "- cpu.flags: {contains-none: [vmx]}",
        "- cpu.virtualization: {not: true}",
        "- memory.per_core_bytes: {at-most: 1 GiB}",
        "- numa: {count: 0}",
        "- pci: {none: {vendor_id: 10de}}",
        "- gpus: {count: {at-most: 4}}",
        "- disks: {where: {size_bytes: {at-least: 1 TB}}, count: 2}",
        "- disks: {none: {size_bytes: {at-most: 1 TB}}}",
        "- disks: {all: {size_bytes: {at-least: 1 TB}}}",
        "- disks: {sum: {size_bytes: {at-least: 1 TB}}}",
        "- nics: {where: {speed_mbps: {at-least: 1000}}, count: {at-least: 1}}",
        "- verdict: {not: fail}",
        "- findings: {none: {severity: fail}}",
        "- measured: {metric: random read, at-least: 1}",
        "- extra.disk/sda/slot: {not: '3'}",
        "- either: [cpu.cores: 8, disks: {count: 5}]",
    ],
)
def test_what_is_not_told_is_never_a_match_and_never_a_failure(requirement: str) -> None:
    asked = answer(requirement, UNTOLD).answer
    assert asked.fit == "unknown"
    assert asked.reason is not None and "not" in asked.reason.found


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("- disks: {where: {size_bytes: {at-least: 1 TB}}, count: {at-least: 1}}", "fits"),
        ("- disks: {where: {size_bytes: {at-least: 1 TB}}, count: {at-least: 3}}", "fails"),
        ("- disks: {any: {size_bytes: {at-least: 1 TB}}}", "fits"),
        ("- disks: {all: {size_bytes: {at-least: 8 TB}}}", "fails"),
        ("- disks: {where: {size_bytes: {at-least: 1 TB}}, same: [model], count: {between: [1, 2]}}", "fits"),
    ],
)
def test_what_is_told_decides_where_the_rest_cannot_change_it(requirement: str, expected: str) -> None:
    assert fit(requirement, UNTOLD) == expected


def test_a_later_failure_is_told_rather_than_an_earlier_gap() -> None:
    asked = answer("- cpu.cores: {at-least: 8}\n- disks: {count: {at-least: 5}}", UNTOLD).answer
    assert asked.fit == "fails"
    assert asked.reason is not None and asked.reason.requirement == "disks: at least 5"


def test_no_disk_at_all_is_an_answer_unless_the_collector_failed() -> None:
    assert fit("- disks: {count: 0}", subject()) == "fits"
    of = subject()
    of.inventory.errors.append(CollectorError(collector="disks", error="permission denied"))
    assert fit("- disks: {count: 0}", of) == "unknown"


def test_optical_drives_and_virtual_cards_are_no_disks_and_no_nics() -> None:
    of = subject(disks=[Disk(name="sr0", kind="rom")], nics=[Nic(name="veth0", kind="virtual")])
    assert fit("- disks: {count: 0}\n- nics: {count: 0}", of) == "fits"
    assert fit("- block-devices: {count: 1}\n- interfaces: {count: 1}", of) == "fits"


def test_gpus_are_accelerators_and_displays_of_their_makers() -> None:
    of = subject(
        pci=[
            PciDevice(address="0000:01:00.0", class_id="030200", vendor_id="10de", accelerator=True),
            PciDevice(address="0000:02:00.0", class_id="030000", vendor_id="1002"),
            PciDevice(address="0000:03:00.0", class_id="030000", vendor_id="102b"),
        ]
    )
    assert fit("- gpus: {count: 2}", of) == "fits"


def test_addresses_are_found_in_networks() -> None:
    of = subject(nics=[Nic(name="eth0", addresses=["10.1.2.3/24", "fe80::1/64"])])
    assert fit("- nics: {any: {addresses: {any: {network: 10.1.0.0/16}}}}", of) == "fits"
    assert fit("- nics: {any: {addresses: {any: {network: [10.2.0.0/16, 'fd00::/8']}}}}", of) == "fails"
    assert fit("- nics: {any: {addresses: {all: {network: ['10.0.0.0/8', 'fe80::/10']}}}}", of) == "fits"


@pytest.mark.parametrize(
    ("requirement", "expected", "found"),
    [
        ("- memory.total_bytes: {at-least: 256 GiB}", "at least 256 GiB", "192 GiB"),
        ("- cpu.model: {matches: AMD.*}", "matching /AMD.*/", "Xeon Gold 6130"),
        ("- cpu.virtualization: false", "no", "yes"),
        (
            "- disks: {where: {size_bytes: {at-least: 1 TB}}, count: {at-least: 5}}",
            "at least 5",
            "4 of 5 (size_bytes 240 GB)",
        ),
        ("- disks: {all: {rotational: true}}", "all with rotational yes", "not so: sda"),
        (
            "- memory.total_bytes: {at-least: 3 times numa.smallest_memory_bytes}",
            "at least 288 GiB (3 times numa.smallest_memory_bytes)",
            "192 GiB",
        ),
    ],
)
def test_the_reason_says_what_was_expected_and_what_was_found(
    requirement: str, expected: str, found: str
) -> None:
    reason = answer(requirement, NODE).answer.reason
    assert reason is not None
    assert (reason.expected, reason.found) == (expected, found)
    assert (reason.file, reason.line) == ("p.yaml", 3)


def test_hostile_text_of_a_node_is_cleaned_where_it_is_shown() -> None:
    reason = answer("- cpu.model: AMD", subject(model="\x1b[2J" + "x" * 4000)).answer.reason
    assert reason is not None and reason.found.isprintable() and len(reason.found) <= 80


def test_a_text_too_long_to_be_matched_cannot_be_told() -> None:
    assert fit("- cpu.model: {matches: '.*x'}", subject(model="x" * 257)) == "unknown"


# Variables.


def test_parts_that_matched_are_bound_in_the_order_of_their_names() -> None:
    node = subject(disks=[disk("sdb"), disk("sda", 10**9), disk("sdaa"), disk("sdc", model="B")])
    asked = answer(
        "- disks: {where: {size_bytes: {at-least: 1 TB}}, same: [model], count: 2, bind: $osd}", node
    )
    assert asked.answer.bound == {"$osd": "sdaa,sdb", "$osd1": "sdaa", "$osd2": "sdb"}


def test_a_variable_is_used_by_a_later_requirement() -> None:
    two = """
        - nics: {where: {speed_mbps: {at-least: 10 Gbit/s}}, bind: [$nic1, $mac1 = mac]}
        - nics: {where: {speed_mbps: {at-least: 10 Gbit/s}, numa_node: {not: $nic1.numa_node}}, bind: $nic2}
    """
    asked = answer(two, NODE).answer
    assert asked.bound == {"$nic1": "eth1", "$mac1": "52:54:00:00:00:01", "$nic2": "eth2"}
    same = subject(nics=[nic("eth0", numa=1), nic("eth1", numa=1)])
    reason = answer(two, same).answer.reason
    assert reason is not None and reason.line == 4 and "numa_node 1" in reason.found


def test_other_parts_are_tried_where_the_first_leads_nowhere() -> None:
    """The first fast card has no partner of its model; the second has."""
    node = subject(nics=[nic("eth0", numa=0), nic("eth1", numa=1), nic("eth2", numa=1)])
    asked = answer("- nics: {bind: $a1}\n- nics: {where: {numa_node: $a1.numa_node}, bind: $b1}", node).answer
    assert asked.bound == {"$a1": "eth1", "$b1": "eth2"}


def test_two_variables_never_hold_the_same_part() -> None:
    assert fit("- disks: {bind: $a1}\n- disks: {bind: $b1}", subject(disks=[disk("sda")])) == "fails"


def test_a_search_that_would_not_end_gives_no_answer() -> None:
    disks = [disk(f"d{n}", model=str(n)) for n in range(40)]
    lines = [f"- disks: {{bind: $v{n}}}" for n in range(8)] + ["- disks: {where: {model: $v1.serial}}"]
    lines.append("- disks: {count: 41}")
    assert fit("\n".join(lines), subject(disks=disks)) == "unknown"


# Measurements and findings.


def reading(value: float, median: float | None = 100.0, part: str = "sda", job: str = "disk") -> Reading:
    return Reading(f"disk.{part}.randread_4k_iops", part, job, value, median, median)


def measured(*readings: Reading) -> dict[str, tuple[Reading, ...]]:
    return {each.name: (each,) for each in readings}


def test_a_measurement_is_held_against_a_number_and_against_its_peers() -> None:
    node = subject(readings=measured(reading(95), reading(80, part="sdb")))
    every = "- measured: {{metric: random read, at-least: {0}}}"
    assert fit(every.format("80 IOPS"), node) == "fits"
    assert fit(every.format("81"), node) == "fails"
    assert fit("- measured: {metric: random read, over: any, at-least: 90}", node) == "fits"
    assert fit("- measured: {metric: random read, over: sum, at-least: 175}", node) == "fits"
    assert fit("- measured: {metric: random read, over: mean, less-than: 87.5}", node) == "fails"
    assert (
        fit("- measured: {metric: disk.sda.randread_4k_iops, at-least: 90 % of the group's median}", node)
        == "fits"
    )
    asked = answer(every.format("90 % of the group's median"), node).answer
    assert asked.reason is not None
    assert asked.reason.expected == "at least 90 IOPS (90 % of the group's median)"
    assert asked.reason.found == "80 IOPS (disk.sdb.randread_4k_iops)"


def test_without_enough_peers_a_share_of_their_median_cannot_be_told() -> None:
    node = subject(readings=measured(reading(95, median=None)))
    asked = answer("- measured: {metric: random read, at-least: 90 % of the group's median}", node).answer
    assert asked.fit == "unknown"
    assert asked.reason is not None and "too few peers" in asked.reason.found


def test_a_measurement_is_asked_of_the_parts_that_a_variable_holds() -> None:
    node = subject(
        disks=[disk("sda"), disk("sdb", model="B")], readings=measured(reading(10), reading(90, part="sdb"))
    )
    of = "- disks: {{where: {{model: {0}}}, bind: $d}}\n- measured: {{metric: random read, part: $d, at-least: 50}}"
    assert fit(of.format("B"), node) == "fits"
    assert fit(of.format("A"), node) == "fails"


def test_findings_can_be_asked_for() -> None:
    bad = Finding(
        element="node:n1",
        nodes=["n1"],
        component="disk",
        kind="slow",
        severity="fail",
        effect=-0.5,
        summary="slow",
    )
    node = subject(findings=[bad], verdict="fail")
    assert fit("- findings: {none: {component: disk, severity: fail}}", node) == "fails"
    assert fit("- findings: {none: {component: memory}}", node) == "fits"
    assert fit("- verdict: {not: fail}", node) == "fails"
