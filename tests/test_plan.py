"""Plans: eDeploy's vocabulary, ours on top, and mistakes answered with line and remedy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import FileFormatError, UsageError
from ahc_agent.wire.messages import CpuTask, DiskTask, MemoryTask, PairTask
from ahc_server.plan import HostRange, Job, Plan, find_plan, parse_plan, read_plan, shipped_plans
from ahc_server.rounds import BISECTION_ROUNDS, MOST_ROUNDS

DAHC = """\
name: sample
required-hosts: 81
required-hypervisors: 3
jobs:
    memory:
       component: memory
       required-hosts: 1-81
       step-hosts: 6
       runtime: 10
       cores : 2
       block-size: 16M
       mode: forked
    read_rand:
       component: storage
       required-hosts: 1-81
       step-hosts: 6
       rampup-time: 5
       runtime: 60
       mode: random
       access : read
       block-size: 4k
       device: vda
    tcp_bandwidth:
       component: network
       required-hosts: 3-81
       arity: 3
       step-hosts: 6
       runtime: 10
       network-hosts: 192.168.254.0/24,192.168.24.0/24,1.2.3.4/24
       mode: bandwidth
       connection: tcp
       block-size : 128K
"""


def job(text: str) -> Any:
    """The task of a job given as lines of YAML."""
    return parse_plan("jobs:\n  j:\n" + "".join(f"    {line}\n" for line in text.splitlines())).jobs[0].task


def refused(text: str) -> FileFormatError:
    with pytest.raises(FileFormatError) as caught:
        parse_plan(text, "p.yaml")
    return caught.value


def test_edeploys_job_file_is_taken_as_it_is() -> None:
    plan = parse_plan(DAHC)
    assert (plan.name, plan.hosts, plan.hypervisors) == ("sample", HostRange(81, 81), 3)
    memory, disk, network = plan.jobs
    assert memory.hosts == HostRange(1, 81, 6)
    assert isinstance(memory.task, MemoryTask)
    assert (memory.task.block_sizes, memory.task.cores, memory.task.mode) == (("16M",), 2, "forked")
    assert memory.task.limits.ci_target == 0, "a ramp-up holds its load for the whole time"
    assert isinstance(disk.task, DiskTask)
    assert (disk.task.patterns, disk.task.block_sizes, disk.task.devices) == (
        ("randread",),
        {"randread": "4k"},
        ["vda"],
    )
    assert (disk.task.limits.runtime_s, disk.task.limits.rampup_s) == (60, 5)
    assert isinstance(network.task, PairTask)
    assert (network.arity, network.task.message_bytes, network.task.latency) == (3, 128 * 1024, False)
    assert network.networks == ("192.168.254.0/24", "192.168.24.0/24", "1.2.3.0/24")


def test_the_shared_sample_has_the_steps_that_edeploy_ran(shared: Path) -> None:
    path = shared / "edeploy" / "dahc-sample.yaml"
    if not path.is_file():
        pytest.skip("no shared samples here")
    counts = {job.name: job.hosts.counts() for job in read_plan(path).jobs if job.hosts}
    assert counts["cpu"] == (1, *range(6, 81, 6), 81)
    assert counts["tcp_latency"] == (3, *range(6, 81, 6), 81)


@pytest.mark.parametrize(
    ("hosts", "counts"),
    [
        (HostRange(81, 81), (81,)),
        (HostRange(1, 81, 6), (1, 6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 66, 72, 78, 81)),
        (HostRange(3, 81, 6), (3, 6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 66, 72, 78, 81)),
        (HostRange(6, 12, 6), (6, 12)),
        (HostRange(2, 5), (2, 3, 4, 5)),
        (HostRange(2, 5, 100), (2, 5)),
    ],
)
def test_host_ranges(hosts: HostRange, counts: tuple[int, ...]) -> None:
    assert hosts.counts() == counts


@given(st.integers(1, 300), st.integers(0, 300), st.integers(1, 50))
def test_host_ranges_begin_low_end_high_and_climb_by_multiples(low: int, more: int, step: int) -> None:
    counts = HostRange(low, low + more, step).counts()
    assert counts[0] == low and counts[-1] == low + more
    assert list(counts) == sorted(set(counts))
    assert all(count % step == 0 for count in counts[1:-1])
    assert all(after - before <= step for before, after in pairwise(counts))


def test_a_number_is_a_fixed_count_and_all_is_everybody() -> None:
    assert parse_plan("jobs: {a: {component: cpu, required-hosts: 3}}").jobs[0].hosts == HostRange(3, 3)
    assert parse_plan("jobs: {a: {component: cpu, required-hosts: all}}").jobs[0].hosts is None
    assert parse_plan("jobs: {a: {component: cpu}}").jobs[0].hosts is None


def test_a_plans_runtime_and_target_hold_for_jobs_without_their_own() -> None:
    plan = parse_plan(
        "runtime: 7\nci-target: 0.05\njobs: {a: {component: cpu}, b: {component: cpu, runtime: 2}}"
    )
    limits = [job.task.limits for job in plan.jobs if isinstance(job.task, CpuTask)]
    assert [(one.runtime_s, one.ci_target) for one in limits] == [(7, 0.05), (2, 0.05)]


def test_block_sizes_have_one_spelling() -> None:
    assert job("component: memory\nblock-sizes: 1024, 4k, 1M, 2GiB").block_sizes == ("1K", "4K", "1M", "2G")
    assert job("component: storage\nmode: random\nblock-size: 4096").block_sizes == {"randread": "4k"}
    assert job("component: storage\nblock-size: 1M").block_sizes == {"read": "1M", "randread": "1M"}


def test_network_jobs() -> None:
    task = job("component: network")
    assert (task.engine, task.bandwidth, task.latency) == ("zmq", True, True)
    task = job("component: network\nmode: latency\nconnection: udp")
    assert (task.bandwidth, task.latency, task.round_trip_protocols) == (False, True, ("udp",))
    assert job("component: network\nlatency: tcp").round_trip_protocols == ("tcp",)
    assert job("component: network\nmode: bandwidth").latency is False
    task = job("component: network\nengine: iperf3\nstreams: 4\nruntime: 3")
    assert (task.engine, task.streams, task.limits.runtime_s) == ("iperf3", 4, 3)


def test_rounds_are_chosen_unless_all_or_a_number_is_asked_for() -> None:
    def of(text: str) -> Job:
        return parse_plan(f"jobs: {{a: {{component: network{text}}}}}").jobs[0]

    assert (of("").rounds, of("").most_rounds) == ("auto", MOST_ROUNDS)
    assert of(", rounds: auto, most-rounds: 9").most_rounds == 9
    assert of(", rounds: all").rounds == "all"
    assert of(", rounds: 5").rounds == 5
    halves = of(", rounds: bisection")
    assert (halves.rounds, halves.most_rounds) == ("bisection", BISECTION_ROUNDS)
    assert of(", rounds: bisection, most-rounds: 5").most_rounds == 5


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10min", 600), ("10 m", 600), ("1.5h", 5400)]
)
def test_a_budget_is_a_time(text: str, seconds: float) -> None:
    plan = f"jobs: {{net: {{component: network, budget: {text}}}}}"
    assert parse_plan(plan).jobs[0].budget_s == seconds


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("name: x\n", 1, "no jobs"),
        ("jobs: {}\n", 1, "1 to 200 jobs"),
        ("jobs: [a]\n", 1, "a mapping of names"),
        ("jobs:\n  a: 3\n", 2, "a mapping"),
        ("jobs:\n  a:\n    runtime: 3\n", 2, "no component"),
        ("jobs:\n  a:\n    component: netwrok\n", 3, "did you mean 'network'"),
        ("jobs:\n  a:\n    component: cpu\n    block-size: 1M\n", 4, "unknown key 'block-size' in a cpu job"),
        ("jobs:\n  a:\n    component: cpu\n    run-time: 3\n", 4, "did you mean 'runtime'"),
        ("nmae: x\njobs: {a: {component: cpu}}\n", 1, "did you mean 'name'"),
        ("jobs:\n  a:\n    component: cpu\n    runtime: -1\n", 4, "a number from"),
        ("jobs:\n  a:\n    component: cpu\n    required-hosts: 9-3\n", 4, "a number of hosts"),
        ("jobs:\n  a:\n    component: cpu\n    required-hosts: 0\n", 4, "a number of hosts"),
        ("jobs:\n  a:\n    component: cpu\n    step-hosts: 6\n", 4, "without required-hosts"),
        ("jobs:\n  a:\n    component: network\n    required-hosts: 1-9\n", 4, "at least 2 hosts"),
        ("jobs:\n  a:\n    component: network\n    network-hosts: 10.0.0.0/99\n", 4, "is no network"),
        ("jobs:\n  a:\n    component: network\n    rounds: some\n", 4, "or a number of rounds"),
        ("jobs:\n  a:\n    component: network\n    rounds: 0\n", 4, "or a number of rounds"),
        ("jobs:\n  a:\n    component: network\n    rounds: 3\n    arity: 4\n", 4, "rounds: 3 and arity"),
        ("jobs:\n  a:\n    component: network\n    rounds: all\n    most-rounds: 4\n", 4, "and most-rounds"),
        ("jobs:\n  a:\n    component: network\n    rounds: 4\n    budget: 9min\n", 4, "and budget"),
        ("jobs:\n  a:\n    component: network\n    budget: soon\n", 4, "a time like 90s, 10min or 1h"),
        ("jobs:\n  a:\n    component: network\n    budget: 0\n", 4, "a time like 90s, 10min or 1h"),
        ("jobs:\n  a:\n    component: network\n    connection: udp\n", 4, "iperf3"),
        ("jobs:\n  a:\n    component: memory\n    block-size: 1X\n", 4, "no block size"),
        ("jobs:\n  a:\n    component: memory\n    block-size: 1M\n    block-sizes: 1M\n", 5, "keep one"),
        ("required-hosts: 6\njobs:\n  a:\n    component: cpu\n    required-hosts: 1-81\n", 5, "the plan at most 6"),
    ],
)  # fmt: skip
def test_mistakes_name_line_and_remedy(text: str, line: int, says: str) -> None:
    error = refused(text)
    assert says in str(error)
    assert error.line == line
    assert error.exit_code == 2


def test_writes_to_disks_need_the_plans_word() -> None:
    writing = "jobs:\n  a:\n    component: storage\n    access: write\n"
    error = refused(writing)
    assert error.line == 4
    assert "destructive: true" in str(error)
    task = parse_plan("destructive: true\n" + writing).jobs[0].task
    assert isinstance(task, DiskTask) and task.destructive and task.patterns == ("write", "randwrite")


def test_a_reading_job_of_a_destructive_plan_gets_no_right_to_write() -> None:
    task = parse_plan("destructive: true\njobs: {a: {component: storage}}").jobs[0].task
    assert isinstance(task, DiskTask) and not task.destructive


def test_shipped_plans_are_found_by_name_and_a_file_of_that_name_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(shipped_plans()) == {"network", "quick", "standard"}
    for path in shipped_plans().values():
        plan = read_plan(path)
        assert plan.name == path.stem and plan.description and not plan.destructive
    monkeypatch.chdir(tmp_path)
    assert find_plan("quick") == shipped_plans()["quick"]
    Path("quick").write_text("jobs: {a: {component: cpu}}")
    assert find_plan("quick") == Path("quick")
    with pytest.raises(UsageError, match="shipped: network, quick, standard"):
        find_plan("qiuck")


_keys = st.sampled_from(
    [
        "name",
        "required-hosts",
        "runtime",
        "jobs",
        "component",
        "step-hosts",
        "cores",
        "block-size",
        "mode",
        "access",
        "device",
        "rampup-time",
        "arity",
        "network-hosts",
        "connection",
        "affinity-hosts",
        "affinity",
        "parallel",
        "rounds",
        "destructive",
        "ci-target",
        "scopes",
    ]
)
_words = [
    "cpu",
    "memory",
    "storage",
    "network",
    "all",
    "1-81",
    "3",
    "1M",
    "4k",
    "random",
    "read",
    "write",
    "tcp",
    "fair",
    "10.0.0.0/8",
    "true",
    "auto",
]
_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(_words)
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=6)),
    max_leaves=12,
)
_plans = st.dictionaries(_keys, _values, max_size=6)
_jobs = st.dictionaries(st.text(max_size=4), st.dictionaries(_keys, _scalars, max_size=8), max_size=3)


@given(_plans, _jobs)
def test_no_yaml_makes_the_parser_raise_anything_but_a_format_error(top: Any, jobs: Any) -> None:
    import yaml

    try:
        assert isinstance(parse_plan(yaml.safe_dump(top | {"jobs": jobs})), Plan)
    except FileFormatError:
        pass


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_no_bytes_make_the_parser_raise_anything_but_a_format_error(data: str | bytes) -> None:
    try:
        assert isinstance(parse_plan(data), Plan)
    except FileFormatError:
        pass


def test_a_plan_says_which_switch_each_node_is_meant_to_hang_on() -> None:
    jobs = "jobs: {a: {component: inventory}}\n"
    assert parse_plan(f"cabling: {{leaf1: [n1, n2], leaf2: n3}}\n{jobs}").cabling == {
        "n1": "leaf1",
        "n2": "leaf1",
        "n3": "leaf2",
    }
    for cabling, said in (
        ("{leaf1: n1, leaf2: n1}", "n1 hangs on leaf1 already"),
        ("[n1]", "a mapping of switches"),
    ):
        with pytest.raises(FileFormatError, match=said):
            parse_plan(f"cabling: {cabling}\n{jobs}")
