"""The golden reports: what each format draws of one fleet that is made by hand.

Write them anew after a change of how reports look, then read the difference::

    .venv/bin/python -m tests.golden_reports --write
    git diff tests/golden

Without ``--write`` the digests of what would be written are printed.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ahc_server.report.formats import Drawing, draw
from ahc_server.report.text import Sections
from tests import network_report_helpers
from tests.report_example import inventories, made, small

FOLDER = Path(__file__).parent / "golden"


def _drawn(form: str, sections: Sections = Sections(), *, width: int = 120) -> Callable[[], str]:  # noqa: B008
    return lambda: draw(form, Drawing(made(), sections, inventories(), width=width))


#: File → what it holds.
REPORTS: Mapping[str, Callable[[], str]] = {
    "report.txt": _drawn("text"),
    "report-full.txt": lambda: draw("text", Drawing(small(), Sections(full=True), inventories(), width=100)),
    "report.json": _drawn("json"),
    "report.csv": _drawn("csv"),
    "report.junit.xml": _drawn("junit"),
    "report.prom": _drawn("prometheus"),
    "network.txt": lambda: draw(
        "text",
        Drawing(
            network_report_helpers.fabric(),
            Sections(full=True),
            network_report_helpers.inventories(),
            width=100,
        ),
    ),
    "report.html": lambda: draw("html", Drawing(small(), Sections(full=True), inventories())),
}


def main(arguments: list[str]) -> None:
    for name, drawn in REPORTS.items():
        data = drawn().encode()
        if arguments == ["--write"]:
            (FOLDER / name).write_bytes(data)
        print(f"{hashlib.sha256(data).hexdigest()}  {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
