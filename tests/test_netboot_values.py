"""What goes into boot scripts: it means itself in every format, or it is refused."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import UsageError
from ahc_agent.wire.keys import fingerprint, is_key, new_pair
from ahc_server.netboot import dnsmasq, values

NETWORK = ipaddress.IPv4Network("10.9.0.0/24")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("10.0.0.1:5570", "tcp://10.0.0.1:5570"),
        ("tcp://ahc.example.org:05570", "tcp://ahc.example.org:5570"),
        ("[fd77::1]:5570", "tcp://[fd77::1]:5570"),
    ],
)
def test_endpoints_are_spelled_in_one_way(text: str, told: str) -> None:
    assert values.endpoint(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.1",
        "10.0.0.1:0",
        "10.0.0.1:99999",
        "udp://10.0.0.1:5",
        "a b:5",
        "a;b:5",
        "$(x):5",
        "tcp://*:5570",
    ],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="tcp://HOST:PORT is meant"):
        values.endpoint(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://10.0.0.1:8080", "http://10.0.0.1:8080"),
        ("http://10.0.0.1:80/", "http://10.0.0.1"),
        ("https://boot.example.org/ahc/7/", "https://boot.example.org/ahc/7"),
    ],
)
def test_addresses_of_web_servers_are_spelled_in_one_way(text: str, told: str) -> None:
    assert str(values.url(text)) == told


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1", "ftp://x", "http://u:p@x/", "http://x/a b", "http://x/?q", "http://x/#f", "http://x/${y}", "http://x:0/",
     "http://x:70000/", "http://x/a'b", "http://x//y"],
)  # fmt: skip
def test_what_a_script_could_take_otherwise_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="--http"):
        values.url(text)


@given(st.text(max_size=60))
def test_an_argument_is_one_plain_word_or_refused(text: str) -> None:
    try:
        taken = values.argument(text)
    except UsageError:
        return
    assert taken == text and taken.isascii() and taken.isprintable()
    assert len(taken.split()) == 1
    assert not set(taken) & set("\"'\\`") and "${" not in taken
    assert not taken.startswith(("#", "-", "|", "&", ";"))  # what iPXE or the kernel takes for itself


@pytest.mark.parametrize(
    "text", ["a b", "x='1'", 'x="1"', "x=${net0/ip}", "-x", "#x", "||", "x=\\n", "x=\n", "", "x=ä", "--"]
)
def test_arguments_that_a_boot_loader_would_change_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--arg"):
        values.argument(text)


def test_addresses_for_cards_pass_as_arguments() -> None:
    word = "ahc.ip=10.0.0.2/24,gateway=10.0.0.1;10.1.0.2/24,interface=eth1"
    assert values.argument(word) == word


def test_a_key_that_a_script_would_expand_is_refused_with_the_way_out() -> None:
    key = next(text for at in range(36) if is_key(text := ("0" * at + "${" + "0" * 38)[:40]))
    with pytest.raises(UsageError, match="makes a key that can be"):
        values.key(key)
    with pytest.raises(UsageError, match="not a CURVE public key"):
        values.key("short")


def test_keys_that_servers_make_are_taken() -> None:
    key = new_pair(easy=True).public
    assert values.key(key) == key


def test_a_fingerprint_is_short_and_tells_keys_apart() -> None:
    assert fingerprint("0" * 40) == "9692-e67b-8378-a6f6"
    assert fingerprint("0" * 39 + "1") != fingerprint("0" * 40)


def test_a_command_line_that_a_kernel_would_cut_is_refused() -> None:
    assert values.command_line(["a=1", "b"]) == "a=1 b"
    with pytest.raises(UsageError, match="characters long"):
        values.command_line(["x=" + "y" * 1900])


@pytest.mark.parametrize("text", ["ttyS0", "ttyS1,115200", "ttyS0,115200n8", "hvc0"])
def test_consoles(text: str) -> None:
    assert values.console(text) == text


@pytest.mark.parametrize("text", ["", "ttyS0 x", "/dev/ttyS0", "ttyS0,fast", "ttyS0;"])
def test_what_is_no_console_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--console"):
        values.console(text)


# ── leases ─────────────────────────────────────────────────────────────────────────────────────────


@given(
    prefix=st.integers(8, 29),
    base=st.integers(0, 2**32 - 1),
    place=st.floats(0, 1),
)
def test_the_usual_range_lies_in_the_network_and_leaves_the_server_out(
    prefix: int, base: int, place: float
) -> None:
    network = ipaddress.IPv4Network((base, prefix), strict=False)
    address = network[1 + int(place * (network.num_addresses - 3))]
    leases = dnsmasq.usual_range(address, network)
    assert network.network_address < leases.first <= leases.last < network.broadcast_address
    assert not leases.first <= address <= leases.last
    assert int(leases.last) - int(leases.first) < 1000


def test_a_network_without_room_is_said() -> None:
    with pytest.raises(UsageError, match="too small"):
        dnsmasq.usual_range(ipaddress.IPv4Address("10.9.0.1"), ipaddress.IPv4Network("10.9.0.0/30"))


@pytest.mark.parametrize(
    "text",
    [
        "10.9.0.9,10.9.0.5",
        "10.9.0.0,10.9.0.9",
        "10.9.0.9,10.9.0.255",
        "10.8.0.1,10.8.0.9",
        "10.9.0.9",
        "x,y",
        "1,2,3",
    ],
)
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--range"):
        dnsmasq.range_of(text, ipaddress.IPv4Address("10.9.0.1"), NETWORK)
