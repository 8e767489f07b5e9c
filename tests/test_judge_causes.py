"""Why nodes are slow: which facts set them apart, and when none does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.facts import Bios, Dimm, Disk, Inventory, Nic
from ahc_server.judge.causes import Cause, divides, explain, explanations
from ahc_server.judge.facts.table import FactTable, table
from ahc_server.judge.facts.told import Fact

GIB = 2**30


def machine(**changes: object) -> Inventory:
    """``changes``: bios, governor, empty (slots), mtu, cache (of sdb), kernel."""
    known = Inventory(collected_at="")
    known.system.bios = Bios(version=str(changes.get("bios", "1.4")))
    known.system.kernel = str(changes.get("kernel", "6.1"))
    known.cpu.governor = str(changes.get("governor", "performance"))
    empty = changes.get("empty", ())
    assert isinstance(empty, tuple)
    known.memory.dimms = [Dimm(locator=f"A{n}", size_bytes=0 if n in empty else 8 * GIB) for n in range(1, 9)]
    known.disks = [
        Disk(name="sda", size_bytes=10**12, write_cache="write back"),
        Disk(name="sdb", size_bytes=10**12, write_cache=str(changes.get("cache", "write back"))),
    ]
    known.nics = [Nic(name="eth0", driver="ixgbe", carrier=True, mtu=int(str(changes.get("mtu", 9000))))]
    return known


def fleet(size: int, odd: dict[int, Inventory]) -> FactTable:
    return table(range(size), [odd.get(row, machine()) for row in range(size)])


def why(found: Cause | None) -> str | None:
    return None if found is None else found.text


@pytest.mark.parametrize(
    ("change", "component", "said"),
    [
        (
            {"governor": "powersave"},
            "cpu",
            "its frequency governor: powersave, where its peers have performance",
        ),
        ({"bios": "1.2"}, "memory", "its BIOS: 1.2, where its peers have 1.4"),
        ({"mtu": 1500}, "network", "its MTU: 1500, where its peers have 9000"),
        ({"kernel": "5.10"}, "disk", "its kernel: 5.10, where its peers have 6.1"),
        (
            {"empty": (5,)},
            "memory",
            "1 DIMM slot empty that 19 of 19 peers fill (A5); 56 GiB where they have 64 GiB",
        ),
    ],
)
def test_one_slow_node_and_the_fact_that_can_slow_it(
    change: dict[str, object], component: str, said: str
) -> None:
    assert why(explain({4}, range(20), fleet(20, {4: machine(**change)}), component)) == said


@pytest.mark.parametrize(
    ("change", "component"),
    [({"mtu": 1500}, "cpu"), ({"cache": "write through"}, "memory"), ({"empty": (5,)}, "disk")],
)
def test_a_fact_that_has_nothing_to_do_with_it_explains_nothing(
    change: dict[str, object], component: str
) -> None:
    assert explain({4}, range(20), fleet(20, {4: machine(**change)}), component) is None


def test_nothing_is_said_where_nothing_sets_it_apart() -> None:
    assert explain({4}, range(20), fleet(20, {}), "cpu") is None
    assert explain({4}, range(20), fleet(20, {7: machine(governor="powersave")}), "cpu") is None
    assert explain({4}, range(20), table([], []), "cpu") is None


@pytest.mark.parametrize("others", [6, 10])
def test_a_batch_whose_other_nodes_are_well_explains_nothing(others: int) -> None:
    odd = dict.fromkeys(range(others), machine(bios="1.2"))
    assert explain({0, 1}, range(20), fleet(20, odd), "cpu") is None


def test_what_two_slow_nodes_share_and_no_other_has() -> None:
    found = explain({4, 9}, range(19), fleet(19, dict.fromkeys((4, 9), machine(bios="1.2"))), "cpu")
    assert why(found) == "both slow nodes have BIOS: 1.2, the other 17 1.4"
    assert found is not None and found.facts == (Fact("firmware", "BIOS"),)


def test_most_of_the_slow_nodes_and_one_that_is_well() -> None:
    odd = dict.fromkeys((1, 2, 3, 4, 8), machine(bios="1.2"))
    found = explain({1, 2, 3, 4, 5}, range(30), fleet(30, odd), "cpu")
    assert why(found) == "4 of the 5 slow nodes have BIOS: 1.2, 24 of the other 25 1.4, and 1 have the same"


def test_two_nodes_that_lack_different_dimms_share_that_they_lack_one() -> None:
    found = explain({1, 2}, range(20), fleet(20, {1: machine(empty=(3,)), 2: machine(empty=(6,))}), "memory")
    assert why(found) == "both slow nodes have memory size: 56 GiB, the other 18 64 GiB"


def test_of_two_facts_the_more_plausible_one_comes_first() -> None:
    found = explanations({4}, range(40), fleet(40, {4: machine(kernel="5.10", governor="powersave")}), "cpu")
    assert [each.facts[0].name for each in found] == ["frequency governor", "kernel"]


def test_another_disk_explains_nothing_about_this_one() -> None:
    odd = fleet(20, {4: machine(cache="write through")})
    assert explain({4}, range(20), odd, "disk", part="sda") is None
    assert why(explain({4}, range(20), odd, "disk", part="sdb")) == (
        "its write cache (sdb): write through, where its peers have write back"
    )


def test_only_members_are_peers() -> None:
    odd = fleet(20, dict.fromkeys(range(10), machine(governor="powersave")))
    assert explain({0}, range(20), odd, "cpu") is None
    assert explain({0}, {0, *range(10, 20)}, odd, "cpu") is not None


def test_what_was_counted_during_the_run() -> None:
    ran = {4: {"throttling": "throttle counter rose by 214 during the run"}}
    assert why(explain({4}, range(20), fleet(20, {}), "cpu", ran=ran)) == ran[4]["throttling"]
    everywhere = {row: {"throttling": "throttle counter rose by 20 during the run"} for row in range(20)}
    assert explain({4}, range(20), fleet(20, {}), "cpu", ran=everywhere) is None


def test_what_was_counted_on_several() -> None:
    ran = {row: {"throttling": "throttle counter rose during the run"} for row in (4, 5)}
    assert why(explain({4, 5}, range(20), fleet(20, {}), "cpu", ran=ran)) == (
        "throttle counter rose during the run (on both slow nodes)"
    )


def test_what_divides_two_populations() -> None:
    odd = fleet(30, dict.fromkeys(range(11), machine(bios="1.2")))
    found = divides(range(11), range(30), odd)
    assert why(found) == "BIOS: 1.2 on 11 of 11, 1.4 on 19 of 19 others"
    assert why(divides(range(11, 30), range(30), odd)) == "BIOS: 1.4 on 19 of 19, 1.2 on 11 of 11 others"


def test_a_few_on_the_wrong_side_do_not_hide_what_divides() -> None:
    odd = fleet(40, dict.fromkeys(range(1, 16), machine(bios="1.2")))
    assert why(divides(range(15), range(40), odd)) == "BIOS: 1.2 on 14 of 15, 1.4 on 24 of 25 others"


@pytest.mark.parametrize("having", [range(4), range(20, 26), range(0, 30, 2)])
def test_what_lies_across_divides_nothing(having: range) -> None:
    odd = fleet(30, dict.fromkeys(having, machine(bios="1.2")))
    assert divides(range(11), range(30), odd) is None


fewer = st.sets(st.integers(0, 11), max_size=5)


@given(sick=st.sets(st.integers(0, 11), min_size=1, max_size=4), aside=fewer, having=fewer, empty=fewer)
def test_the_peers_are_those_that_are_left_however_they_are_named(
    sick: set[int], aside: set[int], having: set[int], empty: set[int]
) -> None:
    """As the whole table without some, as members of a larger table, or one by one: the same explanations."""
    odd = {
        row: machine(
            governor="powersave" if row in having else "performance", empty=(5,) if row in empty else ()
        )
        for row in having | empty
    }
    ran = {row: {"throttling": "throttle counter rose during the run"} for row in having}
    aside = aside - sick
    whole, larger = fleet(12, odd), fleet(15, odd)
    asked = [
        explanations(sick, range(12), whole, "cpu", ran=ran, aside=aside),
        explanations(sick, set(range(12)) - aside, whole, "cpu", ran=ran),
        explanations(sick, range(12), larger, "cpu", ran=ran, aside=aside),
    ]
    first, second, third = [{(each.odds, frozenset(each.facts)) for each in found} for found in asked]
    assert first == second == third
