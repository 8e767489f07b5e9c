"""A hundred BMCs asked for their power state: one after the other, and 32 at once, side by side.

BMCs are OpenIPMI's simulator behind relays that hold each packet for 20 ms, about what a real one takes.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ahc_server.bmc.ask import Ask, status
from ahc_server.bmc.link import load
from ahc_server.bmc.secret import Secret
from ahc_server.bmc.target import Login, Target
from ahc_server.bmc.workers import ask_all
from tests.bmc_helpers import PASSWORD, SIM, USER, ipmi_sim, relay

BMCS, TIME_LIMIT_S = 100, 120.0


@pytest.mark.skipif(SIM is None, reason="needs OpenIPMI's ipmi_sim (Debian: openipmi)")
def test_a_hundred_bmcs(benchmark: Any, tmp_path: Path) -> None:
    login = Login(USER, Secret(PASSWORD))
    with ExitStack() as stack:
        bmcs = stack.enter_context(ipmi_sim(tmp_path, sensors=False, count=BMCS))
        ports = [stack.enter_context(relay(each.port, lambda: time.sleep(0.02))) for each in bmcs]
        targets = [Target(node=f"n{port}", host="127.0.0.1", port=port, login=login) for port in ports]
        load(targets)

        def asked(at_once: int) -> float:
            started = time.perf_counter()
            answers = ask_all(targets, Ask(status()), at_once=at_once, time_limit_s=TIME_LIMIT_S)
            assert [each.power for each in answers] == ["off"] * BMCS
            return time.perf_counter() - started

        alone_s = asked(1)
        together_s = min(benchmark.pedantic(asked, args=(32,), rounds=2), asked(32))
    ratio = alone_s / together_s
    benchmark.extra_info.update(alone_s=alone_s, together_s=together_s, ratio=ratio)
    print(
        f"\n{BMCS} BMCs: one by one {alone_s:.1f} s, 32 at once {together_s:.1f} s: {ratio:.1f} times as fast"
    )
