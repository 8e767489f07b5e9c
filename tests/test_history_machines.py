"""The same machine and the same disk are known again."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.facts import Disk, Inventory
from ahc_agent.wire.messages import Identity
from ahc_server.history.machines import disk_labels, same_machines
from ahc_server.session import NodeRecord


def record(node: str, **identity: object) -> NodeRecord:
    known = Identity(**identity)  # type: ignore[arg-type]
    return NodeRecord(machine=known.machine, node=node, identity=known)


def pairs(*sessions: Sequence[NodeRecord]) -> list[tuple[str | None, ...]]:
    return [tuple(r.node if r else None for r in machine.records) for machine in same_machines(sessions)]


@given(st.permutations(["n1", "n2", "n10", "n3"]))
def test_the_same_key_is_the_same_machine_whatever_the_order(names: list[str]) -> None:
    before = [record(name, name=name) for name in ("n1", "n2", "n10")]
    after = [record(name, name=name) for name in names]
    assert pairs(before, after) == [("n1", "n1"), ("n2", "n2"), (None, "n3"), ("n10", "n10")]


def test_a_machine_is_known_by_what_it_still_has() -> None:
    before = [record("S1", serial="S1", uuid="U1"), record("U2", uuid="U2"), record("m", macs=["aa", "bb"])]
    after = [
        record("S1", serial="S1", macs=["cc"]),
        record("S2", serial="S2", uuid="U2"),
        record("bb", macs=["bb"]),
    ]
    assert sorted(pairs(before, after), key=str) == [("S1", "S1"), ("U2", "S2"), ("m", "bb")]


def test_a_serial_number_that_several_share_tells_nothing() -> None:
    before = [record("U1", serial="S", uuid="U1"), record("U2", serial="S", uuid="U2")]
    after = [record("U3", serial="S", uuid="U3"), record("U2", serial="S", uuid="U2")]
    assert sorted(pairs(before, after), key=str) == [("U1", "U3"), ("U2", "U2")]


def with_disks(*disks: tuple[str, str | None, int]) -> Inventory:
    return Inventory(
        collected_at="",
        disks=[Disk(name=name, serial=serial, size_bytes=size) for name, serial, size in disks],
    )


def test_disks_keep_the_name_that_they_have_in_the_newest_session() -> None:
    old = with_disks(("sda", "A", 1), ("sdb", "B", 1))
    new = with_disks(("sda", "B", 1), ("sdb", "A", 1))
    assert disk_labels([old, new]) == [{"sda": "sdb", "sdb": "sda"}, {"sda": "sda", "sdb": "sdb"}]


def test_a_replaced_disk_takes_the_place_of_the_old_one() -> None:
    old = with_disks(("sda", "A", 1), ("sdb", "B", 1))
    new = with_disks(("sda", "A", 1), ("sdb", "C", 1))
    assert disk_labels([old, new])[0] == {"sda": "sda", "sdb": "sdb"}


def test_without_serial_numbers_the_size_tells() -> None:
    old = with_disks(("sda", None, 8), ("sdb", None, 1))
    new = with_disks(("sda", None, 1), ("sdb", None, 8))
    assert disk_labels([old, new])[0] == {"sda": "sdb", "sdb": "sda"}


def test_no_two_disks_get_one_name() -> None:
    old = with_disks(("sda", "B", 1), ("sdb", "X", 1), ("sdc", None, 2))
    new = with_disks(("sda", "A", 1), ("sdb", "B", 1))
    labels = disk_labels([old, None, new])[0]
    assert labels["sda"] == "sdb"
    assert len(set(labels.values())) == 3
