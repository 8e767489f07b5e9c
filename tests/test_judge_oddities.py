"""What a machine is differently from its peers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.facts import Bios, Bmc, Dimm, Disk, Inventory, Nic
from ahc_server.judge.facts.oddities import Oddities, odd_nodes, oddities
from ahc_server.judge.facts.table import table
from ahc_server.judge.facts.told import Fact
from tests.judge_helpers import Fleet, inventory, judge, verdicts

GIB = 2**30


def described(**changes: object) -> Inventory:
    """A machine that tells its firmware and its slots.

    ``changes``: bios, bmc, governor, empty and filled (slots), mtu, disk_firmware.
    """
    known = inventory()
    known.system.bios = Bios(vendor="Dell", version=str(changes.get("bios", "2.1")))
    known.bmc = Bmc(firmware=str(changes.get("bmc", "4.40")))
    known.cpu.governor = str(changes.get("governor", "performance"))
    empty, filled = changes.get("empty", ()), changes.get("filled", ())
    assert isinstance(empty, tuple) and isinstance(filled, tuple)
    known.memory.dimms = [
        Dimm(
            locator=f"A{slot}",
            size_bytes=0 if slot in empty or (slot > 24 and slot not in filled) else 8 * GIB,
        )
        for slot in range(1, 27)
    ]
    known.nics = [Nic(name="eth0", speed_mbps=25_000, carrier=True, mtu=int(str(changes.get("mtu", 9000))))]
    known.disks = [
        Disk(
            name="disk0",
            size_bytes=960 * 10**9,
            rotational=False,
            model="PM883",
            firmware=str(changes.get("disk_firmware", "HXT7")),
        )
    ]
    return known


def fleet(size: int, odd: dict[str, Inventory]) -> Fleet:
    made = Fleet(size).benchmarks()
    made.inventories.update(dict.fromkeys(made.names, described()) | odd)
    return made


@pytest.mark.parametrize(
    ("change", "component", "said"),
    [
        ({"bios": "1.9"}, "firmware", "BIOS: 1.9, where its peers have 2.1"),
        ({"bmc": "3.2"}, "firmware", "BMC firmware: 3.2, where its peers have 4.40"),
        ({"disk_firmware": "HXT5"}, "firmware", "firmware of PM883 disks: HXT5, where its peers have HXT7"),
        ({"governor": "powersave"}, "cpu", "frequency governor: powersave, where its peers have performance"),
        ({"mtu": 1500}, "network", "MTU: 1500, where its peers have 9000"),
    ],
)
@pytest.mark.parametrize("size", [5, 6])
def test_one_node_of_other_settings_is_told(
    change: dict[str, object], component: str, said: str, size: int
) -> None:
    [found] = judge(fleet(size, {"n2": described(**change)})).findings
    assert (found.element, found.component, found.kind, found.severity) == (
        *("node:n2", component, "config", "warn"),
    )
    assert said in found.summary
    assert f"its {size - 1} peers" in found.summary


def test_all_that_is_odd_about_the_firmware_is_one_finding() -> None:
    [found] = judge(fleet(5, {"n2": described(bios="1.9", bmc="3.2", disk_firmware="HXT5")})).findings
    assert found.cause is not None and found.cause.count("; ") == 2


def test_a_setting_is_the_cause_of_what_it_slows() -> None:
    made = fleet(6, {"n2": described(governor="powersave")}).slow("n2", "cpu", 0.6)
    [found] = judge(made).findings
    assert (found.kind, found.component) == ("slow", "cpu")
    assert found.cause == "its frequency governor: powersave, where its peers have performance"


def test_one_missing_dimm_of_24_is_told_though_it_is_few_of_the_memory() -> None:
    [found] = judge(fleet(6, {"n4": described(empty=(5,))})).findings
    assert (found.element, found.component, found.kind) == ("node:n4", "memory", "missing")
    assert found.severity == "fail"
    assert found.cause == "1 DIMM slot empty that 5 of 5 peers fill (A5); 184 GiB where they have 192 GiB"
    assert "every DIMM is seated" in found.summary


def test_slots_that_two_share_empty_are_told_of_both() -> None:
    report = judge(fleet(20, dict.fromkeys(("n1", "n2"), described(empty=(1, 2, 3)))))
    assert [each.cause for each in report.findings] == [
        "3 DIMM slots empty that 18 of 19 peers fill (A1, A2, A3); 168 GiB where they have 192 GiB"
    ] * 2


def drift_of(odd: dict[int, Inventory], size: int, usual: Inventory | None = None) -> Oddities:
    """The differences of a group of machines, those at some rows other than usual."""
    machines = [odd.get(row, usual or described()) for row in range(size)]
    return oddities(table(range(size), machines), "g1", [f"n{row}" for row in range(size)])


@pytest.mark.parametrize(
    ("size", "others", "drift"),
    [
        (4, 1, False),
        (5, 1, True),
        (6, 2, False),
        (10, 2, False),
        (20, 1, True),
        (19, 2, False),
        (20, 2, True),
        (24, 3, False),
        (40, 2, True),
        (40, 4, False),
        (40, 8, False),
        (200, 10, True),
        (200, 40, False),
        (200, 100, False),
    ],
)
def test_a_setting_is_drift_where_few_have_it_and_a_batch_where_more_do(
    size: int, others: int, drift: bool
) -> None:
    found = drift_of(dict.fromkeys(range(others), described(bios="1.9")), size)
    assert sorted(found.of_node) == (list(range(others)) if drift else [])
    assert len(found.shared) == (not drift)
    assert all(each.severity == "info" for each in found.shared)


def test_drift_is_seen_in_a_group_of_two_batches() -> None:
    batch = described(bios="2.2")
    found = drift_of(dict.fromkeys(range(20), batch) | {30: described(bios="1.9")}, 40)
    assert list(found.of_node) == [30]
    assert [each.summary for each in found.shared] == [
        "g1: BIOS is not the same everywhere: 2.2 (20 nodes), 2.1 (19 nodes)"
    ]


def test_facts_of_which_every_node_has_its_own_are_neither() -> None:
    found = drift_of({row: described(bios=f"build {row}") for row in range(12)}, 12)
    assert (found.of_node, found.shared) == ({}, [])


@pytest.mark.parametrize(
    ("size", "lacking", "told"),
    [(2, 1, False), (3, 1, True), (4, 1, True), (4, 2, False), (20, 3, True), (20, 5, False)],
)
def test_parts_that_are_gone_are_told_from_three_nodes_on(size: int, lacking: int, told: bool) -> None:
    found = drift_of(dict.fromkeys(range(lacking), described(empty=(5,))), size)
    assert sorted(found.of_node) == (list(range(lacking)) if told else [])
    assert set(found.kinds.values()) == ({"missing"} if told else set())


def threads(per_core: int) -> Inventory:
    known = described()
    known.cpu.threads_per_core = per_core
    known.cpu.logical_present = 32 * per_core
    known.cpu.vulnerabilities = {"mds": f"Mitigation; SMT {'vulnerable' if per_core > 1 else 'disabled'}"}
    return known


def test_hyperthreading_is_one_finding_and_explains_what_cannot_be_measured() -> None:
    found = drift_of({3: threads(1)}, 8, usual=threads(2))
    assert {part: [odd.text for odd in odds] for part, odds in found.of_node[3].items()} == {
        "cpu": ["its threads per core: 1, where its peers have 2"]
    }
    assert set(found.explained[3]) == {"cpu", "memory", "numa"}


def disks(*names: str, cache: str = "write through") -> Inventory:
    known = described()
    known.disks = [
        Disk(name=each, size_bytes=2 * 10**12, rotational=True, write_cache=cache) for each in names
    ]
    return known


def test_the_disk_that_is_gone_is_named() -> None:
    found = drift_of({2: disks("sda", "sdc")}, 5, usual=disks("sda", "sdb", "sdc"))
    assert found.causes()[2] == {"disk": "no disk sdb (2 TB HDD) that 4 of 4 peers have"}
    assert list(found.explained[2]) == ["disk"]
    [finding] = odd_nodes(found, ["n0", "n1", "n2", "n3", "n4"], 4, [])
    assert (finding.kind, finding.severity) == ("missing", "fail")


def drives(*bays: str) -> Inventory:
    known = described()
    known.extra = {f"disk/{bay}/size": "300" for bay in bays} | {"disk/logical/count": "1"}
    return known


def test_the_drive_that_a_raid_controller_lacks_is_named() -> None:
    found = drift_of({2: drives("1I:1:1", "1I:1:3")}, 5, usual=drives("1I:1:1", "1I:1:2", "1I:1:3"))
    assert found.causes()[2] == {"disk": "no drive 1I:1:2 (300) that 4 of 4 peers have"}
    assert found.missing == {(2, "disk")}


def test_a_dimm_in_another_slot_is_no_loss() -> None:
    [odd] = drift_of({4: described(empty=(24,), filled=(26,))}, 12).of_node[4].values()
    assert [each.text for each in odd] == [
        "1 DIMM slot empty that 11 of 11 peers fill (A24)",
        "DIMM A26 (8 GiB) that 11 of 11 peers do not have",
    ]


def test_a_part_of_another_make_is_worth_knowing_and_no_fault() -> None:
    other = disks("sda", "sdb")
    usual = disks("sda", "sdb")
    for disk in (*other.disks, *usual.disks):
        disk.model = "ST2000NM0023"
    other.disks[1].model = "HUS724020"
    found = drift_of({2: other}, 8, usual=usual)
    [finding] = odd_nodes(found, [f"n{row}" for row in range(8)], 7, [])
    assert (finding.severity, finding.summary) == (
        "info",
        "n2 differs from its 7 peers: disk model (sdb): HUS724020, where its peers have ST2000NM0023",
    )


def test_a_disk_more_is_told_and_is_no_failure() -> None:
    found = drift_of({2: disks("sda", "sdb", "sdc")}, 6, usual=disks("sda", "sdb"))
    assert found.causes()[2] == {"disk": "disk sdc (2 TB HDD) that 5 of 5 peers do not have"}
    [finding] = odd_nodes(found, [f"n{row}" for row in range(6)], 5, [])
    assert (finding.kind, finding.severity) == ("extra", "warn")


def test_the_disk_whose_write_cache_differs_is_named_as_its_node_calls_it() -> None:
    other = disks("sda", "sdb")
    other.disks[1].write_cache = "write back"
    found = drift_of({2: other}, 6, usual=disks("sda", "sdb"))
    assert found.causes()[2] == {
        "disk": "its write cache (sdb): write back, where its peers have write through"
    }


def test_what_differs_in_all_places_alike_is_said_once() -> None:
    usual, slow = described(), described()
    for known, speed in ((usual, 2933), (slow, 2133)):
        for dimm in known.memory.dimms:
            dimm.speed_mtps = speed
    found = drift_of({1: slow}, 6, usual=usual)
    assert found.causes()[1] == {"memory": "its DIMM speed: 2133 MT/s, where its peers have 2933 MT/s"}


def test_facts_that_divide_the_group_alike_are_one_remark() -> None:
    other = described(bios="2.2", bmc="4.50", disk_firmware="HXT9")
    [remark] = drift_of(dict.fromkeys(range(10), other), 30).shared
    assert remark.summary == (
        "g1: BIOS, and with it BMC firmware, firmware of PM883 disks (disk0), is not the same everywhere: "
        "2.1 (20 nodes), 2.2 (10 nodes)"
    )


def test_few_of_many_are_named_in_the_remark() -> None:
    [remark] = drift_of(dict.fromkeys((3, 7), described(mtu=1500)), 18).shared
    assert remark.summary.endswith("9000 (16 nodes), 1500 (2 nodes: n3, n7)")


def sockets(*empty: str, many: int = 2) -> Inventory:
    known = described()
    known.cpu.sockets = many
    slots = [f"{socket}{number}" for socket in "AB" for number in range(1, 7)]
    known.memory.dimms = [
        Dimm(locator=slot, size_bytes=0 if slot in empty or slot[1] > "4" else 8 * GIB) for slot in slots
    ]
    return known


@pytest.mark.parametrize(
    ("machines", "told"),
    [
        ([sockets()], []),
        ([sockets("A3")], [0]),
        ([sockets("A3"), sockets()], [0]),
        ([sockets("A3"), sockets("A3")], []),
        ([sockets("A3", "A4")], []),
        ([sockets("A3", "B4")], []),
        ([sockets("A3", many=1)], []),
    ],
    ids=["even", "one slot", "and a peer", "both", "two of four", "one each", "one socket"],
)
def test_a_node_without_peers_gives_its_empty_slot_away(machines: list[Inventory], told: list[int]) -> None:
    found = oddities(table(range(len(machines)), machines), "g1", ["n0", "n1"])
    assert list(found.of_node) == told
    for finding in odd_nodes(found, ["n0", "n1"], len(machines) - 1, []):
        assert "DIMM slot A3 empty whose counterpart at another socket is filled (B3)" in finding.summary
        assert finding.severity == "warn"


def test_a_cause_that_is_told_already_is_not_told_again() -> None:
    found = drift_of({3: described(bios="1.9", governor="powersave")}, 8)
    names = [f"n{row}" for row in range(8)]
    [finding] = odd_nodes(found, names, 7, [], {3: [Fact("firmware", "BIOS")]})
    assert finding.component == "cpu"


@given(
    st.permutations(range(9)),
    st.sampled_from([described(bios="1.9"), described(empty=(5,)), described(mtu=1500)]),
)
def test_the_order_of_nodes_makes_no_difference(order: list[int], odd: Inventory) -> None:
    machines = [odd, *[described()] * 8]
    found = oddities(
        table(range(9), [machines[each] for each in order]), "g1", [f"n{each}" for each in order]
    )
    assert {f"n{order[row]}": of for row, of in found.causes().items()} == {
        "n0": drift_of({0: odd}, 9).causes()[0]
    }


def test_half_of_a_group_with_other_firmware_is_a_remark_about_the_group() -> None:
    report = judge(fleet(8, dict.fromkeys(("n1", "n2", "n3"), described(bios="1.9"))))
    [found] = report.findings
    assert (found.element, found.severity) == ("group:g1", "info")
    assert found.summary == "g1: BIOS is not the same everywhere: 2.1 (5 nodes), 1.9 (3 nodes)"
    assert set(verdicts(report).values()) == {"pass"}


def test_what_machines_do_not_tell_is_no_difference() -> None:
    assert judge(fleet(6, {"n2": inventory()})).findings == []
