"""What every test gets: where shared recordings are, and whether root's powers are to be had."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ahc", deadline=None, max_examples=100)
settings.load_profile("ahc")

# A shell starts what runs in the background with interrupts ignored, and children would inherit that: tests interrupt theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Recordings of real machines, which stand beside the checkout and not in it; skip where they are not."""
    folder = Path(os.environ.get("AHC_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder} (set AHC_SHARED)")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``root`` are skipped, with the reason, where they cannot run."""
    reason = _why_not_root()
    if reason is None:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason=reason))


def _why_not_root() -> str | None:
    if os.geteuid() != 0:
        return "needs root"
    if shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
        return "needs iproute2"
    if not Path("/dev/loop-control").exists():
        return "needs loop devices"
    return None
