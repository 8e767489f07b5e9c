"""The fleet that the golden reports show: two groups and a node in neither, with one sheep of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ahc_agent.facts import Bios, Cpu, Dimm, Disk, Inventory, Memory, Nic, System
from ahc_server.judge import Judgement, wording
from ahc_server.judge.model import Evidence, Finding, Verdict
from tests.report_helpers import group_test, judgement

GB = 10**9
#: A name that a page must not take for its own markup, nor a terminal for commands.
HOSTILE = "\"><img src=x onerror=alert('n24')>\x1b[2J&\u202e"
NAMES = [*(f"n{number}" for number in range(1, 24)), HOSTILE]

CABLE = "its cable, transceiver and switch port, and shaping or offload settings of its sending side"
SMART = "its SMART health, firmware, write cache and cable, and what else uses it"

#: node → column → what remains of the usual value
BROKEN: Mapping[str, Mapping[int, float]] = {
    "n7": {5: 0.41, 6: 0.43},
    "n5": {9: 0.4},
    "n11": {2: 0.95, 0: 0.977},
    "n15": {7: 0.75},
    "n16": {7: 0.71},
    "n18": {8: 1.8},
    HOSTILE: {3: 0.7, 4: 0.72},
}


def made() -> Judgement:
    """Two groups of 24 and 3 nodes and one node in no group, with one sheep of each kind."""
    verdicts: dict[str, Verdict] = {
        **dict.fromkeys(NAMES, "pass"),
        **dict.fromkeys(("n5", "n7"), "fail"),
        **dict.fromkeys(("n2", "n3", "n9", "n11", "n15", "n16", "n18", HOSTILE), "warn"),
        "n20": "unknown",
    }
    others: dict[str, Verdict] = {"e1": "pass", "e2": "pass", "e3": "fail"}
    first = group_test(NAMES, 0, broken=BROKEN, missing={"n20": (8, 9)})
    second = group_test([*others], len(NAMES), broken={}, judged=False)
    return judgement(
        verdicts | others,
        {"g1": NAMES, "g2": [*others]},
        [first, second],
        findings(first),
        alone=["x1"],
    )


def small() -> Judgement:
    """Eight nodes of ``made``, two of them sheep: short enough to read what is drawn of them."""
    names = NAMES[:8]
    test = group_test(names, 0, broken=BROKEN)
    verdicts: dict[str, Verdict] = {**dict.fromkeys(names, "pass"), "n5": "fail", "n7": "fail"}
    return judgement(verdicts, {"g1": names}, [test], [lame_sender(test), lame_disk(test)])


def findings(test: Any) -> list[Finding]:
    """What a judge could say of ``made``; most serious first, as it must."""
    bios = "its BIOS: 1.2.1, where its peers have 1.4.4"
    slots = "6 DIMM slots empty that 21 of 23 peers fill"
    drift = "differs from its 23 peers: BIOS: 1.2.1, where its peers have 1.4.4; check the release notes"
    dimms = "that all DIMMs are there, in the right slots and at full speed, and EDAC counters"
    return [
        lame_sender(test),
        lame_disk(test),
        Finding(
            element="node:e3",
            nodes=["e3"],
            component="health",
            kind="health",
            severity="fail",
            cause="mc0: 3 uncorrected memory errors since boot",
            summary="e3: mc0: 3 uncorrected memory errors since boot; check the DIMM in slot A1",
        ),
        slow("n16", "memory", test, (7,), "memory: writes from all cores (1M blocks)", dimms, cause=slots),
        slow(HOSTILE, "disk", test, (3, 4), "disk sda: random reads (4k)", SMART),
        slow("n15", "memory", test, (7,), "memory: writes from all cores (1M blocks)", dimms, cause=slots),
        slow("n18", "network", test, (8,), "network median TCP round trip", "interrupt coalescing"),
        slow("n11", "cpu", test, (2, 0), "CPU: socket 1", "cooling and the governor"),
        *(
            Finding(
                element=f"node:{name}",
                nodes=[name],
                component="firmware",
                kind="config",
                severity="warn",
                cause=bios,
                summary=f"{name} {drift}",
            )
            for name in ("n2", "n3", "n9")
        ),
        Finding(
            element="node:n20",
            nodes=["n20"],
            component="network",
            kind="not-measured",
            severity="warn",
            cause="silent for 15 s",
            summary="n20 vanished (silent for 15 s); its last result is of disk (step 3); check power and console",
        ),
        Finding(
            element="node:x1",
            nodes=["x1"],
            component="system",
            kind="not-measured",
            severity="warn",
            summary="x1: no inventory, so it is not known whom to compare it with",
        ),
        Finding(
            element="group:g1",
            nodes=[f"n{number}" for number in range(1, 24)],
            component="firmware",
            kind="config",
            severity="info",
            summary="g1: BMC firmware is not the same everywhere: 5.10 (14 nodes), 5.00 (10 nodes)",
        ),
    ]


def lame_sender(test: Any) -> Finding:
    return slow("n5", "network", test, (9,), "network sends", CABLE, severity="fail", direction="tx")


def lame_disk(test: Any) -> Finding:
    told = "disk sdb (ST4000NM0035, serial ZC14X2): random reads (4k)"
    return slow("n7", "disk", test, (5, 6), told, SMART, severity="fail")


def slow(
    node: str,
    component: Any,
    test: Any,
    columns: tuple[int, ...],
    measured: str,
    check: str,
    *,
    severity: Any = "warn",
    cause: str | None = None,
    direction: Any = None,
) -> Finding:
    """A finding as the judge words it, carried by these columns, the first of which is its headline."""
    place = NAMES.index(node)
    evidence = [
        Evidence(
            name=test.metrics[column].name,
            value=float(f"{test.matrix.value[place, column]:.6g}"),
            expected=float(f"{test.found.expected[column]:.6g}"),
            unit=test.metrics[column].unit,
            effect=round(float(test.found.effect[place, column]), 4),
        )
        for column in columns
    ]
    head = test.metrics[columns[0]]
    value, expected = evidence[0].value, evidence[0].expected
    assert value is not None and expected is not None
    return Finding(
        element=f"node:{node}",
        nodes=[node],
        component=component,
        kind="slow",
        direction=direction,
        severity=severity,
        effect=evidence[0].effect,
        q=1.2e-9,
        metrics=evidence,
        cause=cause,
        summary=f"{node}: {measured} {wording.quantity(head, value, expected)} where its {len(test.matrix.rows) - 1} peers have "
        f"{wording.quantity(head, expected)} ({wording.percent(value / expected - 1)}); check {check}",
    )


def inventories() -> dict[str, Inventory]:
    """What is known of the nodes of ``made``."""
    return {
        name: Inventory(
            collected_at="2024-05-01T10:00:00Z",
            system=System(
                vendor="Dell",
                product="R640 <script>alert(1)</script>" if name == HOSTILE else "R640",
                serial=f"7X3K{place}",
                bios=Bios(version="1.2.1" if name in ("n2", "n3", "n9") else "1.4.4", date="10/07/2021"),
                kernel="6.1.0-13-amd64",
            ),
            cpu=Cpu(model="Xeon Gold 6130", sockets=2, cores=32, logical_online=64, microcode="0xd0003b9"),
            memory=Memory(
                total_bytes=192 * 2**30,
                dimms=[
                    Dimm(
                        locator=f"A{slot}",
                        size_bytes=0 if name in ("n15", "n16") and slot > 2 else 32 * 2**30,
                    )
                    for slot in range(1, 9)
                ],
            ),
            disks=[
                Disk(
                    name="sda", size_bytes=4000 * GB, rotational=True, model="ST4000NM0035", serial="ZC14X1"
                ),
                Disk(
                    name="sdb", size_bytes=4000 * GB, rotational=True, model="ST4000NM0035", serial="ZC14X2"
                ),
            ],
            nics=[
                Nic(name="ens1f0", speed_mbps=25_000, driver="ice", firmware="4.20", mac="b4:96:91:00:00:01")
            ],
        )
        for place, name in enumerate(NAMES)
    }
