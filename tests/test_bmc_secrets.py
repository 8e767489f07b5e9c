"""A password of a BMC is seen by the BMC alone: in no output, log, command line or environment of a process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.bmc_helpers import PASSWORD, SIM, USER, ipmi_sim, silent

pytestmark = pytest.mark.skipif(SIM is None, reason="needs OpenIPMI's ipmi_sim (Debian: openipmi)")

REPOSITORY = Path(__file__).parent.parent
WRONG = "wr0ng-Word"


@contextmanager
def nonsense() -> Iterator[int]:
    """A port that answers every packet with one that begins as IPMI does and goes on with what it was sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talker:
        talker.bind(("127.0.0.1", 0))
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                data, peer = talker.recvfrom(4096)
                talker.sendto(b"\x06\x00\xff\x07" + data * 3, peer)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield int(talker.getsockname()[1])
        finally:
            over.set()
            talker.sendto(b"", talker.getsockname())
            thread.join()


def started(path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "ahc_server",
            "-vv",
            "bmc",
            *arguments,
            "--nodes",
            str(path),
            "--time-limit",
            "20",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={key: value for key, value in os.environ.items() if not key.startswith("AHC_BMC_")},
    )


def below(pid: int) -> set[int]:
    """A process and all that descend from it, as far as they are still there."""
    found = {pid}
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found |= below(int(child))
    return found


@pytest.mark.parametrize(("action", "form"), [("status", "text"), ("sensors", "json")])
def test_no_output_and_no_log_shows_it_whatever_the_bmcs_do(tmp_path: Path, action: str, form: str) -> None:
    with ipmi_sim(tmp_path) as [bmc], silent() as deaf, nonsense() as mad:
        nodes = tmp_path / "nodes.json"
        logins = [
            ("good", bmc.address, PASSWORD),
            ("stranger", f"localhost:{bmc.port}", WRONG),
            ("deaf", f"127.0.0.1:{deaf}", PASSWORD),
            ("mad", f"127.0.0.1:{mad}", PASSWORD),
        ]
        nodes.write_text(
            json.dumps(
                [
                    {"name": name, "pm_addr": address, "pm_user": USER, "pm_password": word}
                    for name, address, word in logins
                ]
            )
        )
        nodes.chmod(0o600)
        asking = started(nodes, action, "--format", form)
        try:
            out, err = asking.communicate(timeout=120)
        finally:
            asking.kill()
            asking.wait()
    assert asking.returncode == 3
    assert "good" in out and "stranger" in out
    for word in (PASSWORD, WRONG):
        assert word not in out + err


def test_no_command_line_and_no_environment_shows_it(tmp_path: Path) -> None:
    with silent() as deaf:
        nodes = tmp_path / "nodes.json"
        node = {"pm_addr": f"127.0.0.1:{deaf}", "pm_user": USER, "pm_password": PASSWORD}
        nodes.write_text(json.dumps([node]))
        nodes.chmod(0o600)
        asking = started(nodes, "status")
        seen: dict[int, bytes] = {}
        try:
            while asking.poll() is None:
                time.sleep(0.05)
                for pid in below(asking.pid):
                    with suppress(OSError):  # it may have ended meanwhile
                        shown = [Path(f"/proc/{pid}/{what}").read_bytes() for what in ("cmdline", "environ")]
                        seen[pid] = b"".join(shown)
        finally:
            asking.kill()
            asking.communicate()
    assert len(seen) >= 2, "the process that asks the BMC was seen"
    assert all(PASSWORD.encode() not in shown for shown in seen.values())
