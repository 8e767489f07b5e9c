"""Two sessions of one fleet: each node with itself, what all share told once, and who changed otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.errors import CannotAnswer
from ahc_agent.facts import Inventory
from ahc_server.history.compare import compare
from ahc_server.history.draw.comparison import draw_comparison
from ahc_server.history.model import Comparison
from ahc_server.history.reading import read
from tests.history_helpers import Machines, Run
from tests.judge_helpers import GB, STANDARD


def compared(
    machines: Machines, before: Run | None = None, after: Run | None = None, *, every: bool = False
) -> Comparison:
    first = machines.read(before or machines.run("before"))
    return compare(first, machines.read(after or machines.run("after")), every=every)


def told(comparison: Comparison) -> tuple[list[tuple[str, str]], list[str]]:
    """Who changed otherwise, in what; and what was shared."""
    changed = [(each.node, str(each.component)) for each in comparison.changed]
    return changed, [each.component for each in comparison.shared if each.matters]


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 12), noise=st.sampled_from([0.001, 0.02, 0.1]))
def test_a_session_compared_with_itself_shows_no_difference(seed: int, size: int, noise: float) -> None:
    machines = Machines(size, noise=noise, seed=seed)
    reading = machines.read(machines.run("same"))
    answer = compare(reading, reading)
    assert told(answer) == ([], [])
    assert answer.facts == [] and answer.gaps == []
    assert all(each.change == 0 for each in answer.shared)
    assert "no difference that matters" in draw_comparison(answer)


@settings(max_examples=20)
@given(
    metric=st.sampled_from([m for m in STANDARD if m[4]]),
    factor=st.sampled_from([0.9, 0.8, 1.25]),
    seed=st.integers(0, 99),
)
def test_one_metric_of_all_nodes_scaled_is_told_and_nothing_else(
    metric: tuple[str, str, str, str, bool, float, float], factor: float, seed: int
) -> None:
    machines = Machines(12, noise=0.001, seed=seed)
    after = machines.run("after")
    after.factors = (
        {("", metric[0], metric[1]): factor} if metric[0] != "disk" else {("", "disk", metric[2]): factor}
    )
    answer = compared(machines, after=after)
    assert answer.changed == []
    carried = [each.name for level in answer.shared if level.matters for each in level.metrics]
    assert carried == [f"{metric[0]}.{metric[1]}.{metric[2]}"]
    [level] = [each for each in answer.shared if each.matters]
    assert level.change == pytest.approx(factor - 1, abs=0.01)
    assert level.kind == ("slower" if factor < 1 else "faster")
    assert level.low <= level.change <= level.high


def test_the_order_of_nodes_and_outcomes_leaves_no_trace() -> None:
    machines = Machines(8)
    first, second = (
        machines.session(machines.run("a")),
        machines.session(machines.run("b").slow("n3", "disk", 0.7)),
    )
    turned = [replace(each, nodes=each.nodes[::-1], outcomes=each.outcomes[::-1]) for each in (first, second)]
    straight = compare(read(first), read(second), every=True)
    assert msgspec.json.encode(straight) == msgspec.json.encode(
        compare(read(turned[0]), read(turned[1]), every=True)
    )
    assert straight.changed


def test_a_node_that_became_slower_is_named_with_its_peers_change() -> None:
    machines = Machines(20)
    answer = compared(machines, after=machines.run("after").slow("n5", "disk", 0.65).slow("", "cpu", 0.96))
    [change] = answer.changed
    assert (change.node, change.component, change.severity) == ("n5", "disk", "fail")
    assert change.difference == pytest.approx(-0.35, abs=0.02)
    assert change.summary.startswith("n5: disk disk0, sequential reads −35 % where its 19 peers")
    [shared] = [each for each in answer.shared if each.matters]
    assert (shared.component, len(shared.nodes)) == ("cpu", 20)
    assert answer.worst == "fail"


def test_a_node_that_did_not_gain_as_its_peers_did_is_named() -> None:
    machines = Machines(20)
    after = machines.run("after").slow("", "memory", 1.3).slow("n7", "memory", 1 / 1.3)
    [change] = compared(machines, after=after).changed
    assert (change.node, change.kind) == ("n7", "slower")
    assert change.change == pytest.approx(0, abs=0.01)
    assert change.expected == pytest.approx(0.3, abs=0.01)


def test_one_of_two_sockets_is_named_and_the_other_is_not_called_faster() -> None:
    machines = Machines(20)
    changed = compared(machines, after=machines.run("after").slow("n5", "cpu", 0.9, "socket1")).changed
    assert [(each.title, each.kind) for each in changed] == [
        ("CPU socket 1 against the node's others", "slower")
    ]


def test_a_time_that_became_longer_is_worse_and_said_as_it_changed() -> None:
    metrics = [("disk", "disk0", "randread_4k_p50_us", "us", False, 2000.0, 1.0)]
    machines = Machines(12, metrics=metrics, noise=0.0001)
    [change] = compared(machines, after=machines.run("after").slow("n2", "disk", 0.4)).changed
    assert change.difference == pytest.approx(-1.5, abs=0.05)
    assert "response times +150 %" in change.summary
    assert change.severity == "fail"


def bios(version: str) -> Callable[[Inventory], None]:
    def change(inventory: Inventory) -> None:
        inventory.system.bios.version = version

    return change


def test_a_fact_that_divides_the_fleet_is_told_with_what_it_cost() -> None:
    machines = Machines(20)
    before, after = (
        machines.run("before").inventory("", bios("1.2")),
        machines.run("after").inventory("", bios("1.2")),
    )
    updated = machines.names[:6]
    for name in updated:
        after.inventory(name, bios("1.4")).slow(name, "memory", 0.9)
    answer = compared(machines, before, after)
    assert answer.changed == []
    [shared] = [each for each in answer.shared if each.matters]
    assert (shared.component, shared.nodes) == ("memory", updated)
    assert shared.among == "those where BIOS changed from 1.2 to 1.4"
    [fact] = answer.facts
    assert (fact.name, fact.before, fact.after, fact.nodes) == ("BIOS", "1.2", "1.4", updated)


def test_half_a_fleet_that_changed_without_a_visible_reason_is_one_line() -> None:
    machines = Machines(20)
    after = machines.run("after")
    for name in machines.names[:10]:
        after.slow(name, "memory", 0.8)
    answer = compared(machines, after=after)
    assert answer.changed == []
    [shared] = [each for each in answer.shared if each.matters]
    assert shared.nodes == machines.names[:10]
    assert shared.among is not None and "no fact" in shared.among


def test_a_fact_that_changed_on_this_node_alone_is_its_cause_and_a_common_one_is_not() -> None:
    machines = Machines(12)

    def kernel(inventory: Inventory) -> None:
        inventory.system.kernel = "6.12"

    def old_kernel(inventory: Inventory) -> None:
        inventory.system.kernel = "6.1"

    before = machines.run("before").inventory("", old_kernel).inventory("n5", bios("1.2"))
    after = machines.run("after").inventory("", kernel).inventory("n5", bios("1.4")).slow("n5", "cpu", 0.8)
    [change] = compared(machines, before, after).changed
    assert change.cause == "at the same time: BIOS changed from 1.2 to 1.4"


def test_disks_follow_their_serial_numbers_whatever_the_kernel_calls_them() -> None:
    metrics = [
        ("disk", f"sd{x}", "read_1M_bytes_per_s", "B/s", True, value, 1.0)
        for x, value in (("a", 5e8), ("b", 1e8))
    ]

    def disks(*serials: str) -> Callable[[Inventory], None]:
        def change(inventory: Inventory) -> None:
            one = inventory.disks[0]
            inventory.disks = [
                msgspec.structs.replace(
                    one, name=f"sd{'ab'[place]}", serial=serial, size_bytes=(1 + int(serial[-1])) * 500 * GB
                )
                for place, serial in enumerate(serials)
            ]

        return change

    machines = Machines(8, metrics=metrics)
    before = machines.run("before")
    after = machines.run("after")
    for number, name in enumerate(machines.names):
        before.inventory(name, disks(f"{number}s0", f"{number}s1"))
        after.inventory(name, disks(f"{number}s0", f"{number}s1"))
    # On n3 the kernel found them the other way round: sda is now what sdb was.
    after.inventory("n3", disks("2s1", "2s0"))
    after.factors = {("n3", "disk", "sda"): 0.2, ("n3", "disk", "sdb"): 5.0}
    answer = compared(machines, before, after)
    assert told(answer) == ([], [])
    assert answer.facts == []


def test_a_replaced_disk_is_told_with_both_serial_numbers() -> None:
    def serial(text: str) -> Callable[[Inventory], None]:
        def change(inventory: Inventory) -> None:
            inventory.disks[0] = msgspec.structs.replace(inventory.disks[0], serial=text)

        return change

    machines = Machines(5)
    before, after = machines.run("before"), machines.run("after")
    for name in machines.names:
        before.inventory(name, serial(f"{name}-A"))
        after.inventory(name, serial(f"{name}-A"))
    [fact] = compared(machines, before, after.inventory("n2", serial("B"))).facts
    assert (fact.component, fact.nodes) == ("disk", ["n2"])
    assert fact.before == "disk0 (serial n2-A)" and fact.after == "disk0 (serial B)"


def test_of_two_nodes_the_change_is_told_and_its_noise_called_unknown() -> None:
    machines = Machines(2)
    answer = compared(machines, after=machines.run("after").slow("n1", "disk", 0.7))
    assert [(each.node, each.severity, each.limit) for each in answer.changed] == [("n1", "info", None)]
    assert any("unknown" in note for note in answer.notes)
    assert answer.worst == "info"


def test_of_two_nodes_the_samples_of_each_run_can_settle_it() -> None:
    machines = Machines(2, noise=0.001)
    before, after = machines.run("before"), machines.run("after").slow("n1", "disk", 0.6)
    before.ci95 = after.ci95 = 0.01
    worse = [each for each in compared(machines, before, after).changed if each.severity != "info"]
    assert [(each.node, each.severity) for each in worse] == [("n1", "fail")]


def test_nodes_and_metrics_of_one_session_only_are_listed() -> None:
    machines = Machines(6)
    before = machines.run("before", machines.names[:5])
    after = machines.run("after", machines.names[1:])
    after.missing = {("n3", "disk")}
    answer = compared(machines, before, after)
    assert (answer.gone, answer.new, len(answer.nodes)) == (["n1"], ["n6"], 4)
    gaps = {gap.what: (gap.nodes, gap.blocking) for gap in answer.gaps}
    assert gaps["not in after"] == (["n1"], True)
    assert gaps["not in before"] == (["n6"], False)
    assert gaps["not measured in after: disk"] == (["n3"], True)


def test_other_metrics_and_other_plans_are_told() -> None:
    machines = Machines(6)
    after = machines.run("after")
    after.plan, after.missing = "another", {(name, "disk") for name in machines.names}
    answer = compared(machines, after=after)
    assert any("different plans" in note for note in answer.notes)
    assert any(gap.what.startswith("only in before: 4 metrics of disk (job disk)") for gap in answer.gaps)
    assert answer.metrics == 6


def test_a_fleet_that_lost_a_node_is_compared_though_fewer_ran_at_once() -> None:
    machines = Machines(8)
    answer = compared(machines, after=machines.run("after", machines.names[:-1]))
    assert answer.metrics == len(STANDARD)
    assert any("ran on 8 and 7 nodes at once" in note for note in answer.notes)


def test_sessions_with_nothing_in_common_cannot_be_compared() -> None:
    machines = Machines(6)
    with pytest.raises(CannotAnswer, match="no node in common"):
        compared(machines, machines.run("a", ["n1", "n2"]), machines.run("b", ["n3"]))


def test_facts_are_compared_where_nothing_was_measured() -> None:
    machines = Machines(3)
    before, after = (
        machines.run("before").inventory("", bios("1")),
        machines.run("after").inventory("", bios("2")),
    )
    before.missing = after.missing = {
        (name, component) for name in machines.names for component in ("cpu", "memory", "disk")
    }
    answer = compared(machines, before, after)
    assert answer.metrics == 0
    assert [each.name for each in answer.facts] == ["BIOS"]
    assert "no metric in both" in draw_comparison(answer)


def test_text_is_free_of_control_characters_and_within_its_width() -> None:
    machines = Machines(6)

    def hostile(inventory: Inventory) -> None:
        inventory.system.bios.version = "\x1b[2J" + "1.2 " * 60

    text = draw_comparison(
        compared(machines, after=machines.run("after").inventory("", hostile)), width=100, full=True
    )
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_disturbed_this_run_alone_excuses_a_loss_and_what_disturbed_all_does_not() -> None:
    machines = Machines(12)
    excused = machines.run("after").slow("n2", "cpu", 0.8)
    excused.steal = {"n2": 0.3}
    [change] = compared(machines, after=excused).changed
    assert (change.node, change.severity) == ("n2", "info") and "repeat" in change.summary
    shared = machines.run("after").slow("n2", "cpu", 0.8)
    shared.steal = {"": 0.3}
    [change] = compared(machines, after=shared).changed
    assert (change.node, change.severity) == ("n2", "warn")
