"""Plans for one machine without a server: what is kept, what is left out and said, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import AhcError, FileFormatError, UsageError
from ahc_agent.wire.messages import CpuTask, DiskTask, InventoryTask, MemoryTask
from ahc_agent.wire.tasks import LIMIT_BYTES, PlannedTask, TaskList, read_tasks, write_tasks
from ahc_server.netboot.tasks import compile_plan, tasks_of
from ahc_server.plan import parse_plan, shipped_plans


@pytest.mark.parametrize("name", ["quick", "standard"])
def test_a_shipped_plan_is_read_back_as_it_was_compiled(name: str) -> None:
    tasks = read_tasks(compile_plan(name), name)
    assert tasks == tasks_of(parse_plan(shipped_plans()[name].read_text()))
    assert tasks.plan == name
    assert [each.job for each in tasks.tasks] == [
        "inventory",
        "cpu",
        "memory",
        "disk-sequential",
        "disk-random",
    ]
    assert tasks.left_out == (
        "network: a pair of machines is needed, and a server that brings them together",
    )


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    copy = tmp_path / "copy.yaml"
    copy.write_text(shipped_plans()["quick"].read_text())
    assert compile_plan(copy) == compile_plan("quick")


def test_tasks_keep_what_the_plan_says() -> None:
    tasks = {each.job: each.task for each in tasks_of(parse_plan(shipped_plans()["quick"].read_text())).tasks}
    cpu, memory, disk = tasks["cpu"], tasks["memory"], tasks["disk-random"]
    assert isinstance(tasks["inventory"], InventoryTask)
    assert isinstance(cpu, CpuTask) and cpu.scopes == ("socket", "all") and cpu.limits.runtime_s == 3
    assert isinstance(memory, MemoryTask) and memory.block_sizes == ("1M",)
    assert isinstance(disk, DiskTask) and disk.patterns == ("randread",) and not disk.destructive


def test_the_inventory_comes_first_said_or_not() -> None:
    tasks = tasks_of(parse_plan("jobs: {cpu: {component: cpu}}"))
    assert [each.job for each in tasks.tasks] == ["inventory", "cpu"]


def test_what_one_machine_cannot_do_alone_is_left_out_and_said() -> None:
    tasks = tasks_of(
        parse_plan("""
name: large
destructive: true
jobs:
  ramp: {component: memory, required-hosts: 4-8}
  from-one: {component: cpu, required-hosts: 1-8, step-hosts: 2}
  wipe: {component: storage, access: write}
  there: {component: cpu, affinity-hosts: [rack7]}
""")
    )
    assert [each.job for each in tasks.tasks] == ["inventory", "from-one"]
    assert tasks.left_out == (
        "ramp: 4 machines at once are asked for",
        "wipe: it writes to disks, which nobody but a server may allow",
        "there: it is meant for rack7 only",
    )


def test_no_such_plan_is_said() -> None:
    with pytest.raises(UsageError, match="neither a file nor a shipped plan"):
        compile_plan("no-such-plan")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema": "ahc.tasks/2"}, "no ahc.tasks/1"),
        ({"tasks": [{"job": "x", "time_limit_s": 5, "task": {"kind": "pair"}}]}, "no ahc.tasks/1"),
        ({"tasks": [{"job": "x", "time_limit_s": 0, "task": {"kind": "cpu"}}]}, "no ahc.tasks/1"),
        (
            {"tasks": [{"job": "x", "time_limit_s": 5, "task": {"kind": "disk", "patterns": ["write"]}}]},
            "writes",
        ),
        (
            {"tasks": [{"job": "x", "time_limit_s": 5, "task": {"kind": "disk", "destructive": True}}]},
            "writes",
        ),
    ],
)
def test_a_file_that_asks_for_what_is_not_done_is_refused(change: dict[str, object], problem: str) -> None:
    good = {"schema": "ahc.tasks/1", "plan": "p", "tasks": []}
    assert read_tasks(json.dumps(good).encode(), "plan.json").tasks == ()
    with pytest.raises(FileFormatError, match=problem):
        read_tasks(json.dumps({**good, **change}).encode(), "plan.json")


def test_a_file_that_is_too_long_is_not_even_read() -> None:
    one = PlannedTask(job="cpu", time_limit_s=60.0, task=CpuTask())
    whole = write_tasks(TaskList(plan="p", tasks=(one,)))
    assert read_tasks(whole, "plan.json").tasks == (one,)
    with pytest.raises(FileFormatError, match="longer than"):
        read_tasks(whole + b" " * LIMIT_BYTES, "plan.json")


@given(st.binary(max_size=200) | st.from_regex(rb'\{"schema": ?"ahc\.tasks/1".{0,100}\}'))
def test_nothing_but_a_typed_error_comes_of_garbage(data: bytes) -> None:
    try:
        read_tasks(data, "plan.json")
    except AhcError as error:
        assert isinstance(error, FileFormatError)


def test_a_job_for_hundreds_of_hosts_is_left_out_in_a_sentence_that_machines_take(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    hosts = ", ".join(f"compute-{number:04d}.rack.example.org" for number in range(400))
    plan.write_text(
        "name: rack\nrequired-hosts: 1\nruntime: 5\njobs:\n  one:\n    component: cpu\n"
        f"    required-hosts: 1\n    affinity-hosts: {hosts}\n"
    )
    (said,) = read_tasks(compile_plan(plan), "plan").left_out
    assert said.endswith("compute-0002.rack.example.org and 397 others only")
