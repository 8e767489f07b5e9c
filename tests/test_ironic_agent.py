"""The agent inside the real ironic-python-agent: found by its entry points, asked by its own code, read back by `ahc import`."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ahc_agent.ironic import extra_hardware
from ahc_agent.measure import Measurement
from ahc_server.importers import read_file
from ahc_server.importers.model import Imported
from tests.import_helpers import Ahc, value_of, write_json
from tests.ironic_agent_helpers import IronicAgent, agent_python

QUICK = {"ipa-ahc-benchmarks": "cpu", "ipa-ahc-budget": "3"}
#: In a process of its own: it brings eventlet.
HOOK = """
import json, sys
from types import SimpleNamespace
from ironic.drivers.modules.inspector.hooks.extra_hardware import ExtraHardwareHook
data = json.load(sys.stdin)
ExtraHardwareHook()(SimpleNamespace(node=SimpleNamespace(uuid="n1")), {}, data)
print(json.dumps(data))
"""
needs_sysbench = pytest.mark.skipif(shutil.which("sysbench") is None, reason="sysbench is not installed")


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IronicAgent]:
    one = IronicAgent(agent_python(), tmp_path_factory.mktemp("ironic-agent"))
    yield one
    one.close()


class Callback:
    """What Ironic's API is to a ramdisk: takes what inspection found."""

    def __init__(self) -> None:
        told: list[dict[str, Any]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def take(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"uuid": "1be26c0b-03f2-4d2e-ae87-c02d7f33c123"}')

            do_POST = do_PUT = take

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.told = told
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def callback() -> Iterator[Callback]:
    one = Callback()
    yield one
    one.close()


@pytest.fixture(scope="module")
def inspected(agent: IronicAgent) -> dict[str, Any]:
    """What a whole inspection sends: the agent's own inventory, and ours."""
    server = Callback()
    try:
        agent.ask("inspect", server.url, "default,ahc,ahc-extra-hardware", QUICK)
    finally:
        server.close()
    assert len(server.told) == 1
    return server.told[0]


def as_saved(sent: dict[str, Any]) -> dict[str, Any]:
    """As ``baremetal node inventory save`` gives it back: Ironic keeps the inventory apart."""
    rest = dict(sent)
    return {"inventory": rest.pop("inventory"), "plugin_data": rest}


def read(path: Path) -> Imported:
    (found,) = [imported for _, _, imported in read_file(path)]
    return found


# ── the hardware manager ───────────────────────────────────────────────────────────────────────────


def test_the_manager_is_found_and_takes_nothing_from_the_generic_one(agent: IronicAgent) -> None:
    managers = agent.ask("managers")
    assert "AhcHardwareManager" in managers and "GenericHardwareManager" in managers


@pytest.mark.parametrize(("kind", "abortable"), [("clean", True), ("service", True), ("deploy", None)])
def test_its_only_step_never_runs_unasked(agent: IronicAgent, kind: str, abortable: bool | None) -> None:
    (step,) = agent.ask("steps", kind)["AhcHardwareManager"]
    assert step["step"] == "ahc_benchmark"
    assert step["priority"] == 0 and step["reboot_requested"] is False
    assert step.get("abortable") is abortable
    assert set(step["argsinfo"]) == {"benchmarks", "budget", "upload"}


@needs_sysbench
@pytest.mark.parametrize("kind", ["clean", "service"])
def test_the_step_measures_and_delivers(agent: IronicAgent, callback: Callback, kind: str) -> None:
    step = {
        "step": "ahc_benchmark",
        "args": {"benchmarks": "cpu", "budget": 3, "upload": f"{callback.url}in/"},
    }
    done = agent.ask("command", kind, f"execute_{kind}_step", {"step": step})
    assert done["command_status"] == "SUCCEEDED", done
    told = done["command_result"][f"{kind}_result"]
    assert told["schema"] == "ahc.bench/1"
    assert {each["component"] for each in told["measurements"]} == {"cpu"}
    assert callback.told == [told]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"benchmarks": "gpu"}, "gpu"),
        ({"budget": "soon"}, "1 to 86400 seconds"),
        ({"benchmarks": "none", "upload": "file:///etc/shadow"}, "http:// or https://"),
        ({"benchmarks": "none", "upload": "http://127.0.0.1:9/"}, "refused"),
    ],
)
def test_a_step_that_cannot_be_done_says_why(
    agent: IronicAgent, arguments: dict[str, str], problem: str
) -> None:
    step = {"step": "ahc_benchmark", "args": arguments}
    done = agent.ask("command", "clean", "execute_clean_step", {"step": step})
    assert done["command_status"] == "FAILED"
    assert problem in json.dumps(done["command_error"])


# ── the collectors ─────────────────────────────────────────────────────────────────────────────────


@needs_sysbench
def test_inspection_sends_inventory_and_measurements_under_our_own_key(inspected: dict[str, Any]) -> None:
    assert inspected["error"] is None
    assert set(inspected["ahc"]) == {"schema", "inventory", "measurements"}
    assert all(isinstance(each[3], int) and len(each) == 4 for each in inspected["data"])
    assert [each[:3] for each in inspected["data"]][-1] == ["cpu", "all", "events_per_sec"]


@needs_sysbench
def test_what_inspection_sent_is_imported(
    inspected: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_json(tmp_path / "node.json", as_saved(inspected))
    taken = {
        f"{each['component']}.{each['part']}.{each['quantity']}": each
        for each in inspected["ahc"]["measurements"]
    }
    imported = read(path)
    assert imported.remarks == []
    # Each metric once, with its samples, though the rows tell it too.
    assert sorted(each.name for each in imported.measurements) == sorted(taken)
    name = "cpu.all.events_per_s"
    assert value_of(imported, name) == taken[name]["value"]
    assert imported.inventory.collected_at == inspected["ahc"]["inventory"]["collected_at"]
    assert imported.inventory.system.kernel is not None  # which only our own inventory tells
    assert isinstance(imported.inventory.extra, dict)
    assert "plugin_data/configuration" not in " ".join(imported.inventory.extra)
    status, _, said = Ahc(tmp_path / "store.db", monkeypatch, capsys)("import", path, "--session", "rack")
    assert status == 0, said


@needs_sysbench
def test_rows_alone_are_imported_as_the_same_measurements(inspected: dict[str, Any], tmp_path: Path) -> None:
    rows_only = {key: value for key, value in inspected.items() if key != "ahc"}
    whole = read(write_json(tmp_path / "a.json", as_saved(inspected)))
    rows = read(write_json(tmp_path / "b.json", as_saved(rows_only)))
    exact = {each.name: each.value for each in whole.measurements if each.value is not None}
    assert {each.name: each.value for each in rows.measurements} == pytest.approx(exact, rel=2e-3)


@needs_sysbench
@pytest.mark.skipif(find_spec("ironic") is None, reason="ironic is not installed")
def test_ironics_own_hook_takes_the_rows(inspected: dict[str, Any]) -> None:
    sent = {key: inspected[key] for key in ("ahc", "data")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HOOK],
        input=json.dumps(sent),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    kept = json.loads(done.stdout)
    assert kept["extra"]["cpu"]["all"]["events_per_sec"] > 0
    assert kept["ahc"] == inspected["ahc"]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"ipa-ahc-benchmarks": "gpu"}, "gpu"),
        ({"ipa-ahc-budget": "for ever"}, "for ever"),
    ],
)
def test_what_goes_wrong_is_told_and_does_not_fail_the_inspection(
    agent: IronicAgent, callback: Callback, tmp_path: Path, parameters: dict[str, str], problem: str
) -> None:
    agent.ask("inspect", callback.url, "default,ahc,ahc-extra-hardware", parameters)
    (sent,) = callback.told
    assert sent["error"] is None
    assert problem in sent["ahc"]["error"] and sent["data"] == []
    imported = read(write_json(tmp_path / "node.json", as_saved(sent)))
    assert len(imported.remarks) == 1 and problem in imported.remarks[0]


def test_the_inventory_alone_can_be_asked_for(agent: IronicAgent) -> None:
    answer = agent.ask("collect", ["ahc"], {"ipa-ahc-benchmarks": "none"})
    assert answer["failures"] is None
    assert answer["data"]["ahc"]["measurements"] == []
    assert answer["data"]["ahc"]["inventory"]["schema"] == "ahc.inventory/1"


# ── the form of hardware-detect ────────────────────────────────────────────────────────────────────


def measurement(quantity: str, value: float | None) -> Measurement:
    return Measurement(component="disk", part="sda", quantity=quantity, unit="x", value=value)


@pytest.mark.parametrize(
    ("quantity", "value", "row"),
    [
        ("read_1M_bytes_per_s", 512 * 1024.0**2, ("disk", "sda", "read_1M_KBps", 524288)),
        ("randread_4k_iops", 81234.4, ("disk", "sda", "randread_4k_IOps", 81234)),
        ("randread_4k_iops", 75.6789, ("disk", "sda", "randread_4k_IOps_x1000", 75679)),
        ("randread_4k_iops", 75.0, ("disk", "sda", "randread_4k_IOps", 75)),
        ("randread_4k_iops", 0.0, ("disk", "sda", "randread_4k_IOps", 0)),
        ("events_per_s", 5135.2, ("disk", "sda", "events_per_sec", 5135)),
    ],
)
def test_values_become_whole_numbers(quantity: str, value: float, row: extra_hardware.Row) -> None:
    assert extra_hardware.rows([measurement(quantity, value)]) == [row]


def test_what_could_not_be_measured_has_no_row() -> None:
    assert extra_hardware.rows([measurement("randread_4k_iops", None)]) == []


@pytest.mark.parametrize("own", [5, [], {"schema": "ahc.bench/2"}, {"schema": "ahc.bench/1", "inventory": 7}])
def test_nonsense_under_our_key_is_left_aside_with_a_remark(tmp_path: Path, own: object) -> None:
    data = {"inventory": {"system_vendor": {"serial_number": "S1"}}, "plugin_data": {"ahc": own, "cpus": 8}}
    imported = read(write_json(tmp_path / "node.json", data))
    assert imported.inventory.system.serial == "S1"
    assert len(imported.remarks) == 1 and "'ahc' is left aside" in imported.remarks[0]
