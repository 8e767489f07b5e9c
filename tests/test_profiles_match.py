"""Matching a whole session: who serves where and why, what could not be filled, and that no order changes the answer."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.facts import Cpu, Disk, Inventory, Memory
from ahc_server.judge import Judgement, judge
from ahc_server.profiles.draw import draw_json, draw_text
from ahc_server.profiles.match import match_session
from ahc_server.profiles.model import Matches, NodeMatch
from ahc_server.profiles.profile import Profile
from ahc_server.profiles.read import parse_profile
from ahc_server.session import Session
from tests.judge_helpers import Fleet
from tests.profile_helpers import GIB, TB


def machine(cores: int | None, disks: int) -> Inventory:
    return Inventory(
        collected_at="2026-01-01T00:00:00Z",
        cpu=Cpu(cores=cores),
        memory=Memory(total_bytes=64 * GIB),
        disks=[
            Disk(name=f"sd{chr(97 + place)}", size_bytes=TB, rotational=True, model="A")
            for place in range(disks)
        ],
    )


def session(*machines: Inventory | None) -> Session:
    fleet = Fleet(len(machines))
    fleet.inventories = dict(zip(fleet.names, machines, strict=True))
    return fleet.session()


CONTROL = parse_profile("profile: control\npriority: 9\nquota: 2\nrequires: [cpu.cores: {at-least: 16}]\n")
COMPUTE = parse_profile("profile: compute\nquota: rest\nrequires: [cpu.cores: {at-least: 8}]\n")
STORAGE = parse_profile(
    "profile: storage\npriority: 5\nquota: {min: 1}\nrequires: [disks: {count: {at-least: 4}, bind: $osd}]\n"
    "yields: {capabilities: {osds: $osd, first: 'disk $osd1', bytes: $osd1.size_bytes, ram: $memory.total_bytes},"
    " raid: {logical_disks: [{raid_level: '1', physical_disks: $osd}]}}\n"
)
ALL = [CONTROL, COMPUTE, STORAGE]


def by_id(matches: Matches) -> dict[str, NodeMatch]:
    return {node.id: node for node in matches.nodes}


def test_every_node_is_sorted_and_told_why() -> None:
    found = match_session(
        session(machine(32, 1), machine(32, 4), machine(32, 1), machine(8, 1), machine(2, 1)), ALL
    )
    nodes = by_id(found)
    assert [nodes[f"n{n}"].profile for n in range(1, 6)] == ["control", "storage", "control", "compute", None]
    assert nodes["n1"].why == "comes before compute, which would fit too"
    assert nodes["n2"].why == "control has its 2 nodes"
    assert nodes["n4"].why == "the only one that fits"
    assert nodes["n5"].why == "no profile fits"
    assert [(each.profile, each.fit) for each in nodes["n5"].answers] == [
        ("control", "fails"),
        ("storage", "fails"),
        ("compute", "fails"),
    ]
    assert [(each.profile, each.nodes, each.fitting) for each in found.profiles] == [
        ("control", 2, 3),
        ("storage", 1, 1),
        ("compute", 1, 4),
    ]
    assert found.unfilled == []


def test_what_matched_is_filled_into_what_the_match_yields() -> None:
    node = by_id(match_session(session(machine(2, 4)), [STORAGE]))["n1"]
    assert node.bound["$osd"] == "sda,sdb,sdc,sdd"
    assert node.yields.capabilities == {
        "osds": "sda,sdb,sdc,sdd",
        "first": "disk sda",
        "bytes": str(TB),
        "ram": str(64 * GIB),
    }
    [volume] = msgspec.convert(node.yields.raid["logical_disks"], list[dict[str, object]])
    assert volume["physical_disks"] == ["sda", "sdb", "sdc", "sdd"]


def test_a_quota_that_cannot_be_filled_says_what_keeps_the_nodes_out() -> None:
    wants = replace(STORAGE, quota=replace(STORAGE.quota, least=3))
    found = match_session(session(*[machine(32, 1)] * 4, machine(32, 4)), [CONTROL, COMPUTE, wants])
    [unfilled] = found.unfilled
    assert (unfilled.profile, unfilled.wanted, unfilled.got) == ("storage", 3, 1)
    assert unfilled.why == "4 nodes fail “disks: at least 4”"
    first = replace(CONTROL, quota=replace(CONTROL.quota, least=2))
    found = match_session(session(machine(32, 4), machine(32, 4)), [first, STORAGE])
    assert found.unfilled[0].why == "2 nodes that would fit serve as control"


def test_a_node_without_inventory_cannot_be_told() -> None:
    found = by_id(match_session(session(None, machine(8, 1)), [COMPUTE]))
    assert found["n1"].profile is None and found["n1"].answers[0].fit == "unknown"
    assert found["n1"].why == "no profile fits; whether compute would cannot be told"


def measured_fleet() -> Session:
    return Fleet(8).benchmarks().slow("n3", "disk", 0.4).session()


def judged(of: Session) -> Judgement:
    return judge(of, generated_at="")


def test_measurements_and_verdicts_come_from_the_judge() -> None:
    of = measured_fleet()
    fast = parse_profile(
        "profile: fast\nrequires: [measured: {metric: random read, at-least: 90 % of the group's median}]\n"
    )
    found = by_id(match_session(of, [fast], lambda: judged(of)))
    assert [name for name, node in found.items() if node.profile is None] == ["n3"]
    reason = found["n3"].answers[0].reason
    assert reason is not None and reason.found.endswith("IOPS (disk.disk0.randread_4k_iops)")
    well = parse_profile("profile: well\nrequires: [verdict: {not: fail}]\n")
    assert [node.profile for node in match_session(of, [well], lambda: judged(of)).nodes].count(None) == 1


def test_a_node_that_was_not_judged_is_said_to_be_so() -> None:
    """``{not: fail}`` takes it; neither its line nor a large fleet's screen may let it look like a sound one."""
    of = Fleet(2).benchmarks().session()
    well = parse_profile("profile: well\nrequires: [verdict: {not: fail}]\n")
    found = match_session(of, [well], lambda: judged(of))
    assert {node.why for node in found.nodes} == {
        "the only one that fits; verdict unknown: it was not judged"
    }
    assert found.notes[0].startswith("2 nodes with a profile were not judged (verdict unknown): n1, n2; ")
    strict = parse_profile("profile: strict\nrequires: [verdict: [pass, warn]]\n")
    refused = match_session(of, [strict], lambda: judged(of))
    assert refused.notes == [] and {node.why for node in refused.nodes} == {"no profile fits"}


def test_what_nobody_measured_is_said_and_nobody_is_judged_for_nothing() -> None:
    of = measured_fleet()
    odd = parse_profile(
        "profile: odd\nrequires: [measured: {metric: disk.*.randwrite_9k_iops, at-least: 1}]\n"
    )
    found = match_session(of, [odd], lambda: judged(of))
    assert found.notes == ["no node measured disk.*.randwrite_9k_iops, which a profile asks for"]
    assert {node.answers[0].fit for node in found.nodes} == {"unknown"}

    def never() -> Judgement:
        raise AssertionError("no profile asks the judge")

    assert match_session(of, [COMPUTE], never).profiles[0].nodes == 8


@pytest.mark.parametrize(
    ("first", "second", "whys"),
    [
        (
            "priority: 2",
            "quota: {min: 1}",
            {"b needs it for its minimum of 1", "comes before b, which would fit too"},
        ),
        (
            "priority: 2\nquota: rest",
            "quota: {max: 1}",
            {"b has its 1 node", "comes before a, which would fit too"},
        ),
        ("priority: 2\nquota: {max: 1}", "", {"a has its 1 node", "comes before b, which would fit too"}),
    ],
)
def test_why_a_node_serves_where_it_does_is_true_with_minima_and_the_rest(
    first: str, second: str, whys: set[str]
) -> None:
    asked = [
        parse_profile(f"profile: {name}\n{says}\nrequires: [cpu.cores: 8]\n")
        for name, says in (("a", first), ("b", second))
    ]
    assert {node.why for node in match_session(session(*[machine(8, 1)] * 3), asked).nodes} == whys


@given(
    st.randoms(use_true_random=False),
    st.lists(st.tuples(st.sampled_from([2, 8, 32, None]), st.integers(0, 5)), min_size=1, max_size=8),
)
@settings(max_examples=40, deadline=None)
def test_the_order_of_nodes_and_profiles_never_changes_the_answer(
    chance: random.Random, kinds: list[tuple[int | None, int]]
) -> None:
    of = session(*(machine(cores, disks) for cores, disks in kinds))
    nodes, profiles = list(of.nodes), list[Profile](ALL)
    chance.shuffle(nodes)
    chance.shuffle(profiles)
    assert match_session(replace(of, nodes=nodes), profiles) == match_session(of, ALL)


def test_the_text_names_those_without_a_profile_first_with_expected_and_found() -> None:
    found = match_session(session(machine(32, 1), machine(2, 1)), [CONTROL])
    text = draw_text(found)
    assert text.startswith("Session ") and "1 of 2 nodes have a profile" in text
    assert text.index("n2  no profile") < text.index("n1  control")
    assert "control: cpu.cores: expected at least 16, found 2" in text
    assert "control  1 of 2  1 node fails “cpu.cores: at least 16”" in text
    assert "[profile:4]" in draw_text(found, node="n2") and "n1" not in draw_text(found, node="n2")
    assert max(map(len, draw_text(found, width=80, full=True).splitlines())) <= 80


def test_the_json_is_the_model() -> None:
    found = match_session(session(machine(32, 4)), ALL)
    assert msgspec.json.decode(draw_json(found).encode(), type=Matches) == found


def test_a_large_fleet_stays_on_one_screen() -> None:
    """Nodes that want the same thing stand together, and what is beyond a screen is counted."""
    alike = draw_text(match_session(session(*[machine(2, 1)] * 1000), [CONTROL]))
    assert "1,000 nodes  no profile" in alike and "and 994 more" in alike
    several = [machine(1 + number % 15, 1) for number in range(1000)]
    others = draw_text(match_session(session(*several), [CONTROL, COMPUTE]))
    different = draw_text(
        match_session(
            session(*[machine(1 + number % 15, 1 + number // 15) for number in range(1, 400)]), [CONTROL]
        )
    )
    assert "more nodes: --full shows all" in different and "more nodes" not in alike
    assert max(len(text.splitlines()) for text in (alike, others, different)) < 60
