"""What comes from the network into `ahc netboot --serve`: read as the standards say, and never worse than refused."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_server.netboot import child, interface, probe, web

MAC = bytes.fromhex("525400000001")


# ── DHCP ───────────────────────────────────────────────────────────────────────────────────────────


def offer(number: int = 7, *, kind: int = 2, server: bytes = bytes([10, 9, 0, 7])) -> bytes:
    """A DHCPOFFER as a server makes it of a DISCOVER."""
    head = bytearray(probe.discover(number, MAC)[:240])
    head[0] = 2
    return bytes(head) + bytes([0, 53, 1, kind, 54, len(server)]) + server + b"\xff"


def test_an_offer_names_its_server() -> None:
    assert probe.offer_of(offer(), 7) == "10.9.0.7"
    assert probe.offer_of(offer(server=b""), 7) == ""


@pytest.mark.parametrize(
    "packet",
    [probe.discover(7, MAC), offer(8), offer(kind=5), offer()[:200], b"", offer()[:243]],
    ids=["request", "another's", "acknowledgement", "cut in the head", "nothing", "cut in the options"],
)
def test_what_is_no_offer_to_us_is_passed_over(packet: bytes) -> None:
    assert probe.offer_of(packet, 7) is None


@given(st.binary(max_size=400), st.booleans())
def test_no_packet_breaks_the_reader(data: bytes, after_a_head: bool) -> None:
    probe.offer_of(offer()[:240] + data if after_a_head else data, 7)


# ── HTTP ───────────────────────────────────────────────────────────────────────────────────────────


@given(
    text=st.from_regex(r"bytes=\d{0,4}-\d{0,4}", fullmatch=True) | st.text(max_size=20),
    size=st.integers(0, 2000),
)
def test_a_range_lies_within_the_file_or_is_none(text: str, size: int) -> None:
    part = web.byte_range(text, size)
    if part is not None:
        first, count = part
        assert first >= 0 and count >= 0 and first + count <= size


@pytest.mark.parametrize(
    ("data", "right"),
    [
        (b'{"schema": "ahc.bench/1"}\n', True),
        (b"", False),
        (b'{"a": ', False),
        (b"{} {}", False),
        (b'"\xff"', False),
        (b"[" * 100_000, False),
    ],
)
def test_a_result_is_one_json_value(data: bytes, right: bool) -> None:
    assert web.is_json(data) is right


def test_a_hostile_result_takes_no_more_memory_than_it_is_long() -> None:
    data = b"[" + b"{}," * 500_000 + b"{}]"
    tracemalloc.start()
    try:
        assert web.is_json(data)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data)
    finally:
        tracemalloc.stop()


def test_results_of_one_name_stand_beside_each_other_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_MOST_OF_A_NAME", 3)
    kept = [web.keep(tmp_path, "S1", b"%d" % number).name for number in range(3)]
    assert kept == ["S1.json", "S1.2.json", "S1.3.json"]
    assert web.keep(tmp_path, "S1", b"1").name == "S1.2.json"
    with pytest.raises(OSError, match="are there already"):
        web.keep(tmp_path, "S1", b"3")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_link_that_somebody_laid_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("mine")
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "S1.json").symlink_to(target)
    assert web.keep(folder, "S1", b"{}").name == "S1.2.json"
    assert target.read_text() == "mine"


# ── what the operator reads ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "dnsmasq-dhcp: 3261956145 DHCPACK(br0) 10.9.0.193 12:46:de:e9:2b:b2 host7",
            "12:46:de:e9:2b:b2: asked, got 10.9.0.193",
        ),
        (
            "dnsmasq-dhcp: DHCPDISCOVER(eth1) 52:54:00:12:34:56 no address available",
            "52:54:00:12:34:56: asked, and no address is left",
        ),
        (
            "dnsmasq-dhcp: 1 DHCPNAK(eth1) 10.0.0.9 52:54:00:12:34:56 wrong network",
            "52:54:00:12:34:56: not 10.0.0.9: wrong network",
        ),
        (
            "dnsmasq-tftp: sent /tmp/ahc-netboot-x1/tftp/pxelinux.cfg/default to 10.9.0.9",
            "10.9.0.9: fetched pxelinux.cfg/default by TFTP",
        ),
        (
            "dnsmasq-tftp: file /tmp/ahc-netboot-x1/tftp/no such file not found for 10.9.0.9",
            "10.9.0.9: asked by TFTP for no such file: there is no such file",
        ),
        (
            "dnsmasq-tftp: failed sending /tmp/ahc-netboot-x1/tftp/initramfs to 10.9.0.9",
            "10.9.0.9: stopped in the middle of initramfs (TFTP)",
        ),
        ("dnsmasq-dhcp: 3261956145 sent size:  4 option: 51 lease-time  1h", None),
        ("dnsmasq: started, version 2.90 DNS disabled", None),
    ],
)
def test_dnsmasqs_lines_become_sentences(line: str, said: str | None) -> None:
    assert child.sentence(line) == said


def test_default_routes_are_read_as_the_kernel_writes_them() -> None:
    table = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        "eth1\t0000090A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n"
    )
    assert interface.default_routes(table) == {"eth0", "tun0"}
