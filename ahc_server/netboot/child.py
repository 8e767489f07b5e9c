"""dnsmasq as a child: without root's rights, never as a daemon, gone when this process is gone.

``setpriv`` (util-linux) gives it another user, three capabilities and a death signal that outlives the change of user; dnsmasq
itself would drop the signal with its rights, and serve on after a killed parent.
"""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from ahc_agent.errors import CannotAnswer, ProgramFailed, ProgramMissing
from ahc_agent.programs import find

_USERS = ("dnsmasq", "nobody")
_CAPABILITIES = ("net_admin", "net_raw", "net_bind_service")
_START_LIMIT_S = 10.0
_END_LIMIT_S = 5.0
_LAST_LINES = 5

#: The folder that is handed out by TFTP has this name.
TFTP = "tftp"
#: What dnsmasq logs, and the sentence for it; everything else is for ``-v``.
_SENTENCES = [
    (re.compile(r"DHCPACK\(\S+\) (?P<ip>\S+) (?P<mac>\S+)"), "{mac}: asked, got {ip}"),
    (re.compile(r"DHCPNAK\(\S+\) (?P<ip>\S+) (?P<mac>\S+) (?P<why>.*)"), "{mac}: not {ip}: {why}"),
    (
        re.compile(r"DHCPDISCOVER\(\S+\) (?:\S+ )?(?P<mac>[0-9a-f:]{17}) no address available"),
        "{mac}: asked, and no address is left",
    ),
    (re.compile(r"PXE\(\S+\) (?P<mac>[0-9a-f:]{17}) proxy"), "{mac}: asked what to boot"),
    (re.compile(rf"sent /\S*?/{TFTP}/(?P<file>\S+) to (?P<ip>\S+)"), "{ip}: fetched {file} by TFTP"),
    (
        re.compile(rf"file /\S*?/{TFTP}/(?P<file>.+) not found for (?P<ip>\S+)"),
        "{ip}: asked by TFTP for {file}: there is no such file",
    ),
    (
        re.compile(rf"failed sending /\S*?/{TFTP}/(?P<file>\S+) to (?P<ip>\S+)"),
        "{ip}: stopped in the middle of {file} (TFTP)",
    ),
]  # fmt: skip


def sentence(line: str) -> str | None:
    """What a line of dnsmasq's log says to an operator; None for those that say nothing to one."""
    for pattern, form in _SENTENCES:
        if found := pattern.search(line):
            return form.format(**found.groupdict())
    return None


def user() -> pwd.struct_passwd:
    """Whom dnsmasq runs as. Raises CannotAnswer on a system without nobody."""
    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise CannotAnswer(f"there is no user {' or '.join(_USERS)} for dnsmasq to run as")


class Dnsmasq:
    """A running dnsmasq; use it as a context. ``log`` gets its lines, from a thread."""

    def __init__(self, configuration: Path, leases: Path, log: Callable[[str], None]) -> None:
        """Start it, and wait until it serves. Raises ProgramMissing, or ProgramFailed with what it said."""
        for program in ("dnsmasq", "setpriv"):
            if find(program) is None:
                raise ProgramMissing(program)
        self._log = log
        self._last: list[str] = []
        self._serves = threading.Event()
        try:
            self._child = subprocess.Popen(
                _argv(configuration, leases),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                start_new_session=True,
            )
        except OSError as error:
            raise ProgramFailed("dnsmasq", f"cannot be started: {error.strerror}") from error
        self._reader = threading.Thread(target=self._read, name="dnsmasq's log", daemon=True)
        self._reader.start()
        if not self._serves.wait(_START_LIMIT_S) or self._child.poll() is not None:
            self.close()
            raise ProgramFailed("dnsmasq", f"does not start: {self.last_words}")

    def __enter__(self) -> Dnsmasq:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    @property
    def last_words(self) -> str:
        return "; ".join(self._last) or "it said nothing"

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self.alive:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(_END_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._reader.join(_END_LIMIT_S)

    def _read(self) -> None:
        assert self._child.stderr is not None
        with self._child.stderr as stream:
            for data in stream:
                line = data.decode("utf-8", "backslashreplace").rstrip()
                self._last = [*self._last, line][-_LAST_LINES:]
                if re.search(r"dnsmasq\S*: started, version|dnsmasq\S*: .*bound exclusively", line):
                    self._serves.set()
                self._log(line)
        self._serves.set()  # it ended; whoever waits looks at that


def _argv(configuration: Path, leases: Path) -> list[str]:
    who = user()
    added = ",".join(f"+{name}" for name in _CAPABILITIES)
    return [
        str(find("setpriv")),
        *[f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups", "--no-new-privs"],
        *[f"--bounding-set=-all,{added}", f"--inh-caps=-all,{added}", f"--ambient-caps=-all,{added}"],
        "--pdeathsig=KILL",
        *[str(find("dnsmasq")), "--no-daemon", f"--conf-file={configuration}"],
        *[f"--dhcp-leasefile={leases}", "--user="],
    ]
