"""Quarantine: dry by default, the same twice, and no id of a machine is ever an option, a placeholder or code."""

from __future__ import annotations

import json
import shlex
import stat
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import UsageError
from ahc_server.gate.hooks import SHIPPED, read_hook
from ahc_server.gate.model import Gate
from ahc_server.gate.quarantine import failed_nodes, quarantine
from ahc_server.session import Session
from tests.gate_helpers import ask, finding, passed, whole
from tests.judge_helpers import Fleet


@cache
def fleet() -> Session:
    return whole(Fleet(4).benchmarks())


def closed_by(*nodes: str) -> Gate:
    return ask(passed(fleet(), [finding(node) for node in nodes]))


def program(folder: Path, name: str, lines: str) -> Path:
    """A program of this name that notes its arguments, one a line, before it does ``lines``."""
    path = folder / name
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" --- >> {folder}/{name}.said\n{lines}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def calls(folder: Path, name: str) -> list[list[str]]:
    said = folder / f"{name}.said"
    text = said.read_text() if said.exists() else ""
    return [call.splitlines() for call in text.split("---\n") if call]


def run(text: str, *nodes: str, apply: bool = True, names: dict[str, str] | None = None) -> list[str]:
    return [*quarantine(closed_by(*nodes), [read_hook(text)], names or {}, apply=apply)]


def test_nothing_is_done_without_apply(tmp_path: Path) -> None:
    tool = program(tmp_path, "tool", "")
    told = run(f"{tool} --out {{node}}", "n3", apply=False)
    assert told == [
        "quarantine: a dry run of 1 node, nothing is done (--apply does it)",
        f"n3: would run {tool} --out n3",
    ]
    assert calls(tmp_path, "tool") == []


def test_each_node_that_closed_the_gate_is_done_once_and_output_is_shown(tmp_path: Path) -> None:
    tool = program(tmp_path, "tool", "seq 20")
    told = run(f"{tool} --node={{node}} 'two words' {{reason}}", "n3", "n1", "n3")
    reason = "AHC gate: {}: disk sda −40 %"
    assert calls(tmp_path, "tool") == [[f"--node={n}", "two words", reason.format(n)] for n in ("n1", "n3")]
    assert told[1:11] == [f"  {number}" for number in range(1, 11)]
    assert told[11] == "  and 10 more lines"


def test_one_that_fails_keeps_no_other_from_it(tmp_path: Path) -> None:
    tool = program(tmp_path, "tool", '[ "$1" = n3 ] || { echo "no\n  because" >&2; exit 4; }')
    told = run(f"{tool} {{node}}", "n1", "n3")
    assert told == [f"n1: NOT done: {tool}: exit status 4: no because", f"n3: ran {tool} n3"]


@given(node=st.text(min_size=1).filter(lambda text: "\x00" not in text))
def test_an_id_is_one_plain_word_or_refused(node: str) -> None:
    [_, told] = run("tool --node {node}", node, apply=False)
    plain = node.isascii() and node[0].isalnum() and all(c.isalnum() or c in "._:-" for c in node)
    assert ("would run" in told) == (plain and len(node) <= 255)


@pytest.mark.parametrize(
    "node",
    ["--force", "-f", "a b", "$(reboot)", "a;reboot", "a'b", "{reason}", "a\nb", "", "a/../b", "metal3/h3"],
)
@pytest.mark.parametrize("hook", [*SHIPPED, "tool {node}", "sh -c 'tool {node}'"])
def test_hostile_ids_reach_no_program(
    hook: str, node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("baremetal", "kubectl", "tool"):
        program(tmp_path, name, "echo '{}'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    told = run(hook, node)
    assert "NOT done" in told[0] and "is no name that it takes" in told[0]
    assert [calls(tmp_path, name) for name in ("baremetal", "kubectl", "tool")] == [[], [], []]


def test_a_policy_may_name_a_host_with_its_namespace_and_a_machine_may_not() -> None:
    """The id of a machine that calls itself after another namespace is among the hostile ones above."""
    [_, told] = run("metal3-label", "serial-3", apply=False, names={"serial-3": "metal3/h3"})
    assert told == (
        "metal3/h3: would run kubectl label baremetalhosts.metal3.io h3 --namespace=metal3 ahc/gate=closed --overwrite"
    )
    [_, told] = run("kubernetes-taint", "serial-3", apply=False, names={"serial-3": "metal3/h3"})
    assert told.startswith("metal3/h3: NOT done") and "is no name that it takes" in told


def test_what_is_no_place_of_a_command_stays_in_it() -> None:
    [_, told] = run("tool {node} {namespace} {other}", "n3", apply=False)
    assert told == "n3: would run tool n3 '{namespace}' '{other}'"


@pytest.mark.parametrize(
    "text", ["", "tool", "tool {reason}", "{node} --off", "tool '{node}", "ironic-maintenence"]
)
def test_a_command_that_names_no_node_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--on-fail"):
        read_hook(text)


def test_a_switchs_fault_puts_no_node_into_quarantine() -> None:
    at_switch = finding("n1", element="leaf:sw1", nodes=["n1", "n2"])
    gate = ask(passed(fleet(), [at_switch]))
    assert (gate.state, failed_nodes(gate)) == ("closed", {})


# What is shipped, against programs that answer as the real ones do, and as they should not: the state is in a file. What the
# real ones make of it is in test_gate_ironic.py and test_gate_kubernetes.py.

NODE = {"ironic": "baremetal", "kubernetes": "kubectl", "metal3": "kubectl"}
LEFT: dict[str, object] = {
    "ironic-maintenance": {"maintenance": False},
    "ironic-hold": {"provision_state": "manageable"},
    "kubernetes-taint": {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n3"}, "spec": {}},
    "metal3-label": {
        "kind": "BareMetalHost",
        "metadata": {"labels": {"rack": "7"}},
        "spec": {"online": True},
    },
}
DONE: dict[str, object] = {
    "ironic-maintenance": {"maintenance": True},
    "ironic-hold": {"provision_state": "clean hold"},
    "kubernetes-taint": {
        "spec": {"taints": [{"key": "ahc/gate", "value": "closed", "effect": "NoSchedule"}]}
    },
    "metal3-label": {"metadata": {"labels": {"rack": "7", "ahc/gate": "closed"}}},
}


@pytest.mark.parametrize("name", [*SHIPPED])
def test_what_is_shipped_looks_first_and_does_it_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = NODE[name.partition("-")[0]]
    (tmp_path / "state").write_text(json.dumps(LEFT[name]))
    (tmp_path / "after").write_text(json.dumps(DONE[name]))
    program(
        tmp_path,
        tool,
        f'case "$*" in *json*) cat {tmp_path}/state;; *) cp {tmp_path}/after {tmp_path}/state;; esac',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    first, second = (run(name, "serial-3", names={"serial-3": "n3"}) for _ in range(2))
    assert first[0].startswith(f"n3: ran {tool} ") and "NOT so yet" not in first[0]
    assert second == [f"n3: {name}: done already"]
    looked, acted, after, again = calls(tmp_path, tool)
    assert looked == after == again and looked != acted


@pytest.mark.parametrize(
    "said", ["", "null", "[]", '{"metadata": 3, "maintenance": 4, "provision_state": 5}', "{"]
)
@pytest.mark.parametrize("name", [*SHIPPED])
def test_an_answer_that_cannot_be_read_changes_nothing(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = NODE[name.partition("-")[0]]
    program(tmp_path, tool, f"printf %s '{said}'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    [told] = run(name, "n3")
    assert told.startswith("n3: NOT done") and "cannot be read" in told
    assert len(calls(tmp_path, tool)) == 1


@pytest.mark.parametrize("name", [*SHIPPED])
def test_what_did_not_take_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, NODE[name.partition("-")[0]], f"echo '{json.dumps(LEFT[name])}'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    told = run(name, "n3")[0]
    assert told.startswith("n3: ran ") and "; it is NOT " in told


def ironic_says(folder: Path, *states: str | None) -> None:
    """A ``baremetal`` that shows one state after the other, and the last one for ever."""
    for number, state in enumerate(states):
        (folder / f"state{number}").write_text(json.dumps({"provision_state": state}))
    last = len(states) - 1
    program(
        folder,
        "baremetal",
        f'case "$*" in *json*) n=$(cat {folder}/n 2>/dev/null || echo 0); cat {folder}/state$n;'
        f" [ $n -ge {last} ] || echo $((n + 1)) > {folder}/n;; esac",
    )


@pytest.mark.parametrize(
    ("states", "told"),
    [
        (["manageable", "cleaning", "clean wait", "clean hold"], ""),
        (["manageable", "cleaning", "manageable"], "; it is NOT held: Ironic has dropped the step"),
        (["manageable", "cleaning", "clean failed"], "; its cleaning failed (no reason given): `baremetal node"),
        (["manageable", "clean wait"], "; Ironic waits for its ramdisk (clean wait): run it again to see"),
    ],
)  # fmt: skip
def test_a_hold_is_waited_for_while_ironic_is_at_it_but_not_for_ever(
    states: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ironic_says(tmp_path, *states)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    # What ends is waited for however long a busy machine takes over it.
    patience_s = 0.3 if states[-1] == "clean wait" else 60.0
    monkeypatch.setattr("ahc_server.gate.quarantine._SETTLE_S", patience_s)
    monkeypatch.setattr("ahc_server.gate.quarantine._ASK_AGAIN_S", 0.05)
    [said] = run("ironic-hold", "n3")
    assert said.startswith(
        f"n3: ran baremetal node clean n3 --clean-steps {shlex.quote(SHIPPED['ironic-hold'].act[-1])}{told}"
    )
    assert ("; " in said) == bool(told)
    assert sum("clean" in call for call in calls(tmp_path, "baremetal")) == 1


@pytest.mark.parametrize("state", ["cleaning", "clean wait"])
def test_a_node_that_ironic_is_cleaning_is_not_cleaned_again(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ironic_says(tmp_path, state)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    [said] = run("ironic-hold", "n3")
    assert said.startswith("n3: ironic-hold: not asked for: Ironic ")
    assert len(calls(tmp_path, "baremetal")) == 1


@pytest.mark.parametrize(
    "state", [None, "", "active", "rescue", "deploying", "available", "\x1b[2J", "manageable\n"]
)
def test_no_state_but_manageable_sends_a_node_into_cleaning(
    state: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ironic_says(tmp_path, state)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    [said] = run("ironic-hold", "n3")
    assert said.startswith("n3: ironic-hold: NOT done: ") and said.isprintable()
    assert len(calls(tmp_path, "baremetal")) == 1


def test_a_program_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    [told] = run("no-such-program {node}", "n3")
    assert told.startswith("n3: NOT done: no-such-program: not installed")
