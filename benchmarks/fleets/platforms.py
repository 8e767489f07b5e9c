"""Kinds of machines, and the metrics that eDeploy's health check measures on each of them.

Levels follow real eDeploy results (two ProLiant DL360p Gen8 models) and are scaled from there to other processors and
disks. The reference machine, ``R630``, has 112 bandwidth metrics of single cores and 333 metrics in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

#: Block sizes of the memory test on single cores, and on all at once.
CORE_SIZES = ("1K", "4K", "1M", "16M", "128M", "1G", "2G")
ALL_SIZES = CORE_SIZES[:-1]
#: Sizes that fit a core's caches: they follow the core's clock and not the memory.
CACHED_SIZES = frozenset({"1K", "4K", "1M"})

_CORE_BANDWIDTH = {"1K": 1830, "4K": 4895, "1M": 7610, "16M": 3870, "128M": 3618, "1G": 3622, "2G": 3624}
_THREADED = {"1K": 1120, "4K": 3170, "1M": 20300, "16M": 19190, "128M": 13900, "1G": 13700}
_FORKED = {"1K": 16450, "4K": 39080, "1M": 60850, "16M": 7190, "128M": 7200, "1G": 7192}


@dataclass(frozen=True, slots=True)
class DiskKind:
    """A model of disk. Rates of sequential access in KiB/s (1 MiB blocks), of random access in IOPS (4 KiB blocks)."""

    vendor: str
    model: str
    firmware: str
    size_gb: int
    rotational: bool
    read_kbps: int
    randread_iops: int
    write_kbps: int
    randwrite_iops: int


HDD_A = DiskKind("SEAGATE", "ST2000NM0023", "GS0F", 2000, True, 168_000, 196, 161_000, 322)
HDD_B = DiskKind("HGST", "HUS724020ALS640", "A1C4", 2000, True, 157_000, 214, 150_000, 351)
SSD_A = DiskKind("ATA", "INTEL SSDSC2BB48", "0370", 480, False, 437_000, 69_800, 371_000, 15_900)
SSD_B = DiskKind("ATA", "SAMSUNG MZ7WD480", "103Q", 480, False, 473_000, 75_100, 392_000, 17_300)
RAID_A = DiskKind("HP", "LOGICAL VOLUME", "3.42", 899, True, 707_000, 980, 312_000, 745)
RAID_B = DiskKind("DELL", "PERC H310", "2.12", 299, True, 183_000, 420, 121_000, 310)
NVME_A = DiskKind(
    "NVMe", "INTEL SSDPEDMD800G4", "8DV10171", 800, False, 2_520_000, 391_000, 1_710_000, 88_000
)
NVME_B = DiskKind("NVMe", "SAMSUNG MZWLK800", "CPPA4D3Q", 800, False, 2_790_000, 415_000, 1_580_000, 96_000)

#: The other model of a disk that a legitimate batch of machines may carry.
OTHER_MODEL = {HDD_A: HDD_B, SSD_A: SSD_B, NVME_A: NVME_B}


@dataclass(frozen=True, slots=True)
class Platform:
    """One kind of machine. ``cores`` are of one socket; ``interleaved``: logical CPUs alternate between the sockets.

    ``loops``: eDeploy's loops per second of one core; ``memory_scale``: bandwidth relative to the measured ProLiant;
    ``writes``: the destructive disk tests were run too.
    """

    name: str
    vendor: str
    product: str
    bios: tuple[str, str]
    cpu: str
    frequency_hz: int
    sockets: int
    cores: int
    threads_per_core: int
    interleaved: bool
    loops: float
    memory_scale: float
    slots: int
    dimms: int
    dimm_gib: int
    dimm_mhz: int
    disks: tuple[tuple[str, DiskKind], ...]
    writes: bool
    nics: tuple[str, str, str, int, int]

    @property
    def physical(self) -> int:
        return self.sockets * self.cores

    @property
    def logical(self) -> int:
        return self.physical * self.threads_per_core

    def socket_of(self, logical: int) -> int:
        core = logical % self.physical
        return core % self.sockets if self.interleaved else core // self.cores


def _row(first: str, count: int, kind: DiskKind) -> tuple[tuple[str, DiskKind], ...]:
    return tuple((f"sd{chr(ord(first) + number)}", kind) for number in range(count))


#: nics: vendor, product, driver, number of ports, speed in Mbit/s of those with a link.
_BROADCOM = ("Broadcom Corporation", "NetXtreme BCM5719 Gigabit Ethernet PCIe", "tg3", 4, 1000)
_INTEL_10G = ("Intel Corporation", "82599ES 10-Gigabit SFI/SFP+ Network Connection", "ixgbe", 2, 10_000)

PLATFORMS: tuple[Platform, ...] = (
    Platform(
        name="R630", vendor="Dell Inc.", product="PowerEdge R630", bios=("2.1.7", "06/16/2016"),
        cpu="Intel(R) Xeon(R) CPU E5-2630L v3 @ 1.80GHz", frequency_hz=1_800_000_000, sockets=2, cores=8,
        threads_per_core=1, interleaved=True, loops=512, memory_scale=1.6, slots=24, dimms=8, dimm_gib=16,
        dimm_mhz=2133, disks=_row("a", 1, SSD_A) + _row("b", 10, HDD_A), writes=True, nics=_INTEL_10G,
    ),
    Platform(
        name="DL360p", vendor="HP", product="ProLiant DL360p Gen8 (655651-B21)", bios=("P71", "03/01/2013"),
        cpu="Intel(R) Xeon(R) CPU E5-2609 0 @ 2.40GHz", frequency_hz=2_400_000_000, sockets=2, cores=4,
        threads_per_core=1, interleaved=False, loops=403, memory_scale=1.0, slots=24, dimms=8, dimm_gib=8,
        dimm_mhz=1333, disks=_row("a", 1, SSD_A) + _row("b", 1, RAID_A), writes=False, nics=_BROADCOM,
    ),
    Platform(
        name="M520", vendor="Dell Inc.", product="PowerEdge M520", bios=("2.1.3", "01/20/2014"),
        cpu="Intel(R) Xeon(R) CPU E5-2420 v2 @ 2.20GHz", frequency_hz=2_200_000_000, sockets=2, cores=6,
        threads_per_core=2, interleaved=True, loops=447, memory_scale=1.2, slots=12, dimms=8, dimm_gib=16,
        dimm_mhz=1600, disks=_row("a", 1, RAID_B), writes=False, nics=_BROADCOM,
    ),
    Platform(
        name="DL380", vendor="HP", product="ProLiant DL380 Gen9 (719064-B21)", bios=("P89", "09/13/2016"),
        cpu="Intel(R) Xeon(R) CPU E5-2640 v3 @ 2.60GHz", frequency_hz=2_600_000_000, sockets=2, cores=8,
        threads_per_core=2, interleaved=False, loops=588, memory_scale=1.9, slots=24, dimms=16, dimm_gib=16,
        dimm_mhz=2133, disks=_row("a", 2, SSD_A) + _row("c", 4, HDD_A), writes=False, nics=_INTEL_10G,
    ),
    Platform(
        name="5018D", vendor="Supermicro", product="SYS-5018D-FN8T", bios=("1.2c", "09/19/2017"),
        cpu="Intel(R) Xeon(R) CPU D-1541 @ 2.10GHz", frequency_hz=2_100_000_000, sockets=1, cores=8,
        threads_per_core=2, interleaved=False, loops=471, memory_scale=1.7, slots=4, dimms=4, dimm_gib=32,
        dimm_mhz=2400, disks=(("nvme0n1", NVME_A), ("nvme1n1", NVME_A)), writes=True, nics=_INTEL_10G,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured value of eDeploy's.

    ``key``: first three entries of its line in a ``.hw`` file. ``kind``: "loops", "bogomips", "core" (bandwidth of one core),
    "threaded", "forked" (of all), "disk". ``what``: block size, or access pattern. ``core``, ``socket``, ``disk``: where it
    belongs, −1 for the whole machine. ``run`` numbers the disk runs: KBps and IOps are of the same one.
    ``usual``: the level on a healthy machine; ``step``: what eDeploy's tools round to.
    """

    key: tuple[str, str, str]
    kind: str
    what: str
    core: int
    socket: int
    disk: int
    mode: str
    run: int
    usual: float
    step: float = 1.0

    @property
    def is_random(self) -> bool:
        return self.what.startswith("rand")


@lru_cache
def metrics_of(platform: Platform) -> tuple[Metric, ...]:
    """All metrics of a machine of this kind, in the order in which eDeploy writes them."""
    made: list[Metric] = []
    memory = platform.memory_scale
    per_core = platform.loops / 403
    for core in range(platform.logical):
        name, socket = f"logical_{core}", platform.socket_of(core)
        bogomips = platform.frequency_hz / 500_000 * 0.99754
        made.append(
            Metric(("cpu", name, "bogomips"), "bogomips", "", core, socket, -1, "", -1, bogomips, 0.01)
        )
        made.append(
            Metric(("cpu", name, "loops_per_sec"), "loops", "", core, socket, -1, "", -1, platform.loops)
        )
    made.append(Metric(("cpu", "logical", "loops_per_sec"), "all", "", -1, -1, -1, "", -1, platform.loops))
    for core in range(platform.logical):
        for size, level in _CORE_BANDWIDTH.items():
            usual = level * (per_core if size in CACHED_SIZES else memory)
            key = ("cpu", f"logical_{core}", f"bandwidth_{size}")
            made.append(Metric(key, "core", size, core, platform.socket_of(core), -1, "", -1, usual))
    for kind, levels in (("threaded", _THREADED), ("forked", _FORKED)):
        for size, level in levels.items():
            usual = level * (per_core if size in CACHED_SIZES else memory)
            key = ("cpu", "logical", f"{kind}_bandwidth_{size}")
            made.append(Metric(key, kind, size, -1, -1, -1, "", -1, usual))
    return (*made, *_disk_metrics(platform))


def _disk_metrics(platform: Platform) -> list[Metric]:
    made: list[Metric] = []
    run = 0
    for mode, share in (("standalone", 1.0), ("simultaneous", 0.985)):
        for number, (disk, kind) in enumerate(platform.disks):
            levels = {"randread_4k": (kind.randread_iops, 4), "read_1M": (kind.read_kbps / 1024, 1024)}
            if platform.writes:
                levels["randwrite_4k"] = (kind.randwrite_iops, 4)
                levels["write_1M"] = (kind.write_kbps / 1024, 1024)
            for pattern, (iops, block_kib) in levels.items():
                for unit, usual in (("KBps", iops * block_kib * share), ("IOps", iops * share)):
                    key = ("disk", disk, f"{mode}_{pattern}_{unit}")
                    made.append(Metric(key, "disk", pattern, -1, -1, number, mode, run, usual))
                run += 1
    return made
