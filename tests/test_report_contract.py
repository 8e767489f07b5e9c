"""``ahc.report/1``, written down from the contract, against reports of many kinds of fleets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ahc_agent.facts import Bios, Disk, Smart
from ahc_server.judge import judge_session
from ahc_server.report.json import draw_json
from tests.judge_helpers import GB, Fleet, inventory

NUMBER = (int, float)
NONE = type(None)

REPORT = {
    "schema": str,
    "session": str,
    "generated_at": str,
    "nodes": list,
    "groups": list,
    "findings": list,
    "counts": dict,
}
NODE = {"id": str, "group": (str, NONE), "verdict": str, "profile": (str, NONE)}
GROUP = {"id": str, "size": int, "nodes": list, "hardware": str}
FINDING = {
    "element": str,
    "nodes": list,
    "component": str,
    "kind": str,
    "direction": (str, NONE),
    "severity": str,
    "effect": (*NUMBER, NONE),
    "q": (*NUMBER, NONE),
    "metrics": list,
    "cause": (str, NONE),
    "summary": str,
}
METRIC = {
    "name": str,
    "value": (*NUMBER, NONE),
    "expected": (*NUMBER, NONE),
    "unit": str,
    "effect": (*NUMBER, NONE),
}
VERDICTS = {"pass", "warn", "fail", "unknown"}
COMPONENTS = {"cpu", "memory", "numa", "disk", "network", "firmware", "system", "bmc", "health"}
KINDS = {"slow", "fast", "unstable", "config", "missing", "extra", "health", "not-measured"}
ELEMENTS = {"node", "pair", "leaf", "link", "group"}


def holds(what: dict[str, Any], schema: dict[str, Any], more: frozenset[str] = frozenset()) -> None:
    assert set(what) - more == set(schema)
    for key, kind in schema.items():
        assert isinstance(what[key], kind) and not isinstance(what[key], bool), (key, what[key])


def assert_contract(report: dict[str, Any]) -> None:
    """Everything that the contract says of a report."""
    holds(report, REPORT, more=frozenset({"notes"}))
    assert report["schema"] == "ahc.report/1"
    ids = [node["id"] for node in report["nodes"]]
    assert len(set(ids)) == len(ids)
    for node in report["nodes"]:
        holds(node, NODE)
        assert node["verdict"] in VERDICTS
    groups = {group["id"]: group for group in report["groups"]}
    assert len(groups) == len(report["groups"])
    for group in report["groups"]:
        holds(group, GROUP)
        assert group["size"] == len(group["nodes"]) > 0
        assert {node["id"] for node in report["nodes"] if node["group"] == group["id"]} == set(group["nodes"])
        assert "\n" not in group["hardware"]
    for finding in report["findings"]:
        assert_finding(finding, ids, set(groups))
    counted = Counter(node["verdict"] for node in report["nodes"])
    assert report["counts"] == {"nodes": len(ids)} | {verdict: counted[verdict] for verdict in VERDICTS}


def assert_finding(finding: dict[str, Any], ids: list[str], groups: set[str]) -> None:
    holds(finding, FINDING)
    kind, _, name = finding["element"].partition(":")
    assert kind in ELEMENTS
    assert finding["nodes"] and set(finding["nodes"]) <= set(ids)
    if kind == "node":
        assert finding["nodes"] == [name]
    elif kind == "pair":
        assert name == "-".join(finding["nodes"][:2])
    elif kind == "group":
        assert name in groups
    assert finding["component"] in COMPONENTS
    assert finding["kind"] in KINDS
    assert finding["direction"] in (None, "tx", "rx")
    assert finding["severity"] in ("fail", "warn", "info")
    assert finding["q"] is None or 0 <= finding["q"] <= 1
    if finding["kind"] in ("slow", "missing") and finding["effect"] is not None:
        assert finding["effect"] < 0
    assert finding["kind"] != "fast" or finding["effect"] > 0
    assert finding["summary"] and "\n" not in finding["summary"]
    for metric in finding["metrics"]:
        holds(metric, METRIC)


def sick() -> Fleet:
    fleet = (
        Fleet(12).benchmarks().network(tx={"n5": 0.4}, rx={"n6": 0.3}, rtt={"n7": 300.0}, cut=[("n8", "n9")])
    )
    fleet.slow("n1", "cpu", 0.5).slow("n2", "memory", 0.7).slow("n3", "disk", 0.2).slow("n4", "disk", 4.0)
    fleet.change("n10", lambda old: None if old.component == "memory" else old)
    fleet.lost["n11"] = "silent for 15 s"
    ill = inventory(memory=96 * 2**30)
    ill.system.bios = Bios(version="1.9")
    ill.disks = [Disk(name="disk0", size_bytes=960 * GB, rotational=False, smart=Smart(passed=False))]
    fleet.inventories["n12"] = ill
    for name in fleet.names[:11]:
        fleet.inventories[name] = inventory()
        fleet.inventories[name].system.bios = Bios(version="2.1")  # type: ignore[union-attr]
    return fleet


def two_kinds() -> Fleet:
    fleet = Fleet(9).benchmarks().slow("n8", "cpu", 0.4)
    for name in ("n6", "n7", "n8"):
        fleet.inventories[name] = inventory(cpu="EPYC 7302", product="R6515")
    fleet.inventories["n9"] = None
    return fleet


def halves() -> Fleet:
    fleet = Fleet(8).benchmarks()
    for name in fleet.names[:4]:
        fleet.slow(name, "disk", 0.4)
    return fleet


FLEETS: dict[str, Callable[[], Fleet]] = {
    "healthy": lambda: Fleet(6).benchmarks().network(),
    "sick": sick,
    "two kinds, one node unknown": two_kinds,
    "halves": halves,
    "two nodes": lambda: Fleet(2).benchmarks().network(),
    "one node": lambda: Fleet(1).benchmarks(),
    "nobody": lambda: Fleet(0),
    "nothing measured": lambda: Fleet(5),
    "no pair connects": lambda: Fleet(3).network(cut=[("n1", "n2"), ("n1", "n3"), ("n2", "n3")]),
}


@pytest.mark.parametrize("name", FLEETS)
def test_every_report_holds_the_contract(name: str) -> None:
    assert_contract(
        json.loads(draw_json(judge_session(FLEETS[name]().session(), generated_at="2024-05-01T10:30:00Z")))
    )


def test_the_sick_fleet_shows_most_kinds_of_findings() -> None:
    """Else the test above would prove little."""
    findings = judge_session(sick().session(), generated_at="").findings
    assert {each.kind for each in findings} >= {"slow", "fast", "config", "missing", "health", "not-measured"}
    assert {each.component for each in findings} >= {"cpu", "memory", "disk", "network", "firmware", "system"}
    assert {each.direction for each in findings} == {None, "tx", "rx"}


def test_one_finding_per_sheep_and_cause() -> None:
    findings = judge_session(sick().session(), generated_at="").findings
    told = Counter((each.element, each.component, each.kind, each.direction) for each in findings)
    assert max(told.values()) == 1
