"""Disks by fio, on real loop devices and files; its output also as it was recorded."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent import programs
from ahc_agent.bench import disk, fio, latency, run_task
from ahc_agent.errors import ProgramError, ProgramFailed
from ahc_agent.facts import Disk
from ahc_agent.inventory import disks, smart
from ahc_agent.measure import Measurement
from ahc_agent.task import Device, TaskContext
from ahc_agent.wire.messages import BenchLimits, DiskTask
from tests.bench_helpers import MIB, Loop, loop_device

needs_fio = pytest.mark.skipif(programs.find("fio") is None, reason="needs fio")
SHORT = BenchLimits(runtime_s=0.9, min_samples=3)


def context(*disks: tuple[str, str], cancelled: threading.Event | None = None) -> TaskContext:
    return TaskContext(
        only_disks=tuple(Device(name, path) for name, path in disks), cancelled=cancelled or threading.Event()
    )


def by_name(found: list[Measurement]) -> dict[str, Measurement]:
    return {each.name: each for each in found}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Loop, Loop]]:
    with (
        loop_device(tmp_path, "a.img", 64 * MIB) as first,
        loop_device(tmp_path, "b.img", 64 * MIB) as second,
    ):
        yield first, second


# ── what fio prints ────────────────────────────────────────────────────────────────────────────────

#: One job of fio 3.33 on a disk throttled to 2,000 IOPS and its histogram log (bins that are not zero).
REPORT = {"error": 0, "read": {"io_bytes": 20611072, "runtime": 2503, "total_ios": 5032}}
COUNTS = (
    (502, {923: 1001}),
    (1002, {923: 1000}),
    (1502, {923: 1000}),
    (2002, {930: 1000}),
    (2502, {923: 1000}),
)


def log_of(counts: tuple[tuple[int, dict[int, int]], ...]) -> str:
    rows = [[at, 0, 4096, *(bins.get(index, 0) for index in range(1856))] for at, bins in counts]
    return "".join(", ".join(map(str, row)) + "\n" for row in rows)


JOB = fio.Job("/dev/sdx", "randread", 4096, 32)


def test_windows_come_from_the_histogram_log() -> None:
    outcome = fio._outcome(JOB, REPORT, log_of(COUNTS))
    assert [window.ios for window in outcome.windows] == [1001, 1000, 1000, 1000, 1000]
    assert [window.seconds for window in outcome.windows] == [0.502, 0.5, 0.5, 0.5, 0.5]
    assert outcome.error == "" and outcome.bytes == 20611072


@pytest.mark.parametrize(
    "log",
    ["", "garbage\n", "500, 0\n", log_of(COUNTS[:2]), log_of(((502, {923: 9000}),)), log_of(COUNTS[::-1])],
    ids=["absent", "garbage", "no bins", "entries lost", "too many", "out of order"],
)
def test_a_log_that_does_not_agree_with_the_totals_is_not_believed(log: str) -> None:
    outcome = fio._outcome(JOB, REPORT, log)
    assert [(window.seconds, window.ios) for window in outcome.windows] == [(2.503, 5032)]


def test_an_error_of_the_disk_is_told_in_words() -> None:
    report = {"error": 5, "read": {"io_bytes": 4096, "runtime": 100, "total_ios": 1}}
    assert fio._outcome(JOB, report, "").error == "I/O failed: Input/output error"


def test_a_disk_that_answers_nothing_is_an_error() -> None:
    report = {"error": 0, "read": {"io_bytes": 0, "runtime": 0, "total_ios": 0}}
    assert "not a single I/O" in fio._outcome(JOB, report, "").error


@pytest.mark.parametrize(
    "report", [{}, {"read": 3}, {"read": {"total_ios": "x"}}, {"read": {"io_bytes": None}}]
)
def test_a_report_of_another_form_is_a_failure(report: dict[str, object]) -> None:
    with pytest.raises(ProgramFailed, match="fio"):
        fio._outcome(JOB, report, "")


@pytest.mark.parametrize("stdout", [b"", b"{", b"[]", b'{"jobs": 1}', b'{"jobs": []}', b'note {"jobs": [3]}'])
def test_output_that_is_no_report_is_a_failure_with_what_fio_said(stdout: bytes) -> None:
    finished = programs.Finished(("fio",), 1, stdout, b"fio: engine libaio not loadable\n", 0.1)
    with pytest.raises(ProgramFailed, match="engine libaio not loadable"):
        fio._reports(finished, 1)


def test_warnings_before_the_report_do_no_harm() -> None:
    text = 'note: both iodepth >= 1 and synchronous I/O engine are selected\n{"jobs": [{"error": 0}]}'
    assert fio._reports(programs.Finished(("fio",), 0, text.encode(), b"", 0.1), 1) == [{"error": 0}]


@given(st.integers(min_value=0, max_value=1855))
def test_bins_ascend_and_halve_the_error_of_their_width(index: int) -> None:
    assert fio.bin_ns(index) < fio.bin_ns(index + 1)


@given(st.dictionaries(st.integers(0, 1855), st.integers(1, 1000), min_size=1), st.floats(0.01, 0.999))
def test_a_percentile_is_a_bin_that_has_so_many_below_it(bins: dict[int, int], part: float) -> None:
    value = fio.percentile_ns(bins, part)
    below = sum(count for index, count in bins.items() if fio.bin_ns(index) <= value)
    assert value in {fio.bin_ns(index) for index in bins}
    assert below >= part * sum(bins.values()) - 1e-6


def window(ios: int, bin_index: int = 900) -> fio.Window:
    return fio.Window(0.5, ios, {bin_index: ios} if ios else {})


def test_windows_of_a_slow_disk_are_put_together_until_a_percentile_can_be_told() -> None:
    found = latency.percentiles([(window(75), 0.5 * index, "") for index in range(1, 7)])
    assert {name: len(samples) for name, samples in found.items()} == {"p50": 6, "p99": 2, "p999": 1}


def test_disturbed_windows_make_disturbed_percentiles() -> None:
    found = latency.percentiles([(window(150), 0.5, "steal 0.20"), (window(150), 1.0, "")])
    assert [sample.disturbed for sample in found["p99"]] == ["steal 0.20"]


def test_without_latencies_there_are_no_percentiles() -> None:
    assert latency.percentiles([(fio.Window(1.0, 100, {}), 1.0, "")]) == {}


# ── real runs ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.alone
@needs_fio
@pytest.mark.root
def test_reading_measures_each_disk_alone_then_all_and_changes_no_byte(
    pair: tuple[Loop, Loop],
) -> None:
    for loop in pair:
        loop.write(0, b"data that somebody needs" * 1000)
    before = [hashlib.sha256(loop.backing.read_bytes()).digest() for loop in pair]
    found = by_name(run_task(DiskTask(limits=SHORT), context(("d0", pair[0].path), ("d1", pair[1].path))))
    assert [hashlib.sha256(loop.backing.read_bytes()).digest() for loop in pair] == before
    alone = (
        "read_1M_bytes_per_s",
        "randread_4k_iops",
        "randread_4k_p50_us",
        "randread_4k_p99_us",
        "randread_4k_p999_us",
    )
    together = ("read_1M_together_bytes_per_s", "randread_4k_together_iops")
    assert set(found) == {f"disk.{name}.{what}" for name in ("d0", "d1") for what in (*alone, *together)}
    for name, measured in found.items():
        assert measured.value is not None and measured.value > 0, (name, measured.error)
        assert measured.conditions is not None and measured.higher_is_better == (not name.endswith("_us"))
    assert len(found["disk.d0.randread_4k_iops"].samples) >= 2
    p50, p99 = (found[f"disk.d0.randread_4k_{name}_us"].value for name in ("p50", "p99"))
    assert p50 is not None and p99 is not None and p50 <= p99


@pytest.mark.alone
@needs_fio
@pytest.mark.root
def test_percentiles_agree_with_fios_own(pair: tuple[Loop, Loop], monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    original = fio._reports

    def spy(finished: programs.Finished, count: int) -> list[dict[str, object]]:
        texts.append(finished.text())
        return original(finished, count)

    monkeypatch.setattr(fio, "_reports", spy)
    job = fio.Job(pair[0].path, "randread", 4096, 4)
    (outcome,) = fio.run([job], 4, 0.2, threading.Event())
    reported = json.loads(texts[0])["jobs"][0]["read"]["clat_ns"]["percentile"]
    ours = fio.percentile_ns(fio.merged(outcome.windows), 0.5)
    assert ours == pytest.approx(reported["50.000000"], rel=0.05)
    assert len(outcome.windows) == 4


@pytest.mark.alone
@needs_fio
@pytest.mark.root
def test_one_disk_is_not_measured_a_second_time_as_all_at_once(pair: tuple[Loop, Loop]) -> None:
    found = run_task(DiskTask(limits=SHORT, patterns=("read",)), context(("d0", pair[0].path)))
    assert [each.name for each in found] == ["disk.d0.read_1M_bytes_per_s"]


@pytest.mark.alone
@needs_fio
@pytest.mark.root
def test_sequential_runs_go_on_where_the_last_one_ended(
    pair: tuple[Loop, Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets: list[int] = []
    monkeypatch.setattr(disk, "_TAIL_BYTES", MIB)

    def run(
        jobs: list[fio.Job], windows: int, window_s: float, cancelled: threading.Event
    ) -> list[fio.Outcome]:
        offsets.append(jobs[0].offset_bytes)
        return [fio.Outcome([fio.Window(0.5, 20, {})] * windows, 20 * MIB + 512)]

    monkeypatch.setattr(fio, "run", run)
    trial = disk._trial("read", None)
    step = disk._Step(trial, [Device("d0", pair[0].path)], BenchLimits(), context())
    for _ in range(6):
        step(10.0)
    assert [offset // MIB for offset in offsets] == [0, 20, 40, 60, 0, 20]


@pytest.mark.alone
@needs_fio
def test_a_regular_file_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "disk:with a colon.img"
    file.write_bytes(bytes(8 * MIB))
    found = by_name(run_task(DiskTask(limits=SHORT, patterns=("randread",)), context(("f", str(file)))))
    measured = found["disk.f.randread_4k_iops"]
    if measured.error and "Invalid argument" in measured.error:
        pytest.skip("this file system cannot read past the page cache")
    assert measured.value is not None and measured.value > 0, measured.error


@pytest.mark.alone
@needs_fio
@pytest.mark.root
def test_block_sizes_are_in_the_names(pair: tuple[Loop, Loop]) -> None:
    task = DiskTask(limits=SHORT, patterns=("randread",), block_sizes={"randread": "64K"})
    assert "disk.d0.randread_64k_iops" in by_name(run_task(task, context(("d0", pair[0].path))))


@pytest.mark.alone
@needs_fio
@pytest.mark.root
def test_cancelled_it_ends_within_a_second_or_two(pair: tuple[Loop, Loop]) -> None:
    cancelled = threading.Event()
    threading.Timer(0.5, cancelled.set).start()
    begun = time.monotonic()
    task = DiskTask(limits=BenchLimits(runtime_s=60, ci_target=0))
    found = run_task(task, context(("d0", pair[0].path), ("d1", pair[1].path), cancelled=cancelled))
    assert time.monotonic() - begun < 20
    assert {each.name for each in found} >= {"disk.d0.read_1M_bytes_per_s", "disk.d1.randread_4k_iops"}
    assert all(each.value is None and each.error for each in found[-1:])


def test_without_a_choice_every_disk_of_the_machine_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the optical drive, not a card reader without a card; and no disk is asked for its health on the way."""
    facts = {
        "sda": Disk(name="sda", path="/dev/sda", size_bytes=10**12),
        "sr0": Disk(name="sr0", path="/dev/sr0", kind="rom", size_bytes=10**9),
        "sdb": Disk(name="sdb", path="/dev/sdb", size_bytes=0),
        "nvme0n1": Disk(name="nvme0n1", path="/dev/nvme0n1", size_bytes=10**12),
    }
    monkeypatch.setattr(disks, "names", lambda root: list(facts))
    monkeypatch.setattr(disks, "read", lambda root, name: facts[name])
    monkeypatch.setattr(smart, "add", lambda root, found: pytest.fail("asked for SMART"))
    assert [device.name for device in disk._devices(DiskTask(), TaskContext())] == ["sda", "nvme0n1"]
    chosen = disk._devices(DiskTask(devices=["nvme0n1", "sdx", "nvme0n1"]), TaskContext())
    assert chosen == [Device("nvme0n1", "/dev/nvme0n1"), Device("sdx", "")]
    assert disk.count(DiskTask(), TaskContext()) == 6


# ── what cannot be measured ────────────────────────────────────────────────────────────────────────


def test_what_is_not_there_is_a_measurement_without_value(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    task = DiskTask(limits=SHORT, devices=["gone", "empty", "dir", "sdz"])
    disks = (("gone", str(tmp_path / "no")), ("empty", str(tmp_path / "empty")), ("dir", str(tmp_path)))
    found = by_name(run_task(task, context(*disks)))
    assert len(found) == 8 and all(each.value is None for each in found.values())
    assert "No such file" in (found["disk.gone.read_1M_bytes_per_s"].error or "")
    assert "empty" in (found["disk.empty.read_1M_bytes_per_s"].error or "")
    assert "neither a block device nor a file" in (found["disk.dir.read_1M_bytes_per_s"].error or "")
    assert "no disk sdz" in (found["disk.sdz.randread_4k_iops"].error or "")


def test_without_fio_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "disk.img"
    file.write_bytes(bytes(MIB))
    monkeypatch.setattr(programs, "find", lambda name: None)
    found = run_task(DiskTask(limits=SHORT), context(("f", str(file))))
    assert [each.value for each in found] == [None, None]
    assert all("apt-get install fio" in (each.error or "") for each in found)


# ── writes ─────────────────────────────────────────────────────────────────────────────────────────

WRITES = DiskTask(limits=SHORT, patterns=("write", "randwrite"), destructive=True)


@needs_fio
@pytest.mark.root
def test_a_clean_disk_is_really_written_when_it_is_asked_for(pair: tuple[Loop, Loop]) -> None:
    found = by_name(run_task(WRITES, context(("d0", pair[0].path), ("d1", pair[1].path))))
    assert all(each.value for each in found.values()), [each.error for each in found.values()]
    assert {"disk.d0.write_1M_bytes_per_s", "disk.d1.randwrite_4k_together_iops"} <= set(found)
    for loop in pair:
        assert loop.backing.read_bytes().strip(b"\0")


@needs_fio
@pytest.mark.root
def test_nothing_is_written_unless_it_is_asked_for(pair: tuple[Loop, Loop]) -> None:
    task = DiskTask(limits=SHORT, patterns=("write", "randwrite"))
    found = run_task(task, context(("d0", pair[0].path), ("d1", pair[1].path)))
    assert all(each.value is None and "destructive" in (each.error or "") for each in found)
    assert not any(loop.backing.read_bytes().strip(b"\0") for loop in pair)


@needs_fio
@pytest.mark.root
def test_a_refused_disk_is_not_written_and_says_why(pair: tuple[Loop, Loop]) -> None:
    pair[0].write(510, b"\x55\xaa")
    before = pair[0].backing.read_bytes()
    found = by_name(run_task(WRITES, context(("d0", pair[0].path), ("d1", pair[1].path))))
    assert "boot signature" in (found["disk.d0.write_1M_bytes_per_s"].error or "")
    assert found["disk.d1.write_1M_bytes_per_s"].value
    assert pair[0].backing.read_bytes() == before


@needs_fio
def test_a_file_is_never_written(tmp_path: Path) -> None:
    file = tmp_path / "disk.img"
    file.write_bytes(bytes(4 * MIB))
    found = run_task(WRITES, context(("f", str(file))))
    assert all("not a block device" in (each.error or "") for each in found)
    assert not file.read_bytes().strip(b"\0")


@needs_fio
@pytest.mark.root
def test_a_reading_run_is_locked_twice(pair: tuple[Loop, Loop], monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a defect of ours ever ask for a write in it, fio itself refuses."""
    argvs: list[list[str]] = []
    original = programs.run

    def spy(argv: list[str], **options: object) -> programs.Finished:
        argvs.append(argv)
        return original(argv, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(programs, "run", spy)
    run_task(DiskTask(limits=SHORT), context(("d0", pair[0].path)))
    assert argvs and all("--readonly" in argv and "--allow_file_create=0" in argv for argv in argvs)
    with pytest.raises(ProgramError):
        original([word.replace("--rw=read", "--rw=write") for word in argvs[0]], time_limit_s=20)
    assert not pair[0].backing.read_bytes().strip(b"\0")
