"""A site takes everything down that it has started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ahc_agent.errors import CannotAnswer
from ramdisk.machines.guest import Guest
from ramdisk.machines.site import site

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network namespace"),
]


class Stuck(Guest):
    """A machine whose process does not end in time."""

    def __init__(self) -> None:
        pass

    def kill(self) -> None:
        raise CannotAnswer("it does not end")


def test_what_does_not_end_keeps_nothing_else_alive(tmp_path: Path) -> None:
    with pytest.raises(CannotAnswer, match="does not end"), site(tmp_path, tmp_path) as one:
        argv = [sys.executable, "-c", "import time; print('runs', flush=True); time.sleep(600)"]
        said, (child, _) = one.start(argv)
        said.wait_for("runs", child)
        one._guests.append(Stuck())
        space = one.wire.space
    assert child.poll() is not None
    with pytest.raises(OSError):
        os.fstat(space)
