"""A run of DAHC becomes a session of steps: each job at each number of machines, who failed told, nothing lost."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from ahc_agent.errors import FileFormatError
from ahc_server.importers.dahc_metrics import read_affinity, read_metrics, read_systems
from ahc_server.judge.trust import numbers_of
from ahc_server.session import Session
from ahc_server.store import Store
from tests.dahc_helpers import BEGUN_S, Dahc
from tests.import_helpers import Ahc, write_hw, written

REAL = "edeploy/dahc-81vms-mtu-1500.tar.xz"


@pytest.fixture
def ahc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ahc:
    return Ahc(tmp_path / "state" / "ahc.db", monkeypatch, capsys)


def loaded(ahc: Ahc, name: str = "run") -> Session:
    with Store(ahc.store) as store:
        return store.load_session(name)


def test_a_folder_becomes_a_session_with_steps(ahc: Ahc, tmp_path: Path) -> None:
    status, out, err = ahc("import", Dahc().write(tmp_path / "all-mtu"), "--session", "run")
    assert (status, err) == (0, "note: the run's title: mtu=1500\n")
    assert out == (
        "session run: 12 machines taken (92 × DAHC results), 14 steps of 3 jobs, 123 measurements\n"
        "report: ahc report --session run\n"
    )
    session = loaded(ahc)
    with Store(ahc.store) as store:
        (summary,) = store.sessions()
    assert (session.state, summary.plan) == ("done", "small") and "step-hosts: 3" in session.plan
    told = [(step.step, step.job, step.component, step.hosts) for step in session.steps]
    assert told[0] == (0, "inventory", "inventory", 12)
    assert told[1:6] == [(n, "cpu", "cpu", hosts) for n, hosts in enumerate((1, 3, 6, 9, 12), 1)]
    assert told[-1] == (14, "tcp_bandwidth", "network", 12)
    assert all(step.state == "done" for step in session.steps)
    assert (session.steps[1].started_at_s, session.steps[1].ended_at_s) == (BEGUN_S, BEGUN_S + 10)
    assert session.steps[5].start_jitter_s == pytest.approx(0.11)
    assert session.created_at_s == BEGUN_S


def test_each_outcome_knows_its_step_its_values_and_its_times(ahc: Ahc, tmp_path: Path) -> None:
    ahc("import", Dahc(noise=0.0).write(tmp_path / "run"), "--session", "run")
    session = loaded(ahc)
    last = [each for each in session.outcomes if each.step == 14]
    assert len(last) == 12 and {each.hosts for each in last} == {12}
    (name,) = last[0].columns.names
    assert (name.component, name.part, name.quantity) == ("network", "tx", "flow_bytes_per_s")
    flows = [numbers_of(each.columns, "samples") for each in last]
    assert all(each is not None and each.tolist() == [2.0] for each in flows), "two peers each"
    fifth = {each.machine: each.outcome for each in session.outcomes if each.step == 5}
    assert sorted(each.start_delay_s for each in fifth.values()) == pytest.approx(
        [0.005 * m for m in range(12)]
    )
    assert {each.duration_s for each in fifth.values()} == {10.0}
    assert all(node.inventory is not None for node in session.nodes)


def test_machines_that_share_a_serial_are_known_by_their_uuid_and_it_is_said(
    ahc: Ahc, tmp_path: Path
) -> None:
    ahc("import", Dahc().write(tmp_path / "run"), "--session", "run")
    report = json.loads(ahc("report", "--format", "json")[1])
    assert len({node["id"] for node in report["nodes"]}) == 12
    assert "ddae577f-d11a-425b-924f-000000000000" in {node["id"] for node in report["nodes"]}
    assert any("the serial hv-0 is shared by 4 machines" in note for note in report["notes"])
    assert {node.identity.physical_host for node in loaded(ahc).nodes} == {"hv-0", "hv-1", "hv-2"}


def test_an_archive_a_folder_above_and_the_folder_itself_give_the_same(
    ahc: Ahc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Dahc().write(tmp_path / "above" / "run")
    packed = tmp_path / "run.tar.xz"
    with tarfile.open(packed, "w:xz") as tar:
        tar.add(root, "run")
    monkeypatch.chdir(root)
    reports = set()
    for number, path in enumerate((root, root.parent, packed, ".")):
        assert ahc("import", path, "--session", "run")[0] == 0
        reports.add(ahc("report", "--format", "json")[1])
        ahc.store = tmp_path / f"{number}.db"
    assert len(reports) == 1


def test_without_metrics_plan_and_affinity_the_values_are_there(ahc: Ahc, tmp_path: Path) -> None:
    status, _, err = ahc("import", Dahc(files=frozenset()).write(tmp_path / "run"), "--session", "run")
    assert status == 0 and "no metrics: start and duration of its machines are not known" in err
    assert "no plan stands beside the results" in err
    session = loaded(ahc)
    assert {(step.job, step.component) for step in session.steps[1:]} == {
        ("cpu", "cpu"),
        ("read_rand", "storage"),
        ("tcp_bandwidth", "network"),
    }
    assert all(step.start_jitter_s is None for step in session.steps)
    ramps = json.loads(ahc("report", "--format", "json")[1])["rampups"]
    assert [step["duration_s"] for step in ramps[0]["steps"]] == [None] * 5
    assert [step["hosts"] for step in ramps[0]["steps"]] == [1, 3, 6, 9, 12]


def test_a_storage_job_that_is_called_network_is_told_apart_by_its_metrics(ahc: Ahc, tmp_path: Path) -> None:
    root = Dahc().write(tmp_path / "run")
    for folder in root.glob("*/storage-read_rand"):
        folder.rename(folder.with_name("network-read_rand"))
    assert ahc("import", root, "--session", "run")[0] == 0
    assert ("read_rand", "storage") in {(step.job, step.component) for step in loaded(ahc).steps}


def test_machines_that_failed_a_step_are_told_with_the_reason(ahc: Ahc, tmp_path: Path) -> None:
    run = Dahc(absent={("cpu", 9, 4)}, stale={("read_rand", 12, 2)}, empty={("tcp_bandwidth", 12, 7)})
    assert ahc("import", run.write(tmp_path / "run"), "--session", "run")[0] == 0
    failed = {
        (each.job, each.hosts, each.outcome.error)
        for each in loaded(ahc).outcomes
        if each.outcome.status != "ok"
    }
    assert failed == {
        ("cpu", 9, "it was asked, and no result of it is there"),
        ("read_rand", 12, "its result was left over from an earlier step: it did not run in this one"),
        ("tcp_bandwidth", 12, "its result holds no measurement of this job"),
    }
    report = json.loads(ahc("report", "--format", "json")[1])
    assert sum(note.startswith("ramp-up ") for note in report["notes"]) == 3
    ramp = next(each for each in report["rampups"] if each["job"] == "cpu")
    assert [(step["hosts"], step["delivered"]) for step in ramp["steps"]][3] == (9, 8)


def test_a_machine_that_was_connected_and_left_nothing_takes_part_and_is_not_judged(
    ahc: Ahc, tmp_path: Path
) -> None:
    root = Dahc().write(tmp_path / "run")
    for path in root.rglob("*-11.hw"):
        path.unlink()
    assert ahc("import", root, "--session", "run")[0] == 0
    [lost] = [node for node in loaded(ahc).nodes if node.lost is not None]
    assert (lost.node, lost.identity.physical_host) == ("192.168.254.12", "hv-2")
    report = json.loads(ahc("report", "--format", "json")[1])
    assert report["counts"]["nodes"] == 12 and report["counts"]["unknown"] == 1


def test_without_network_jobs_nobody_knows_which_machine_is_which_and_nothing_is_invented(
    ahc: Ahc, tmp_path: Path
) -> None:
    run = Dahc(jobs=("cpu",), absent={("cpu", 9, 4)})
    assert ahc("import", run.write(tmp_path / "run"), "--session", "run")[0] == 0
    session = loaded(ahc)
    assert all(each.outcome.status == "ok" and each.outcome.duration_s == 0 for each in session.outcomes)
    notes = json.loads(ahc("report", "--format", "json")[1])["notes"]
    assert "ramp-up cpu: of 9 nodes at once 8 left a result; which are missing is not known" in notes


def test_broken_files_are_named_and_the_others_taken(ahc: Ahc, tmp_path: Path) -> None:
    root = Dahc().write(tmp_path / "run")
    [broken] = (root / "9" / "cpu-cpu").glob("*-05.hw")
    written(broken, "[('system',")
    written(root / "9" / "cpu-cpu" / "metrics", "{'bench': [")
    written(root / "affinity", "open('/etc/passwd')")
    shutil.copy(next((root / "9" / "cpu-cpu").glob("*-04.hw")), root / "9" / "cpu-cpu" / "again.hw")
    status, out, err = ahc("import", root, "--session", "run")
    assert status == 1 and "12 machines taken" in out
    for told in (
        f"not taken: {broken}:1: the file ends in the middle of the row",
        f"not taken: {root}/9/cpu-cpu/metrics:1: the file ends in the middle of a list",
        f"not taken: {root}/affinity:1: \"open('/etc/passwd')\" is no plain value",
        "a second result of the machine of",
    ):
        assert told in err, told


def test_a_run_is_a_session_of_its_own(ahc: Ahc, tmp_path: Path) -> None:
    one, two = Dahc().write(tmp_path / "a" / "one"), Dahc().write(tmp_path / "a" / "two")
    loose = write_hw(tmp_path / "loose.hw", Dahc().rows(1))
    for arguments, said in (
        ((one, two), "2 runs of DAHC"),
        ((one, loose), "loose.hw stands outside of the run"),
        ((one, "--add"), "leave --add out"),
    ):
        status, _, err = ahc("import", *arguments, "--session", "run")
        assert status == 2 and said in err
    assert ahc("report")[0] == 3
    assert ahc("import", one, "--session", "run")[0] == 0
    status, _, err = ahc("import", one, "--session", "run")
    assert status == 2 and "there is a session 'run' already" in err


def test_a_folder_of_which_nothing_can_be_read_is_refused(ahc: Ahc, tmp_path: Path) -> None:
    root = Dahc().write(tmp_path / "run")
    for path in root.rglob("*.hw"):
        written(path, "[")
    status, _, err = ahc("import", root, "--session", "run")
    assert status == 2 and "none of its results could be read" in err
    assert ahc("report")[0] == 3


def test_numbers_as_folders_alone_make_no_run_of_dahc(ahc: Ahc, tmp_path: Path) -> None:
    folder = tmp_path / "2014" / "05"
    folder.mkdir(parents=True)
    for machine in range(3):
        write_hw(
            folder / f"{machine}.hw",
            [*Dahc(virtual=False).rows(machine), ("cpu", "logical", "bogomips", "1")],
        )
    written(folder / "metrics", "of something else")
    status, out, _ = ahc("import", tmp_path / "2014", "--session", "run")
    assert status == 0 and "3 machines taken (3 × eDeploy .hw)" in out


def test_metrics_are_read_as_far_as_they_are_what_they_should_be() -> None:
    with pytest.raises(FileFormatError, match="no metrics of a step"):
        read_metrics("{'jobs': {}}", "metrics")
    with pytest.raises(FileFormatError, match="no affinity"):
        read_affinity("[]", "affinity")
    with pytest.raises(FileFormatError, match="no list of hypervisors"):
        read_systems("{}", "hosts")
    odd = read_metrics(
        "{'bench': {'component': 99, 'nb-hosts': -3, 'hosts-list': [('a', 1), 'b', ('c',), (None, 2)], 'arity': True},"
        " 'start_time': {('a', 1): 1e300, ('b', 2): 'soon', 'c': 3, ('d', 4): 5}, 'duration': 7, 'affinity': [1]}",
        "metrics",
    )
    assert (odd.component, odd.hosts, odd.flows, sorted(odd.asked)) == (None, None, None, [("a", 1)])
    assert (odd.start_s, odd.duration_s, odd.system) == ({("d", 4): 5.0}, {}, {})
    assert odd.jitter_s == 0.0


def test_of_several_plans_the_one_that_has_the_jobs_is_taken(ahc: Ahc, tmp_path: Path) -> None:
    root = Dahc().write(tmp_path / "run")
    written(root / "a.yaml", "name: other\njobs: {net: {component: network}}\n")
    written(root / "notes.yml", "just: notes\n")
    _, _, err = ahc("import", root, "--session", "run")
    assert f"several plans stand beside the results: {root}/plan.yaml is taken, not {root}/a.yaml" in err
    assert "name: small" in loaded(ahc).plan


def test_the_run_on_81_virtual_machines(ahc: Ahc, shared: Path) -> None:
    status, out, _ = ahc("import", shared / REAL, "--session", "run")
    assert status == 0
    assert "81 machines taken (3,772 × DAHC results), 90 steps of 6 jobs, 5,028 measurements" in out
    report = json.loads(ahc("report", "--format", "json")[1])
    assert report["counts"] == {"nodes": 81, "pass": 81, "warn": 0, "fail": 0, "unknown": 0}
    assert sum("is shared by 27 machines" in note for note in report["notes"]) == 3
    growth = {ramp["job"]: ramp["growth"] for ramp in report["rampups"]}
    assert {job: each["kind"] for job, each in growth.items()} == {
        "cpu": "stops",
        "memory": "stops",
        "read_seq": "falls",
        "read_rand": "falls",
        "tcp_latency": "stops",
        "tcp_bandwidth": "grows",
    }
    assert 24 <= growth["cpu"]["hosts"] <= 36
    sums = {ramp["job"]: [step["sum"] for step in ramp["steps"]] for ramp in report["rampups"]}
    assert sums["cpu"][:3] == [832, 5051, 9900] and len(sums["cpu"]) == 15
    slow = [each for each in report["findings"] if each["severity"] == "warn"]
    assert [each["element"] for each in slow] == ["group:g1", "group:g1"]
    assert "hypervisor 44454c4c-4b00-1039-8056-b9c04f573032" in slow[1]["summary"]
    assert "check the MTU of the whole path" in slow[0]["summary"]
