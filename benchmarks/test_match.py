"""Matching a fleet with profiles: 1,000 nodes and 20 profiles have to take less than 2 s, quotas and reasons included."""

from __future__ import annotations

import time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.optimize import linear_sum_assignment

from ahc_server.collector import no_collector
from ahc_server.profiles.assign import FREE, assign
from ahc_server.profiles.match import match_subjects
from ahc_server.profiles.profile import Profile, Quota, by_precedence
from ahc_server.profiles.read import parse_profile
from ahc_server.profiles.subject import Reading, Subject
from tests.profile_helpers import GIB, disk, nic, subject

NODES, PROFILES = 1_000, 20
MOST_S = 2.0


def node(number: int) -> Subject:
    """One of a fleet of mixed machines: 2 to 25 disks, two to four cards, 64 to 768 GiB."""
    disks = [disk("sda", 240 * 10**9, False, "SSD")]
    disks += [
        disk(f"sd{chr(98 + place)}", model="A" if number % 5 else f"M{place}")
        for place in range(1 + number % 24)
    ]
    nics = [
        nic(f"eth{place}", (1000, 10_000, 25_000)[number % 3], place % 2) for place in range(2 + number % 3)
    ]
    readings = {
        f"disk.{each.name}.randread_4k_iops": (
            Reading(
                f"disk.{each.name}.randread_4k_iops", each.name, "disk", 400.0 + number % 40, 420.0, 420.0
            ),
        )
        for each in disks
    }
    return subject(
        f"n{number}",
        cores=16 + 16 * (number % 4),
        memory=(64 << number % 4) * GIB + (number % 7) * GIB,
        disks=disks,
        nics=nics,
        numa=[32 * GIB, 32 * GIB],
        flags=["fpu", "vmx", "aes", "pdpe1gb"] if number % 7 else ["fpu"],
        readings=readings,
        model=f"Xeon Gold 6{number % 10}30",
    )


def profiles() -> list[Profile]:
    return by_precedence(
        [
            parse_profile(
                f"""
profile: p{number}
priority: {number}
quota: {{min: {number % 5}, max: {20 + 5 * number}}}
requires:
  - cpu.cores: {{at-least: {16 + 16 * (number % 3)}}}
  - cpu.model: {{matches: '.*Gold 6[0-9]{{3}}'}}
  - memory.per_core_bytes: {{at-least: {1 + number % 6} GiB}}
  - disks:
      where: {{rotational: true, size_bytes: {{at-least: 1 TB}}}}
      same: [model]
      count: {{at-least: {number % 12 + 1}}}
      bind: $osd
  - nics: {{where: {{speed_mbps: {{at-least: {(1, 10, 25)[number % 3]} Gbit/s}}}}, count: {{at-least: 1}}, bind: $nic1}}
  - nics: {{where: {{numa_node: {{not: $nic1.numa_node}}}}, count: {{at-least: 1}}, bind: $nic2}}
  - cpu.flags: {{contains: [vmx, aes]}}
  - measured: {{metric: random read, at-least: {90 + number % 8} % of the group's median}}
  - verdict: [pass, warn]
yields: {{capabilities: {{osds: $osd, nic: $nic1}}}}
"""
            )
            for number in range(PROFILES)
        ]
    )


@pytest.mark.parametrize("nodes", [NODES, 10 * NODES])
def test_matching(benchmark: BenchmarkFixture, nodes: int) -> None:
    fleet, asked = [node(number) for number in range(nodes)], profiles()
    started = time.process_time()
    with no_collector():  # as the command does
        matches = match_subjects("fleet", fleet, asked)
    took = time.process_time() - started
    assert len(matches.nodes) == nodes and any(each.profile for each in matches.nodes)
    print(f"\n{nodes:,} nodes × {PROFILES} profiles: {took:.2f} s of CPU time")
    benchmark.extra_info["cpu_s"] = round(took, 3)
    benchmark.pedantic(match_subjects, ("fleet", fleet, asked), rounds=1)  # type: ignore[no-untyped-call]
    assert took < MOST_S * nodes / NODES


def test_assignment_beside_a_solver_on_slots(benchmark: BenchmarkFixture) -> None:
    """The same fleet as an assignment problem of nodes and slots: as many placed, without the order of quotas."""
    random = np.random.default_rng(1)
    fits = random.random((NODES, PROFILES)) < 0.3
    quotas = [Quota(2, int(most)) for most in random.integers(20, 60, PROFILES)]
    slots = [place for place, quota in enumerate(quotas) for _ in range(quota.most or 0)]
    benchmark.pedantic(assign, (fits, quotas), rounds=5)  # type: ignore[no-untyped-call]
    started = time.process_time()
    rows, columns = linear_sum_assignment(fits[:, slots], maximize=True)
    solver = time.process_time() - started
    started = time.process_time()
    places = assign(fits, quotas)
    ours = time.process_time() - started
    assert sum(place != FREE for place in places) == int(fits[:, slots][rows, columns].sum())
    ratio = solver / max(ours, 1e-9)
    print(
        f"\nassignment of {NODES:,} nodes: {1000 * ours:.1f} ms, linear_sum_assignment {1000 * solver:.1f} ms"
    )
    benchmark.extra_info["ratio_to_linear_sum_assignment"] = round(ratio, 2)
