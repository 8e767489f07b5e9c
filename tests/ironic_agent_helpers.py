"""The real ironic-python-agent, in a virtual environment of its own (its pins are not ours), asked line by line in JSON."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY
from tests.peer_helpers import peer, runs

PACKAGES = ("ironic-python-agent>=13,<14", "--editable", str(REPOSITORY))
#: As its own programs do: the configuration first. An installation from before the entry points is none.
CHECK = """
from ironic_python_agent import config, hardware, inspector
assert set(inspector.extension_manager(["ahc", "ahc-extra-hardware"]).names()) == {"ahc", "ahc-extra-hardware"}
"""

DRIVER = """
import json, sys
from ironic_python_agent import config, hardware, inspector, utils
from ironic_python_agent.extensions import clean, service
from oslo_config import cfg

CONF = cfg.CONF
CONF([], project="ironic-python-agent")
CONF.set_override("disk_wait_attempts", 0)  # there is no root disk to wait for
NODE = {"uuid": "1be26c0b-03f2-4d2e-ae87-c02d7f33c123", "properties": {}, "driver_internal_info": {}}
EXTENSIONS = {"clean": clean.CleanExtension, "service": service.ServiceExtension}

def managers():
    return [type(each).__name__ for each in hardware.get_managers()]

def steps(kind):
    return hardware.deduplicate_steps(hardware.dispatch_to_all_managers(f"get_{kind}_steps", NODE, []))

def command(kind, name, arguments):
    hardware.NODE = NODE
    result = EXTENSIONS[kind]().execute(name, node=NODE, ports=[], **arguments)
    if hasattr(result, "execution_thread"):
        result.join()
    return json.loads(json.dumps(result.serialize(), default=str))

def collect(names, parameters):
    utils._set_cached_params(parameters or {"nothing": "1"})
    data, failures = {}, utils.AccumulatedFailures()
    for extension in inspector.extension_manager(names):
        extension.plugin(data, failures)
    return {"data": data, "failures": failures.get_error()}

def inspect(url, collectors, parameters):
    utils._set_cached_params(parameters)
    CONF.set_override("inspection_callback_url", url)
    CONF.set_override("inspection_collectors", collectors)
    return inspector.inspect()

for line in sys.stdin:
    what, args = json.loads(line)
    try:
        said = {"said": globals()[what](*args)}
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    print("ANSWER " + json.dumps(said), flush=True)
"""


class IronicAgent:
    """The process. An exception inside is a RuntimeError here."""

    def __init__(self, python: Path, folder: Path) -> None:
        """``folder`` gets what a ramdisk has and a machine for tests may not: a udevadm that has nothing to wait for."""
        udevadm = folder / "udevadm"
        udevadm.write_text("#!/bin/sh\nexit 0\n")
        udevadm.chmod(0o755)
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(
            [python, "-c", DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=folder,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:{folder}"},
        )

    def ask(self, what: str, *args: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, args]) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("ANSWER "):
                answer: Mapping[str, Any] = json.loads(line.removeprefix("ANSWER "))
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["said"]
        raise RuntimeError(f"ironic-python-agent ended: {self.log[-3000:]}")

    @property
    def log(self) -> str:
        self._log.flush()
        return Path(self._log.name).read_text()

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()


def agent_python() -> Path:
    """The interpreter that has both packages; they are installed at the first time. Skips where that cannot be done."""
    return peer("ironic-agent", "ironic-python-agent", PACKAGES, runs(CHECK)) / "bin" / "python"
