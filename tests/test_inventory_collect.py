"""The inventory as a whole: its schema, its errors, its command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from ahc_agent import inventory as room
from ahc_agent.cli import group
from ahc_agent.errors import CannotAnswer, NotThere
from ahc_agent.facts import CollectorError, Inventory
from ahc_agent.inventory import COLLECTORS, Collector, collect
from ahc_agent.inventory.root import Root
from tests.inventory_helpers import Machine, build, dimm, server_table, smbios_files

#: Every name that CONTRACT promises; a part in brackets is a list.
CONTRACT: dict[str, Any] = {
    "schema": None,
    "collected_at": None,
    "errors": [],
    "system": {"vendor", "product", "serial", "uuid", "bios", "kernel", "virtualization"},
    "cpu": {
        "model", "vendor", "architecture", "logical_present", "logical_online", "sockets", "cores", "threads_per_core",
        "caches", "flags", "microcode", "frequency_max_hz", "governor", "vulnerabilities",
    },
    "numa": [{"node", "cpus", "memory_bytes", "distances"}],
    "memory": {"total_bytes", "dimms"},
    "disks": [],
    "nics": [],
    "pci": [],
    "bmc": None,
    "health": {"edac", "mce", "throttle", "sensors"},
}  # fmt: skip
DIMM = {"locator", "size_bytes", "speed_mtps", "manufacturer", "part_number", "serial"}
CACHE = {"level", "type", "size_bytes", "instances"}


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A small server's tree."""
    files = Machine(cpus=[(0, 0), (0, 1), (1, 0), (1, 1)]).files()
    files |= smbios_files(
        server_table(dimm(0x1100, size=16384, locator="A1"), dimm(0x1101, size=0, locator="A2"))
    )
    files |= {
        "/proc/meminfo": "MemTotal:       16000000 kB",
        "/proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nflags\t\t: fpu lm",
        "/proc/sys/kernel/osrelease": "6.1.0-13-amd64",
    }
    for name, size in (("level", "1"), ("type", "Data"), ("size", "48K"), ("shared_cpu_map", "1")):
        files[f"/sys/devices/system/cpu/cpu0/cache/index0/{name}"] = size
    build(tmp_path / "server", files)
    return tmp_path / "server"


def test_the_json_has_every_name_of_the_contract(server: Path) -> None:
    found = msgspec.json.decode(msgspec.json.encode(collect(server)))
    assert found["schema"] == "ahc.inventory/1"
    assert set(CONTRACT) == set(found)
    for name, keys in CONTRACT.items():
        if isinstance(keys, set):
            assert keys <= set(found[name])
        elif isinstance(keys, list) and keys:
            assert keys[0] <= set(found[name][0])
    assert set(found["system"]["bios"]) >= {"vendor", "version", "date"}
    assert set(found["memory"]["dimms"][0]) >= DIMM
    assert set(found["cpu"]["caches"][0]) == CACHE
    assert found["errors"] == []


def test_the_facts_of_a_small_server(server: Path) -> None:
    found = collect(server)
    assert (found.cpu.sockets, found.cpu.cores, found.cpu.logical_online) == (2, 4, 4)
    assert [one.size_bytes for one in found.memory.dimms] == [16 * 1024**3, 0]
    assert (found.system.serial, found.system.virtualization) == ("7XK42B3", "none")
    assert found.bmc is None


def test_an_inventory_survives_the_wire(server: Path) -> None:
    found = collect(server)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Inventory) == found


def test_every_collector_stands_in_the_table_once_and_exists() -> None:
    assert len({one.name for one in COLLECTORS}) == len({one.field for one in COLLECTORS}) == len(COLLECTORS)
    assert {one.name for one in COLLECTORS} >= room.WAITING
    for one in COLLECTORS:
        assert callable(room._function(one.function))


def raising(error: Exception) -> Any:
    def collector(root: Root) -> object:
        root.trouble.append("/sys/x: Permission denied")
        raise error

    return collector


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NotThere("no such part"), []),
        (CannotAnswer("load the driver"), ["load the driver"]),
        (OSError(5, "Input/output error"), ["[Errno 5] Input/output error"]),
        (ValueError("not a number"), ["not a number"]),
        (ZeroDivisionError("division by zero"), ["crashed with ZeroDivisionError: division by zero"]),
    ],
    ids=lambda one: type(one).__name__,
)
def test_one_collectors_failure_is_an_error_and_costs_no_other_fact(
    server: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: list[str]
) -> None:
    monkeypatch.setattr("ahc_agent.inventory.cpu.collect", raising(error))
    found = collect(server)
    said = [one.error for one in found.errors if one.collector == "cpu"]
    assert said == ["/sys/x: Permission denied", *told]
    assert found.cpu.cores is None
    assert found.system.serial == "7XK42B3"
    assert len(found.numa) == 1


def test_a_text_over_the_bound_is_cut_and_told(server: Path) -> None:
    build(server, {"/proc/cmdline": "x" * 5000})
    found = collect(server)
    assert found.system.kernel_arguments == "x" * 4096
    assert found.errors == [
        CollectorError(collector="system", error="a text longer than 4096 characters was cut")
    ]


def test_a_hundred_unreadable_files_are_told_in_a_few_lines(
    server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collector(root: Root) -> list[object]:
        root.trouble += [f"/sys/{number}: Input/output error" for number in range(100)]
        return []

    monkeypatch.setattr("ahc_agent.inventory.edac.collect", collector)
    told = [one.error for one in collect(server).errors]
    assert len(told) == room.ERRORS_LIMIT + 1
    assert told[-1] == "and 80 more"


def test_a_fact_of_the_wrong_type_is_an_error(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "COLLECTORS", (Collector("mce", "health.mce", "builtins:str"),))
    found = collect(server)
    assert found.health.mce is None
    assert len(found.errors) == 1


def run(*arguments: str) -> Any:
    return CliRunner().invoke(group, ["inventory", *arguments])


def test_the_command_prints_json(server: Path) -> None:
    done = run("--root", str(server))
    assert done.exit_code == 0
    assert json.loads(done.output)["cpu"]["cores"] == 4


def test_the_command_prints_text(server: Path) -> None:
    done = run("--root", str(server), "--format", "text")
    assert done.exit_code == 0
    assert "PowerEdge R650" in done.output


def test_the_commands_help_shows_an_example() -> None:
    assert "Example: ahc-agent inventory" in run("--help").output


def test_a_folder_that_is_no_root_is_wrong_use_and_the_right_one_is_named(server: Path) -> None:
    done = run("--root", str(server.parent))
    assert done.exception is not None
    assert getattr(done.exception, "exit_code", None) == 2
    assert f"did you mean {server}?" in str(done.exception)
    assert run("--root", str(server / "nothing")).exit_code == 2
    assert run("--root", str(server / "proc/meminfo")).exit_code == 2


def test_a_root_that_tells_nothing_cannot_answer(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    done = run("--root", str(tmp_path))
    assert getattr(done.exception, "exit_code", None) == 3
    assert "nothing could be read" in str(done.exception)


def test_this_machine_has_cpus_and_memory() -> None:
    found = collect()
    assert found.cpu.logical_online
    assert found.memory.total_bytes
    assert found.system.kernel
    assert not [one for one in found.errors if "crashed" in one.error]
