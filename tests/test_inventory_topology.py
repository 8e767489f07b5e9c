"""CPUs, cores and sockets are what hwloc counts."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.inventory.cpuset import (
    NUMBER_LIMIT,
    first_of,
    format_list,
    mask_of,
    members,
    parse_list,
    parse_mask,
)
from ahc_agent.inventory.topology import online_cpus, read_topology
from tests.inventory_helpers import Machine, build, kernel_mask, lstopo

CPU = "/sys/devices/system/cpu"
BULLDOZER = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 21\nmodel\t\t: 1\n\nprocessor\t: 1"

cpu_sets = st.sets(st.integers(0, 400), max_size=60).map(lambda cpus: mask_of(cpus))


@given(cpu_sets)
def test_a_list_says_the_set_that_it_was_made_of(cpus: int) -> None:
    assert (parse_list(format_list(cpus)) or 0) == cpus


@given(cpu_sets)
def test_a_mask_says_the_set_that_it_was_made_of(cpus: int) -> None:
    assert parse_mask(kernel_mask(cpus)) == cpus


@given(cpu_sets)
def test_members_are_the_bits(cpus: int) -> None:
    assert list(members(cpus)) == [bit for bit in range(401) if cpus >> bit & 1]
    assert not cpus or first_of(cpus) == min(members(cpus))


@given(st.text(alphabet="0123456789-,:/ \n", max_size=30) | st.text(max_size=30))
def test_hostile_lists_are_none_or_bounded(text: str) -> None:
    cpus = parse_list(text)
    assert cpus is None or 0 < cpus.bit_length() <= NUMBER_LIMIT


@given(st.text(alphabet="0123456789abcdefxg,", max_size=40))
def test_hostile_masks_are_none_or_sets(text: str) -> None:
    mask = parse_mask(text)
    assert mask is None or mask >= 0


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", [0]),
        ("0-3,8", [0, 1, 2, 3, 8]),
        ("0-7:2/4", [0, 1, 4, 5]),
        ("0-3:9/2", [0, 1, 2, 3]),
        ("", None),
        ("3-1", None),
        ("0-", None),
        ("0-99999999", None),
        ("0-7:0/4", None),
        ("zero", None),
    ],
)
def test_kernel_lists(text: str, numbers: list[int] | None) -> None:
    cpus = parse_list(text)
    assert (None if cpus is None else list(members(cpus))) == numbers


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """Any CPUs in any places, some of them offline; CPU 0 is online, as on most machines."""
    cpus = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=24))
    offline = draw(st.sets(st.integers(1, 23), max_size=8))
    return Machine(
        cpus=cpus, offline={cpu for cpu in offline if cpu < len(cpus)}, new_names=draw(st.booleans())
    )


@given(machine=machines())
def test_cores_and_sockets_are_those_with_an_online_cpu(
    tmp_path_factory: pytest.TempPathFactory, machine: Machine
) -> None:
    topology = read_topology(build(tmp_path_factory.mktemp("tree"), machine.files()))
    places = {machine.cpus[cpu] for cpu in machine.online}
    assert list(members(topology.online)) == machine.online
    assert topology.present.bit_count() == len(machine.cpus)
    assert len(topology.cores) == len(places)
    assert [socket.number for socket in topology.sockets] == sorted({socket for socket, _ in places})


@pytest.mark.parametrize("seed", range(6))
def test_hwloc_counts_the_same(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    machine = Machine(
        cpus=[(dice.randrange(3), dice.randrange(4)) for _ in range(dice.randrange(2, 20))],
        offline={dice.randrange(20) for _ in range(dice.randrange(4))} - {0},
        new_names=dice.random() < 0.5,
    )
    topology = read_topology(build(tmp_path, machine.files()))
    hwloc = lstopo(tmp_path)
    if hwloc is None:
        pytest.skip("hwloc is not installed")
    counts = {
        "packages": len(topology.sockets),
        "cores": len(topology.cores),
        "pus": topology.online.bit_count(),
    }
    assert counts == {key: hwloc[key] for key in counts}


def test_old_kernels_have_one_online_file_for_each_cpu_but_the_first(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (0, 1), (0, 2)], new_names=False).files()
    del files[f"{CPU}/online"], files[f"{CPU}/present"]
    root = build(tmp_path, {**files, f"{CPU}/cpu1/online": "0", f"{CPU}/cpu2/online": "1"})
    assert format_list(read_topology(root).online) == "0,2"
    assert read_topology(root).present.bit_count() == 3


def test_a_cpu_without_topology_does_not_count_where_others_have_one(tmp_path: Path) -> None:
    files = {
        name: text
        for name, text in Machine(cpus=[(0, 0), (0, 1)]).files().items()
        if "/cpu1/topology" not in name
    }
    assert format_list(online_cpus(build(tmp_path, files))) == "0"


def test_without_any_topology_the_online_cpus_are_known_and_nothing_more(tmp_path: Path) -> None:
    root = build(tmp_path, {f"{CPU}/online": "0-1", f"{CPU}/cpu0/uevent": "", f"{CPU}/cpu1/uevent": ""})
    topology = read_topology(root)
    assert (format_list(topology.online), topology.cores, topology.sockets) == ("0-1", (), ())


def cpuinfo(places: list[tuple[int, int]], *, told: bool = True) -> str:
    """What x86 kernels write of CPUs at these (socket, core)."""
    blocks = (
        f"processor\t: {cpu}\nvendor_id\t: GenuineIntel\ncpu family\t: 15"
        + (f"\nphysical id\t: {socket}\ncore id\t\t: {core}" if told else "")
        for cpu, (socket, core) in enumerate(places)
    )
    return "\n\n".join(blocks)


def test_a_tree_of_proc_alone_has_the_places_that_cpuinfo_tells(tmp_path: Path) -> None:
    places = [(3, 0), (0, 0), (3, 1), (0, 1), (3, 0), (0, 0)]
    topology = read_topology(build(tmp_path, {"/proc/cpuinfo": cpuinfo(places)}))
    assert format_list(topology.online) == "0-5"
    assert [(format_list(socket.cpus), socket.number) for socket in topology.sockets] == [
        ("1,3,5", 0),
        ("0,2,4", 3),
    ]
    assert sorted(format_list(core.cpus) for core in topology.cores) == ["0,4", "1,5", "2", "3"]


def test_a_tree_of_proc_alone_that_tells_no_places_has_cpus_only(tmp_path: Path) -> None:
    topology = read_topology(build(tmp_path, {"/proc/cpuinfo": cpuinfo([(0, 0), (0, 1)], told=False)}))
    assert (format_list(topology.online), topology.cores, topology.sockets) == ("0-1", (), ())


def test_cpuinfo_does_not_speak_where_sysfs_does(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (0, 1)]).files() | {"/proc/cpuinfo": cpuinfo([(0, 0), (1, 0)])}
    assert len(read_topology(build(tmp_path, files)).sockets) == 1


S390 = "vendor_id       : IBM/S390\n# processors    : 2\nprocessor 0: version = FF\nprocessor 3: version = FF"


@pytest.mark.parametrize("text", [S390, "processor\t: 0\n\nprocessor\t: 3\n\nprocessor\t: 99999"])
def test_cpuinfo_of_every_architecture_names_its_cpus(tmp_path: Path, text: str) -> None:
    assert format_list(online_cpus(build(tmp_path, {"/proc/cpuinfo": text}))) == "0,3"


def test_sockets_without_a_number_come_in_the_order_of_their_cpus(tmp_path: Path) -> None:
    """s390 numbers cores and sockets anew in each book; RISC-V says -1."""
    files = Machine(cpus=[(1, 0), (1, 0), (0, 0), (0, 0)]).files()
    files |= {f"{CPU}/cpu{cpu}/topology/physical_package_id": "-1" for cpu in range(4)}
    sockets = read_topology(build(tmp_path, files)).sockets
    assert [(format_list(socket.cpus), socket.number) for socket in sockets] == [("0-1", None), ("2-3", None)]


@pytest.mark.parametrize(("architecture", "cores"), [("x86_64", 2), ("", 1)])
def test_threads_of_an_amd_compute_unit_are_cores_where_the_machine_says_that_it_is_x86(
    tmp_path: Path, architecture: str, cores: int
) -> None:
    files = Machine(cpus=[(0, 0), (0, 0)], new_names=False).files()
    files |= {f"{CPU}/cpu1/topology/core_id": "1", "/proc/cpuinfo": BULLDOZER}
    if architecture:
        files["/proc/hwloc-nofile-info"] = f"OSName: Linux\nArchitecture: {architecture}"
    assert len(read_topology(build(tmp_path, files)).cores) == cores


def test_threads_of_an_amd_compute_unit_with_one_core_id_are_threads(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (0, 0)], new_names=False).files()
    files |= {"/proc/cpuinfo": BULLDOZER, "/proc/hwloc-nofile-info": "Architecture: x86_64"}
    assert len(read_topology(build(tmp_path, files)).cores) == 1


CPUSETS: dict[str, dict[str, str | bytes]] = {
    "cgroup 2": {
        "/proc/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0",
        "/proc/self/cgroup": "0::/job",
        "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io",
        "/sys/fs/cgroup/job/cpuset.cpus.effective": "1-2",
    },
    "cgroup 1": {
        "/proc/mounts": "cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset,clone_children 0 0",
        "/proc/self/cgroup": "9:pids:/\n5:cpuset:/job",
        "/sys/fs/cgroup/cpuset/job/cpuset.cpus": "1-2",
    },
    "cpuset": {
        "/proc/mounts": "none /dev/cpuset cgroup rw,cpuset,noprefix 0 0",
        "/proc/self/cpuset": "/torque/1.master",
        "/dev/cpuset/torque/1.master/cpus": "1-2",
    },
}


@pytest.mark.parametrize("files", CPUSETS.values(), ids=CPUSETS)
def test_what_a_cpuset_withholds_does_not_count(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    machine = Machine(cpus=[(0, 0), (0, 0), (0, 1), (1, 0)])
    topology = read_topology(build(tmp_path, machine.files() | files))
    assert (format_list(topology.online), format_list(topology.withheld)) == ("1-2", "0,3")
    assert [format_list(core.cpus) for core in topology.cores] == ["1", "2"]
    assert len(topology.sockets) == 1
    hwloc = lstopo(tmp_path)
    assert hwloc is None or (hwloc["pus"], hwloc["cores"], hwloc["packages"]) == (2, 2, 1)


def test_a_process_at_the_top_of_the_cgroups_has_all_cpus(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (0, 1)]).files()
    files |= {
        "/proc/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0",
        "/proc/self/cgroup": "0::/",
        "/sys/fs/cgroup/cgroup.controllers": "cpuset",
        "/sys/fs/cgroup/cpuset.cpus.effective": "0-1",
    }
    assert read_topology(build(tmp_path, files)).withheld == 0
