"""Cleans up after a lab that was killed: ``python -m ahc_server.lab.watchdog LEDGER``.

Its standard input is a pipe whose other end only the lab holds. The pipe's end is the lab's end, however it came; what the
ledger still names then is removed. Signals from a terminal do not reach it: it is in a session of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ahc_server.lab.ledger import Ledger


def main() -> None:
    path = Path(sys.argv[1])
    sys.stdin.buffer.read()
    if path.exists():
        Ledger.load(path).clean_up()


if __name__ == "__main__":
    main()
