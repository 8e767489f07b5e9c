"""A Redfish server that is not ours: sushy-tools' emulator (OpenStack) with its fake machines, in a process of its own.

It is installed at the first time into ``.venv-peers/redfish``: its Flask and Werkzeug are nobody else's business here.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.peer_helpers import peer, runs

PACKAGE = "sushy-tools==2.2.0"
_HASH = "import bcrypt, sys; print(bcrypt.hashpw(sys.stdin.buffer.read(), bcrypt.gensalt(4)).decode())"


@contextmanager
def emulator(
    folder: Path,
    machines: Sequence[tuple[str, str]],
    user: str,
    password: str,
    certificate: Path | None = None,
) -> Iterator[str]:
    """Its URL. ``machines``: UUID and name of each. ``certificate``: with its key in one file; then it speaks HTTPS."""
    python = _python()
    hashed = subprocess.run(
        [python, "-c", _HASH], input=password.encode(), capture_output=True, timeout=60, check=True
    ).stdout.decode()
    (folder / "htpasswd").write_text(f"{user}:{hashed}")
    systems = [{"uuid": uuid, "name": name, "power_state": "Off", "nics": []} for uuid, name in machines]
    settings = {
        "SUSHY_EMULATOR_FAKE_SYSTEMS": systems,
        "SUSHY_EMULATOR_STATE_DIR": str(folder),
        "SUSHY_EMULATOR_AUTH_FILE": str(folder / "htpasswd"),
    }
    (folder / "emulator.conf").write_text(
        "".join(f"{name} = {value!r}\n" for name, value in settings.items())
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [str(python.with_name("sushy-emulator")), "--fake", "--config", str(folder / "emulator.conf")]
    command += ["-i", "127.0.0.1", "-p", str(port)]
    if certificate is not None:
        command += ["--ssl-certificate", str(certificate), "--ssl-key", str(certificate)]
    with (folder / "emulator.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=_environment())
    try:
        _await(server, port, folder / "emulator.log")
        yield f"{'http' if certificate is None else 'https'}://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait(30)


def _environment() -> dict[str, str]:
    """Without what would name another config, or a cloud."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SUSHY_", "OS_"))}


def _await(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"the emulator does not listen: {log.read_text()}")


def _python() -> Path:
    """The interpreter that has the emulator. Skips where it cannot be installed."""
    check = runs("import sushy_tools.emulator.main")
    return peer("redfish", "sushy-tools", (PACKAGE,), check) / "bin" / "python"
