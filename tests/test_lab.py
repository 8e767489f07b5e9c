"""Whole labs: real server, real agents, real measurements, started as a user starts them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ahc_agent.errors import CannotAnswer
from ahc_server.lab import ledger, processes
from ahc_server.store import Store
from tests.lab_helpers import lab_of, needs_lab, network_namespaces, traces, wait_for

#: What a report says of a fleet in a box is as good as the machine is quiet; and a lab that starts sweeps up after all others.
pytestmark = pytest.mark.alone

#: The least that tells a slow disk and a slow card.
DISK_AND_NETWORK = """
name: disk-and-network
jobs:
  inventory: {component: inventory}
  disk: {component: storage, mode: sequential, access: read, block-size: 1M, runtime: 1, simultaneous: false}
  network: {component: network, rounds: all, runtime: 1}
"""
#: Without rights a disk's speed comes and goes with turns of CPU: samples have to hold many of them.
PLAIN_DISK_AND_NETWORK = DISK_AND_NETWORK.replace(
    "block-size: 1M, runtime: 1,", "block-size: 1M, runtime: 3,"
)
DISK_ONLY = """
name: disk-only
jobs:
  inventory: {component: inventory}
  disk: {component: storage, mode: sequential, access: read, block-size: 1M, runtime: 1, simultaneous: false}
  again: {component: storage, mode: random, access: read, block-size: 4K, runtime: 1, simultaneous: false}
"""


def lab(store: Path, *arguments: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    argv = [*before, sys.executable, "-m", "ahc_server", "--store", str(store), "lab", *arguments]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finished(child: subprocess.Popen[bytes], time_limit_s: float = 120) -> tuple[int, str, str]:
    try:
        out, err = child.communicate(timeout=time_limit_s)
    except subprocess.TimeoutExpired:
        child.terminate()
        out, err = child.communicate(timeout=60)
    return child.returncode, out.decode(), err.decode()


def session_states(store: Path) -> list[str]:
    try:
        with Store(store) as opened:
            return [session.state for session in opened.sessions()]
    except CannotAnswer:
        return []


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(DISK_AND_NETWORK)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store" / "ahc.db"


@pytest.mark.root
@needs_lab
def test_the_report_names_the_slow_disk_and_the_slow_card_and_nobody_else(store: Path, plan: Path) -> None:
    faults = ["--break", "n2=slow-disk", "--break", "n4=slow-nic"]
    child = lab(store, "--nodes", "5", *faults, "--plan", str(plan), "--format", "json", "--check")
    lab_id = wait_for(lambda: lab_of(child.pid))
    status, out, err = finished(child)
    assert status == 0, err
    verdicts = {node["id"]: node["verdict"] for node in json.loads(out)["nodes"]}
    assert {node for node, verdict in verdicts.items() if verdict != "pass"} == {"n2", "n4"}
    assert "broke n2: slow-disk" in err and "broke n4: slow-nic" in err
    assert traces(lab_id) == []


@pytest.mark.root
@needs_lab
def test_nodes_that_die_or_are_cut_off_midway_are_named_and_the_plan_goes_on(
    store: Path, tmp_path: Path
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(DISK_ONLY)
    child = lab(
        store, "--nodes", "5", "--break", "n2=dead", "--break", "n5=cut", "--plan", str(path), "--check"
    )
    status, out, err = finished(child)
    assert status == 0, err + out
    assert "broke n2: dead" in err and "broke n5: cut" in err


@pytest.mark.root
@needs_lab
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_lab_that_is_interrupted(
    number: signal.Signals, store: Path, plan: Path
) -> None:
    child = lab(store, "--nodes", "3", "--plan", str(plan))
    lab_id = wait_for(lambda: lab_of(child.pid))
    wait_for(lambda: session_states(store) == ["running"])
    # Server, agents, the plan, and a benchmark's own process.
    wait_for(lambda: len(list(processes.marked(lab_id))) >= 6)
    assert traces(lab_id) != []
    ours = set(processes.marked(lab_id))
    spaces = {space for pid, space in network_namespaces().items() if pid in ours}
    assert len(spaces - {network_namespaces()[os.getpid()]}) == 4, "three nodes and the switch"
    child.send_signal(number)
    status, _, err = finished(child)
    assert status != 0, err
    wait_for(lambda: traces(lab_id) == [], 20)
    assert session_states(store) == ["stopped"], (
        "the store's next server must not wait for nodes that are gone"
    )
    left = spaces & set(network_namespaces().values())
    assert left <= {network_namespaces()[os.getpid()]}


@pytest.mark.root
@needs_lab
def test_a_lab_that_was_killed_together_with_its_watchdog_is_swept_up_by_the_next(
    store: Path, plan: Path
) -> None:
    child = lab(store, "--nodes", "2", "--plan", str(plan))
    lab_id = wait_for(lambda: lab_of(child.pid))
    wait_for(lambda: len(list(processes.marked(lab_id))) >= 3)
    for pid in map(int, Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()):
        if b"ahc_server.lab.watchdog" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    child.kill()
    finished(child)
    assert traces(lab_id) != []
    assert lab_id in ledger.sweep()
    assert traces(lab_id) == []


def test_without_any_rights_the_lab_says_how_it_breaks_nodes_and_finds_them_all_the_same(
    store: Path, plan: Path
) -> None:
    """Root without a single capability is what a plain container gives."""
    plan.write_text(PLAIN_DISK_AND_NETWORK)
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    if powerless and shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    faults = ["--break", "n2=slow-disk", "--break", "n4=slow-nic"]
    child = lab(
        store, "--nodes", "5", *faults, "--plan", str(plan), "--format", "json", "--check", before=powerless
    )
    lab_id = wait_for(lambda: lab_of(child.pid))
    status, out, err = finished(child)
    assert "no network namespaces here" in err and "no control groups here" in err
    assert "its fio is held to" in err and "its network engine is held to" in err
    assert traces(lab_id) == []
    verdicts = {node["id"]: node["verdict"] for node in json.loads(out)["nodes"]}
    assert "pass" not in (verdicts["n2"], verdicts["n4"]), (
        f"what is broken may be in doubt, but never well: {out}"
    )
    if "unknown" in verdicts.values():
        pytest.skip("others kept this machine too busy for a fleet without rights to be judged")
    assert status == 0, err
