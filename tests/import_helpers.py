"""Files as other tools write them, small, and ``ahc import`` called as a program is."""

from __future__ import annotations

import json
import os
import pprint
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ahc_agent.console import run_main
from ahc_server.cli import group
from ahc_server.importers import Imported, read_file

Row = tuple[Any, ...]

WRITTEN_AT = 1_400_000_000


def machine(number: int = 1, loops: Sequence[str] = ("400", "402")) -> list[Row]:
    """A machine's rows as eDeploy writes them."""
    return [
        ("system", "product", "serial", f"CZ{number:08d}"),
        ("system", "product", "name", "ProLiant DL360p Gen8"),
        ("system", "product", "vendor", "HP"),
        ("firmware", "bios", "version", "P71"),
        ("memory", "total", "size", "8589934592"),
        ("disk", "sda", "size", "899"),
        ("network", "eth0", "serial", f"d8:9d:67:00:{number // 256:02x}:{number % 256:02x}"),
        ("network", "eth0", "link", "yes"),
        ("network", "eth0", "size", "1000000000"),
        ("cpu", "physical", "number", "1"),
        ("cpu", "logical", "number", "2"),
        *[("cpu", f"logical_{core}", "loops_per_sec", value) for core, value in enumerate(loops)],
        ("cpu", "logical", "loops_per_sec", "801"),
        ("disk", "sda", "standalone_read_1M_KBps", "100000"),
    ]


def write_hw(path: Path, rows: Sequence[Row]) -> Path:
    return written(path, pprint.pformat(list(rows)))


def write_json(path: Path, data: object) -> Path:
    return written(path, json.dumps(data))


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    os.utime(path, (WRITTEN_AT, WRITTEN_AT))
    return path


def read_one(path: Path) -> Imported:
    """The only machine of a file."""
    found = [imported for _, _, imported in read_file(path)]
    assert len(found) == 1
    return found[0]


def value_of(imported: Imported, name: str) -> float | None:
    return next(each.value for each in imported.measurements if each.name == name)


class Ahc:
    """The command, in this process: exit status, standard output, standard error."""

    def __init__(
        self, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.store = store
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        self._monkeypatch.setattr("sys.argv", ["ahc", "--store", str(self.store), *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            run_main(group, "ahc")
        said = self._capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err
