"""``ahc`` whose server dies as if by ``kill -9`` instead of saying its Nth Go: ``mortal_server.py N ARGUMENTS...``.

By then everything is on its disk, and the pairs of a round are written down as told to start.
"""

from __future__ import annotations

import os
import signal
import sys

from ahc_agent.wire.messages import FromServer, Go
from ahc_server import server
from ahc_server.cli import main
from ahc_server.hub import Hub


class MortalHub(Hub):
    left = 0

    def send(self, machine: str, message: FromServer) -> bool:
        if isinstance(message, Go):
            MortalHub.left -= 1
            if MortalHub.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().send(machine, message)


if __name__ == "__main__":
    MortalHub.left = int(sys.argv.pop(1))
    vars(server)["Hub"] = MortalHub
    main()
