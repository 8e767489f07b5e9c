"""What an operator asks of a lab, and whether its report found what was broken."""

from __future__ import annotations

import json

import pytest

from ahc_agent.errors import UsageError
from ahc_server.lab.check import compare
from ahc_server.lab.faults import FAULTS
from ahc_server.lab.model import Breakage, node_names, parse_breakages

NODES = ("n1", "n2", "n3")


# ── what an operator writes ──────────────────────────────────────────────────────────────────────────


def test_a_breakage_names_a_node_a_fault_and_perhaps_what_is_left_of_the_speed() -> None:
    assert parse_breakages(["n2=slow-disk", "n3=slow-nic:0.25", "n1=dead"], NODES, FAULTS) == (
        Breakage("n2", FAULTS["slow-disk"], None),
        Breakage("n3", FAULTS["slow-nic"], 0.25),
        Breakage("n1", FAULTS["dead"], None),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("n2", "write NODE=FAULT"),
        ("n22=dead", "did you mean 'n2'"),
        ("n2=slow-dsk", "did you mean 'slow-disk'"),
        ("n2=", "faults: slow-nic, slow-disk, slow-cpu, dead, cut"),
        ("n2=slow-disk:1.5", "slow-disk:0.4"),
        ("n2=slow-disk:nan", "slow-disk:0.4"),
        ("n2=slow-disk:x", "slow-disk:0.4"),
        ("n2=dead:0.5", "no strength"),
    ],
)
def test_a_breakage_that_makes_no_sense_is_refused_with_what_to_write_instead(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_breakages([text], NODES, FAULTS)


def test_nodes_are_named_from_n1_and_there_is_an_upper_bound() -> None:
    assert node_names(3) == NODES
    for count in (0, -1, 10_000):
        with pytest.raises(UsageError, match="1 to"):
            node_names(count)


# ── did the report find what was broken? ─────────────────────────────────────────────────────────────


def report(verdicts: dict[str, str], findings: list[tuple[str, str, str]]) -> bytes:
    return json.dumps(
        {
            "nodes": [{"id": node, "verdict": verdict} for node, verdict in verdicts.items()],
            "findings": [
                {"element": element, "component": component, "severity": severity, "nodes": []}
                for element, component, severity in findings
            ],
        }
    ).encode()


BROKEN = parse_breakages(["n2=slow-disk"], NODES, FAULTS)


def test_the_check_is_content_when_the_broken_node_is_named_for_its_part_and_the_others_pass() -> None:
    said = report({"n1": "pass", "n2": "fail", "n3": "pass"}, [("node:n2", "disk", "fail")])
    assert compare(said, BROKEN) == []


def test_a_node_with_two_faults_is_to_be_named_for_both() -> None:
    both = parse_breakages(["n2=slow-disk", "n2=slow-nic"], NODES, FAULTS)
    disk, network = ("node:n2", "disk", "fail"), ("node:n2", "network", "fail")
    assert compare(report({"n2": "fail"}, [disk, network]), both) == []
    assert len(compare(report({"n2": "fail"}, [disk]), both)) == 1


@pytest.mark.parametrize(
    ("verdicts", "findings", "wrong"),
    [
        ({"n1": "pass", "n2": "pass"}, [], "n2 has slow-disk, but the report does not name it"),
        ({"n1": "pass", "n2": "fail"}, [("node:n2", "cpu", "fail")], "blames its cpu"),
        ({"n1": "pass", "n2": "warn"}, [("node:n2", "disk", "info")], "does not name it"),
        ({"n1": "warn", "n2": "fail"}, [("node:n2", "disk", "fail")], "n1 is healthy"),
        ({"n1": "unknown", "n2": "fail"}, [("node:n2", "disk", "fail")], "n1 is healthy"),
        ({"n1": "pass"}, [], "n2 has slow-disk, but is not in the report"),
    ],
)
def test_the_check_says_what_the_report_got_wrong(
    verdicts: dict[str, str], findings: list[tuple[str, str, str]], wrong: str
) -> None:
    (sentence,) = compare(report(verdicts, findings), BROKEN)
    assert wrong in sentence
