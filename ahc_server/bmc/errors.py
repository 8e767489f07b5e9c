"""Why a BMC did not do or say what was asked.

::

    BmcError
    ├── BmcSilent         nothing came back: not there, not reachable, or too slow
    ├── BmcLocked         it is there, and does not let us in: user, password, rights, cipher suite
    ├── BmcRefused        it understood, and did not do it
    └── BmcCannot         it has no such command or data
"""

from __future__ import annotations

from ahc_agent.errors import AhcError
from ahc_server.bmc.model import Trouble


class BmcError(AhcError):
    """Base. ``trouble`` is its word in answers."""

    trouble: Trouble = "mistake"


class BmcSilent(BmcError):
    """No answer within the time limit."""

    trouble = "silent"


class BmcLocked(BmcError):
    """The BMC does not let us in."""

    trouble = "locked"


class BmcRefused(BmcError):
    """It was asked, and said no, or its machine did not follow."""

    trouble = "refused"


class BmcCannot(BmcError):
    """The BMC does not know this command, or has no such data."""

    trouble = "cannot"
