"""A session against a folder of eDeploy's files: who gets what and why not, and what ``--apply`` writes."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from ahc_agent.errors import UsageError
from ahc_agent.facts import Bmc, Cpu, Dimm, Disk, Inventory, Memory, Nic
from ahc_agent.wire.messages import Identity
from ahc_server.cli import group
from ahc_server.edeploy.files import Role, read_cmdb, read_lines, read_specs, read_state
from ahc_server.edeploy.fleet import match_specs
from ahc_server.edeploy.matcher import Machine, match
from ahc_server.edeploy.roles import choose, read_folder
from ahc_server.edeploy.rows import lines_of
from ahc_server.edeploy.save import Locked, locked, save
from ahc_server.importers import read_file
from ahc_server.profiles.model import Matches
from ahc_server.session import NodeRecord, Session


def machine(name: str, *, disks_gb: tuple[int, ...] = (100,), mac: str = "52:54:00:00:00:01") -> NodeRecord:
    inventory = Inventory(
        collected_at="2024-05-01T10:00:00Z",
        cpu=Cpu(
            model="Xeon", sockets=2, cores=8, threads_per_core=2, logical_present=16, flags=["vmx", "aes"]
        ),
        memory=Memory(
            total_bytes=2**36, dimms=[Dimm(locator="A1", size_bytes=2**35), Dimm(locator="A2", size_bytes=0)]
        ),
        disks=[
            Disk(name=f"sd{'abcdef'[n]}", size_bytes=size * 10**9 + 12345, rotational=True)
            for n, size in enumerate(disks_gb)
        ],
        nics=[
            Nic(name="lo", kind="loopback", addresses=["127.0.0.1/8"]),
            Nic(
                name="eth0",
                mac=mac,
                speed_mbps=10_000,
                carrier=True,
                addresses=["fe80::1/64", "10.66.6.7/24"],
            ),
        ],
        bmc=Bmc(channel=2),
    )
    return NodeRecord(name, name, Identity(serial=name), inventory)


def session(*nodes: NodeRecord) -> Session:
    return Session("rack", "", "ended", 0.0, nodes=list(nodes))


def folder(path: Path, **files: str) -> Path:
    for name, text in files.items():
        (path / name.replace("_", ".")).write_text(text)
    return path


SPECS = "[('disk', '$disk1', 'size', '100'),\n ('network', '$eth', 'serial', '$mac'),\n ('network', '$eth', 'link', 'yes')]\n"
CMDB = "generate({'ip': '10.0.0.1-2', 'hostname': 'h1-2', 'gw': '10.0.0.254'})\n"


def of(matches: Matches) -> dict[str, str | None]:
    return {node.id: node.profile for node in matches.nodes}


def test_nodes_get_roles_in_the_order_of_the_state_file_until_counts_run_out(tmp_path: Path) -> None:
    where = folder(
        tmp_path,
        state="[('small', 1), ('any', '*')]",
        small_specs=SPECS,
        any_specs="[('cpu', 'logical', 'number', '$n')]",
    )
    matches = match_specs(session(machine("a"), machine("b"), machine("c", disks_gb=(4000,))), where)
    assert of(matches) == {"a": "small", "b": "any", "c": "any"}
    assert [(each.profile, each.nodes, each.fitting) for each in matches.profiles] == [
        ("small", 1, 2),
        ("any", 2, 3),
    ]
    assert matches.nodes[1].bound == {"$n": "16"}
    assert "left to give: small 0, any *" in matches.notes


def test_the_first_line_that_failed_is_told_with_what_the_machine_has(tmp_path: Path) -> None:
    where = folder(tmp_path, small_specs=SPECS)
    node = match_specs(session(machine("c", disks_gb=(4000, 8000))), where).nodes[0]
    reason = node.answers[0].reason
    assert node.profile is None and node.why == "fits no role" and reason is not None
    assert (reason.expected, reason.found) == (
        "disk (any) size 100",
        "disk sda size 4000; disk sdb size 8000",
    )
    assert (reason.file, reason.line) == (str(where / "small.specs"), 1)


def test_a_line_that_fits_only_without_the_others_is_told_so(tmp_path: Path) -> None:
    where = folder(tmp_path, two_specs="[('disk', '$a', 'size', '100'),\n('disk', '$b', 'size', '100')]")
    reason = match_specs(session(machine("a")), where).nodes[0].answers[0].reason
    assert reason is not None and reason.line == 2
    assert "taken by the lines before" in reason.found


def test_what_cannot_be_asked_ends_the_search_and_is_unknown(tmp_path: Path) -> None:
    where = folder(
        tmp_path,
        state="[('odd', '*'), ('any', '*')]",
        odd_specs="[('cpu', 'logical', 'number', '16'),\n('cpu', '$c', 'product', 'gt(5)')]",
        any_specs="[('cpu', 'logical', 'number', '$n')]",
    )
    node = match_specs(session(machine("a")), where).nodes[0]
    assert node.profile is None and "could not convert" in node.why
    assert [answer.fit for answer in node.answers] == ["unknown", "fits"]
    assert node.answers[0].reason is not None and node.answers[0].reason.line == 2


def test_a_node_without_an_inventory_is_unknown(tmp_path: Path) -> None:
    where = folder(tmp_path, small_specs=SPECS)
    nodes = match_specs(session(machine("a"), NodeRecord("b", "b", Identity())), where).nodes
    assert (nodes[0].profile, nodes[1].profile, nodes[1].answers[0].fit) == ("small", None, "unknown")


def test_entries_are_handed_out_and_run_out(tmp_path: Path) -> None:
    where = folder(tmp_path, state="[('small', 5)]", small_specs=SPECS, small_cmdb=CMDB)
    nodes = [machine(name, mac=f"52:54:00:00:00:0{n}") for n, name in enumerate("abc", 1)]
    matches = match_specs(session(*nodes), where)
    assert [node.bound.get("$ip") for node in matches.nodes] == ["10.0.0.1", "10.0.0.2", None]
    assert matches.nodes[2].why.endswith("all 2 entries are used")
    assert "left to give: small 3" in matches.notes


def test_two_machines_with_the_same_variables_get_one_entry_and_it_is_said(tmp_path: Path) -> None:
    where = folder(tmp_path, small_specs="[('disk', 'sda', 'size', '100')]", small_cmdb=CMDB)
    matches = match_specs(session(machine("a"), machine("b")), where)
    assert [node.bound["$ip"] for node in matches.nodes] == ["10.0.0.1", "10.0.0.1"]
    assert any("entry 1 is given to a, b" in note for note in matches.notes)


# ── the files ───────────────────────────────────────────────────────────────────────────────────────


def test_without_apply_no_file_changes(tmp_path: Path) -> None:
    where = folder(tmp_path, state="[('small', 5)]", small_specs=SPECS, small_cmdb=CMDB)
    before = {path: path.read_bytes() for path in where.iterdir()}
    match_specs(session(machine("a")), where)
    assert {path: path.read_bytes() for path in where.iterdir()} == before


def test_apply_writes_counts_and_marks_and_a_second_time_the_same_entries(tmp_path: Path) -> None:
    where = folder(tmp_path, state="[('small', 5)]", small_specs=SPECS, small_cmdb=CMDB)
    (where / "state").chmod(0o640)
    nodes = [machine("a", mac="52:54:00:00:00:0a"), machine("b", mac="52:54:00:00:00:0b")]
    first = match_specs(session(*nodes), where, apply=True)
    assert [(role.name, role.left) for role in read_state(where / "state")] == [("small", 3)]
    assert stat.S_IMODE((where / "state").stat().st_mode) == 0o640
    entries = read_cmdb(where / "small.cmdb")
    assert [(entry["ip"], entry["mac"], entry["used"]) for entry in entries] == [
        ("10.0.0.1", "52:54:00:00:00:0a", 1),
        ("10.0.0.2", "52:54:00:00:00:0b", 1),
    ]
    assert (where / "small.cmdb.orig").read_text() == CMDB
    second = match_specs(session(*reversed(nodes)), where, apply=True)
    ips = {node.id: node.bound["$ip"] for node in second.nodes}
    assert ips == {node.id: node.bound["$ip"] for node in first.nodes}
    assert sorted(path.name for path in where.iterdir()) == [
        "small.cmdb",
        "small.cmdb.orig",
        "small.specs",
        "state",
    ]


def test_what_did_not_change_is_not_written_anew(tmp_path: Path) -> None:
    text = "# our roles\n[('small', '*')]\n"
    where = folder(tmp_path, state=text, small_specs=SPECS)
    match_specs(session(machine("a")), where, apply=True)
    assert (where / "state").read_text() == text


def test_a_file_behind_a_link_is_written_where_it_is(tmp_path: Path) -> None:
    where = folder(tmp_path, small_specs=SPECS)
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "counts"
    target.write_text("[('small', 3)]")
    (where / "state").symlink_to(target)
    match_specs(session(machine("a")), where, apply=True)
    assert (where / "state").is_symlink() and read_state(target) == [Role("small", 2)]


def test_a_lock_of_edeploys_own_server_is_respected(tmp_path: Path) -> None:
    where = folder(tmp_path, small_specs=SPECS)
    with locked(where), pytest.raises(Locked, match="eDeploy is at work"), locked(where, wait_s=0.0):
        raise AssertionError("two at once")
    assert not (where / "lock").exists()


@pytest.mark.parametrize("step", ["written", "put in place"])
def test_when_the_second_file_cannot_be_saved_the_first_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    where = folder(tmp_path, state="[('small', 5)]", small_specs=SPECS, small_cmdb=CMDB)
    read_in = read_folder(where)
    node = machine("a")
    assert node.inventory is not None
    assert choose(read_in, lines_of(node.inventory)).role == "small"
    calls = []

    def second_fails(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls.append(arguments)
            if len(calls) == 2:
                raise OSError(28, "No space left on device", "state")
            return real(*arguments)

        return call

    if step == "written":
        monkeypatch.setattr(os, "fsync", second_fails(os.fsync))
    else:
        monkeypatch.setattr(Path, "replace", second_fails(Path.replace))
    with pytest.raises(UsageError, match="nothing was changed"):
        save(read_in)
    assert (where / "state").read_text() == "[('small', 5)]" and (where / "small.cmdb").read_text() == CMDB
    assert not [path for path in where.iterdir() if path.name.startswith(".")]


# ── lines of a stored machine ───────────────────────────────────────────────────────────────────────


def test_our_facts_are_told_in_edeploys_words() -> None:
    inventory = machine("a").inventory
    assert inventory is not None
    lines = set(lines_of(inventory))
    assert {
        ("disk", "sda", "size", "100"),
        ("disk", "sda", "rotational", "1"),
        ("memory", "total", "size", str(2**36)),
        ("memory", "bank:0", "size", str(2**35)),
        ("memory", "bank:1", "slot", "A2"),
        ("memory", "banks", "count", "2"),
        ("network", "eth0", "ipv4", "10.66.6.7"),
        ("network", "eth0", "ipv4-network", "10.66.6.0"),
        ("network", "eth0", "size", "10000000000"),
        ("network", "eth0", "speed", "10Gbit/s"),
        ("network", "eth0", "link", "yes"),
        ("cpu", "physical_1", "cores", "4"),
        ("cpu", "physical_1", "threads", "8"),
        ("cpu", "physical", "number", "2"),
        ("cpu", "logical", "number", "16"),
        ("system", "ipmi", "channel", "2"),
    } <= lines
    assert not [line for line in lines if line[1] == "lo" or line[3] in ("None", "")]
    assert ("memory", "bank:1", "size", "0") not in lines


def test_a_stored_machine_gets_the_roles_and_variables_of_its_own_file(shared: Path) -> None:
    """Through the store words are texts; roles and variables are the same but for that."""
    fitting = 0
    for specs_file in ("hp", "kvm-test", "vm", "dell-m520-compute"):
        specs = read_specs(shared / "edeploy" / f"{specs_file}.specs")
        for file in sorted((shared / "edeploy").glob("*.hw")):
            ((_, _, imported),) = read_file(file)
            direct = match(specs, Machine(read_lines(file)))
            kept = match(specs, Machine(lines_of(imported.inventory)))
            assert (kept.fits, kept.bound) == (
                direct.fits,
                {name: str(word) for name, word in direct.bound.items()},
            )
            fitting += direct.fits
    assert fitting == 6


def test_the_command_answers_and_applies(tmp_path: Path, shared: Path) -> None:
    where = folder(
        tmp_path,
        state="[('kvm-test', 1), ('vm', '*')]",
        vm_specs=(shared / "edeploy" / "vm.specs").read_text(),
    )
    for name in ("kvm-test.specs", "kvm-test.cmdb"):
        (where / name).write_text((shared / "edeploy" / name).read_text())
    store = str(tmp_path / "ahc.db")
    files = [str(path) for path in sorted((shared / "edeploy").glob("*.hw"))]
    run = CliRunner()
    assert run.invoke(group, ["--store", store, "import", *files, "--session", "e"]).exit_code == 0
    answer = run.invoke(group, ["--store", store, "match", "--specs", str(where), "--apply"])
    assert answer.exit_code == 1, answer.output
    assert "6 of 7 nodes have a profile" in answer.output and "no profile" in answer.output
    assert [(role.name, role.left) for role in read_state(where / "state")] == [("kvm-test", 0), ("vm", "*")]
    used = [entry["mac"] for entry in read_cmdb(where / "kvm-test.cmdb") if "used" in entry]
    assert used == ["52:54:12:34:00:01"]
    told = run.invoke(group, ["--store", store, "match", "--specs", str(where), "--format", "json"])
    assert Counter(of(msgspec.json.decode(told.stdout, type=Matches)).values()) == {"vm": 5, None: 2}
