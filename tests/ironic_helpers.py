"""A real Ironic on loopback: its own API and conductor in one process, fake hardware, a SQLite file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


#: Who may log in, where somebody has to.
USER, PASSWORD = "operator", "correct horse"

#: A node with this in its ``extra`` keeps the reserved steps of a manual cleaning, as Ironic's guide has it. What is released (29
#: and 39 were looked at) lets them pass where it validates them, and forgets them. All else is Ironic's own.
KEEPS = "keeps_reserved_steps"
_KEEPING = f"""
import sys
from ironic.command.singleprocess import main
from ironic.conductor import steps
validate = steps._validate_user_clean_steps
def keeping(task, user_steps, **more):
    validated = validate(task, user_steps, **more)
    return list(user_steps) if task.node.extra.get({KEEPS!r}) else validated
steps._validate_user_clean_steps = keeping
sys.exit(main())
"""


def _configuration(folder: Path, port: int, *, login: bool) -> str:
    fakes = "\n".join(f"enabled_{each}_interfaces = fake" for each in _INTERFACES)
    return f"""
[DEFAULT]
auth_strategy = {"http_basic" if login else "noauth"}
http_basic_auth_user_file = {folder}/users
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
def running_ironic(folder: Path, *, login: bool = False) -> Iterator[str]:
    """Its URL, while it runs; ``login``: for ``USER`` alone. Raises RuntimeError with the end of its log where it does not come
    up."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configuration = folder / "ironic.conf"
    configuration.write_text(_configuration(folder, port, login=login))
    if login:
        import bcrypt  # of Ironic's own requirements

        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        (folder / "users").write_text(f"{USER}:{hashed}\n")
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
            [executable, "-c", _KEEPING, "--config-file", configuration],
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
        # Its own session: whatever it started goes with it. One that never came up has left nothing.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return
            time.sleep(0.2)
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"Ironic did not come up:\n{log.read_text()[-3000:]}")
