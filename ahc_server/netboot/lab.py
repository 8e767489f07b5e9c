"""Serving a boot folder on one interface, for a lab: DHCP and TFTP by dnsmasq, HTTP by ourselves, until told to stop."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ahc_agent.errors import AhcError, CannotAnswer, UsageError
from ahc_agent.programs import run
from ahc_server.netboot import child, folder, probe, web
from ahc_server.netboot.interface import Interface
from ahc_server.netboot.mirror import Mirror

_log = logging.getLogger(__name__)

#: How often it is looked whether dnsmasq still runs and whether to stop.
_TURN_S = 0.2


@dataclass(frozen=True, slots=True)
class Rights:
    """What the operator allows. ``proxy``: another DHCP server is there, add to its answers; ``any_network``: serve even where
    the default route leads."""

    proxy: bool = False
    any_network: bool = False


def check(interface: Interface, rights: Rights) -> list[str]:
    """Whether it is right to serve on this interface; raises UsageError where it is not. Remarks for the operator."""
    if os.geteuid() != 0:
        raise UsageError("--serve: only root may answer DHCP (port 67)")
    if interface.default_route and not (rights.proxy or rights.any_network):
        raise UsageError(
            f"--interface {interface.name}: the default route leads there, so it is most likely a network that others use;"
            " say --proxy to add to its DHCP server's answers, or --yes-this-network where it is all yours"
        )
    others = probe.other_servers(interface)
    if rights.proxy:
        return [] if others else [f"no DHCP server answers on {interface.name}; --proxy only adds to one"]
    if others:
        raise UsageError(
            f"--interface {interface.name}: a DHCP server answers there already ({', '.join(others)});"
            " say --proxy to add to its answers, or end it"
        )
    return []


def serve(
    written: folder.Written,
    wanted: folder.Wanted,
    interface: Interface,
    *,
    say: Callable[[str], None],
    started: Callable[[], None],
    stopping: Callable[[], bool],
) -> None:
    """Serve until ``stopping`` says so; call it from the main thread, with which dnsmasq dies. Raises AhcError where something
    cannot be started, or dnsmasq ends."""
    assert wanted.lan is not None
    with ExitStack() as stack:
        if wanted.lan.advertise:
            stack.enter_context(_ipv6(interface, say))
        uploads = written.folder / folder.UPLOADS if wanted.upload else None
        site = web.Site(written.files, say, prefix=wanted.http.path, uploads=uploads)
        address = str(interface.address)
        with _binding(f"{address} port {wanted.http.port}"):
            http = web.Server(interface.name, address, wanted.http.port, site)
        stack.callback(http.server_close)
        dnsmasq, mirror = stack.enter_context(_dnsmasq(written, wanted, say))
        threading.Thread(target=http.serve_forever, daemon=True).start()
        stack.callback(http.shutdown)
        started()
        while not stopping():
            if not dnsmasq.alive:
                raise CannotAnswer(f"dnsmasq ended: {dnsmasq.last_words}")
            for remark in mirror.refresh():
                say(remark)
            time.sleep(_TURN_S)


@contextmanager
def _dnsmasq(
    written: folder.Written, wanted: folder.Wanted, say: Callable[[str], None]
) -> Iterator[tuple[child.Dnsmasq, Mirror]]:
    """Its configuration, its leases and what it hands out by TFTP stand in a folder of their own: it runs as nobody, who need not
    be able to reach ours."""

    def log(line: str) -> None:
        _log.info("%s", line)
        sentence = child.sentence(line)
        if sentence is not None:
            say(sentence)

    place = Path(tempfile.mkdtemp(prefix="ahc-netboot-"))
    try:
        configuration = place / "dnsmasq.conf"
        root = place / child.TFTP
        configuration.write_bytes(folder.dnsmasq_conf(written, wanted, root))
        mirror = Mirror(written.files, root)
        for remark in mirror.refresh():
            say(remark)
        who = child.user()
        for path in (place, configuration):
            os.chown(path, who.pw_uid, who.pw_gid)
        with child.Dnsmasq(configuration, place / "leases", log) as dnsmasq:
            yield dnsmasq, mirror
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _ipv6(interface: Interface, say: Callable[[str], None]) -> Iterator[None]:
    """An IPv6 address for as long as we serve, where the interface has none: without one nobody can advertise a router, and
    iPXE waits for that. The network is a random one of our own (RFC 4193)."""
    if interface.ipv6:
        yield
        return
    random = secrets.token_hex(5)
    address = f"fd{random[:2]}:{random[2:6]}:{random[6:]}::1/64"
    try:
        run(["ip", "-6", "address", "add", address, "dev", interface.name, "nodad"], time_limit_s=10)
    except AhcError as error:
        say(
            f"{interface.name} takes no IPv6 address ({error}): iPXE will wait 13 s for a router that is not there"
        )
        yield
        return
    try:
        yield
    finally:
        run(
            ["ip", "-6", "address", "delete", address, "dev", interface.name],
            time_limit_s=10,
            ok_statuses=None,
        )


@contextmanager
def _binding(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotAnswer(f"cannot serve on {what}: {error.strerror or error}") from error
