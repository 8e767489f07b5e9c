"""A node's id: its name, else serial, UUID, first MAC; unique in a session."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.wire.messages import Identity
from ahc_server.ids import assign_ids

few = st.one_of(st.none(), st.sampled_from(["", "A", "B", "C", "A#1"]))
identities = st.builds(
    Identity, name=few, serial=few, uuid=few, macs=st.lists(st.sampled_from(["A", "m1", "m2"]), max_size=2)
)


def test_the_serial_is_the_id() -> None:
    ids = assign_ids({"x": Identity(serial="S1", uuid="U1"), "y": Identity(serial="S2", uuid="U2")})
    assert ids == {"x": ("S1", None), "y": ("S2", None)}


def test_without_a_serial_the_uuid_then_the_first_mac() -> None:
    ids = assign_ids(
        {"x": Identity(uuid="U1"), "y": Identity(macs=["m1", "m2"]), "z": Identity(hostname="h")}
    )
    assert [ids[key][0] for key in "xyz"] == ["U1", "m1", "h"]


def test_the_operators_name_beats_all() -> None:
    assert assign_ids({"x": Identity(name="n1", serial="S1")})["x"] == ("n1", None)


def test_virtual_machines_that_share_a_serial_go_by_their_uuid_and_it_is_said() -> None:
    ids = assign_ids(
        {
            "x": Identity(serial="S", uuid="U1"),
            "y": Identity(serial="S", uuid="U2"),
            "z": Identity(serial="T"),
        }
    )
    assert {key: ids[key][0] for key in ids} == {"x": "U1", "y": "U2", "z": "T"}
    assert "serial S is shared by 2 machines" in str(ids["x"][1])
    assert ids["z"][1] is None


def test_where_nothing_tells_them_apart_they_are_numbered() -> None:
    ids = assign_ids({"x": Identity(serial="S"), "y": Identity(serial="S")})
    assert {one[0] for one in ids.values()} == {"S#1", "S#2"}
    assert all(note for _, note in ids.values())


def test_another_kind_can_be_preferred() -> None:
    machine = {"x": Identity(serial="S", uuid="U", macs=["m"])}
    assert [assign_ids(machine, prefer)["x"][0] for prefer in ("serial", "uuid", "mac")] == ["S", "U", "m"]


@given(st.dictionaries(st.text(min_size=1, max_size=3), identities, max_size=12), st.randoms())
def test_ids_are_unique_and_do_not_depend_on_the_order(machines: dict[str, Identity], random: object) -> None:
    ids = assign_ids(machines)
    assert set(ids) == set(machines)
    assert len({name for name, _ in ids.values()}) == len(machines)
    shuffled = list(machines.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert assign_ids(dict(shuffled)) == ids
