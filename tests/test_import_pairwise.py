"""Pairwise network results: imported as a session of rounds, judged and reported; hostile files refused with their place."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import FileFormatError
from ahc_server.flows import FlowTable, floats, integers, packed_floats, packed_integers
from ahc_server.importers import pairwise
from ahc_server.importers.files import Candidate
from ahc_server.importers.pairwise import read, split
from ahc_server.store import Store
from tests.import_helpers import WRITTEN_AT, Ahc, machine, write_hw, write_json, written
from tests.network_helpers import all_pairs

NODES = [f"n{number}" for number in range(1, 13)]
RACKS = {name: f"leaf{number // 4 + 1}" for number, name in enumerate(NODES)}


def document(slow: dict[str, float] | None = None) -> dict[str, Any]:
    """All pairs of twelve nodes; ``slow``: node → what it receives of 23 Gbit/s."""
    rounds = [
        [
            [
                NODES[a],
                NODES[b],
                round((23 + 0.01 * (a - b)) * (slow or {}).get(NODES[b], 1.0), 3),
                13.0 + 0.1 * (a % 3),
            ]
            for pair in one
            for a, b in (pair, pair[::-1])
        ]
        for one in all_pairs(12)
    ]
    return {
        "schema": "ahc.pairwise/1",
        "nodes": NODES,
        "topology": RACKS,
        "line_gbps": 25.0,
        "rounds": rounds,
    }


@pytest.fixture
def ahc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ahc:
    return Ahc(tmp_path / "state" / "ahc.db", monkeypatch, capsys)


def test_a_document_becomes_a_session_of_rounds_that_is_reported(ahc: Ahc, tmp_path: Path) -> None:
    file = write_json(tmp_path / "pairs.json", document({"n7": 0.5}))
    status, out, err = ahc("import", file, "--session", "net")
    assert (status, err) == (0, "")
    assert out == (
        "session net: 12 nodes taken (1 × pairwise network results), 132 flows in 11 rounds\n"
        "report: ahc report --session net\n"
    )
    with Store(ahc.store) as store:
        session = store.load_session("net")
    assert [len(each) for each in session.flows] == [12] * 11
    assert [each.wave for each in session.flows] == list(range(11))
    assert session.created_at_s == WRITTEN_AT
    status, out, _ = ahc("report", "--format", "json")
    report = json.loads(out)
    assert status == 0
    [found] = report["findings"]
    assert (found["element"], found["direction"], found["kind"], found["severity"]) == (
        "node:n7",
        "rx",
        "slow",
        "fail",
    )
    assert found["effect"] == pytest.approx(-0.5, abs=0.01)
    assert "n7" in found["summary"] and "→ n7" in found["summary"]
    assert report["counts"] == {"nodes": 12, "pass": 11, "warn": 0, "fail": 1, "unknown": 0}


def test_only_nodes_and_rounds_have_to_be_there(ahc: Ahc, tmp_path: Path) -> None:
    bare = {name: value for name, value in document().items() if name in ("nodes", "rounds")}
    assert ahc("import", write_json(tmp_path / "bare.json", bare), "--session", "net")[0] == 0
    status, out, _ = ahc("report", "--format", "json")
    report = json.loads(out)
    assert (status, report["findings"], report["counts"]["pass"]) == (0, [], 12)


def test_a_bad_uplink_closes_the_report_though_no_node_is_to_blame(ahc: Ahc, tmp_path: Path) -> None:
    made = document()
    for one in made["rounds"]:
        for flow in one:
            if (RACKS[flow[0]] == "leaf2") != (RACKS[flow[1]] == "leaf2"):
                flow[2] *= 0.4
    ahc("import", write_json(tmp_path / "pairs.json", made), "--session", "net")
    status, out, _ = ahc("report", "--format", "json", "--fail-on", "fail")
    report = json.loads(out)
    [found] = report["findings"]
    assert (status, found["element"], found["nodes"]) == (1, "leaf:leaf2", ["n5", "n6", "n7", "n8"])
    assert report["counts"]["pass"] == 12


def test_no_connection_is_told(ahc: Ahc, tmp_path: Path) -> None:
    made = document()
    for one in made["rounds"]:
        for flow in one:
            if "n3" in flow[:2]:
                flow[2:] = [0, None]
    ahc("import", write_json(tmp_path / "pairs.json", made), "--session", "net")
    [found] = json.loads(ahc("report", "--format", "json")[1])["findings"]
    assert (found["element"], found["kind"], found["effect"]) == ("node:n3", "missing", -1.0)


def test_switches_stand_where_an_agents_lldp_neighbours_do(ahc: Ahc, tmp_path: Path) -> None:
    ahc("import", write_json(tmp_path / "pairs.json", document()), "--session", "net")
    with Store(ahc.store) as store:
        session = store.load_session("net")
    heard = {}
    for node in session.nodes:
        assert node.inventory is not None
        [nic] = node.inventory.nics
        assert nic.speed_mbps == 25_000 and nic.lldp is not None
        heard[node.node] = nic.lldp.system_name
    assert heard == RACKS


@pytest.mark.parametrize("other", ["--add", "hw", "json"])
def test_it_is_a_session_of_its_own(ahc: Ahc, tmp_path: Path, other: str) -> None:
    more: list[object] = ["--add"]
    if other == "hw":
        more = [write_hw(tmp_path / "n1.hw", machine())]
    if other == "json":
        more = [write_json(tmp_path / "again.json", document())]
    status, _, err = ahc("import", write_json(tmp_path / "pairs.json", document()), *more, "--session", "net")
    assert status == 2
    assert "session of its own" in err or "session of their own" in err
    assert not ahc.store.exists() or "net" not in ahc("sessions")[1]


def test_a_name_that_is_taken_is_refused(ahc: Ahc, tmp_path: Path) -> None:
    file = write_json(tmp_path / "pairs.json", document())
    assert ahc("import", file, "--session", "net")[0] == 0
    status, _, err = ahc("import", file, "--session", "net")
    assert (status, "already" in err) == (2, True)


def test_other_json_is_left_to_other_formats(tmp_path: Path) -> None:
    files = [
        write_json(tmp_path / "inventory.json", {"schema": "ahc.inventory/1", "nodes": 3}),
        write_json(tmp_path / "list.json", [document()]),
        written(tmp_path / "text.json", "rounds and nodes"),
        write_json(tmp_path / "mine.json", document()),
    ]
    mine, others = split([Candidate(each, named=True) for each in files])
    assert [each.path.name for each in mine] == ["mine.json"]
    assert len(others) == 3


def broken(how: str) -> Any:
    made = deepcopy(document())
    flow = made["rounds"][2][1]
    match how:
        case "a node twice":
            made["nodes"] = ["n1", *NODES]
        case "one node":
            made["nodes"] = ["n1"]
        case "no name":
            made["nodes"][3] = " n4\n"
        case "no number":
            flow[2] = "fast"
        case "negative":
            flow[2] = -1.0
        case "endless":
            flow[2] = 1e300
        case "back in time":
            flow[3] = -3.0
        case "a stranger":
            flow[1] = "n99"
        case "its own peer":
            flow[1] = flow[0]
        case "too short":
            del flow[3]
        case "no rounds":
            made["rounds"] = []
        case "no flows":
            made["rounds"] = [[]]
        case "a switch without a name":
            made["topology"]["n2"] = ""
        case "a line of nothing":
            made["line_gbps"] = 0
        case "another schema":
            made["schema"] = "ahc.pairwise/9"
    return made


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("a node twice", "nodes[1]: 'n1' stands there twice"),
        ("one node", "2 to 16,384 are meant"),
        ("no name", "nodes[3]"),
        ("no number", "rounds[2]: Expected `float | null`, got `str` - at `$[1][2]`"),
        ("negative", "rounds[2][1]: -1 Gbit/s is no possible rate"),
        ("endless", "rounds[2][1]: 1e+300 Gbit/s"),
        ("back in time", "rounds[2][1]: -3 µs is no possible round trip"),
        ("a stranger", "rounds[2][1]: 'n99' is none of the nodes"),
        ("its own peer", "is its own peer"),
        ("too short", "rounds[2]: Expected `array` of length 4"),
        ("no rounds", "holds no flows"),
        ("no flows", "holds no flows"),
        ("a switch without a name", "topology, 'n2'"),
        ("a line of nothing", "line_gbps: 0 is no speed"),
        ("another schema", "this AHC reads ahc.pairwise/1"),
    ],
)
def test_a_broken_document_is_refused_with_its_place(ahc: Ahc, tmp_path: Path, how: str, told: str) -> None:
    status, out, err = ahc("import", write_json(tmp_path / "pairs.json", broken(how)), "--session", "net")
    assert (status, out) == (2, "")
    assert "pairs.json" in err and told in err


def test_a_document_that_was_cut_off_is_refused_as_such(ahc: Ahc, tmp_path: Path) -> None:
    text = json.dumps(document())
    status, _, err = ahc("import", written(tmp_path / "pairs.json", text[:-40]), "--session", "net")
    assert status == 2 and "broken JSON" in err and "copy it again" in err


def test_names_of_the_topology_that_are_no_nodes_are_remarked(tmp_path: Path) -> None:
    made = document()
    made["topology"] = {"n1": "leaf1", "switch7": "leaf9", "n2": None}
    found = read(Candidate(write_json(tmp_path / "pairs.json", made), named=True))
    assert found.leaf == {"n1": "leaf1"}
    assert [remark.partition(": ")[2] for remark in found.remarks] == [
        "topology: 1 names are none of the nodes",
        "topology: of 11 nodes no switch is told",
    ]


def test_there_is_an_end_to_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Candidate(write_json(tmp_path / "pairs.json", document()), named=True)
    monkeypatch.setattr(pairwise, "MAX_FLOWS", 100)
    with pytest.raises(FileFormatError, match="more than 100 flows"):
        read(file)
    monkeypatch.setattr(pairwise, "MAX_ROUNDS", 5)
    with pytest.raises(FileFormatError, match="more than 5 rounds"):
        read(file)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(NODES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from(["nodes", "rounds", "topology", "line_gbps", "schema"]), JUNK)
def test_whatever_stands_in_a_field_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, junk: Any
) -> None:
    file = write_json(tmp_path_factory.mktemp("junk") / "pairs.json", {**document(), name: junk})
    try:
        found = read(Candidate(file, named=True))
    except FileFormatError as error:
        assert "pairs.json" in str(error)
    else:
        assert found.flows > 0


def table(**more: Any) -> FlowTable:
    columns = {
        "source": packed_integers([0, 1]),
        "destination": packed_integers([1, 0]),
        "bytes_per_s": packed_floats([1.0, 2.0]),
        "rtt_us": packed_floats([3.0, 4.0]),
    }
    return FlowTable("job", 1, 2, 0, ("a", "b"), **{**columns, **more})


def test_columns_come_back_as_they_were() -> None:
    one = table()
    assert (integers(one.source).tolist(), floats(one.rtt_us).tolist()) == ([0, 1], [3.0, 4.0])
    assert one.is_sound and len(one) == 2


@pytest.mark.parametrize(
    "bad",
    [
        {"source": packed_integers([0])},
        {"source": packed_integers([0, 2])},
        {"destination": packed_integers([-1, 0])},
        {"rtt_us": packed_floats([1.0])},
        {"bytes_per_s": b"123"},
    ],
)
def test_columns_that_do_not_fit_each_other_are_seen(bad: dict[str, bytes]) -> None:
    assert not table(**bad).is_sound
