"""A baseline finds what all nodes of a delivery share; it names no machine, and is only held to its like."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ahc_agent.errors import CannotAnswer, NoData, UsageError
from ahc_agent.facts import Inventory
from ahc_server.history.baseline import Baseline, baseline_of
from ahc_server.history.check import Check, check
from ahc_server.history.draw.baseline import draw_baseline, draw_baselines, draw_check
from ahc_server.history.folder import BaselineFolder
from ahc_server.history.robust import few_nodes, medians, small_sample, spread_of
from ahc_server.judge.arrays import MAD_TO_SIGMA
from tests.history_helpers import Machines, Run
from tests.judge_helpers import inventory


def baseline(machines: Machines, run: Run | None = None) -> Baseline:
    return baseline_of(
        machines.read(run or machines.run("old")), "r640", dict.fromkeys(machines.names, "pass")
    )


def serious(checked: Check) -> list[tuple[str, str, str]]:
    return [(f.element, f.component, f.kind) for f in checked.findings if f.severity != "info"]


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(5, 20))
@example(seed=3071767, size=9)  # five of nine sockets lie within 0.3 %, by chance; the spread is 2 %
@example(seed=4176235865, size=5)  # memory of a NUMA node, and a socket, by five nodes
@example(seed=2173033818, size=5)
def test_the_same_machines_measured_again_are_as_they_were(seed: int, size: int) -> None:
    machines = Machines(size, seed=seed)
    assert serious(check(machines.read(machines.run("new")), baseline(machines))) == []


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(2, 20))
def test_none_of_the_few_nodes_of_a_baseline_is_beyond_the_limit_made_from_them(seed: int, size: int) -> None:
    distance = np.random.default_rng(seed).standard_t(2, (size, 20))
    distance -= medians(distance, 0)
    assert np.all(np.abs(distance) <= 5 * few_nodes(size) ** 2 * spread_of(distance))


def test_the_spread_of_many_nodes_does_not_ask_what_one_of_them_did() -> None:
    distance = np.random.default_rng(1).normal(0.0, 0.02, (200, 1))
    distance -= medians(distance, 0)
    robust = small_sample(200) * MAD_TO_SIGMA * float(np.median(np.abs(distance)))
    distance[0] = np.log(0.5)
    [spread] = spread_of(distance)
    assert robust <= spread < 1.5 * robust


def test_one_node_tells_no_spread() -> None:
    assert spread_of(np.zeros((1, 2))).tolist() == [0.0, 0.0]


def test_a_slow_socket_is_found_against_its_node_and_by_few_nodes_only_where_much_is_missing() -> None:
    def found(size: int, left: float) -> list[tuple[str, str, str]]:
        machines = Machines(size)
        delivery = machines.run("new").slow("n2", "cpu", left, "socket0")
        return serious(check(machines.read(delivery), baseline(machines)))

    assert found(20, 0.6) == found(5, 0.4) == [("node:n2", "cpu", "slow")]
    assert found(5, 0.9) == []


def test_metrics_that_the_baseline_lacks_do_not_make_it_look_exact() -> None:
    machines = Machines(9)
    made = baseline(machines)
    [group] = made.groups
    kept = [each for each in group.metrics if each.component != "memory" or each.part == "node0"]
    fewer = msgspec.structs.replace(made, groups=[msgspec.structs.replace(group, metrics=kept)])
    delivery = machines.run("new", ["n1", "n2"]).slow("n2", "memory", 0.93)
    assert serious(check(machines.read(delivery), fewer)) == []
    assert serious(check(machines.read(delivery.slow("n2", "memory", 0.7)), fewer)) == [
        ("node:n2", "memory", "slow")
    ]


def test_a_metric_that_few_nodes_of_the_baseline_have_is_held_to_wider_limits() -> None:
    machines = Machines(20)
    made = baseline(machines)
    [group] = made.groups
    rare = [
        msgspec.structs.replace(each, nodes=3) if each.component == "memory" else each
        for each in group.metrics
    ]
    partly = msgspec.structs.replace(made, groups=[msgspec.structs.replace(group, metrics=rare)])
    now = machines.read(machines.run("new").slow("n2", "memory", 0.8))
    assert serious(check(now, made)) == [("node:n2", "memory", "slow")]
    assert serious(check(now, partly)) == []


def test_a_delivery_whose_memory_is_slow_throughout_is_found() -> None:
    machines = Machines(20)

    def bios(inventory: Inventory) -> None:
        inventory.system.bios.version = "2.0"

    def old_bios(inventory: Inventory) -> None:
        inventory.system.bios.version = "1.0"

    base = baseline(machines, machines.run("old").inventory("", old_bios))
    delivery = machines.run("new").slow("", "memory", 0.9).inventory("", bios)
    checked = check(machines.read(delivery), base)
    assert serious(checked) == [("group:g1", "memory", "slow")]
    [finding] = checked.findings
    assert finding.effect == pytest.approx(-0.1, abs=0.01)
    assert finding.nodes == machines.names
    assert finding.cause == "BIOS is 2.0, the baseline had 1.0"
    assert finding.metrics[0].expected is not None and finding.metrics[0].value is not None


def test_what_two_deliveries_may_differ_is_nothing() -> None:
    machines = Machines(20)
    base = baseline(machines)
    delivery = machines.run("new").slow("", "memory", 0.97).slow("", "cpu", 0.98).slow("", "disk", 0.97)
    assert check(machines.read(delivery), base).findings == []


def test_a_single_slow_node_is_found_also_where_it_has_no_peers() -> None:
    machines = Machines(20)
    base = baseline(machines)
    delivery = machines.run("new", ["n1", "n2"]).slow("n2", "disk", 0.65)
    checked = check(machines.read(delivery), base)
    assert serious(checked) == [("node:n2", "disk", "slow")]
    assert checked.findings[0].severity == "fail"


def test_a_node_is_not_told_again_for_what_its_whole_group_is_off() -> None:
    machines = Machines(20)
    delivery = machines.run("new").slow("", "cpu", 0.8).slow("n4", "cpu", 0.8)
    checked = check(machines.read(delivery), baseline(machines))
    assert serious(checked) == [("group:g1", "cpu", "slow"), ("node:n4", "cpu", "slow")]


def test_only_nodes_that_passed_count() -> None:
    machines = Machines(20)
    run = machines.run("old").slow("n1", "disk", 0.1)
    verdicts = dict.fromkeys(machines.names, "pass") | {"n1": "fail"}
    made = baseline_of(machines.read(run), "r640", verdicts)
    assert [group.nodes for group in made.groups] == [19]
    with pytest.raises(NoData, match="no node passed"):
        baseline_of(machines.read(machines.run("bad")), "x", dict.fromkeys(machines.names, "fail"))


def test_of_a_group_too_small_to_be_judged_a_baseline_is_made_and_says_so() -> None:
    machines = Machines(2)
    made = baseline_of(machines.read(machines.run("old")), "pair", dict.fromkeys(machines.names, "unknown"))
    assert [(group.nodes, group.judged) for group in made.groups] == [(2, False)]
    assert "too few to be judged" in draw_baseline(made)


def of_kind(machines: Machines, name: str, **kind: object) -> Run:
    run = machines.run(name)
    run.inventories = {each: inventory(**kind) for each in machines.names}  # type: ignore[arg-type]
    return run


def test_sizes_within_six_per_cent_are_the_same_hardware_and_another_cpu_is_not() -> None:
    machines = Machines(8)
    base = baseline(machines)
    near = check(machines.read(of_kind(machines, "near", memory=187 * 2**30, disks=(980 * 10**9,))), base)
    assert [group.compared_with is not None for group in near.groups] == [True]
    other = check(machines.read(of_kind(machines, "other", cpu="EPYC 7302")), base)
    [group] = other.groups
    assert group.compared_with is None and group.why is not None
    assert group.why.startswith("CPU 2 × EPYC 7302")
    assert [gap.blocking for gap in other.gaps] == [True]


def test_a_baseline_names_no_machine() -> None:
    machines = Machines(3)

    def secret(inventory: Inventory) -> None:
        inventory.system.serial, inventory.system.uuid, inventory.system.hostname = (
            "SECRET-1",
            "SECRET-2",
            "SECRET-3",
        )
        inventory.disks[0] = msgspec.structs.replace(inventory.disks[0], serial="SECRET-4", wwn="SECRET-5")
        inventory.nics[0] = msgspec.structs.replace(inventory.nics[0], mac="SECRET-6")

    made = baseline(machines, machines.run("old").inventory("", secret))
    assert b"SECRET" not in msgspec.json.encode(made)
    assert not any(name.encode() + b'"' in msgspec.json.encode(made) for name in machines.names)


def test_the_folder_keeps_what_it_is_given(tmp_path: Path) -> None:
    machines = Machines(4)
    folder = BaselineFolder(tmp_path / "state" / "ahc.db")
    assert folder.names() == [] and "No baselines" in draw_baselines([])
    made = baseline(machines)
    file = folder.save(made)
    assert folder.names() == ["r640"]
    assert msgspec.json.encode(folder.load("r640")) == msgspec.json.encode(made)
    assert msgspec.json.encode(folder.load(str(file))) == msgspec.json.encode(made)
    with pytest.raises(UsageError, match="--replace"):
        folder.save(made)
    folder.save(made, replace=True)
    assert [each.name for each in file.parent.iterdir()] == ["r640.json"]
    folder.remove("r640")
    for gone in (folder.load, folder.remove):
        with pytest.raises(NoData, match="no baseline"):
            gone("r640")


@pytest.mark.parametrize("name", ["", "..", "a b", ".hidden", "x" * 101, "a\n"])
def test_names_that_could_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        BaselineFolder(tmp_path / "ahc.db").remove(name)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[1]", b'{"schema":"ahc.baseline/2"}', b"\xff\xfe", b"[" * 100_000]
)
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, text: bytes) -> None:
    folder = BaselineFolder(tmp_path / "ahc.db")
    folder.path.mkdir()
    (folder.path / "bad.json").write_bytes(text)
    with pytest.raises(CannotAnswer, match="no baseline of AHC"):
        folder.load("bad")


def test_the_text_of_a_check_says_what_was_compared_with_what() -> None:
    machines = Machines(6)
    text = draw_check(check(machines.read(machines.run("new").slow("", "cpu", 0.8)), baseline(machines)))
    assert text.startswith("Session new (6 nodes")
    assert "against baseline r640, made from old" in text
    assert "CPU of all its nodes −20 % against baseline r640 (6 nodes)" in text


def test_what_disturbed_all_nodes_alike_excuses_none_of_them() -> None:
    machines = Machines(12)
    base = baseline(machines)
    delivery = machines.run("new").slow("n2", "cpu", 0.7)
    delivery.steal = {"": 0.3}
    assert serious(check(machines.read(delivery), base)) == [("node:n2", "cpu", "slow")]
    delivery.steal = {"n2": 0.4}
    assert serious(check(machines.read(delivery), base)) == []
