"""The inventory against ``hardware-detect`` (PyPI ``hardware``): the whole process, and what it finds.

The peer is installed into ``.venv-peers/hardware`` at the first run. It calls other programs: lshw it cannot do without, and
with fewer of the others (ethtool, smartctl, ipmitool, dmidecode, lspci) it is faster and finds less.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

REPOSITORY = Path(__file__).resolve().parent.parent
AGENT = Path(sys.executable).parent / "ahc-agent"

PEER = "hardware==0.33.0"
PEER_FOLDER = REPOSITORY / ".venv-peers" / "hardware"

ROUNDS = 15
MEMORY_LIMIT_MIB = 50

#: Run the inventory and tell, on standard error, the peak of this process's resident memory. ``VmHWM`` belongs to the
#: memory image of this program alone; ``ru_maxrss`` of a child also counts the image it was forked from.
PEAK_MEMORY = """
import re, sys
from pathlib import Path
from ahc_agent.cli import group
group.main(["inventory"], standalone_mode=False)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


@pytest.fixture(scope="module")
def hardware_detect() -> Path:
    """The peer's program."""
    program = PEER_FOLDER / "bin" / "hardware-detect"
    if not program.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", PEER_FOLDER], check=True, timeout=300)
            subprocess.run([PEER_FOLDER / "bin" / "pip", "install", "-q", PEER], check=True, timeout=600)
        except subprocess.SubprocessError as error:
            shutil.rmtree(PEER_FOLDER, ignore_errors=True)
            pytest.skip(f"the peer cannot be installed: {error}")
    return program


def run(*argv: str | Path) -> tuple[Any, float]:
    """What a program prints as JSON, and how long it took from start to end, in seconds."""
    started = time.perf_counter()
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=300)
    took = time.perf_counter() - started
    return json.loads(done.stdout), took


def facts(value: Any) -> int:
    """Leaves that say something; a list of plain values (flags, addresses) is one fact, as a joined text would be."""
    if isinstance(value, dict):
        return sum(facts(inner) for inner in value.values())
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sum(facts(inner) for inner in value)
    return 0 if value is None or value == [] else 1


def test_no_slower_than_hardware_detect_and_more_facts(
    benchmark: BenchmarkFixture, hardware_detect: Path
) -> None:
    """Both as whole processes, one after the other (A B A B ...), so that a disturbance meets both; medians."""
    ours: list[float] = []
    theirs: list[float] = []
    answers: dict[str, Any] = {}

    def peer() -> None:
        answers["theirs"], took = run(hardware_detect)
        theirs.append(took)

    def inventory() -> None:
        answers["ours"], took = run(AGENT, "inventory")
        ours.append(took)

    benchmark.pedantic(inventory, setup=peer, rounds=ROUNDS, warmup_rounds=1)  # type: ignore[no-untyped-call]

    # The first of each is the warm-up.
    our_time, their_time = statistics.median(ours[1:] or ours), statistics.median(theirs[1:] or theirs)
    found = {
        name: value
        for name, value in answers["ours"].items()
        if name not in ("schema", "collected_at", "errors")
    }
    our_facts, their_facts = facts(found), len(answers["theirs"])
    result = {
        "inventory_s": round(our_time, 4),
        "hardware_detect_s": round(their_time, 4),
        "ratio": round(our_time / their_time, 3),
        "facts": our_facts,
        "hardware_detect_facts": their_facts,
    }
    benchmark.extra_info.update(result)
    print("\n" + ", ".join(f"{name} {value}" for name, value in result.items()))
    assert our_time <= their_time
    assert our_facts > their_facts


def test_the_inventory_fits_a_small_machine(benchmark: BenchmarkFixture) -> None:
    """Peak resident memory of the whole process."""
    peaks: list[float] = []

    def inventory() -> None:
        done = subprocess.run(
            [sys.executable, "-c", PEAK_MEMORY], capture_output=True, check=True, timeout=60
        )
        peaks.append(int(done.stderr) / 1024)

    benchmark.pedantic(inventory, rounds=3)  # type: ignore[no-untyped-call]
    benchmark.extra_info["resident_mib"] = round(max(peaks), 1)
    print(f"\nresident {max(peaks):.1f} MiB")
    assert max(peaks) < MEMORY_LIMIT_MIB
