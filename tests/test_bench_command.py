"""``ahc-agent bench`` as an operator and a script meet it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from ahc_agent import programs
from ahc_agent.bench import text
from ahc_agent.bench.standalone import Answer
from ahc_agent.facts import Inventory
from ahc_agent.measure import Conditions, Measurement, Sample
from tests.bench_helpers import MIB

needs_sysbench = pytest.mark.skipif(programs.find("sysbench") is None, reason="needs sysbench")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "ahc_agent", "bench", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.alone
@needs_sysbench
def test_the_answer_is_inventory_and_measurements_within_the_budget() -> None:
    begun = time.monotonic()
    done = bench("--only", "cpu", "--budget", "5")
    assert time.monotonic() - begun < 5 + 10, "the rest is a loaded machine starting Python"
    assert done.returncode == 0 and done.stderr == ""
    document = json.loads(done.stdout)
    assert document["schema"] == "ahc.bench/1" and document["inventory"]["schema"] == "ahc.inventory/1"
    answer = msgspec.json.decode(done.stdout, type=Answer)
    assert {each.component for each in answer.measurements} == {"cpu"}
    assert "cpu.all.events_per_s" in {each.name for each in answer.measurements}
    assert sum(each.duration_s for each in answer.measurements) <= 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "cpu,gpu"), "gpu"),
        (("--only", ","), "choose from cpu, memory, disk"),
        (("--budget", "0"), "--budget"),
        (("--format", "xml"), "xml"),
        (("--disk", "a=/dev/x", "--disk", "a=/dev/y"), "same name"),
    ],
)
def test_wrong_use_is_told_apart(arguments: tuple[str, ...], said: str) -> None:
    done = bench(*arguments)
    assert done.returncode == 2 and done.stdout == "" and said in done.stderr


def test_when_nothing_can_be_measured_it_ends_with_3_and_still_prints_why(tmp_path: Path) -> None:
    done = bench("--only", "disk", "--disk", f"gone={tmp_path / 'no'}", "--budget", "3")
    assert done.returncode == 3 and "nothing could be measured" in done.stderr
    answer = msgspec.json.decode(done.stdout, type=Answer)
    assert all(each.value is None and "No such file" in (each.error or "") for each in answer.measurements)


def test_a_disk_by_name_is_the_only_one_measured(tmp_path: Path) -> None:
    file = tmp_path / "disk.img"
    file.write_bytes(bytes(4 * MIB))
    done = bench("--only", "disk", "--disk", f"d0={file}", "--budget", "4", "--format", "text")
    assert "disk.d0.randread_4k_iops" in done.stdout
    assert done.returncode in (0, 3) and file.read_bytes() == bytes(4 * MIB)


def test_help_shows_an_example() -> None:
    assert "Example: ahc-agent bench --only" in bench("--help").stdout


def measurement(**fields: object) -> Measurement:
    usual: dict[str, object] = {
        "component": "memory",
        "part": "node0",
        "quantity": "write_1M_bytes_per_s",
        "unit": "bytes/s",
        "value": 25.4e9,
        "ci95": 0.2e9,
        "samples": [Sample(value=25.4e9)] * 5,
        "stop": "converged",
        "duration_s": 2.51,
    }
    return msgspec.convert(msgspec.to_builtins({**usual, **fields}), Measurement)


def test_the_table_shows_value_interval_samples_and_what_ended_it() -> None:
    answer = Answer(inventory=Inventory(collected_at="now"), measurements=[measurement()])
    head, row = text.render(answer).splitlines()
    assert head.split() == ["metric", "value", "±", "95", "%", "samples", "time", "ended", "by"]
    assert row.split() == [
        "memory.node0.write_1M_bytes_per_s",
        "25.4",
        "Gbytes/s",
        "0.8%",
        "5",
        "2.5",
        "s",
        "converged",
    ]


def test_the_table_says_what_disturbed_and_what_failed() -> None:
    disturbed = measurement(
        samples=[Sample(value=1.0, disturbed="others 0.40"), Sample(value=1.0)],
        conditions=Conditions(others_cpu_fraction=0.2, steal_fraction=0.0),
    )
    failed = measurement(part="node1", value=None, ci95=None, samples=[], error="numactl: not installed")
    shown = text.render(Answer(inventory=Inventory(collected_at="now"), measurements=[disturbed, failed]))
    assert "2 (1 disturbed)" in shown
    assert "memory.node0.write_1M_bytes_per_s: 20% of CPU time used by other processes" in shown
    assert "memory.node1.write_1M_bytes_per_s: numactl: not installed" in shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (25.4e9, "bytes/s", "25.4 Gbytes/s"),
        (512e6, "bytes/s", "512 Mbytes/s"),
        (4655.3, "events/s", "4655 events/s"),
        (88123.0, "IOPS", "88123 IOPS"),
        (59.85, "us", "59.9 us"),
    ],
)
def test_quantities_are_shown_with_three_figures(value: float, unit: str, shown: str) -> None:
    assert text.quantity(value, unit) == shown
