"""What the processors call themselves, their caches, kinds and frequencies."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import NotThere
from ahc_agent.facts import Cache, CpuKind
from ahc_agent.inventory import cpu
from ahc_agent.inventory.cpuinfo import CpuInfo, parse_cpuinfo
from tests.inventory_helpers import Machine, build

CPU = "/sys/devices/system/cpu"

XEON = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 106
model name\t: Intel(R) Xeon(R)  Gold 6330 CPU @ 2.00GHz
stepping\t: 6
microcode\t: 0xd0003a5
cpu MHz\t\t: 800.000
flags\t\t: fpu vme lm avx512f

processor\t: 1
vendor_id\t: GenuineIntel
microcode\t: 0xd0003b9
"""
RASPBERRY_PI = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

Hardware\t: BCM2835
Serial\t\t: 10000000a1b2c3d4
Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""
BIG_LITTLE = "\n\n".join(
    f"processor\t: {number}\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: {part}"
    for number, part in enumerate(("0xd03", "0xd03", "0xd08"))
)
ARM_32 = """Processor\t: ARMv7 Processor rev 4 (v7l)
processor\t: 0

Features\t: swp half thumb
CPU implementer\t: 0x41
CPU architecture: 7
CPU part\t: 0xc0f
CPU revision\t: 4
"""
S390 = """vendor_id       : IBM/S390
# processors    : 2
features\t: esan3 zarch stfle
processor 0: version = 00,  identification = 279F25,  machine = 2817
processor 1: version = 00,  identification = 279F25,  machine = 2817
"""
RISCV = """processor\t: 0
hart\t\t: 1
isa\t\t: rv64imafdc_zicsr_zifencei
mmu\t\t: sv39
uarch\t\t: sifive,u74-mc
mvendorid\t: 0x489
"""
POWER9 = """processor\t: 0
cpu\t\t: POWER9, altivec supported
clock\t\t: 3800.000000MHz
revision\t: 2.2 (pvr 004e 1202)

timebase\t: 512000000
platform\t: PowerNV
model\t\t: 9006-22P
machine\t\t: PowerNV 9006-22P
"""


def test_x86() -> None:
    assert parse_cpuinfo(XEON) == CpuInfo(
        processors=2,
        architecture="x86_64",
        model="Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz",
        vendor="GenuineIntel",
        family=6,
        model_number=106,
        stepping=6,
        flags=("fpu", "vme", "lm", "avx512f"),
        microcode="0xd0003a5, 0xd0003b9",
    )


@pytest.mark.parametrize(
    ("text", "vendor", "model", "architecture", "flags"),
    [
        (RASPBERRY_PI, "ARM", "Cortex-A72", "aarch64", ("fp", "asimd", "evtstrm", "crc32", "cpuid")),
        (BIG_LITTLE, "ARM", "Cortex-A53 + Cortex-A72", "aarch64", ("fp", "asimd")),
        (ARM_32, "ARM", "Cortex-A15", "armv7l", ("swp", "half", "thumb")),
        (S390, "IBM/S390", "2817 z196", "s390x", ("esan3", "zarch", "stfle")),
        (
            RISCV,
            "SiFive",
            "sifive,u74-mc",
            "riscv64",
            ("rv64", "i", "m", "a", "f", "d", "c", "zicsr", "zifencei"),
        ),
        (POWER9, None, "POWER9, altivec supported", None, ()),
        (XEON.replace(" lm ", " "), "GenuineIntel", "Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz", "i686", None),
        ("", None, None, None, ()),
    ],
    ids=["arm64", "big.LITTLE", "arm32", "s390", "riscv", "power", "x86 32-bit", "empty"],
)
def test_every_architecture_in_its_own_form(
    text: str, vendor: str | None, model: str | None, architecture: str | None, flags: tuple[str, ...] | None
) -> None:
    info = parse_cpuinfo(text)
    assert (info.vendor, info.model, info.architecture) == (vendor, model, architecture)
    assert flags is None or info.flags == flags


def test_flags_are_those_that_any_cpu_has() -> None:
    """A microcode update may take a flag from the CPUs that it reached."""
    assert parse_cpuinfo("flags\t\t: fpu lm\n\nflags\t\t: fpu lwp lm\n").flags == ("fpu", "lm", "lwp")


def test_an_unknown_arm_part_keeps_the_words_of_the_kernel() -> None:
    info = parse_cpuinfo(ARM_32.replace("0xc0f", "0xfff"))
    assert info.model == "ARMv7 Processor rev 4 (v7l)"


@given(
    st.lists(
        st.sampled_from(
            [
                *XEON.splitlines(),
                *ARM_32.splitlines(),
                *S390.splitlines(),
                *RISCV.splitlines(),
                "flags",
                " isa : rv",
            ]
        )
        | st.text(max_size=30)
    ).map("\n".join)
)
def test_any_text_is_read_without_a_crash(text: str) -> None:
    info = parse_cpuinfo(text)
    assert info.processors >= 0
    assert all(isinstance(flag, str) for flag in info.flags)


@pytest.mark.timeout(20)
def test_a_hostile_text_takes_no_long_time() -> None:
    parse_cpuinfo("CPU implementer : 0x41\n" * 200_000)
    parse_cpuinfo("\n" * 4_000_000)


def test_both_ends_of_a_long_text_are_read() -> None:
    long = "\n\n".join(
        f"processor\t: {number}\nBogoMIPS\t: 1\npadding\t: {'x' * 200}" for number in range(1000)
    )
    info = parse_cpuinfo(f"{long}\n\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\nFeatures\t: asimd\n")
    assert (info.processors, info.model, info.architecture) == (1000, "Neoverse-N1", "aarch64")


def cache(
    cpu_number: int, index: int, level: int, kind: str, size: str, shared: str
) -> dict[str, str | bytes]:
    folder = f"{CPU}/cpu{cpu_number}/cache/index{index}"
    return {
        f"{folder}/level": str(level),
        f"{folder}/type": kind,
        f"{folder}/size": size,
        f"{folder}/shared_cpu_map": shared,
    }


def test_caches_count_once_for_all_who_share_them(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (0, 0), (0, 1), (0, 2)], offline={3}).files()
    for number, own in enumerate(("3", "3", "4")):
        files |= cache(number, 0, 1, "Data", "48K", own)
        files |= cache(number, 1, 3, "Unified", "24M", "f")
    assert cpu.collect(build(tmp_path, files)).caches == [
        Cache(level=1, type="Data", size_bytes=48 * 1024, instances=2),
        Cache(level=3, type="Unified", size_bytes=24 * 1024**2, instances=1),
    ]


def test_kinds_of_cores_have_caches_of_their_own_size(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (0, 1)]).files()
    files |= cache(0, 0, 1, "Data", "48K", "1") | cache(1, 0, 1, "Data", "32K", "2")
    files |= {"/sys/devices/cpu_core/cpus": "0", "/sys/devices/cpu_atom/cpus": "1"}
    found = cpu.collect(build(tmp_path, files))
    assert [(one.size_bytes, one.instances) for one in found.caches] == [(32 * 1024, 1), (48 * 1024, 1)]
    assert found.kinds == [CpuKind(name="core", cpus="0"), CpuKind(name="atom", cpus="1")]


def test_an_empty_cache_mask_is_the_cores(tmp_path: Path) -> None:
    """ia64 leaves the mask of caches that the core alone has empty."""
    files = Machine(cpus=[(0, 0), (0, 0), (0, 1)]).files()
    for number in range(3):
        files |= cache(number, 0, 3, "Unified", "9216K", "00000000")
    (found,) = cpu.collect(build(tmp_path, files)).caches
    assert found.instances == 2


def test_cpus_of_different_capacity_are_kinds_and_equal_ones_are_not(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (0, 1), (0, 2)]).files()
    for number, capacity in enumerate((446, 446, 1024)):
        files[f"{CPU}/cpu{number}/cpu_capacity"] = str(capacity)
    assert cpu.collect(build(tmp_path / "big.LITTLE", files)).kinds == [
        CpuKind(name="capacity 446", cpus="0-1"),
        CpuKind(name="capacity 1024", cpus="2"),
    ]
    files[f"{CPU}/cpu2/cpu_capacity"] = "446"
    assert cpu.collect(build(tmp_path / "equal", files)).kinds == []


def test_frequencies_and_governors_of_all_policies(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (0, 1)]).files()
    for number, (highest, governor) in enumerate(((5200000, "performance"), (3900000, "powersave"))):
        folder = f"{CPU}/cpufreq/policy{number}"
        files |= {
            f"{folder}/cpuinfo_max_freq": str(highest),
            f"{folder}/cpuinfo_min_freq": "400000",
            f"{folder}/scaling_governor": governor,
            f"{folder}/scaling_driver": "intel_pstate",
        }
    files[f"{CPU}/intel_pstate/no_turbo"] = "0"
    found = cpu.collect(build(tmp_path, files))
    assert (found.frequency_min_hz, found.frequency_max_hz) == (400_000_000, 5_200_000_000)
    assert (found.governor, found.driver, found.boost) == ("performance,powersave", "intel_pstate", True)


def test_the_present_frequency_is_no_limit(tmp_path: Path) -> None:
    found = cpu.collect(build(tmp_path, Machine(cpus=[(0, 0)]).files() | {"/proc/cpuinfo": XEON}))
    assert (found.frequency_max_hz, found.governor, found.boost) == (None, None, None)


def test_the_whole_of_a_small_machine(tmp_path: Path) -> None:
    files = Machine(cpus=[(1, 0), (0, 0), (0, 0), (1, 0)], offline={3}).files()
    files |= {"/proc/cpuinfo": XEON, f"{CPU}/vulnerabilities/meltdown": "Not affected"}
    root = build(tmp_path, files)
    found = cpu.collect(root)
    assert (found.logical_present, found.logical_online, found.online_cpus) == (4, 3, "0-2")
    assert (found.sockets, found.cores, found.threads_per_core) == (2, 2, 2)
    assert (found.first_cpus, found.socket_cpus) == ([1, 0], ["1-2", "0"])
    assert found.vulnerabilities == {"meltdown": "Not affected"}
    assert root.trouble == []


def test_the_saved_trees_own_word_on_its_architecture_is_believed(tmp_path: Path) -> None:
    root = build(tmp_path, {"/proc/cpuinfo": POWER9, "/proc/hwloc-nofile-info": "Architecture: ppc64le"})
    assert cpu.collect(root).architecture == "ppc64le"


def test_with_cpuinfo_alone_the_counts_of_cores_are_unknown(tmp_path: Path) -> None:
    found = cpu.collect(build(tmp_path, {"/proc/cpuinfo": XEON}))
    assert (found.logical_online, found.cores, found.sockets, found.threads_per_core) == (2, None, None, None)


def test_a_tree_without_cpus_has_none(tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        cpu.collect(build(tmp_path, {"/proc/version": "Linux version 6.1.0"}))


def test_withheld_cpus_are_told(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (0, 1)]).files()
    files |= {
        "/proc/mounts": "none /dev/cpuset cpuset rw 0 0",
        "/proc/self/cpuset": "/job",
        "/dev/cpuset/job/cpus": "1",
    }
    root = build(tmp_path, files)
    assert cpu.collect(root).logical_online == 1
    assert root.trouble == ["CPUs 0 are online but withheld by this process's cpuset: not counted"]
