"""Packages that tests hold ours against, each in a virtual environment of its own: what they need is nobody else's business."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

#: Our own pip installs into the others' environments: to give each a pip takes longer than most installations.
_PIP = (sys.executable, "-m", "pip")
#: Without a network pip gives up soon; what a test imports of a package is compiled then, the rest never.
_PATIENCE = ("--no-input", "--no-compile", "--disable-pip-version-check", "--retries", "2", "--timeout", "15")


def peer(
    name: str,
    what: str,
    arguments: tuple[str, ...],
    works: Callable[[Path], bool],
    bare: tuple[str, ...] = (),
) -> Path:
    """The environment ``.venv-peers/NAME``; ``pip install ARGUMENTS`` makes it where it does not work (``works``: of its folder).

    ``bare``: packages without what they say they need. Skips the test where that cannot be done; ``what`` says what it would have
    been.
    """
    folder = REPOSITORY / ".venv-peers" / name
    with _alone_at(folder):
        if works(folder):
            return folder
        # What an installation that was cut short has left would stand in the way for ever.
        shutil.rmtree(folder, ignore_errors=True)
        install = [*_PIP, "--python", str(folder / "bin" / "python"), "install", "-q", *_PATIENCE]
        try:
            for command in (
                [sys.executable, "-m", "venv", "--without-pip", str(folder)],
                [*install, *arguments],
                *([[*install, "--no-deps", *bare]] if bare else []),
            ):
                subprocess.run(
                    command, check=True, timeout=600, capture_output=True, stdin=subprocess.DEVNULL
                )
        except (subprocess.SubprocessError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            pytest.skip(f"{what} cannot be installed: {error}")
        if not works(folder):
            pytest.skip(f"{what} is installed in {folder}, and does not work")
        return folder


@contextmanager
def _alone_at(folder: Path) -> Iterator[None]:
    """Tests that run side by side make an environment one after the other; the second finds it made."""
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def runs(code: str) -> Callable[[Path], bool]:
    """Whether the environment's Python runs a piece of code."""

    def works(folder: Path) -> bool:
        try:
            done = subprocess.run([folder / "bin" / "python", "-c", code], capture_output=True, timeout=60)
        except (subprocess.SubprocessError, OSError):
            return False
        return done.returncode == 0

    return works
