"""The kernel's command line: what each argument means, and that a mistake in one is told and never fatal."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.boot.arguments import Arguments, Cards, Static, read, values, words

#: A public key with most of the characters that such keys have and a command line may trip over.
KEY = "smV@o}OG.e8aoUNbI.cT!$3k>llhc&b&BkpxsXm/"


def v4(text: str) -> ipaddress.IPv4Interface:
    return ipaddress.IPv4Interface(text)


def test_nothing_said_is_the_defaults() -> None:
    assert read("BOOT_IMAGE=vmlinuz quiet console=ttyS0,115200 ro") == Arguments()


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("ahc.server=tcp://10.0.0.1:5570", "server", "tcp://10.0.0.1:5570"),
        ("ahc.server=ahc.example:5570", "server", "tcp://ahc.example:5570"),
        ("ahc.server=[fd00::1]:5570", "server", "tcp://[fd00::1]:5570"),
        (f"ahc.key={KEY}", "key", KEY),
        (f'ahc.key="{KEY}"', "key", KEY),
        (f'"ahc.key={KEY}"', "key", KEY),
        ("ahc.session=rack7", "session", "rack7"),
        ('ahc.session="rack 7"', "session", "rack 7"),
        ("ahc.plan=quick", "plan", "quick"),
        ("ahc.plan=https://h/p.json", "plan", "https://h/p.json"),
        ("ahc.plan=/p.json", "plan", "/p.json"),
        ("ahc.upload=http://h:80/results/", "upload", "http://h:80/results/"),
        ("ahc.onsuccess=poweroff", "on_success", "poweroff"),
        ("ahc.onfailure=shell", "on_failure", "shell"),
        ("ahc.patience=30", "patience_s", 30.0),
        ("ahc.debug=1", "debug", True),
        ("BOOTIF=01-52-54-00-AA-bb-cc", "boot_card", "52:54:00:aa:bb:cc"),
        ("BOOTIF=52:54:00:aa:bb:cc", "boot_card", "52:54:00:aa:bb:cc"),
        ("ahc.ip=dhcp", "cards", Cards("dhcp")),
        ("ahc.ip=all", "cards", Cards("all")),
        ("ahc.ip=enp1s0f0np0", "cards", Cards("enp1s0f0np0")),
        ("ahc.ip=52:54:00:AA:BB:CC", "cards", Cards("52:54:00:aa:bb:cc")),
        ("ahc.ip=10.0.0.7/24", "cards", Cards("static", (Static(v4("10.0.0.7/24")),))),
        (
            "ahc.ip=10.0.0.7/24,gateway=10.0.0.1,dns=10.0.0.2,dns=10.0.0.3,interface=eth1;10.1.0.7/16",
            "cards",
            Cards(
                "static",
                (
                    Static(
                        v4("10.0.0.7/24"),
                        ipaddress.IPv4Address("10.0.0.1"),
                        (ipaddress.IPv4Address("10.0.0.2"), ipaddress.IPv4Address("10.0.0.3")),
                        "eth1",
                    ),
                    Static(v4("10.1.0.7/16")),
                ),
            ),
        ),
        ("ahc.ip=fd00::7/64", "cards", Cards("static", (Static(ipaddress.IPv6Interface("fd00::7/64")),))),
    ],
)
def test_each_argument_is_understood(line: str, field: str, value: Any) -> None:
    found = read(f"quiet {line} ro")
    assert found.mistakes == ()
    assert getattr(found, field) == value


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("ahc.server=10.0.0.1", "tcp://HOST:PORT is meant"),
        ("ahc.server=http://10.0.0.1:80", "tcp://HOST:PORT is meant"),
        ("ahc.server=10.0.0.1:70000", "tcp://HOST:PORT is meant"),
        ("ahc.key=short", "40 characters"),
        ("ahc.session=a/b", "without slashes"),
        ("ahc.plan=a,b", "a plan's name"),
        ("ahc.upload=ftp://h/", "an http:// or https:// address"),
        ("ahc.onsuccess=off", "one of halt, reboot, poweroff, shell, wait"),
        ("ahc.onfailure=", "a value is missing"),
        ("ahc.onfailure", "a value is missing"),
        ("ahc.ip=10.0.0.300/24", "'10.0.0.300/24'|10.0.0.300/24 is no IP address"),
        ("ahc.ip=10.0.0.7/24,gateway=fd00::1", "two families"),
        ("ahc.ip=10.0.0.7/24,route=x", "gateway=, dns= or interface= is meant"),
        ("ahc.ip=a-name-that-is-too-long-for-linux", "an interface"),
        ("ahc.debug=yes", "0 or 1"),
        ("ahc.patience=0", "a whole number of seconds"),
        ("ahc.serv=10.0.0.1:5570", "no such argument (ahc.debug, ahc.ip, ahc.key"),
        ("BOOTIF=01-52-54", "a MAC address"),
    ],
)
def test_each_mistake_is_told_and_the_default_taken(word: str, told: str) -> None:
    found = read(f"quiet {word} ahc.onsuccess=halt" if "onsuccess" not in word else word)
    [mistake] = found.mistakes
    assert any(each in mistake for each in told.split("|")), mistake
    assert word.split("=")[0] in mistake
    without = Arguments() if "onsuccess" in word else Arguments(on_success="halt")
    assert found == Arguments(**{**_fields(without), "mistakes": found.mistakes})


def _fields(of: Arguments) -> dict[str, Any]:
    return {name: getattr(of, name) for name in Arguments.__dataclass_fields__}


@pytest.mark.parametrize(
    "value",
    ["static", ";", "10.0.0.7", "10.0.0.7;10.0.0.8", "10.0.0.7,gateway=10.0.0.1;", "0.0.0.0/0", "fd00::7"],
)
def test_what_is_no_static_address_leaves_no_machine_without_one(value: str) -> None:
    found = read(f"ahc.ip={value}")
    assert found.cards == Cards("dhcp") and len(found.mistakes) == 1


def test_the_last_word_counts() -> None:
    assert read("ahc.plan=quick ahc.plan=standard").plan == "standard"


def test_words_are_split_as_the_kernel_does() -> None:
    assert words('a=1 b="x y" "c=z w" d e=""') == [
        ("a", "1"),
        ("b", "x y"),
        ("c", "z w"),
        ("d", None),
        ("e", ""),
    ]
    assert values('a=1 a=2 b="open end') == {"a": "2", "b": "open end"}


@given(st.text(max_size=300))
def test_garbage_raises_nothing(line: str) -> None:
    read(line)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["server", "key", "session", "plan", "upload", "ip", "debug", "patience"]),
            st.text(max_size=40),
        )
    )
)
def test_garbage_in_values_is_told_in_what_can_be_printed(pairs: list[tuple[str, str]]) -> None:
    found = read(" ".join(f'ahc.{name}="{value}"' for name, value in pairs))
    assert all(each.isprintable() for each in found.mistakes)
