"""One end of a pairwise network test, from preparation to outcome.

Both ends prepare (the listening one binds), say that they are ready, wait for the server's Go, and start at
the moment it names. Then the connecting end leads over the control connection: see ``control``. Nothing is
shared between runs: several pairs may be measured at once in one process.
"""

from __future__ import annotations

import ipaddress

import msgspec
import zmq

from ahc_agent.errors import Cancelled, PeerError, PeerSilent, UsageError
from ahc_agent.net.connecting import connect
from ahc_agent.net.listening import listen
from ahc_agent.net.run import Run, reason
from ahc_agent.task import TaskContext
from ahc_agent.wire.messages import PairOutcome, PairTask

_ENDS = {"listen": listen, "connect": connect}


def run_pair(task: PairTask, context: TaskContext) -> PairOutcome:
    """Be one end of a pair.

    Where there is no connection, where the network falls silent or the peer goes, where the task is called off midway, or
    where the own address cannot be bound (then Ready was never said): an outcome with ``error``, never a hang.
    ``connected`` is whether the two ends have talked. A flow that was not measured has ``bytes_per_s`` 0 where the network
    did not carry it, None where something else is to blame. Flows of the sending end tell what it handed over;
    the receiving end's count.

    Raises AhcError where it never came to a try: an address that is none, no Go in time.
    """
    task = msgspec.structs.replace(task, address=_plain(task.address), peer_address=_plain(task.peer_address))
    if task.role == "connect" and not task.peer_address:
        raise UsageError("the connecting end of a pair needs its peer's address")
    run = Run(task, context)
    try:
        _ENDS[task.role](run)
    except (PeerError, Cancelled) as error:
        run.record.failed(error)
    except (OSError, zmq.ZMQError) as error:
        run.record.failed(PeerSilent(reason(error)))
    run.strangers.report(task.pair_id)
    return run.record.outcome(run.path.end())


def _plain(address: str) -> str:
    """An address without its prefix length. Names are not taken: what reaches a socket is a number."""
    if not address:
        return ""
    try:
        return str(ipaddress.ip_interface(address).ip)
    except ValueError:
        raise UsageError(f"{address!r} is not an IP address") from None
