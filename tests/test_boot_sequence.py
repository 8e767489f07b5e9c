"""A machine that boots, in a namespace: real cards (veth), a real DHCP server and client, a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ahc_agent.wire.messages import BenchLimits, CpuTask
from ahc_agent.wire.tasks import PlannedTask, TaskList, write_tasks
from ahc_server.cli import group as ahc
from tests.boot_helpers import SERVER, Site, site

pytestmark = pytest.mark.root

CPU = PlannedTask(
    job="cpu",
    time_limit_s=30.0,
    task=CpuTask(scopes=("all",), limits=BenchLimits(runtime_s=0.5, min_samples=2)),
)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


def test_a_machine_finds_an_address_and_the_server(one: Site) -> None:
    _, key = one.serve()
    one.dhcp()
    machine = one.boot(f"quiet ahc.server={SERVER}:5570 ahc.key={key}")
    machine.says("joined the server")
    assert machine.said.count("joined the server") == 1
    assert "10.77.0." in one.ip("address", "show", "dev", "c0")


def test_a_machine_without_a_server_measures_and_delivers(one: Site) -> None:
    one.dhcp()
    web = one.folder / "web"
    web.mkdir()
    (web / "busy").touch()
    (web / "p.json").write_bytes(write_tasks(TaskList(plan="p", tasks=(CPU,), left_out=("network: alone",))))
    one.web(web)
    machine = one.boot(
        f"ahc.plan=http://{SERVER}:8080/p.json ahc.upload=http://{SERVER}:8080/ ahc.session=s ahc.onsuccess=halt"
    )
    machine.says("halt, were it not a rehearsal", 60)
    for expected in (
        "plan p: 1 jobs, without a server",
        "left out: network: alone",
        "the inventory: begins (inventory, 1 of 2)",
        "the CPUs: done in",
        "the result cannot be delivered: ",
        f"is at http://{SERVER}:8080/",
    ):
        assert expected in machine.said
    [result] = [path for path in web.glob("*.json") if path.name != "p.json"]
    told = json.loads(result.read_bytes())
    assert (told["schema"], told["plan"], told["session"]) == ("ahc.bench/1", "p", "s")
    assert any(each["value"] for each in told["measurements"])
    assert (
        CliRunner()
        .invoke(ahc, ["--store", str(one.store), "import", str(result), "--session", "s"])
        .exit_code
        == 0
    )


def test_a_plan_that_is_no_plan_is_a_failure(one: Site) -> None:
    machine = one.boot("ahc.plan=nothing ahc.onfailure=poweroff")
    machine.says("poweroff, were it not a rehearsal")
    assert "the plan cannot be taken:" in machine.said and "No such file" in machine.said


@pytest.mark.parametrize("wrong", [None, b"<html>we are closed</html>"])
def test_a_web_server_that_answers_nonsense_is_asked_again(one: Site, wrong: bytes | None) -> None:
    one.dhcp()
    web = one.folder / "web"
    web.mkdir()
    if wrong is not None:
        (web / "p.json").write_bytes(wrong)
    one.web(web)
    machine = one.boot(f"ahc.plan=http://{SERVER}:8080/p.json")
    line = machine.says("the plan cannot be ")
    assert "Check ahc.plan= and the web server; it is asked again" in line
    good = web / "p.new"
    good.write_bytes(write_tasks(TaskList(plan="p", tasks=(CPU,))))
    good.rename(web / "p.json")
    machine.says("plan p: 1 jobs, without a server")


def test_a_web_server_that_answers_nonsense_is_given_up_where_that_was_asked_for(one: Site) -> None:
    one.dhcp()
    web = one.folder / "web"
    web.mkdir()
    (web / "p.json").write_bytes(b"nonsense")
    one.web(web)
    machine = one.boot(f"ahc.plan=http://{SERVER}:8080/p.json ahc.onfailure=poweroff ahc.patience=3")
    machine.says("poweroff, were it not a rehearsal")
    assert machine.said.count("the plan cannot be taken") >= 2 and "no plan; giving up" in machine.said
