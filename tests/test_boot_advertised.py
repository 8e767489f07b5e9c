"""IPv6 by router advertisements: a real router's (dnsmasq), and a kernel that makes addresses of them."""

from __future__ import annotations

import ipaddress
import math
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.boot import advertised
from ahc_agent.boot.network import _family
from tests.boot_helpers import DHCP, Site, mac, site, until
from tests.test_boot_network import known_addresses

ROUTER = ("--enable-ra", "--dhcp-range=fd77::,ra-only,64,1h")
#: By the kernel, of the card's MAC address (RFC 4291, appendix A).
OWN = "fd77::5054:ff:fe77:0"


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        made.ip("address", "add", "fd77::1/64", "dev", "br0", "nodad", namespace=made.outside)
        yield made


@pytest.mark.root
def test_a_network_of_ipv6_alone(one: Site) -> None:
    _, key = one.serve()
    one.dhcp(*ROUTER)
    arguments = f"ahc.server=[fd77::1]:5570 ahc.key={key}"
    machine = one.boot(arguments)
    line = machine.says(f"c0 ({mac(0)}): address {OWN}/64 from router advertisements, gateway fe80::")
    machine.says("joined the server at tcp://[fd77::1]:5570")
    assert known_addresses(one) == [[f"{OWN}/64"]]
    assert f"from {OWN} lookup 1000" in one.ip("-6", "rule")
    router = line.split("gateway ")[1].split()[0]
    table = one.ip("-6", "route", "show", "table", "1000")
    assert f"default via {router} dev c0" in table and "fd77::/64 dev c0" in table
    assert "valid_lft forever" not in one.ip("address", "show", "dev", "c0", "scope", "global"), (
        "the kernel's"
    )
    machine.kill()
    again = one.boot(arguments)
    again.says("the agent has been started anew by init")
    again.says("joined the server")
    assert one.ip("-6", "rule").count("lookup 1000") == 1


@pytest.mark.root
def test_a_lease_that_comes_later_takes_the_place_and_an_advertisement_takes_none(one: Site) -> None:
    _, key = one.serve()
    router = one.dhcp(*ROUTER)
    machine = one.boot(f"ahc.server=[fd77::1]:5570 ahc.key={key}")
    machine.says("joined the server")
    router.kill()
    one.dhcp(*DHCP, *ROUTER)
    assert until(lambda: known_addresses(one)[0][0].startswith("10.77.0."))
    assert len(known_addresses(one)[0]) == 1
    assert "lookup 1000" not in one.ip("-6", "rule") and "lookup 1000" in one.ip("rule")
    assert OWN in one.ip("address", "show", "dev", "c0"), "it stays the kernel's"


@pytest.mark.root
def test_where_the_server_is_of_ipv4_dhcp_alone_is_waited_for(one: Site) -> None:
    one.dhcp(*ROUTER)
    machine = one.boot("ahc.server=10.77.0.1:5570 ahc.key=" + "x" * 40)
    machine.says("no DHCP answer, the link is there")
    assert OWN in one.ip("address", "show", "dev", "c0") and "from router advertisements" not in machine.said


@pytest.mark.parametrize(
    ("server", "family"),
    [("tcp://10.0.0.1:5570", 4), ("tcp://[fd77::1]:5570", 6), ("tcp://some.name:5570", None), (None, None)],
)
def test_the_family_of_a_server_is_told_by_its_address(server: str | None, family: int | None) -> None:
    assert _family(server) == family


@pytest.mark.root
def test_an_address_that_no_router_advertises_any_more_is_given_up(one: Site) -> None:
    router = one.dhcp(*ROUTER)
    machine = one.boot("ahc.server=[fd77::1]:5570 ahc.key=" + "x" * 40)
    machine.says(f"c0 ({mac(0)}): address {OWN}/64")
    router.kill()
    one.ip("address", "delete", f"{OWN}/64", "dev", "c0")
    machine.says("no router advertises its address any more")
    assert "lookup 1000" not in one.ip("-6", "rule")


@pytest.mark.root
def test_where_the_router_says_so_others_of_the_network_are_reached_by_it_alone(one: Site) -> None:
    """As in networks whose machines are kept apart: nobody would answer who is asked directly."""
    one.dhcp("--enable-ra", "--dhcp-range=fd77::,ra-only,off-link,64,1h")
    machine = one.boot("ahc.server=[fd77::1]:5570 ahc.key=" + "x" * 40)
    line = machine.says(f"c0 ({mac(0)}): address {OWN}/64 from router advertisements, gateway fe80::")
    router = line.split("gateway ")[1].split()[0]

    def routes() -> list[str]:
        return one.ip("-6", "route", "show", "table", "1000").splitlines()

    # What the kernel would not take at once is tried again a second later.
    assert until(lambda: [route.split(" dev ")[0] for route in routes()] == [f"default via {router}"]), (
        routes()
    )


@pytest.mark.root
def test_name_servers_of_a_router_are_the_machines(one: Site) -> None:
    one.dhcp(*ROUTER, "--dhcp-option=option6:dns-server,[fd77::1],[fd77::2]")
    one.boot("ahc.server=[fd77::1]:5570 ahc.key=" + "x" * 40).says(
        f"address {OWN}/64 from router advertisements"
    )
    assert until(lambda: (one.folder / "resolv.conf").exists())
    assert (one.folder / "resolv.conf").read_text() == "nameserver fd77::1\nnameserver fd77::2\n"


def user_option(option: bytes, card: int = 1, kind: int = 68) -> bytes:
    """As the kernel hands on an option of an advertisement (rtnetlink.h)."""
    body = struct.pack("=BxHiBB2x4x", socket.AF_INET6, len(option), card, 134, 0) + option
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def rdnss(lifetime_s: int, *addresses: str) -> bytes:
    """RFC 8106, 5.1."""
    packed = b"".join(ipaddress.IPv6Address(each).packed for each in addresses)
    return struct.pack(">BBHI", 25, 1 + 2 * len(addresses), 0, lifetime_s) + packed


def test_name_servers_are_read_with_their_lifetimes() -> None:
    option = rdnss(1800, "fd77::1", "ff02::1", "fe80::1", "::")
    assert advertised.name_servers(user_option(option)) == [("fd77::1", 1800.0), ("fe80::1%lo", 1800.0)]
    assert advertised.name_servers(user_option(rdnss(2**32 - 1, "fd77::1"))) == [("fd77::1", math.inf)]
    assert advertised.name_servers(user_option(rdnss(9, "fe80::1"), card=2**30)) == []
    assert advertised.name_servers(user_option(option, kind=16)) == []
    search_list = b"\x1f\x02\0\0\0\0\0\x09" + bytes(8)
    assert advertised.name_servers(user_option(search_list + rdnss(5, "fd77::7"))) == [("fd77::7", 5.0)]


@given(st.binary(max_size=200))
def test_no_option_of_a_router_raises_anything(option: bytes) -> None:
    advertised.name_servers(option)
    advertised.name_servers(user_option(option))
    advertised.name_servers(user_option(b"\x19" + option))


def test_name_servers_end_with_their_lifetime_or_by_the_routers_word_and_are_few() -> None:
    now_s = 0.0
    servers = advertised.NameServers(lambda: now_s)
    try:
        servers._take(user_option(rdnss(100, *(f"fd77::{number:x}" for number in range(1, 30)))))
        assert servers.now() == tuple(f"fd77::{number:x}" for number in range(1, 9))
        servers._take(user_option(rdnss(0, "fd77::1")))
        now_s = 50.0
        servers._take(user_option(rdnss(100, "fd77::2")))
        now_s = 120.0
        assert servers.now() == ("fd77::2",)
        now_s = 200.0
        assert servers.now() == ()
    finally:
        servers.close()


#: Of Linux 6.1: link-local, by a router, the same still tentative, a temporary one, deprecated, and one of a person's.
ADDRESSES = """\
fe80000000000000505400fffe770000 02 40 20 80     eth0
fd77000000000000505400fffe770000 02 40 00 00     eth0
fd78000000000000505400fffe770000 02 40 00 40     eth0
fd770000000000001111111111111111 02 40 00 01     eth0
fd79000000000000505400fffe770000 02 40 00 20     eth0
fd800000000000000000000000000007 02 40 00 80     eth0
fd77000000000000505400fffe770001 03 40 00 00     eth1
00000000000000000000000000000001 01 80 10 80       lo
"""
ROUTES = """\
fd770000000000000000000000000000 40 {0} 00 {0} 00000100 00000001 00000000 00400001     eth0
{0} 00 {0} 00 fe80000000000000000000000000cafe 00000400 00000001 00000000 00450003     eth0
{0} 00 {0} 00 fe80000000000000000000000000beef 00000400 00000001 00000000 00000003     eth1
{0} 00 {0} 00 {0} ffffffff 00000001 00000000 00200200       lo
""".format("0" * 32)


def test_only_what_a_router_gave_and_can_be_used_counts(tmp_path: Path) -> None:
    (tmp_path / "if_inet6").write_text(ADDRESSES)
    (tmp_path / "ipv6_route").write_text(ROUTES)
    assert advertised.addresses("eth0", tmp_path / "if_inet6") == [ipaddress.IPv6Interface(f"{OWN}/64")]
    assert advertised.addresses("eth2", tmp_path / "if_inet6") == []
    assert advertised.gateway("eth0", tmp_path / "ipv6_route") == ipaddress.IPv6Address("fe80::cafe")
    assert advertised.gateway("eth1", tmp_path / "ipv6_route") is None, "a person's own route"
    own = ipaddress.IPv6Network("fd77::/64")
    assert advertised.is_on_link("eth0", own, tmp_path / "ipv6_route")
    assert not advertised.is_on_link("eth1", own, tmp_path / "ipv6_route")
    assert not advertised.is_on_link("eth0", ipaddress.IPv6Network("::/0"), tmp_path / "ipv6_route"), (
        "by a router"
    )


def test_a_kernel_without_ipv6_has_none(tmp_path: Path) -> None:
    assert advertised.addresses("eth0", tmp_path / "absent") == []
    assert advertised.gateway("eth0", tmp_path / "absent") is None


def test_the_files_of_this_kernel_are_read() -> None:
    there = Path("/proc/net/if_inet6")
    names = set(re.findall(r"\S+$", there.read_text(), re.MULTILINE)) if there.exists() else set()
    for name in names:
        advertised.addresses(name)
        advertised.gateway(name)
