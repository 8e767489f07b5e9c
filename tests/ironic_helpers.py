"""A real Ironic on loopback: its own API and conductor in one process, fake hardware, a SQLite file, nobody to log in."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from sys import executable

#: On a busy machine the start alone takes its time.
_START_LIMIT_S = 120

_INTERFACES = [
    "bios",
    "boot",
    "console",
    "deploy",
    "firmware",
    "inspect",
    "management",
    "power",
    "raid",
    "rescue",
    "vendor",
]

#: None, or why the tests with a real Ironic cannot run.
ABSENT = (
    None if find_spec("ironic") and find_spec("openstack") else "ironic and openstacksdk are not installed"
)


def _configuration(folder: Path, port: int) -> str:
    fakes = "\n".join(f"enabled_{each}_interfaces = fake" for each in _INTERFACES)
    return f"""
[DEFAULT]
auth_strategy = noauth
rpc_transport = none
host = ahc-test
my_ip = 127.0.0.1
state_path = {folder}
enabled_hardware_types = fake-hardware
{fakes}
enabled_network_interfaces = noop
enabled_storage_interfaces = noop
default_deploy_interface = fake
[database]
connection = sqlite:///{folder}/ironic.sqlite
[api]
host_ip = 127.0.0.1
port = {port}
[conductor]
automated_clean = false
[oslo_concurrency]
lock_path = {folder}/lock
"""


@contextmanager
def running_ironic(folder: Path) -> Iterator[str]:
    """Its URL, while it runs. Raises RuntimeError with the end of its log where it does not come up."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configuration = folder / "ironic.conf"
    configuration.write_text(_configuration(folder, port))
    programs = Path(executable).parent
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    log = folder / "log"
    with log.open("wb") as output:
        subprocess.run(
            [programs / "ironic-dbsync", "--config-file", configuration, "create_schema"],
            check=True,
            timeout=_START_LIMIT_S,
            stdout=output,
            stderr=output,
            env=environment,
        )
        process = subprocess.Popen(
            [programs / "ironic", "--config-file", configuration],
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, f"{url}/v1/", log)
        yield url
    finally:
        # Its own session: whatever it started goes with it.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"Ironic did not come up:\n{log.read_text()[-3000:]}")
