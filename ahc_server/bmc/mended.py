"""Two faults of pyghmi 1.6, worked around in the process that asks one BMC and ends with its answer.

Both reach into what pyghmi keeps to itself; ``mend`` raises AttributeError where a version has it no more.
"""

from __future__ import annotations

import hashlib
from typing import Any

from pyghmi.ipmi.private import session as inner

#: Open Session Response (IPMI 2.0, 13.18): the authentication algorithm that the BMC chose, and SHA-1's number (13.28).
_SUITE_BYTE, _SHA1 = 16, 1
_LONGEST_WAIT_S = 0.05


def mend() -> None:
    """Call once, before the first session."""
    Session = inner.Session
    got_response, io_wait = Session._got_rmcp_response, inner._io_wait

    def follow_suite(session: Any, data: Any) -> Any:
        """Take SHA-1 (suite 3) where the BMC answers with it to an offer of SHA-256 (suite 17), as IPMI allows.

        pyghmi takes it for granted that its offer is taken, and cannot read what comes next: of VirtualBMC, for one.
        """
        if len(data) > _SUITE_BYTE and data[1] == 0 and data[_SUITE_BYTE] & 0x3F == _SHA1:
            session.attemptedhash, session.currhashlib, session.currhashlen = 1, hashlib.sha1, 12
        return got_response(session, data)

    def wait(timeout: float, address: Any = None, events: Any = None) -> None:
        """An answer that is there before anybody waits for it wakes nobody: pyghmi finds it when it would send again, 0.5 to 1 s
        later. So: do not wait where one is there, and look again soon. All callers wait in a loop."""
        handlers = list(Session.bmc_handlers.values())
        if not any(each.pktqueue for by_port in handlers for each in list(by_port.values())):
            io_wait(min(timeout, _LONGEST_WAIT_S), address, events)

    Session._got_rmcp_response = follow_suite
    inner._io_wait = wait
