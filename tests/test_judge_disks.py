"""Disks are compared with their likes, whatever the kernel called them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.facts import Disk, Inventory
from ahc_agent.measure import Measurement
from ahc_server.judge.disks import match_disks
from tests.judge_helpers import GB, Fleet, inventory, judge, measurement, verdicts

SSD = {"size_bytes": 480 * GB, "rotational": False, "model": "SSD1"}
HDD = {"size_bytes": 4000 * GB, "rotational": True, "model": "HDD1"}
SPEED = {"SSD1": 500e6, "HDD1": 150e6}


def fleet(layouts: Sequence[Sequence[dict[str, object]]], slow: dict[str, str] | None = None) -> Fleet:
    """Nodes whose disks sda, sdb, ... are those of ``layouts``; ``slow`` names a node's disk that reads at half its speed."""
    made = Fleet(len(layouts)).benchmarks()
    for node, layout in zip(made.names, layouts, strict=True):
        known = inventory(disks=())
        known.disks = [
            Disk(name=f"sd{chr(97 + place)}", serial=f"{node}-{place}", **disk)  # type: ignore[arg-type]
            for place, disk in enumerate(layout)
        ]
        made.inventories[node] = known
        made.change(node, lambda old: None if old.component == "disk" else old)
        taken = [
            measurement(
                *("disk", disk.name, "read_1M_bytes_per_s", "bytes/s", True),
                SPEED[disk.model or ""]
                * (0.5 if (slow or {}).get(node) == disk.name else 1)
                * (1 + 0.001 * row),
            )
            for row, disk in enumerate(known.disks)
        ]
        add(made, node, taken)
    return made


def add(made: Fleet, node: str, taken: list[Measurement]) -> None:
    record = next(each for each in made.outcomes if each.machine == node and each.component == "disk")
    record.outcome.measurements.extend(taken)


@pytest.mark.parametrize("other_way", [1, 3, 5])
def test_another_order_of_the_same_disks_accuses_nobody(other_way: int) -> None:
    layouts = [[HDD, SSD]] * other_way + [[SSD, HDD]] * (6 - other_way)
    report = judge(fleet(layouts))
    assert report.findings == []
    assert report.counts.passed == 6


def test_the_slow_disk_of_a_node_with_another_order_has_that_nodes_name_and_its_serial() -> None:
    report = judge(fleet([[SSD, HDD]] * 4 + [[HDD, SSD]], slow={"n5": "sda"}))
    [found] = report.findings
    assert found.element == "node:n5"
    assert "disk sda (HDD1, serial n5-0):" in found.summary
    assert [each.name for each in found.metrics] == ["disk.sda.read_1M_bytes_per_s"]
    assert found.metrics[0].expected == pytest.approx(150e6, rel=0.01)


def test_a_missing_disk_shifts_no_other_into_its_place() -> None:
    report = judge(fleet([[SSD, HDD, HDD]] * 4 + [[HDD, HDD]]))
    [found] = report.findings
    assert (found.element, found.kind, found.component) == ("node:n5", "missing", "disk")
    assert verdicts(report) == {"n1": "pass", "n2": "pass", "n3": "pass", "n4": "pass", "n5": "fail"}


def test_a_replacement_of_another_model_is_compared_with_what_it_replaces() -> None:
    other = HDD | {"model": "HDD2"}
    SPEED["HDD2"] = 60e6
    report = judge(fleet([[HDD, HDD]] * 4 + [[HDD, other]]))
    [found] = report.findings
    assert (found.element, found.kind) == ("node:n5", "slow")
    assert "disk sdb (HDD2" in found.summary


def test_two_models_of_one_size_in_each_node_are_matched_by_model() -> None:
    assert (
        judge(fleet([[HDD, HDD | {"model": "SSD1"}]] * 3 + [[HDD | {"model": "SSD1"}, HDD]])).findings == []
    )


kinds = st.sampled_from([SSD, HDD, SSD | {"model": "SSD2"}, {"size_bytes": None}])


@given(st.lists(st.lists(kinds, max_size=5), min_size=1, max_size=5), st.randoms())
def test_no_two_disks_of_a_node_share_a_name_and_every_one_is_found_again(
    layouts: list[list[dict[str, object]]], random: np.random.RandomState
) -> None:
    inventories = []
    for layout in layouts:
        names = [f"sd{chr(97 + place)}" for place in range(len(layout))]
        random.shuffle(names)
        disks = [Disk(name=name, **disk) for name, disk in zip(names, layout, strict=True)]  # type: ignore[arg-type]
        inventories.append(Inventory(collected_at="", disks=disks))
    matched = match_disks(inventories, [np.arange(len(layouts))])
    for row, known in enumerate(inventories):
        common = [matched.common(row, disk.name) for disk in known.disks]
        assert len(set(common)) == len(common)
        assert [matched.disk(row, each) for each in common] == known.disks
        assert matched.common(row, "nvme7n1") not in common
