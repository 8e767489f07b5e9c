"""pyghmi's own BMC as a program: ``bmc_pyghmi.py PORT FOLDER``; user and password come from the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from pyghmi.ipmi.bmc import Bmc


class FolderBmc(Bmc):  # type: ignore[misc]
    """Keeps power and boot device in files. Has no sensors, no event log and no FRU."""

    def __init__(self, folder: Path, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.folder = folder

    def get_power_state(self) -> str:
        return "on" if (self.folder / "power").read_text().strip() == "1" else "off"

    def power_on(self) -> int:
        (self.folder / "power").write_text("1\n")
        return 0

    def power_off(self) -> int:
        (self.folder / "power").write_text("0\n")
        return 0

    def get_boot_device(self) -> str:
        return (self.folder / "boot").read_text().strip()

    def set_boot_device(self, bootdevice: str) -> None:
        (self.folder / "boot").write_text(f"{bootdevice}\n")


if __name__ == "__main__":
    logins = {os.environ["BMC_USER"]: os.environ["BMC_PASSWORD"]}
    FolderBmc(Path(sys.argv[2]), logins, port=int(sys.argv[1]), address="127.0.0.1").listen()
