"""eDeploy's specifications beside ``hardware.matcher`` 0.24.0: 1,000 machines and 20 specifications, the same answers.

Both read the same machines and specifications and use one process; CPU time of matching alone is compared.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ahc_server.edeploy.matcher import Machine, match
from ahc_server.edeploy.spec import Line, Spec, spec_of
from tests.edeploy_helpers import package_python

MACHINES, SPECS = 1_000, 20
MOST_S = 2.0

PEER = """
import json, sys, time
from hardware import matcher
machines, specs = json.load(open(sys.argv[1]))
machines = [[tuple(line) for line in each] for each in machines]
specs = [[tuple(line) for line in each] for each in specs]
started = time.process_time()
said = []
for lines in machines:
    for spec in specs:
        bound = {}
        fits = matcher.match_all(lines, spec, bound, {})
        said.append(bound if fits else None)
print(json.dumps([time.process_time() - started, said]))
"""

Words = tuple[str, str, str, str]


def machine(number: int) -> list[Line]:
    """About 190 lines, as of a server of 2013: four kinds of disks and cards."""
    lines: list[Line] = [("system", "product", "vendor", ("HP", "Dell Inc.")[number % 2])]
    lines.append(("system", "product", "serial", f"CZ{number:06d}"))
    for disk in range(4 + number % 5):
        size = (100, 300, 1000, 2000)[(number + disk // 2) % 4]
        lines += [
            ("disk", f"1I:1:{disk}", "type", "SAS"),
            ("disk", f"1I:1:{disk}", "slot", "0"),
            ("disk", f"1I:1:{disk}", "size", str(size)),
        ]
    for card in range(4):
        link = "yes" if card < 1 + number % 3 else "no"
        lines += [
            ("network", f"eth{card}", "serial", f"d8:9d:67:{number // 256:02x}:{number % 256:02x}:0{card}"),
            ("network", f"eth{card}", "vendor", "Broadcom Corporation"),
            ("network", f"eth{card}", "driver", "tg3"),
            ("network", f"eth{card}", "link", link),
        ]
        if link == "yes":
            lines.append(("network", f"eth{card}", "ipv4", f"10.{card}.{number // 250}.{number % 250 + 1}"))
    lines.append(("memory", "total", "size", str((32 << number % 3) * 2**30)))
    for bank in range(12):
        lines += [
            ("memory", f"bank:{bank}", item, f"{item} {bank % 2}") for item in ("size", "clock", "slot")
        ]
    for core in range(16):
        lines += [
            ("cpu", f"logical_{core}", item, str(number % 97))
            for item in ("bogomips", "loops_per_sec", "mhz")
        ]
    lines.append(("cpu", "logical", "number", str(8 + 8 * (number % 3))))
    return lines


def words(number: int) -> list[Words]:
    """One role: maker, memory, cores, then a disk and a card. What a machine may lack comes before the second variable: from
    there on the package takes minutes and years to say no."""
    size = (100, 300, 1000, 2000)[number % 4]
    return [
        ("system", "product", "vendor", ("HP", "Dell Inc.")[number % 2]),
        ("memory", "total", "size", f"gt({(16 << number % 3) * 2**30})"),
        ("cpu", "logical", "number", "ge(16)" if number % 3 else "in(8, 16, 24)"),
        ("disk", "$disk1", "size", str(size)),
        ("disk", "$disk1", "slot", "$slot1"),
        ("network", "$eth-pub", "ipv4", "network(10.0.0.0/16)"),
        ("network", "$eth-pub", "link", "yes"),
        ("network", "$eth-pub", "serial", "$mac-pub"),
    ]


def test_same_answers_and_faster(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    machines = [machine(number) for number in range(MACHINES)]
    asked = [words(number) for number in range(SPECS)]
    file = tmp_path / "asked.json"
    file.write_text(json.dumps([machines, asked]))
    done = subprocess.run(
        [package_python(), "-c", PEER, str(file)], stdout=subprocess.PIPE, check=True, timeout=200
    )
    theirs_s, theirs = json.loads(done.stdout)

    def ours() -> list[dict[str, object] | None]:
        specs: list[list[Spec]] = [[spec_of(each) for each in one] for one in asked]
        said: list[dict[str, object] | None] = []
        for lines in machines:
            read = Machine(lines)
            for spec in specs:
                found = match(spec, read)
                said.append(dict(found.bound) if found.fits else None)
        return said

    started = time.process_time()
    mine = ours()
    ours_s = time.process_time() - started
    benchmark.pedantic(ours, rounds=1)  # type: ignore[no-untyped-call]
    fitting = sum(each is not None for each in mine)
    ratio = theirs_s / ours_s
    print(
        f"\n{MACHINES:,} machines × {SPECS} specifications, {fitting:,} fit: "
        f"{ours_s:.2f} s, hardware.matcher {theirs_s:.2f} s: {ratio:.1f} times as fast"
    )
    benchmark.extra_info.update(ours_s=round(ours_s, 3), hardware_s=round(theirs_s, 3), ratio=round(ratio, 1))
    assert mine == theirs
    assert fitting > MACHINES
    assert ours_s < MOST_S and ratio > 1


def test_what_the_package_does_not_end(benchmark: BenchmarkFixture) -> None:
    """A last line that no machine has, after many variables: the package tries all of them, 50 deep."""
    banks: list[Words] = [("memory", f"$bank{number}", "slot", "slot 0") for number in range(6)]
    specs = [spec_of(each) for each in [*words(12), *banks, ("system", "ipmi", "channel", "$channel")]]
    machines = [Machine(machine(number)) for number in range(MACHINES)]

    def ours() -> int:
        return sum(match(specs, each).fits for each in machines)

    assert benchmark.pedantic(ours, rounds=1) == 0  # type: ignore[no-untyped-call]
    with pytest.raises(subprocess.TimeoutExpired):
        one = machine(8)
        program = PEER.replace("json.load(open(sys.argv[1]))", "json.loads(sys.argv[1])")
        asked = [[each.words for each in specs]]
        subprocess.run(
            [package_python(), "-c", program, json.dumps([[one], asked])],
            timeout=10,
            stdout=subprocess.DEVNULL,
        )
