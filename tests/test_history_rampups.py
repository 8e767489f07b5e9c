"""Two ramp-ups side by side: what became of each step, and plans that differ are refused with the reason."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ahc_agent.errors import CannotAnswer
from ahc_server.history.compare import compare
from ahc_server.history.draw.comparison import draw_comparison
from ahc_server.history.plans import difference
from ahc_server.history.rampups import RampChange
from ahc_server.history.reading import Reading, read
from tests.dahc_helpers import PLAN, Dahc
from tests.import_helpers import Ahc
from tests.rampup_helpers import Ramp, saturating

PLANS = "name: one\njobs:\n  cpu: {component: cpu, required-hosts: 1-48, step-hosts: 6, runtime: 10}\n"


def reading(ramp: Ramp, plan: str = PLANS) -> Reading:
    return read(replace(ramp.session(), plan=plan))


def changes(before: Reading, after: Reading) -> list[RampChange]:
    found = compare(before, after).rampups
    return [] if found is msgspec.UNSET else found


def test_each_step_has_the_change_of_its_mean_sum_and_spread() -> None:
    before = reading(Ramp(noise=0.0, jobs=("cpu",)))
    after = reading(Ramp(noise=0.0, jobs=("cpu",), each=saturating(30.0)))
    [change] = changes(before, after)
    by_hosts = {step.hosts: step for step in change.steps}
    assert by_hosts[12].sum == 0.0 and by_hosts[48].sum == by_hosts[48].mean == pytest.approx(0.5, abs=1e-3)
    assert (by_hosts[48].before and by_hosts[48].before.sum) == pytest.approx(20_000)
    assert change.before != change.after and "up to about 30 nodes" in change.after


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_change_of_all_steps_is_told_with_its_interval(factor: float) -> None:
    before = reading(Ramp(seed=1))
    after = reading(Ramp(seed=2, factor=lambda machine, host, job: factor if job == "disk" else 1.0))
    cpu, disk = changes(before, after)
    assert disk.change == pytest.approx(factor - 1, abs=0.02)
    assert disk.low is not None and disk.high is not None and disk.low < factor - 1 < disk.high
    assert cpu.low is not None and cpu.high is not None and cpu.low < 0 < cpu.high
    drawn = draw_comparison(compare(before, after), width=120)
    assert re.search(rf"disk, .*: {'better' if factor > 1 else 'worse'}, [+−]\d\d %", drawn)
    assert re.search(r"cpu, all cores together: no change that is sure", drawn)


def test_a_job_or_a_step_that_only_one_of_them_has_is_left_blank() -> None:
    before = reading(Ramp(jobs=("cpu", "disk")))
    after = reading(Ramp(jobs=("cpu",), counts=(1, 3, 6, 12, 20)))
    [change] = changes(before, after)
    there = {step.hosts: (step.before is not None, step.after is not None) for step in change.steps}
    assert there[12] == (True, True) and there[18] == (True, False) and there[20] == (False, True)
    assert "Ramp-ups, before and after" in draw_comparison(compare(before, after))


def test_fleets_without_a_node_in_common_can_still_be_laid_side_by_side() -> None:
    before, after = Ramp(seed=1), Ramp(seed=2).session()
    other = {f"m{n}": f"x{n}" for n in range(48)}
    renamed = replace(
        after,
        plan=PLANS,
        nodes=[
            replace(
                each,
                machine=other[each.machine],
                node=other[each.machine],
                identity=msgspec.structs.replace(each.identity, uuid=other[each.machine], serial=None),
            )
            for each in after.nodes
        ],
        outcomes=[replace(each, machine=other[each.machine]) for each in after.outcomes],
    )
    comparison = compare(reading(before), read(renamed))
    assert comparison.nodes == [] and comparison.rampups
    assert "0 nodes in both" in draw_comparison(comparison)


def test_plans_that_differ_are_refused_with_what_differs() -> None:
    before = reading(Ramp())
    after = reading(Ramp(seed=2), PLANS.replace("runtime: 10", "runtime: 20"))
    with pytest.raises(CannotAnswer, match=r"different plans.*job cpu, runtime: 10 and 20"):
        compare(before, after)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (PLANS, None),
        (PLANS.replace("name: one", "name: two\ndescription: at night"), None),
        (PLANS.replace("runtime: 10", "runtime:   10 # s"), None),
        (PLANS.replace("1-48", "1-81"), "job cpu, required-hosts: 1-48 and 1-81"),
        (PLANS.replace("  cpu:", "  cores:"), "job cores"),
        (PLANS.replace("jobs:", "required-hosts: 48\njobs:"), "required-hosts: nothing and 48"),
        ("# no plan stood beside the results\n", None),
        ("{broken", None),
    ],
)
def test_of_plans_only_what_they_ask_for_counts(other: str, said: str | None) -> None:
    found = difference(PLANS, other)
    assert found is None if said is None else found is not None and said in found


def test_two_runs_of_dahc_are_compared_and_other_plans_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ahc = Ahc(tmp_path / "ahc.db", monkeypatch, capsys)
    faster = Dahc(
        seed=2, title="mtu=9000", speed=lambda job, machine, hosts: 4.0 if job == "tcp_bandwidth" else 1.0
    )
    longer = {**PLAN, "jobs": {**PLAN["jobs"], "cpu": {**PLAN["jobs"]["cpu"], "runtime": 20}}}
    for name, run in (("mtu1500", Dahc()), ("mtu9000", faster), ("other", Dahc(seed=3, plan=longer))):
        assert ahc("import", run.write(tmp_path / name), "--session", name)[0] == 0
    status, out, _ = ahc("compare", "mtu1500", "mtu9000", "--format", "json")
    told = {each["job"]: each["change"] for each in json.loads(out)["rampups"]}
    assert status == 0 and told["tcp_bandwidth"] == pytest.approx(3.0, abs=0.1)
    assert abs(told["cpu"]) < 0.02
    status, out, err = ahc("compare", "mtu1500", "other")
    assert (status, out) == (3, "") and "job cpu, runtime: 10 and 20" in err


def test_sessions_without_ramp_ups_are_compared_as_before() -> None:
    one = read(Ramp(counts=(48,)).session())
    comparison = compare(one, read(Ramp(counts=(48,), seed=2).session()))
    assert comparison.rampups is msgspec.UNSET and b"rampups" not in msgspec.json.encode(comparison)
