"""The parts of a boot, one by one: console, routes, modules, clock, HTTP, files on a stick."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import pty
import re
import select
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.boot import clock, interfaces, kernel, modules
from ahc_agent.boot.companion import CHECKS
from ahc_agent.boot.console import TROUBLES_LIMIT, Console, Terminals, active_consoles
from ahc_agent.boot.export import file_name, write_new
from ahc_agent.boot.routes import _GONE, Place, commands, failures, undo
from ahc_agent.boot.telling import Telling
from ahc_agent.boot.upload import target
from ahc_agent.measure import Measurement
from ahc_agent.wire import link
from ahc_agent.wire.codec import encode, read_from_agent
from ahc_agent.wire.messages import DiskTask, Hello, Identity, Result, TaskOutcome
from tests.boot_helpers import until


def recording() -> tuple[Console, list[str]]:
    lines: list[str] = []
    return Console(lines.append), lines


# ── the console ────────────────────────────────────────────────────────────────────────────────────


def test_a_line_is_time_stage_sentence_and_seconds_since_power_on() -> None:
    console, lines = recording()
    console.say("network", "eth0: link")
    assert re.fullmatch(r"\d\d:\d\d:\d\d network   eth0: link  \[\d+\.\d s\]\n", lines[0])


def test_what_a_stranger_says_moves_no_cursor() -> None:
    console, lines = recording()
    console.trouble("the server says \x1b[2J\r\nhello")
    assert lines[0].count("\n") == 1 and "\\x1b[2J\\r\\nhello" in lines[0]


def test_troubles_are_kept_once_and_bounded_as_hello_wants() -> None:
    console, _ = recording()
    for number in range(200):
        console.trouble(f"{number} " + "x" * 1000)
        console.trouble(f"{number} " + "x" * 1000)
    console.trouble("said only", kept=False)
    assert len(console.troubles) == TROUBLES_LIMIT
    assert console.troubles[0].startswith("0 ") and console.troubles[-1].startswith("199 ")
    greeting = Hello(identity=Identity(), instance="i", agent_version="1", troubles=console.troubles)
    assert read_from_agent(encode(greeting)) == greeting


def test_all_active_consoles_are_written_and_one_that_is_held_holds_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, free = pty.openpty(), pty.openpty()
    said = {held[0]: b"", free[0]: b""}

    def hears(handle: int, text: bytes, times: int = 1) -> bool:
        with contextlib.suppress(BlockingIOError):
            said[handle] += os.read(handle, 10_000)
        return said[handle].count(text) >= times

    try:
        terminals = Terminals([Path(os.ttyname(held[1])), Path("/dev/nothing"), Path(os.ttyname(free[1]))])
        for handle in (held[1], *said):
            os.set_blocking(handle, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(held[1], b"x" * 1000)  # until it takes no more, for nobody reads
        terminals.write("hello\n")
        assert until(lambda: hears(free[0], b"hello\r"))
        monkeypatch.delattr(select, "select")  # from here on nobody may wait
        for _ in range(100):
            terminals.write("again\n")
        assert until(lambda: hears(free[0], b"again", 100))

        def released() -> bool:
            terminals.write("released\n")
            return hears(held[0], b"released")

        assert until(released), "once somebody reads"
        terminals.close()
    finally:
        for handle in (*held, *free):
            os.close(handle)


def test_an_image_of_another_build_is_known_by_its_drivers(tmp_path: Path) -> None:
    assert kernel.mismatch(tmp_path / "absent", "6.1.0-40-amd64") is None
    assert kernel.mismatch(tmp_path, "6.1.0-40-amd64") is None  # all built in: somebody's own kernel
    (tmp_path / "6.1.0-41-amd64").mkdir()
    assert kernel.mismatch(tmp_path, "6.1.0-40-amd64") == "6.1.0-41-amd64"
    (tmp_path / "6.1.0-40-amd64").mkdir()
    assert kernel.mismatch(tmp_path, "6.1.0-40-amd64") is None


def test_consoles_are_those_that_the_kernel_lists_and_that_are_there(tmp_path: Path) -> None:
    listed = tmp_path / "active"
    listed.write_text("null netcon0 zero\n")
    assert active_consoles(listed) == [Path("/dev/null"), Path("/dev/zero")]
    assert active_consoles(tmp_path / "absent") == [Path("/dev/console")]


# ── routes ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_done_for_an_address_can_be_undone() -> None:
    place = Place("eth1", 1, ipaddress.IPv4Interface("10.0.0.5/24"), ipaddress.IPv4Address("10.0.0.1"))
    assert commands(place) == [
        "address replace 10.0.0.5/24 dev eth1 noprefixroute",
        "route replace 10.0.0.0/24 dev eth1 src 10.0.0.5 metric 101",
        "route replace default via 10.0.0.1 dev eth1 src 10.0.0.5 onlink metric 101",
        "route replace 10.0.0.0/24 dev eth1 src 10.0.0.5 table 1001",
        "route replace default via 10.0.0.1 dev eth1 src 10.0.0.5 onlink table 1001",
        "rule add from 10.0.0.5 lookup 1001 priority 1001",
    ]
    assert undo(place) == [
        "rule delete from 10.0.0.5 lookup 1001 priority 1001",
        "route delete default via 10.0.0.1 dev eth1 table 1001",
        "route delete 10.0.0.0/24 dev eth1 table 1001",
        "address delete 10.0.0.5/24 dev eth1",
    ]


def test_an_address_of_the_kernels_own_is_left_to_it_but_for_its_table() -> None:
    address, router = ipaddress.IPv6Interface("fd77::7/64"), ipaddress.IPv6Address("fe80::1")
    place = Place("eth1", 1, address, router, by_kernel=True)
    assert commands(place) == [
        "route replace fd77::/64 dev eth1 src fd77::7 table 1001",
        "route replace default via fe80::1 dev eth1 src fd77::7 onlink table 1001",
        "rule add from fd77::7 lookup 1001 priority 1001",
    ]
    assert not any(line.startswith("address") for line in undo(place))


#: What iproute2 6.1 says on kernels 6.1 and 6.18 where nothing is left to take back, and one line that is another matter.
GONE = """\
Cannot find device "eth1"
Command failed -:1
Error: FIB table does not exist.
Command failed -:2
RTNETLINK answers: No such process
Command failed -:3
Error: ipv4: Address not found.
Command failed -:4
"""


def test_what_is_gone_already_is_no_failure_and_every_other_is_told_with_its_reason() -> None:
    lines = undo(Place("eth1", 1, ipaddress.IPv4Interface("10.0.0.5/24"), ipaddress.IPv4Address("10.0.0.1")))
    assert failures(lines, GONE, _GONE) == []
    said = (
        GONE + "RTNETLINK answers: Operation not permitted\nCommand failed -:3\nCommand failed -:99\nKilled\n"
    )
    assert failures(lines, said, _GONE) == [
        "route delete 10.0.0.0/24 dev eth1 table 1001: Operation not permitted",
        "line 99: no reason was given",
        "Killed",
    ]


# ── cards and modules ──────────────────────────────────────────────────────────────────────────────


def card(net: Path, name: str, mac: str, kind: str = "1", uevent: str = "") -> None:
    folder = net / name
    folder.mkdir()
    for file, text in (("address", mac), ("type", kind), ("uevent", uevent), ("carrier", "1")):
        (folder / file).write_text(f"{text}\n")


def test_cards_are_what_has_a_cable_and_the_one_that_booted_comes_first(tmp_path: Path) -> None:
    card(tmp_path, "lo", "00:00:00:00:00:00", kind="772")
    card(tmp_path, "eth10", "52:54:00:00:00:0a")
    card(tmp_path, "eth2", "52:54:00:00:00:02")
    card(tmp_path, "ib0", "80:00", kind="32")
    card(tmp_path, "br0", "52:54:00:00:00:03", uevent="DEVTYPE=bridge")
    card(tmp_path, "bond0", "52:54:00:00:00:04", uevent="INTERFACE=bond0\nDEVTYPE=bond")
    assert [each.name for each in interfaces.cards(None, tmp_path)] == ["eth2", "eth10", "ib0"]
    assert [each.infiniband for each in interfaces.cards(None, tmp_path)] == [False, False, True]
    assert [each.name for each in interfaces.cards("52:54:00:00:00:0a", tmp_path)] == ["eth10", "eth2", "ib0"]


def test_names_of_devices_are_found_in_sysfs(tmp_path: Path) -> None:
    for place, name in (
        ("pci0/0000:00:01.0", "pci:v1"),
        ("pci0/0000:00:01.0/virtio0", "virtio:d1"),
        ("cpu", "cpu:x86"),
    ):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "modalias").write_text(f"{name}\n")
    assert modules.announced(tmp_path) == {"pci:v1", "virtio:d1", "cpu:x86"}


def test_the_kernels_word_of_a_new_device_is_read() -> None:
    event = b"add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0MODALIAS=scsi:t-0x00\0SEQNUM=7\0"
    assert modules.alias_of(event) == {"scsi:t-0x00"}
    assert modules.alias_of(event.replace(b"=add", b"=remove")) == set()
    assert modules.alias_of(b"libudev\0\xfe\xed") == set()
    adapter = b"add@/x\0ACTION=add\0DEVPATH=/devices/x/infiniband/mlx5_0\0SUBSYSTEM=infiniband\0NAME=mlx5_0\0"
    assert modules.alias_of(adapter) == {"ib_ipoib"}


def test_names_of_which_no_module_knows_are_no_mistake() -> None:
    assert modules.load({"pci:v0000FFFFd0000FFFF", "nothing:at-all"}) == []


# ── the clock ────────────────────────────────────────────────────────────────────────────────────


def test_a_clock_of_1970_is_set_to_the_image_and_then_to_the_server() -> None:
    now = time.time()
    assert clock.correct(now + 1000) == now + 1000
    assert clock.correct(now - 1000) is None
    assert clock.correct(now - 1000, server_s=now + 3600) == now + 3600
    assert clock.correct(now - 1000, server_s=now + 30) is None
    assert clock.correct(now - 1000, server_s=None) is None


def test_a_server_of_1970_is_not_believed() -> None:
    assert clock.correct(time.time() - 1000, server_s=100.0) is None


def test_the_images_date_is_told_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "built-at").write_text("1700000000\n")
    assert clock.built_at_s(tmp_path / "built-at") == 1_700_000_000
    assert clock.built_at_s(tmp_path / "absent") > 1_600_000_000


# ── what is told ───────────────────────────────────────────────────────────────────────────────────


def test_every_failure_of_the_link_has_something_to_check() -> None:
    failures = [
        *link._FAILURES.values(),
        link._WRONG_KEY,
        link._NO_NAME,
        link._GONE,
        "no answer from the server at {}",
    ]
    for sentence in failures:
        assert any(part in sentence for part in CHECKS), sentence


def outcome(**fields: object) -> Result:
    return Result(task_id="t1", outcome=TaskOutcome(**{"status": "ok", "duration_s": 1.0, **fields}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "stage", "told"),
    [
        (outcome(), "work", "the disks: done in 1.0 s"),
        (outcome(status="cancelled"), "work", "the disks: called off after 1.0 s"),
        (outcome(status="failed", error="fio: gone"), "trouble", "the disks: failed: fio: gone"),
        (outcome(status="timeout"), "trouble", "the disks: timeout: no reason was given"),
        (
            outcome(
                measurements=[
                    Measurement(component="disk", part="sda", quantity="q", unit="u", error="I/O error")
                ]
            ),
            "trouble",
            "the disks: 1 of 1 could not be measured (disk.sda.q: I/O error)",
        ),
    ],
)
def test_a_task_is_told_from_its_begin_to_its_end(result: Result, stage: str, told: str) -> None:
    console, lines = recording()
    telling = Telling(console)
    telling.begins("t1", DiskTask())
    telling.ended(result)
    telling.ended(result)
    assert len(lines) == 2 and "work      the disks: begins" in lines[0]
    assert f" {stage:<8}  {told}" in lines[1]
    assert console.troubles == [], "outcomes tell the server"


# ── files and addresses of results ─────────────────────────────────────────────────────────────────


def test_results_stand_beside_each_other_and_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "SN1-2.json").symlink_to("/etc/passwd")
    names = [write_new(tmp_path, "SN1.json", data).name for data in (b"1", b"2", b"3")]
    assert names == ["SN1.json", "SN1-3.json", "SN1-4.json"]
    assert (tmp_path / "SN1.json").read_bytes() == b"1" and (tmp_path / "SN1-4.json").read_bytes() == b"3"
    assert len(list(tmp_path.iterdir())) == 4, "no temporary file is left"


@given(st.text(max_size=200))
def test_any_serial_number_makes_a_file_name(serial: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,104}|[A-Za-z0-9._-]+\.json", file_name(serial))
    assert "/" not in file_name(serial) and not file_name(serial).startswith(".")


def test_an_address_that_ends_in_a_slash_gets_the_results_name() -> None:
    assert target("http://h/r/", "SN1.json") == "http://h/r/SN1.json"
    assert target("http://h/r", "SN1.json") == "http://h/r"
