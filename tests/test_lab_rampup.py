"""A plan with ``step-hosts`` on real agents gives the same ramp-up as a run of DAHC that was imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ahc_server.store import Store
from tests.lab_helpers import needs_lab
from tests.test_lab import finished, lab

PLAN = """
name: ramp
required-hosts: 2-5
jobs:
  disk:
    component: storage
    required-hosts: 1-5
    step-hosts: 1
    mode: sequential
    access: read
    block-size: 1M
    runtime: 1
    simultaneous: false
  net:
    component: network
    required-hosts: 2-4
    step-hosts: 2
    arity: 2
    mode: bandwidth
    runtime: 1
"""


@pytest.mark.alone
@pytest.mark.root
@needs_lab
def test_a_ramp_up_on_real_agents_is_stored_step_by_step_and_reported(tmp_path: Path) -> None:
    plan, store = tmp_path / "plan.yaml", tmp_path / "ahc.db"
    plan.write_text(PLAN)
    arguments = ("--nodes", "5", "--plan", str(plan), "--session", "ramp", "--format", "json")
    status, out, err = finished(lab(store, *arguments))
    assert status == 0, err
    report = json.loads(out)
    disk, net = report["rampups"]
    assert [step["hosts"] for step in disk["steps"]] == [1, 2, 3, 4, 5]
    assert [step["hosts"] for step in net["steps"]] == [2, 4]
    assert all(step["delivered"] == step["hosts"] for ramp in (disk, net) for step in ramp["steps"])
    assert all(step["duration_s"] > 0 for ramp in (disk, net) for step in ramp["steps"])
    assert all(step["start_jitter_s"] is not None for step in disk["steps"][1:])
    # Each node has a disk and a card of its own: what all do together grows with their number.
    first, *_, last = disk["steps"]
    assert last["sum"] > 3 * first["sum"] and disk["growth"]["kind"] == "grows"
    assert net["steps"][1]["sum"] > 1.5 * net["steps"][0]["sum"]
    assert report["counts"]["fail"] == 0, report["findings"]
    with Store(store) as opened:
        session = opened.load_session("ramp")
    assert [(step.job, step.hosts) for step in session.steps[1:]] == [
        *(("disk", hosts) for hosts in (1, 2, 3, 4, 5)),
        *(("net", hosts) for hosts in (2, 4)),
    ]
    by_step = {each.step: each.hosts for each in session.outcomes}
    assert by_step == {step.step: step.hosts for step in session.steps}
