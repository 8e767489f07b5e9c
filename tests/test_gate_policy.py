"""Policies from YAML: what they say, and what is refused, with line and nearest name."""

from __future__ import annotations

import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import FileFormatError, UsageError
from ahc_server.gate.policy import STEPS, Compare, Policy, Required, Waiver, parse_policy, read_policy
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "profiles" / "policies"

FULL = """\
step: pre-deploy
close-on: [warn, fail]
unknown: 2
expected: [n1, n2]
measured: {cpu: 7d, disk.*.randread_4k_iops: 12h, inventory: any}
least: {control: 3, compute: 10}
compare: {before: last-week, close-on: warn}
names: {n1: worker-1}
waivers:
  - node: n3
    component: disk
    who: Ada
    why: a new one is ordered
    until: 2026-12-24
  - {element: "leaf:sw1", kind: slow, who: Bob, why: known, until: 2026-01-01}
"""


def test_everything_that_a_policy_can_say() -> None:
    policy = parse_policy(FULL)
    assert (policy.step, policy.close_on, policy.unknown, policy.expected) == (
        "pre-deploy",
        "warn",
        2,
        ("n1", "n2"),
    )
    assert policy.measured == (
        Required("cpu", 7 * 86_400.0),
        Required("disk.*.randread_4k_iops", 43_200.0),
        Required("inventory", None),
    )
    assert policy.least == (("control", 3), ("compute", 10))
    assert policy.compare == Compare("last-week", "warn")
    assert policy.names == (("n1", "worker-1"),)
    assert policy.waivers == (
        Waiver("Ada", "a new one is ordered", datetime.date(2026, 12, 24), "node:n3", "disk", None),
        Waiver("Bob", "known", datetime.date(2026, 1, 1), "leaf:sw1", None, "slow"),
    )


def test_what_is_not_said_is_strict() -> None:
    policy = parse_policy("close-on: [fail]")
    assert policy == Policy(file="policy", document=policy.document)
    assert (policy.close_on, policy.unknown, policy.waivers) == ("fail", 0, ())


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("closeon: fail", 1, "did you mean 'close-on'?"),
        ("ready_state: true", 1, "did you mean 'ready-state'?"),
        ("ready-state: firmware", 1, "true or false"),
        ("compare:", 1, "compare: nothing stands behind it"),
        ("expected: 3\nmeasured:", 2, "measured: nothing stands behind it"),
        ("compare: {before: }", 1, "before: nothing stands behind it"),
        ("steps:\n  post-deploy:\n    compare:", 3, "compare: nothing stands behind it"),
        (
            "waivers:\n  - node:\n    kind: slow\n    who: A\n    why: w\n    until: 2026-01-01",
            2,
            "node: nothing stands",
        ),
        ("unknown: 0\nclose-on: fial", 2, "did you mean 'fail'?"),
        ("close-on: []", 1, "close-on"),
        ("unknown: -1", 1, "a whole number from 0"),
        ("unknown: 5 %", 1, "a whole number from 0"),
        ("unknown: true", 1, "a whole number from 0"),
        ("expected: 0", 1, "a whole number from 1"),
        ("expected: [n1, n1]", 1, "named twice"),
        ("measured: [cpu]", 1, "a mapping like {cpu: 7d"),
        ("measured:\n  cup: 7d", 2, "did you mean 'cpu'?"),
        ("measured:\n  cpu: 7", 2, "an age like 30m"),
        ("measured:\n  cpu: 0d", 2, "an age like 30m"),
        ("measured:\n  cpu:", 2, "has no age"),
        ("measured:\n  network.tx.zmq_bytes_per_s: 7d", 2, "say 'network'"),
        ("least:\n  control: 0", 2, "a whole number from 1"),
        ("least:\n  control:", 2, "has no count"),
        ("compare: {befor: x}", 1, "did you mean 'before'?"),
        ("step: predeploy", 1, "did you mean 'pre-deploy'?"),
        ("steps:\n  post-deplay: {}", 2, "did you mean 'post-deploy'?"),
        ("steps:\n  post-deploy: {steps: {}}", 2, "unknown key 'steps'"),
        ("step: pre-deploy\nsteps:\n  post-deploy: {}", 1, "step and steps"),
        ("waivers: {node: n3}", 1, "begin each with a dash"),
        ("waivers:\n- {node: n3, who: A, until: 2026-01-01}", 2, "a waiver without 'why'"),
        ("waivers:\n- {node: n3, who: A, why: B}", 2, "a waiver without 'until'"),
        ("waivers:\n- {node: n3, who: A, why: B, until: soon}", 2, "a date like 2026-01-31"),
        ("waivers:\n- {who: A, why: B, until: 2026-01-01}", 2, "a waiver for everything"),
        ("waivers:\n- {nod: n3, who: A, why: B, until: 2026-01-01}", 2, "did you mean 'node'?"),
        ("waivers:\n- {component: dsik, who: A, why: B, until: 2026-01-01}", 2, "did you mean 'disk'?"),
        ("waivers:\n- {element: sw1, who: A, why: B, until: 2026-01-01}", 2, "leaf:..."),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_nearest_name(text: str, line: int, told: str) -> None:
    with pytest.raises(FileFormatError) as error:
        parse_policy(text, file="site.yaml")
    assert str(error.value).startswith(f"site.yaml:{line}: ")
    assert told in str(error.value)


STEPPED = """\
close-on: warn
waivers:
  - {node: n1, who: A, why: B, until: 2026-01-01}
steps:
  pre-deploy: {measured: {cpu: 7d}}
  post-deploy:
    close-on: fail
    compare: {}
    waivers:
      - {node: n2, who: A, why: B, until: 2026-01-01}
"""


def test_a_step_says_what_differs_from_all_and_waivers_of_both_hold() -> None:
    first, second = (parse_policy(STEPPED, step) for step in ("pre-deploy", "post-deploy"))
    assert (first.close_on, first.compare, len(first.waivers)) == ("warn", None, 1)
    assert (second.close_on, second.compare, len(second.waivers)) == ("fail", Compare(), 2)
    assert second.step == "post-deploy"


@pytest.mark.parametrize(
    ("text", "step", "told"),
    [
        (STEPPED, None, "say --step pre-deploy or post-deploy"),
        (STEPPED, "post-upgrade", "has no step post-upgrade"),
        ("step: pre-deploy", "post-deploy", "is for the step pre-deploy"),
    ],
)
def test_a_step_that_the_file_does_not_have_is_refused(text: str, step: str | None, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_policy(text, step)


def test_a_mistake_in_another_step_is_told_too() -> None:
    with pytest.raises(FileFormatError, match="policy:3"):
        parse_policy("steps:\n  pre-deploy: {}\n  post-upgrade: {unknown: many}", "pre-deploy")


@pytest.mark.parametrize("step", STEPS)
def test_what_is_shipped_is_for_its_step_and_tolerates_nothing(step: str) -> None:
    policy = read_policy(FOLDER / f"{step}.yaml", step)
    assert (policy.step, policy.unknown, policy.waivers, policy.least) == (step, 0, (), ())
    assert {required.what for required in policy.measured} >= {"inventory"}
    assert (policy.compare is None) == (step == "pre-deploy")


def test_the_policies_in_the_manual_are_policies() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs" / "gate.md").read_text(), re.DOTALL)
    policies = [text for text in blocks if "close-on" in text]
    assert len(policies) == 2
    assert parse_policy(policies[0], "pre-deploy").waivers[0].who == "Ada"
    assert parse_policy(policies[1], "post-upgrade").compare == Compare(close_on="warn")


@given(st.text())
def test_any_text_is_a_policy_or_a_mistake_with_a_place(text: str) -> None:
    try:
        assert parse_policy(text).close_on in ("fail", "warn", "info")
    except UsageError as error:
        assert "policy" in str(error)
