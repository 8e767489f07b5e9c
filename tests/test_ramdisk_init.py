"""The first process of the ramdisk goes on to init, whatever the machine lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramdisk.upper import ROOTFS
from tests.ramdisk_helpers import needs_busybox, run

#: What would change the machine that runs the test.
_LEFT_OUT = ("mount ", "mkdir ", "export PATH=")


@needs_busybox
@pytest.mark.parametrize("console", [True, False])
def test_init_is_started_with_a_console_and_without(console: bool, tmp_path: Path) -> None:
    """The script without its mounts; its console is a file, or nothing."""
    init, said = tmp_path / "init", tmp_path / ("console" if console else "no/console")
    init.write_text("#!/bin/sh\necho init runs\n")
    init.chmod(0o755)
    if console:
        said.touch()
    lines = (ROOTFS / "init").read_text().splitlines()
    script = "\n".join(line for line in lines if not line.startswith(_LEFT_OUT))
    assert "/sbin/init" in script and "/dev/console" in script
    script = script.replace("/sbin/init", str(init)).replace("/dev/console", str(said))
    (tmp_path / "script").write_text(script)
    printed = run("busybox", "sh", tmp_path / "script")
    assert "init runs" in (said.read_text() if console else printed)
