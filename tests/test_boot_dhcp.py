"""What a DHCP server says, as udhcpc's hook prints it: read, and never believed blindly."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.boot.dhcp import Lease, read_lease, read_words

#: What the hook printed for a lease of dnsmasq.
SAID = (
    "event='bound' ip='10.77.0.79' subnet='255.255.255.0' mask='24' router='10.77.0.1' dns='10.77.0.1 10.77.0.2'"
    " serverid='10.77.0.1' lease='3600' mtu='9000' staticroutes='' opt224='7463703a2f2f31302e37372e302e313a35353730' opt225='6b'"
)


def test_a_lease_is_read() -> None:
    lease, wrong = read_lease(read_words(SAID))
    assert wrong is None
    assert lease == Lease(
        ipaddress.IPv4Interface("10.77.0.79/24"),
        gateway=ipaddress.IPv4Address("10.77.0.1"),
        dns=(ipaddress.IPv4Address("10.77.0.1"), ipaddress.IPv4Address("10.77.0.2")),
        server="10.77.0.1",
        mtu=9000,
        lease_s=3600,
        options={224: b"tcp://10.77.0.1:5570", 225: b"k"},
    )
    assert lease.text(224) == "tcp://10.77.0.1:5570" and lease.text(226) is None


@pytest.mark.parametrize(
    "address", ["", "0.0.0.0", "224.0.0.1", "127.0.0.1", "255.255.255.255", "10.0.0", "fd00::1"]
)
def test_an_address_that_no_machine_can_have_is_refused(address: str) -> None:
    lease, wrong = read_lease({"ip": address, "subnet": "255.255.255.0"})
    assert lease is None and wrong is not None and "the DHCP server gave" in wrong


def test_a_mask_that_takes_in_the_whole_world_is_refused() -> None:
    lease, wrong = read_lease({"ip": "10.0.0.5", "subnet": "0.0.0.0"})
    assert lease is None and wrong is not None and "network mask" in wrong


def test_a_default_route_of_option_121_counts_where_there_is_no_router() -> None:
    said = {"ip": "10.0.0.5", "mask": "24", "staticroutes": "10.9.0.0/16 10.0.0.2 0.0.0.0/0 10.0.0.1"}
    lease, _ = read_lease(said)
    assert lease is not None and lease.gateway == ipaddress.IPv4Address("10.0.0.1")


def test_domains_are_names_and_nothing_that_could_be_a_line_of_its_own() -> None:
    said = {
        "ip": "10.0.0.5",
        "mask": "24",
        "search": "a.example. -x b_c",
        "domain": "a.example x;y " + "z" * 300,
    }
    lease, _ = read_lease(said)
    assert lease is not None and lease.search == ("a.example", "b_c")


def test_an_option_that_is_no_text_says_nothing() -> None:
    lease, _ = read_lease({"ip": "10.0.0.5", "mask": "24", "opt224": "ff00ff", "opt225": "zz"})
    assert lease is not None and lease.text(224) is None and lease.text(225) is None


@given(st.text(max_size=300))
def test_what_a_dhcp_server_says_raises_nothing(line: str) -> None:
    read_lease(read_words(line))


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "ip",
                "subnet",
                "mask",
                "router",
                "dns",
                "domain",
                "search",
                "lease",
                "mtu",
                "staticroutes",
                "opt224",
            ]
        ),
        st.text(max_size=30),
    )
)
def test_no_value_of_a_dhcp_server_raises_anything(said: dict[str, str]) -> None:
    read_lease({"ip": "10.0.0.5", **said})
