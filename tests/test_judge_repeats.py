"""Whom to measure again: the suspects that measuring can settle, beside healthy peers, and what of the plan."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.wire.messages import Identity
from ahc_server.judge.again.repeats import Choice, choose
from ahc_server.session import Session, StepRecord
from tests.confirm_helpers import again, judged, planned
from tests.judge_helpers import Fleet, inventory


def chosen(session: Session, absent: set[str] = frozenset()) -> Choice:  # type: ignore[assignment]
    return choose(judged(session), session, {each.machine for each in session.nodes} - absent)


def fleet(size: int = 10, seed: int = 1) -> Fleet:
    return Fleet(size, seed=seed).benchmarks()


def on_hosts(session: Session, hosts: dict[str, str]) -> Session:
    nodes = [
        replace(each, identity=Identity(name=each.machine, physical_host=hosts.get(each.machine)))
        for each in session.nodes
    ]
    return replace(session, nodes=nodes)


def test_a_healthy_fleet_is_left_alone() -> None:
    choice = chosen(planned(fleet()))
    assert choice == Choice([], [], [], suspects=False)


def test_one_suspect_is_measured_again_beside_three_healthy_peers_and_only_what_it_is_suspected_of() -> None:
    choice = chosen(planned(fleet().slow("n3", "disk", 0.5)))
    (trial,) = choice.trials
    assert (trial.measures, trial.suspects, trial.controls) == ("storage", ("n3",), ("n1", "n2", "n4"))
    (step,) = choice.steps
    assert step.step == 3
    assert set(step.machines) == {"n3", "n1", "n2", "n4"}
    assert step.apart == ("n3",)
    assert not choice.left_out


def test_as_many_controls_as_suspects() -> None:
    sick = fleet(16)
    for name in ("n2", "n5", "n7", "n9", "n12"):
        sick.slow(name, "disk", 0.5)
    (trial,) = chosen(planned(sick)).trials
    assert trial.suspects == ("n2", "n5", "n7", "n9", "n12")
    assert len(trial.controls) == 5
    assert not set(trial.controls) & set(trial.suspects)


def test_where_more_than_a_third_is_suspect_everybody_is_measured_again() -> None:
    sick = fleet(10)
    for name in ("n2", "n5", "n7", "n9"):
        sick.slow(name, "disk", 0.5)
    (trial,) = chosen(planned(sick)).trials
    assert trial.everybody
    assert set(trial.suspects) | set(trial.controls) == set(sick.names)


def test_a_node_with_another_fault_is_a_control_only_where_there_are_no_better() -> None:
    sick = fleet(10).slow("n3", "disk", 0.5).slow("n1", "memory", 0.5)
    by_component = {trial.measures: trial for trial in chosen(planned(sick)).trials}
    assert by_component["storage"].controls == ("n2", "n4", "n5")
    assert by_component["memory"].controls == ("n2", "n4", "n5")
    few = fleet(4).slow("n3", "disk", 0.4).slow("n1", "memory", 0.4)
    by_component = {trial.measures: trial for trial in chosen(planned(few)).trials}
    assert by_component["storage"].controls == ("n2", "n4", "n1")


def test_controls_stand_on_other_physical_hosts_and_are_spread_over_them() -> None:
    hosts = {
        f"n{number}": f"h{(number - 1) // 3}" for number in range(1, 13)
    }  # n1-n3 on h0, n4-n6 on h1, ...
    session = on_hosts(planned(fleet(12).slow("n3", "disk", 0.5)), hosts)
    (trial,) = chosen(session).trials
    assert trial.controls == ("n4", "n7", "n10")
    session = on_hosts(planned(fleet(5).slow("n3", "disk", 0.4)), dict.fromkeys(hosts, "h0"))
    assert chosen(session).trials[0].controls == ("n1", "n2", "n4"), "on one host where there is no other"


def test_peers_are_of_the_suspects_own_group() -> None:
    mixed = fleet(12)
    for name in ("n1", "n2", "n4", "n5"):
        mixed.inventories[name] = inventory(product="R740", cpu="Xeon Gold 6230")
    (trial,) = chosen(planned(mixed.slow("n3", "disk", 0.5))).trials
    assert trial.controls == ("n6", "n7", "n8")


def test_who_is_away_is_told_and_is_no_control() -> None:
    session = planned(fleet().slow("n3", "disk", 0.5))
    assert chosen(session, {"n1"}).trials[0].controls == ("n2", "n4", "n5")
    gone = chosen(session, {"n3"})
    assert (gone.trials, gone.steps, gone.suspects) == ([], [], True)
    assert gone.left_out == ["n3: not there to be measured again (storage)"]
    alone = chosen(session, {f"n{number}" for number in range(4, 11)} | {"n2"})
    assert alone.steps == []
    assert "fewer than 2 healthy peers are there" in alone.left_out[0]


def test_of_a_job_on_ever_more_nodes_the_last_step_is_repeated() -> None:
    session = planned(fleet().slow("n3", "cpu", 0.5))
    ramp = [StepRecord(number, "cpu", "cpu", hosts, "done") for number, hosts in ((1, 10), (5, 1), (6, 5))]
    session = replace(session, steps=[*ramp, *session.steps[1:]])
    assert [step.step for step in chosen(session).steps] == [1]


def test_what_measuring_again_cannot_settle_is_no_suspicion() -> None:
    lacking = fleet().change("n3", lambda old: old if old.component != "disk" else None)
    lacking.lost["n5"] = "silent"
    assert not chosen(planned(lacking)).suspects


def test_an_imported_session_cannot_be_repeated_and_says_so() -> None:
    session = planned(fleet().slow("n3", "disk", 0.5))
    session = replace(session, steps=[StepRecord(0, "import", "inventory", 10, "done")])
    choice = chosen(session)
    assert choice.steps == []
    assert choice.left_out == ["n3: no job of this session measures storage"]


def test_what_a_repeat_has_acquitted_is_not_asked_again_and_what_it_confirmed_is() -> None:
    glitch = planned(fleet().slow("n3", "memory", 0.6, part="node1"))
    once = again(glitch, fleet(seed=2), "memory", {"n1", "n2", "n3", "n4"})
    assert not chosen(once).suspects
    sick = planned(fleet().slow("n3", "disk", 0.5))
    once = again(sick, fleet(seed=2).slow("n3", "disk", 0.5), "disk", {"n1", "n2", "n3", "n4"})
    assert chosen(once).steps == chosen(sick).steps, "and a repeat is no step to be repeated"


@settings(max_examples=30)
@given(
    size=st.integers(4, 14),
    sick=st.sets(st.integers(1, 14), max_size=4),
    away=st.sets(st.integers(1, 14), max_size=6),
    seed=st.integers(0, 100),
)
def test_every_suspect_is_measured_again_or_named_and_the_order_of_the_data_is_of_no_matter(
    size: int, sick: set[int], away: set[int], seed: int
) -> None:
    broken = fleet(size)
    for number in sick:
        if number <= size:
            broken.slow(f"n{number}", "disk", 0.3)
    session = planned(broken)
    absent = {f"n{number}" for number in away}
    choice = chosen(session, absent)
    there = set(broken.names) - absent
    for trial in choice.trials:
        assert set(trial.suspects) | set(trial.controls) <= there
        assert not set(trial.suspects) & set(trial.controls)
        assert len(trial.controls) >= 2
        assert trial.everybody or len(trial.controls) <= max(3, len(trial.suspects))
    named = {name.strip() for text in choice.left_out for name in text.partition(":")[0].split(",")}
    measured = {node for trial in choice.trials for node in trial.suspects}
    report = judged(session)
    suspects = {each.nodes[0] for each in report.findings if each.kind == "slow"}
    assert measured | named == suspects
    random.Random(seed).shuffle(session.nodes)
    random.Random(seed).shuffle(session.outcomes)
    assert chosen(session, absent) == choice
