"""The lab's hardware, piece by piece, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ahc_agent.errors import CannotAnswer, ProgramFailed
from ahc_server.lab import cgroups, disks, ledger, network, processes
from ahc_server.lab.cgroups import Cgroups, DiskLimit, Hierarchy
from ahc_server.lab.governor import Governor
from ahc_server.lab.ledger import Ledger
from ahc_server.lab.model import node_names
from ahc_server.lab.processes import Child, Place
from tests.lab_helpers import needs_lab, traces, wait_for

NODES = ("n1", "n2", "n3")


# ── the ledger ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def book() -> Iterator[Ledger]:
    made = Ledger.open_new(secrets.token_hex(4))
    yield made
    made.clean_up()
    assert traces(made.entries.lab_id) == []


def sleeper(lab_id: str) -> Child:
    return processes.start(["sleep", "60"], lab_id)


def test_cleaning_up_kills_what_carries_the_mark_and_only_that(book: Ledger, tmp_path: Path) -> None:
    ours = sleeper(book.entries.lab_id)
    stranger = subprocess.Popen(["sleep", "60"], env={**os.environ, processes.MARK: "another"})
    try:
        book.clean_up()
        assert ours.wait(5) == -signal.SIGKILL
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_grandchildren_that_left_their_parents_are_found_by_the_mark(book: Ledger) -> None:
    script = "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True)"
    processes.start([sys.executable, "-c", script], book.entries.lab_id).wait()
    assert len(list(processes.marked(book.entries.lab_id))) == 1
    book.clean_up()
    assert list(processes.marked(book.entries.lab_id)) == []


def test_a_folder_is_removed_only_when_it_bears_the_labs_id(book: Ledger, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    own = tmp_path / f"{ledger.PREFIX}{book.entries.lab_id}"
    (own / "inside").mkdir(parents=True)
    book.note_folder(own)
    book.note_folder(precious)
    with pytest.raises(CannotAnswer, match="precious"):
        book.clean_up()
    assert precious.exists() and not own.exists() and book.path.exists()
    book.entries.folders.remove(str(precious))


def test_a_sweep_takes_the_labs_of_dead_owners_and_leaves_the_living(book: Ledger, tmp_path: Path) -> None:
    dead = Ledger.open_new(secrets.token_hex(4))
    folder = tmp_path / f"{ledger.PREFIX}{dead.entries.lab_id}"
    folder.mkdir()
    dead.note_folder(folder)
    # The same process id, but another start: the owner is gone and its id was given away again.
    dead.entries.owner_started -= 1
    dead.note_folder(folder)
    assert dead.entries.lab_id in ledger.sweep()
    assert not folder.exists() and traces(dead.entries.lab_id) == []
    assert book.path.exists()


def test_the_watchdog_cleans_up_when_the_lab_is_gone_without_a_word(book: Ledger) -> None:
    child = sleeper(book.entries.lab_id)
    watchdog = processes.start_watchdog(book.path)
    assert watchdog.stdin is not None
    watchdog.stdin.close()
    assert watchdog.wait(20) == 0
    assert child.wait(5) == -signal.SIGKILL
    assert traces(book.entries.lab_id) == []


# ── control groups ───────────────────────────────────────────────────────────────────────────────────

V1_MOUNTS = """\
30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/blkio rw,nosuid shared:10 - cgroup cgroup rw,blkio
33 30 0:29 / /sys/fs/cgroup/unified rw shared:11 - cgroup2 cgroup2 rw
"""


def test_version_1_is_found_also_where_two_controllers_share_a_mount() -> None:
    found = cgroups.find(V1_MOUNTS, "5:cpu,cpuacct:/\n4:blkio:/no/such/group\n0::/\n")
    assert found == Hierarchy(1, Path("/sys/fs/cgroup/cpu,cpuacct"), Path("/sys/fs/cgroup/blkio"))


def test_version_2_is_found_where_it_offers_both_controllers(tmp_path: Path) -> None:
    mounts = f"30 24 0:26 / {tmp_path} rw - cgroup2 cgroup2 rw,nsdelegate\n"
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    assert cgroups.find(mounts, "0::/user.slice\n") == Hierarchy(2, tmp_path, tmp_path)
    (tmp_path / "cgroup.controllers").write_text("hugetlb\n")
    with pytest.raises(CannotAnswer, match="control groups"):
        cgroups.find(mounts, "0::/\n")


def test_version_2_limits_are_written_as_the_kernel_document_says(tmp_path: Path, book: Ledger) -> None:
    made = Cgroups(Hierarchy(2, tmp_path, tmp_path), book)
    (procs,) = made.add("n1")
    group = procs.parent
    made.limit_cpu("n1", 0.5)
    made.limit_disk("n1", "7:3", DiskLimit(1000, 20))
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +io"
    assert (group / "cpu.max").read_text() == "5000 10000"
    assert (group / "io.max").read_text() == "7:3 rbps=1000 wbps=1000 riops=20 wiops=20"
    assert book.entries.cgroups == [str(group.parent), str(group)]
    # These stood for the kernel's files, which vanish with the group.
    written = (group / "cpu.max", group / "io.max")
    for file in (*written, group.parent / "cgroup.subtree_control", group.parent / "cpu.weight"):
        file.unlink()


# ── real hardware ────────────────────────────────────────────────────────────────────────────────────


def said(argv: list[str], lab_id: str, place: Place) -> str:
    child = processes.start(argv, lab_id, place=place, stdout=subprocess.PIPE)
    return child.communicate(timeout=60)[0].decode()


@pytest.mark.root
@needs_lab
def test_each_node_has_an_address_a_card_and_a_host_name_of_its_own(book: Ledger) -> None:
    lab_id = book.entries.lab_id
    net = network.SwitchedNetwork(NODES)
    try:
        place = Place(net.descriptor("n2"), "n2")
        assert net.address("n2") in said(["ip", "-4", "address", "show", "dev", "eth0"], lab_id, place)
        assert said(["hostname"], lab_id, place).strip() == "n2"
        assert said(["ls", "/sys/class/net"], lab_id, place).split() == ["eth0", "lo"]
        reach = [
            sys.executable,
            "-c",
            "import socket, sys; socket.create_connection((sys.argv[1], 5571), 5); print('there')",
            net.address("n1"),
        ]
        listener = [
            sys.executable,
            "-c",
            "import socket; s = socket.create_server(('', 5571)); print(1, flush=True); s.accept()",
        ]
        server = processes.start(listener, lab_id, place=Place(net.descriptor("n1")), stdout=subprocess.PIPE)
        assert server.stdout is not None and server.stdout.readline() == b"1\n"
        assert said(reach, lab_id, place).strip() == "there"
        server.wait(10)
        net.cut("n2")
        carrier = said(["cat", "/sys/class/net/eth0/carrier"], lab_id, place)
        assert carrier.strip() == "0"
    finally:
        net.close()


@pytest.mark.root
@needs_lab
def test_the_machines_own_network_and_host_name_stay_as_they_are(book: Ledger) -> None:
    def state() -> tuple[str, list[str]]:
        return Path("/proc/sys/kernel/hostname").read_text(), sorted(
            path.name for path in Path("/sys/class/net").iterdir()
        )

    before = state()
    net = network.SwitchedNetwork(NODES)
    try:
        said(["true"], book.entries.lab_id, Place(net.descriptor("n1"), "n1"))
        assert state() == before
    finally:
        net.close()


@pytest.mark.alone
@pytest.mark.root
@needs_lab
def test_a_slow_card_carries_what_it_was_set_to_in_both_directions(book: Ledger) -> None:
    net = network.SwitchedNetwork(NODES)
    lab_id = book.entries.lab_id
    try:
        net.set_speed("n1", 0.1)
        for way in ([], ["--reverse"]):
            server = processes.start(
                ["iperf3", "-s", "-1"], lab_id, place=Place(net.descriptor("n1")), stdout=subprocess.DEVNULL
            )
            client = ["iperf3", "-c", net.address("n1"), "-t", "2", "-O", "0.5", "--json", *way]
            wait_for(lambda: _listens(net, lab_id), 10)
            seen = json.loads(said(client, lab_id, Place(net.descriptor("n2"))))
            server.wait(10)
            assert 75e6 < seen["end"]["sum_received"]["bits_per_second"] < 102e6
    finally:
        net.close()


def _listens(net: network.SwitchedNetwork, lab_id: str) -> bool:
    return ":5201" in said(["ss", "-ltn"], lab_id, Place(net.descriptor("n1")))


@pytest.mark.alone
@pytest.mark.root
@needs_lab
def test_a_disk_is_as_fast_as_its_throttle_and_detaches_itself(book: Ledger, tmp_path: Path) -> None:
    lab_id = book.entries.lab_id
    groups = Cgroups(cgroups.find(), book)
    procs = groups.add("n1")
    disk = disks.attach(tmp_path, "n1")
    assert disk.device is not None
    groups.limit_disk("n1", disk.device, DiskLimit(20_000_000, 500))
    fio = ["fio", "--name=x", f"--filename={disk.path}", "--direct=1", "--runtime=2", "--time_based"]
    fio += ["--output-format=json", "--ioengine=libaio", "--iodepth=4"]
    place = Place(cgroups=procs)
    run = json.loads(said([*fio, "--rw=read", "--bs=1M"], lab_id, place))
    assert run["jobs"][0]["read"]["bw_bytes"] == pytest.approx(20e6, rel=0.3)
    run = json.loads(said([*fio, "--rw=randread", "--bs=4k"], lab_id, place))
    assert run["jobs"][0]["read"]["iops"] == pytest.approx(500, rel=0.3)
    name = Path(disk.path).name
    assert Path(f"/sys/block/{name}/loop/backing_file").exists()
    assert list(tmp_path.iterdir()) == [], "the file behind the disk needs no name"
    disk.close()
    wait_for(lambda: not Path(f"/sys/block/{name}/loop/backing_file").exists(), 5)


@pytest.mark.alone
@pytest.mark.root
@needs_lab
def test_a_cpu_share_is_what_was_given(book: Ledger) -> None:
    groups = Cgroups(cgroups.find(), book)
    place = Place(cgroups=groups.add("n1"))
    groups.limit_cpu("n1", 0.2)
    burn = (
        "import time\nt = time.monotonic()\nwhile time.monotonic() - t < 2: pass\nprint(time.process_time())"
    )
    used = float(said([sys.executable, "-c", burn], book.entries.lab_id, place))
    assert 0.3 < used < 0.5


# ── without rights ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.alone
def test_a_program_is_held_to_its_share_and_runs_freely_afterwards(book: Ledger) -> None:
    burn = "import subprocess; subprocess.run(['sh', '-c', 'while :; do :; done'])"
    parent = processes.start([sys.executable, "-c", burn], book.entries.lab_id)
    governor = Governor()
    governor.hold(parent.pid, "sh", 0.25)
    started = wait_for(lambda: _shell(parent.pid), 10)
    time.sleep(0.5)
    before, at = _cpu_seconds(started), time.monotonic()
    time.sleep(2)
    share = (_cpu_seconds(started) - before) / (time.monotonic() - at)
    governor.close()
    assert 0.1 < share < 0.35
    state = Path(f"/proc/{started}/stat").read_text().rpartition(")")[2].split()[0]
    assert state != "T"


def _shell(parent: int) -> int:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return next((int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "sh\n"), 0)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_loopback_nodes_have_addresses_that_need_no_rights() -> None:
    net = network.LoopbackNetwork(node_names(200))
    addresses = {net.address(node) for node in node_names(200)}
    assert len(addresses) == 200 and net.address("n1") == "127.0.0.11"
    assert all(address.startswith("127.0.0.") for address in addresses)


def test_a_program_that_is_missing_is_said(book: Ledger) -> None:
    with pytest.raises(ProgramFailed, match="no-such-program"):
        processes.start(["no-such-program"], book.entries.lab_id)


@pytest.mark.root
def test_a_node_gets_its_own_sys_also_below_a_changed_root(tmp_path: Path) -> None:
    """In a chroot ``/`` is no mount point. The child has a mount namespace of its own: nothing is left behind."""
    story = """
import ctypes, os, sys
from ahc_server.lab import kernel
kernel.unshare(kernel.CLONE_NEWNS)
libc = ctypes.CDLL(None, use_errno=True)
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 1 << 18
assert libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None) == 0
below = sys.argv[1]
os.mkdir(below + "/sys")
assert libc.mount(b"/sys", os.fsencode(below + "/sys"), None, ctypes.c_ulong(MS_BIND), None) == 0
os.chroot(below)
os.chdir("/")
kernel.private_mounts()
kernel.unshare(kernel.CLONE_NEWNET)
kernel.mount_sysfs()
print(*sorted(os.listdir("/sys/class/net")))
"""
    done = subprocess.run(
        [sys.executable, "-c", story, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    # Nothing but its own loopback (and the tunnel devices that some kernels put into every namespace).
    assert "lo" in done.stdout.split()
    assert "eth0" not in done.stdout.split()
    assert not any((tmp_path / "sys").iterdir())
