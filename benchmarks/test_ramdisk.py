"""The ramdisk against its goals: size, build time, power-on to registered, memory of the agent; beside it ironic-python-agent
in the same image.

The peer stands in the image that it is measured in (installed from PyPI), is started by a script that does nothing but load
drivers and ask for an address, and is done when it first asks Ironic's API for anything. AHC's agent takes its usual way, and
is done when the server has admitted it. Both are handed to the emulator with their kernel (no firmware, no network boot).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ramdisk.machines.guest import Guest
from ramdisk.machines.hardware import Disk, machine
from ramdisk.machines.site import Site, site
from ramdisk.machines.stages import stages, table

#: Bytes of the image that eDeploy's descendants booted.
SEED_BYTES = 150_136_570
GOAL_BYTES = {"full": 75_000_000, "virtual": 45_000_000}
BUILD_GOAL_S, REPACK_GOAL_S = 180.0, 20.0
BOOTS = 3
_BOOT_LIMIT_S = 400.0
_API_PORT = 6385
#: ironic-python-agent waits for a disk of 4 GiB or more.
_DISK_MIB = 5120
_HERE = Path(__file__).resolve().parent


def build(*arguments: str) -> float:
    """Seconds that a build takes."""
    begun = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "ramdisk", "build", *arguments],
        check=True,
        cwd=_HERE.parent,
        capture_output=True,
    )
    return time.monotonic() - begun


@pytest.mark.parametrize("flavour", GOAL_BYTES)
def test_size_and_build_time(benchmark: BenchmarkFixture, flavour: str, tmp_path: Path) -> None:
    """From nothing but what the mirror has, then again with a change of the agent alone."""
    where = ("--flavour", flavour, "--out", str(tmp_path))
    whole_s = benchmark.pedantic(build, args=where, rounds=1)  # type: ignore[no-untyped-call]
    extra = tmp_path / "note"
    extra.write_text("changed\n")
    again_s = build(*where)
    manifest = json.loads((tmp_path / flavour / "manifest.json").read_text())
    size = (tmp_path / flavour / "initramfs").stat().st_size
    benchmark.extra_info |= {"initramfs_bytes": size, "build_s": whole_s, "unchanged_s": again_s}
    print(
        f"\n{flavour}: initramfs {size:,} bytes (goal {GOAL_BYTES[flavour]:,}; the seed's {SEED_BYTES:,},"
        f" {size / SEED_BYTES:.2f} of it), {len(manifest['packages'])} packages;"
        f" built in {whole_s:.0f} s (goal {BUILD_GOAL_S:.0f} s), unchanged {again_s:.1f} s"
    )
    assert size <= GOAL_BYTES[flavour]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    build("--flavour", "virtual")
    with site(tmp_path, _HERE.parent / "ramdisk" / "out" / "virtual") as place:
        place.start_server()
        place.start_netboot()
        yield place


def test_power_on_to_registered(benchmark: BenchmarkFixture, here: Site) -> None:
    """One machine, from the network; medians of the stages."""
    boots = []

    def boot() -> None:
        guest = here.power_on(machine(1))
        guest.wait_for("joined the server", _BOOT_LIMIT_S)
        boots.append(stages(guest.lines, guest.started_at_s))
        guest.kill()

    benchmark.pedantic(boot, rounds=BOOTS)  # type: ignore[no-untyped-call]
    benchmark.extra_info["registered_after_s"] = median(sum(one.duration_s for one in boot) for boot in boots)
    print(f"\n{table(boots)}")


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Site]:
    """A site whose image has both agents."""
    guest = _HERE / "guest"
    extras = ("util-linux", "udev", "libudev1", "libc-bin", "lshw")
    build(
        *["--flavour", "virtual", "--level", "3", "--out", str(tmp_path / "out")],
        *["--pip", "ironic-python-agent", *(word for each in extras for word in ("--extra", each))],
        *["--file", f"{guest / 'probe-init'}=/probe-init", "--file", f"{guest / 'ipa-init'}=/ipa-init"],
    )
    with site(tmp_path, tmp_path / "out" / "virtual") as place:
        place.start_server()
        place.start_netboot()
        yield place


def test_beside_ironic_python_agent(benchmark: BenchmarkFixture, both: Site) -> None:
    """Power-on to registered, and memory, in turns."""
    api, _ = both.start(
        [sys.executable, str(_HERE / "guest" / "api.py"), both.wire.server_address, str(_API_PORT)]
    )
    ours_s: list[float] = []
    theirs_s: list[float] = []
    ours_mib: list[float] = []
    theirs_mib: list[float] = []

    def ours() -> None:
        guest = both.power_on(
            machine(1, disks=(Disk("D1", _DISK_MIB),)), direct=both.direct("rdinit=/probe-init")
        )
        ours_s.append(guest.wait_for("joined the server", _BOOT_LIMIT_S).at_s - guest.started_at_s)
        ours_mib.append(_memory_mib(guest))
        guest.kill()

    def theirs() -> None:
        url = f"http://{both.wire.server_address}:{_API_PORT}"
        before = len(api.lines)
        guest = both.power_on(
            machine(2, disks=(Disk("D2", _DISK_MIB),)),
            direct=both.direct("rdinit=/ipa-init", f"ipa-api-url={url}"),
        )
        while len(api.lines) == before:
            assert time.monotonic() < guest.started_at_s + _BOOT_LIMIT_S, guest.text[-3000:]
            time.sleep(0.05)
        theirs_s.append(time.monotonic() - guest.started_at_s)
        theirs_mib.append(_memory_mib(guest))
        guest.kill()

    def turn() -> None:
        ours()
        theirs()

    benchmark.pedantic(turn, rounds=BOOTS)  # type: ignore[no-untyped-call]
    benchmark.extra_info |= {
        "time_ratio": median(ours_s) / median(theirs_s),
        "memory_ratio": median(ours_mib) / median(theirs_mib),
    }
    print(
        f"\npower-on to registered: {median(ours_s):.1f} s, ironic-python-agent {median(theirs_s):.1f} s"
        f" ({median(ours_s) / median(theirs_s):.2f} of it); resident {median(ours_mib):.0f} MiB, theirs"
        f" {median(theirs_mib):.0f} MiB ({median(ours_mib) / median(theirs_mib):.2f} of it)"
    )


def _memory_mib(guest: Guest) -> float:
    """Resident memory once it has settled: the second word of the probe from now on."""
    now = time.monotonic()
    first = guest.wait_for(r"probe VmRSS", _BOOT_LIMIT_S, after_s=now)
    line = guest.wait_for(r"probe VmRSS", _BOOT_LIMIT_S, after_s=first.at_s + 0.5)
    found = re.search(r"probe VmRSS: (\d+) kB", line.text)
    assert found is not None
    return int(found[1]) / 1024
