"""Pairs between network namespaces, with what spoils the way between them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ahc_agent.wire.messages import PairOutcome
from tests.pair_helpers import LEFT, RIGHT, Remote, VethPair, pair_of, run, tasks


@contextmanager
def ends(veth: VethPair, *, listen_at: str = LEFT, **fields: Any) -> Iterator[tuple[Remote, Remote]]:
    """The listening end at the left, the connecting end at the right, both under way."""
    listen, connect = tasks(listen_at, **fields)
    listener = Remote(listen, "n1", veth.prefix(veth.left))
    connector = Remote(connect, "n2", veth.prefix(veth.right))
    try:
        ports = listener.ready()
        connector.ready()
        listener.go({})
        connector.go(ports)
        yield listener, connector
    finally:
        listener.close()
        connector.close()


def outcomes(veth: VethPair, **fields: Any) -> tuple[PairOutcome, PairOutcome]:
    """What the listening end (left) and the connecting one (right) told."""
    with ends(veth, **fields) as (listener, connector):
        return listener.outcome(), connector.outcome()


@contextmanager
def drops(veth: VethPair, namespace: str, rule: str) -> Iterator[None]:
    """An nft rule at the entrance of a namespace."""
    chain = "{ type filter hook prerouting priority -300 ; }"
    table = f"add table inet ahcn; add chain inet ahcn in {chain}; add rule inet ahcn in {rule}"
    veth.inside(namespace, "nft", table)
    try:
        yield
    finally:
        veth.inside(namespace, "nft", "delete table inet ahcn")


def switch_of(name: str) -> str:
    """The third namespace of ``switched``."""
    return f"ahcp-{name}-{os.getpid()}-s"


@contextmanager
def switched(name: str, port_mtu: int) -> Iterator[VethPair]:
    """Two namespaces with cards of MTU 9000 on a bridge (in a third) whose port to the right carries less, silently."""
    pair, switch = pair_of(name), switch_of(name)
    try:
        for namespace in (pair.left, pair.right, switch):
            run("ip", "netns", "add", namespace)
        run("ip", "-n", switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", switch, "link", "set", "br0", "up")
        for namespace, port, address, mtu in (
            (pair.left, "p1", LEFT, 9000),
            (pair.right, "p2", RIGHT, port_mtu),
        ):
            run(*f"ip -n {namespace} link add v0 type veth peer name {port} netns {switch}".split())
            run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", "v0")
            run("ip", "-n", namespace, "link", "set", "v0", "mtu", "9000", "up")
            run("ip", "-n", switch, "link", "set", port, "master", "br0", "mtu", str(mtu), "up")
        yield pair
    finally:
        for namespace in (pair.left, pair.right, switch):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, timeout=20, check=False)


@contextmanager
def machine_on(switch: str, address: str) -> Iterator[str]:
    """One more machine on the bridge of ``switched``, with any address: its MAC."""
    name = f"{switch}-x"
    try:
        run("ip", "netns", "add", name)
        run(*f"ip -n {name} link add v0 type veth peer name p9 netns {switch}".split())
        run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "v0")
        run("ip", "-n", name, "link", "set", "v0", "up")
        run("ip", "-n", switch, "link", "set", "p9", "master", "br0", "up")
        yield run("ip", "netns", "exec", name, "cat", "/sys/class/net/v0/address").strip()
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, timeout=20, check=False)
