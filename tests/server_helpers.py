"""Real servers, agents and ``ahc`` commands as processes, ended by their own ids whatever happens."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from tests.conftest import REPOSITORY

AHC = [sys.executable, "-m", "ahc_server"]


class Stage:
    """A folder with a store, and the processes around it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "ahc.db"
        self.port = free_port()
        self.key = ""
        self.server: subprocess.Popen[str] | None = None
        self.others: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in [*self.others, *([self.server] if self.server else [])]:
            if child.poll() is None:
                child.kill()
            child.communicate()

    def serve(self, *options: str, program: Sequence[str] = AHC) -> subprocess.Popen[str]:
        """Start the server, and wait until it says that agents can join."""
        with (self.folder / "serve.log").open("a") as log:
            self.server = self._start(
                "-v", "serve", "--bind", f"tcp://127.0.0.1:{self.port}", *options, stderr=log, program=program
            )
        assert self.server.stdout is not None
        lines = [self.server.stdout.readline() for _ in range(4)]
        assert lines[0] == f"endpoint: tcp://127.0.0.1:{self.port}\n", (self.folder / "serve.log").read_text()
        self.key = lines[1].removeprefix("public key: ").strip()
        assert lines[2] == f"kernel arguments: ahc.server=tcp://127.0.0.1:{self.port} ahc.key={self.key}\n"
        return self.server

    def kill_server(self) -> None:
        assert self.server is not None
        self.server.kill()
        self.server.communicate()
        self.server = None

    def agent(self, name: str, seconds: float = 0.02) -> subprocess.Popen[str]:
        """A real agent with measurements that take up to so long."""
        script = Path(__file__).parent / "quick_agent.py"
        arguments = [f"tcp://127.0.0.1:{self.port}", self.key, name, str(self.folder / name), str(seconds)]
        return self._keep(subprocess.Popen([sys.executable, script, *arguments], cwd=REPOSITORY, text=True))

    def background(self, *arguments: str) -> subprocess.Popen[str]:
        return self._keep(self._start(*arguments))

    def ahc(self, *arguments: str, time_limit_s: float = 60.0) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        child = self._keep(self._start(*arguments))
        out, err = child.communicate(timeout=time_limit_s)
        return child.returncode, out, err

    def plan(self, text: str) -> str:
        path = self.folder / "plan.yaml"
        path.write_text(text)
        return str(path)

    def _start(
        self, *arguments: str, stderr: int | IO[str] = subprocess.PIPE, program: Sequence[str] = AHC
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*program, "--store", str(self.store), *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=REPOSITORY,
        )

    def _keep(self, child: subprocess.Popen[str]) -> subprocess.Popen[str]:
        self.others.append(child)
        return child


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: object, time_limit_s: float = 20.0) -> None:
    """Until a function says yes."""
    assert callable(condition)
    deadline = time.monotonic() + time_limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
