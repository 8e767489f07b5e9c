"""Inspection rules for Ironic: what is written, and what Ironic's own engine makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from ahc_server.export import FORMATS, Material
from ahc_server.profiles.model import Matches, Yields
from tests.export_helpers import fleet, match, matches
from tests.ironic_helpers import ABSENT


def _rules(
    asked: Matches, inventories: dict[str, Any] | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    drawn = FORMATS["ironic-rules"](Material(asked, inventories or fleet()))
    return json.loads(drawn.text), drawn.notes


def test_one_rule_for_all_machines_that_get_the_same() -> None:
    rules, notes = _rules(
        matches(match("SN0001"), match("SN0002"), match("SN0003", "compute", Yields()), match("SN0009", None))
    )
    assert notes == []
    assert [rule["description"] for rule in rules] == [
        "compute, for 1 known by serial",
        "control, for 2 known by serial",
    ]
    assert rules[1]["conditions"] == [
        {
            "op": "one-of",
            "args": {
                "value": "{inventory[system_vendor][serial_number]}",
                "values": ["SN0001", "SN0002"],
            },
        }
    ]
    assert rules[1]["actions"] == [
        {"op": "set-capability", "args": {"name": "boot_mode", "value": "uefi"}},
        {"op": "set-capability", "args": {"name": "profile", "value": "control"}},
        {"op": "add-trait", "args": {"name": "CUSTOM_CONTROL"}},
        {"op": "add-trait", "args": {"name": "CUSTOM_FAST_DISK"}},
    ]


def test_machines_without_a_serial_of_their_own_get_no_rule() -> None:
    inventories = fleet(2)
    inventories["SN0002"].system.serial = "SN0001"
    rules, notes = _rules(matches(match("SN0001"), match("SN0002")), inventories)
    assert rules == []
    assert len(notes) == 2


#: Ironic's own rule engine, in a process of its own: it brings eventlet along. A rule and serials in, what it says out.
_ENGINE = """
import json, sys
from types import SimpleNamespace
from ironic.common.inspection_rules import actions, operators
rule, serials = json.load(sys.stdin)
task = SimpleNamespace(node=SimpleNamespace(driver_info={"ipmi_password": "s3cret"}))
(condition,) = rule["conditions"]
operator = operators.get_operator(condition["op"])()
met = [
    operator.check_condition(task, condition, {"system_vendor": {"serial_number": serial}}, {}) for serial in serials
]
written = [
    actions.get_action(each["op"])()._process_args(task, each, {}, {})
    for each in rule["actions"]
    if each["args"]["name"] == "disk"
]
json.dump([met, written], sys.stdout)
"""


def test_ironics_own_engine_finds_the_machines_of_a_rule_and_writes_braces_as_they_are() -> None:
    if ABSENT:
        pytest.skip(ABSENT)
    yields = Yields(capabilities={"disk": "{node.driver_info}"})
    inventories = fleet(1)
    inventories["SN0001"].system.serial = "{node.driver_info}"
    (rule,), _ = _rules(matches(match("SN0001", yields=yields)), inventories)
    ran = subprocess.run(
        [sys.executable, "-c", _ENGINE],
        input=json.dumps([rule, ["{node.driver_info}", "SN0002"]]),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(ran.stdout) == [[True, False], [{"name": "disk", "value": "{node.driver_info}"}]]
