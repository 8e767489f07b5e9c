"""The exception tree of AHC, written once.

::

    AhcError                      anything that AHC itself says; ``str()`` is fit for an operator
    ├── UsageError                the command was used wrongly (exit code 2)
    │   └── FileFormatError       a file from a person has a mistake: names file, line, key, remedy
    ├── CannotAnswer              no data, no server, no right (exit code 3)
    │   ├── ServerAway            nobody answers at the control or the agent endpoint
    │   └── NoData                the store or the session holds nothing to answer from
    ├── ProgramError              an outside program (fio, sysbench, ...) did not do its work
    │   ├── ProgramMissing        it is not installed
    │   ├── ProgramTimeout        it did not end within its time limit
    │   └── ProgramFailed         it ended with an exit status that is not 0, or said nonsense
    ├── WriteRefused              a destructive benchmark was asked on a disk that could hold data
    ├── WireError                 a frame that cannot be taken: malformed, oversized, nested, other version
    ├── PeerError                 the other end of a pairwise network test did not do its part
    │   ├── PeerSilent            nothing came from it within the time limit: the network between does not carry
    │   └── PeerGone              it closed the connection, or died
    ├── Cancelled                 the task was called off
    └── NotThere                  a collector's "this machine has no such part": not a failure
"""

from __future__ import annotations


class AhcError(Exception):
    """Base of everything that AHC raises on purpose. The text is one sentence for an operator."""

    exit_code = 3


class UsageError(AhcError):
    """The command or a file given to it is wrong; the text says how to mend it."""

    exit_code = 2


class FileFormatError(UsageError):
    """A file written by a person (plan, profile, policy) or by a tool (import) has a mistake."""

    def __init__(self, file: str, problem: str, *, line: int | None = None, remedy: str = "") -> None:
        place = f"{file}:{line}" if line is not None else file
        super().__init__(f"{place}: {problem}" + (f" ({remedy})" if remedy else ""))
        self.file = file
        self.line = line
        self.problem = problem
        self.remedy = remedy


class CannotAnswer(AhcError):
    """The question is right but there is nothing to answer it from (exit code 3, never 0 or 1)."""


class ServerAway(CannotAnswer):
    """Nobody answered at an endpoint within the time limit."""


class NoData(CannotAnswer):
    """The store has no such session, or the session holds no results."""


class ProgramError(AhcError):
    """An outside program did not do its work."""

    def __init__(self, program: str, problem: str) -> None:
        super().__init__(f"{program}: {problem}")
        self.program = program


class ProgramMissing(ProgramError):
    """The program is not installed on this machine."""

    def __init__(self, program: str) -> None:
        super().__init__(
            program, f"not installed (on Debian: apt-get install {DEBIAN_PACKAGE.get(program, program)})"
        )


class ProgramTimeout(ProgramError):
    """The program was killed at its time limit."""


class ProgramFailed(ProgramError):
    """The program ended with an exit status other than 0, or printed what cannot be read."""


class WriteRefused(AhcError):
    """A write to a disk was refused because the disk could hold data, or nobody allowed writes."""


class WireError(AhcError):
    """A frame from the network was refused. ``kind`` is what is counted: see ``ahc_agent.wire.codec``."""

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(f"{kind} frame: {problem}")
        self.kind = kind


class PeerError(AhcError):
    """The other end of a pairwise network test did not do its part."""


class PeerSilent(PeerError):
    """Nothing came from the peer within the time limit."""


class PeerGone(PeerError):
    """The peer closed its connection: it gave up, was cancelled or died."""


class Cancelled(AhcError):
    """The server or the operator called the task off."""


class NotThere(AhcError):
    """The machine has no such part (no EDAC, no BMC, ...). Not an error of the inventory."""


#: Debian package of a program whose package has another name.
DEBIAN_PACKAGE = {
    "smartctl": "smartmontools",
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "lldpctl": "lldpd",
    "baremetal": "python3-ironicclient",
    "kubectl": "kubernetes-client",
    "dnsmasq": "dnsmasq-base",
    "setpriv": "util-linux",
}
