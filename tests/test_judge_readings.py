"""What each metric tells, and of which piece: our own names, and those of imported results."""

from __future__ import annotations

import pytest

from ahc_server.judge.readings import Reading, readings
from tests.score_helpers import metric

#: As our agents name what they measure, beside blocks of 1 MiB and 1 GiB.
OWN = {
    "cpu.all.events_per_s": Reading("compute", "all"),
    "cpu.socket1.events_per_s": Reading("compute", "socket1"),
    "cpu.core7.events_per_s": Reading("compute", "core7"),
    "memory.node0.write_1G_bytes_per_s": Reading("memory", "node0"),
    "memory.node0.write_1M_bytes_per_s": Reading("cached", "node0"),
    "disk.sda.read_1M_bytes_per_s": Reading("sequential", "sda"),
    "disk.sda.read_1M_together_bytes_per_s": Reading("sequential", "sda", together=True),
    "disk.sda.write_1M_bytes_per_s": Reading("sequential writes", "sda"),
    "disk.sda.randread_4k_iops": Reading("random", "sda"),
    "disk.sda.randwrite_4k_together_iops": Reading("random writes", "sda", together=True),
    "disk.sda.randread_4k_p50_us": Reading("latency", "sda"),
    "disk.sda.randread_4k_p99_us": Reading("tail latency", "sda"),
    # One request in a thousand is no evidence.
    "disk.sda.randread_4k_p999_us": Reading("silent", "sda"),
    "network.tx.flow_bytes_per_s": Reading("tx", "tx"),
    "network.rx.flow_bytes_per_s": Reading("rx", "rx"),
    "network.rtt.tcp_p50_us": Reading("rtt", "rtt"),
}
#: As eDeploy's files are imported: blocks from 1 KiB to 2 GiB, of each core and of all.
LEGACY = {
    "cpu.core3.loops_per_s": Reading("compute", "core3"),
    "cpu.all.loops_per_s": Reading("compute", "all"),
    "cpu.core3.bogomips": Reading("silent", "core3"),
    "memory.core3.write_1K_bytes_per_s": Reading("silent", "core3"),
    "memory.core3.write_4K_bytes_per_s": Reading("cached", "core3"),
    "memory.core3.write_1M_bytes_per_s": Reading("cached", "core3"),
    "memory.core3.write_16M_bytes_per_s": Reading("silent", "core3"),
    "memory.core3.write_128M_bytes_per_s": Reading("memory", "core3"),
    "memory.core3.write_2G_bytes_per_s": Reading("memory", "core3"),
    "memory.all.threaded_1M_bytes_per_s": Reading("cached", "all", method="threaded"),
    "memory.all.forked_2G_bytes_per_s": Reading("memory", "all", method="forked"),
    "memory.all.threaded_2G_bytes_per_s": Reading("memory", "all", method="threaded"),
}
STRANGE = {
    "system.gpu0.gemm_tflops": Reading("other", "gpu0"),
    "disk.sda.mixed_8k_iops": Reading("other", "sda"),
    "cpu.core2.sha256_per_s": Reading("other", "core2"),
    "network.eth0.ping_us": Reading("other", "eth0"),
    "memory.all.latency_us": Reading("other", "all"),
}


@pytest.mark.parametrize("table", [OWN, LEGACY, STRANGE], ids=["own", "imported", "unknown"])
def test_each_metric_is_read_as(table: dict[str, Reading]) -> None:
    assert dict(zip(table, readings([metric(name) for name in table]), strict=True)) == table


def test_where_no_block_leaves_the_caches_the_largest_must_do_for_memory() -> None:
    names = ["memory.core0.write_1K_bytes_per_s", "memory.core0.write_1M_bytes_per_s"]
    assert [each.kind for each in readings([metric(name) for name in names])] == ["cached", "memory"]


def test_which_blocks_there_are_is_asked_of_each_way_of_measuring_for_itself() -> None:
    """All cores together have no block beyond the caches here, single cores have one."""
    names = [
        "memory.core0.write_1M_bytes_per_s",
        "memory.core1.write_1G_bytes_per_s",
        "memory.all.forked_1M_bytes_per_s",
    ]
    assert [each.kind for each in readings([metric(name) for name in names])] == [
        "cached",
        "memory",
        "memory",
    ]
