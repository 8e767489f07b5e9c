"""Findings joined with causes: shared ones, a node's own, none, and what was counted during the run."""

from __future__ import annotations

from ahc_agent.facts import Dimm, Inventory
from ahc_agent.measure import Conditions, Measurement, Sample
from ahc_server.judge.model import Finding
from tests.judge_helpers import Fleet, inventory, judge, measurement, serious

SIZE = 16


def machine(bios: str = "1.4", dimms: int = 12) -> Inventory:
    known = inventory()
    known.system.bios.version = bios
    known.memory.dimms = [
        Dimm(locator=f"A{slot + 1}", size_bytes=16 * 2**30 if slot < dimms else 0) for slot in range(12)
    ]
    return known


def fleet(**others: Inventory) -> Fleet:
    made = Fleet(SIZE, noise=0.002).benchmarks()
    made.inventories = {**dict.fromkeys(made.names, machine()), **others}
    return made


def causes(of: Fleet) -> dict[str, str | None]:
    """Node → cause of its finding by measurement."""
    found: list[Finding] = [each for each in serious(judge(of)) if each.kind in ("slow", "unstable")]
    return {each.nodes[0]: each.cause for each in found}


def test_what_all_slow_nodes_share_and_no_other_has_is_their_cause() -> None:
    made = fleet(n2=machine(bios="1.2"), n5=machine(bios="1.2"))
    told = causes(made.slow("n2", "cpu", 0.7).slow("n5", "cpu", 0.7))
    assert told["n2"] == told["n5"] is not None
    assert "1.2" in str(told["n2"]) and "1.4" in str(told["n2"])


def test_each_has_its_own_cause_where_they_share_none() -> None:
    made = fleet(n2=machine(dimms=6), n5=machine(bios="1.2"))
    told = causes(made.slow("n2", "memory", 0.6).slow("n5", "cpu", 0.7))
    assert "slots empty" in str(told["n2"]) and "BIOS" in str(told["n5"])


def test_a_node_that_shares_nothing_with_the_others_is_not_given_their_cause() -> None:
    made = fleet(n2=machine(bios="1.2"), n5=machine(bios="1.2"))
    told = causes(made.slow("n2", "cpu", 0.7).slow("n5", "cpu", 0.7).slow("n9", "cpu", 0.7))
    assert told["n9"] is None
    assert "1.2" in str(told["n2"])


def test_without_a_fact_that_sets_it_apart_no_cause_is_guessed() -> None:
    assert causes(fleet().slow("n4", "disk", 0.5)) == {"n4": None}


def test_what_has_nothing_to_do_with_the_part_is_no_cause() -> None:
    assert causes(fleet(n4=machine(dimms=6)).slow("n4", "disk", 0.5))["n4"] is None


def test_throttling_that_was_counted_during_the_run_is_the_cause_of_a_slow_cpu() -> None:
    def throttled(old: Measurement) -> Measurement:
        if old.component != "cpu" or old.value is None:
            return old
        return measurement(
            old.component,
            old.part,
            old.quantity,
            old.unit,
            True,
            old.value * 0.8,
            samples=[Sample(value=old.value * 0.8)] * 3,
            conditions=Conditions(throttle_events=71),
        )

    told = causes(fleet().change("n7", throttled))
    assert told == {"n7": "throttle counter rose by 213 during the run"}


def test_nodes_that_are_slow_for_the_same_reason_are_no_peers_that_are_well_with_it() -> None:
    """Four disks without write cache among six slow ones of forty: each of the four is told so."""
    metrics = [
        ("disk", "disk0", name, "IOPS", True, 300.0, 1.0) for name in ("write_1M_iops", "randwrite_4k_iops")
    ]
    fleet = Fleet(40, noise=0.005).benchmarks(metrics)
    without = ["n3", "n9", "n17", "n30"]
    for name in fleet.names:
        known = inventory()
        known.disks[0].write_cache = "write through" if name in without else "write back"
        fleet.inventories[name] = known
    for name in [*without, "n5", "n6"]:
        fleet.slow(name, "disk", 0.6)
    causes = {each.nodes[0]: each.cause or "" for each in serious(judge(fleet))}
    assert sorted(causes) == sorted([*without, "n5", "n6"])
    assert all("write cache" in causes[name] for name in without)
    assert causes["n5"] == causes["n6"] == ""


def test_disks_of_another_make_that_are_somewhat_slower_are_a_remark() -> None:
    """Three of seventeen have another model of disk, 8 % slower: too few to be excused as a batch of that model."""
    metrics = [
        ("disk", "disk0", name, "IOPS", True, 300.0, 1.0) for name in ("read_1M_iops", "randread_4k_iops")
    ]
    made = Fleet(17, noise=0.005).benchmarks(metrics)
    for name in made.names:
        known = inventory()
        known.disks[0].model = "HUS724" if name in ("n2", "n8", "n15") else "ST2000"
        made.inventories[name] = known
    for name in ("n2", "n8", "n15"):
        made.slow(name, "disk", 0.92)
    told = judge(made)
    assert serious(told) == []
    assert {each.nodes[0] for each in told.findings if each.kind == "slow"} == {"n2", "n8", "n15"}
    [broken] = serious(judge(made.slow("n8", "disk", 0.5)))
    assert (broken.nodes, broken.severity) == (["n8"], "fail")
