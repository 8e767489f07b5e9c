"""`ahc netboot --serve` at its edges: how it ends, where it refuses to begin, and what it does beside another DHCP server."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from ahc_agent.programs import find
from tests.netboot_helpers import HTTP, image, needs_loaders, net

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        any(find(each) is None for each in ("dnsmasq", "busybox", "setpriv")),
        reason="needs dnsmasq, busybox and setpriv",
    ),
]


# ── the end ────────────────────────────────────────────────────────────────────────────────────────


def children(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= {int(word) for word in (task / "children").read_text().split()}
    return found.union(*(children(each) for each in found))


def place_of(pid: int) -> Path:
    """The folder in which a dnsmasq finds its configuration."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return Path(
        next(word for word in words if word.startswith("--conf-file=")).removeprefix("--conf-file=")
    ).parent


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_dnsmasq_ends_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    with net() as one:
        netboot = one.netboot(
            tmp_path / "boot", "--image", str(image(tmp_path / "image")), "--interface", "eth0"
        )
        below = children(netboot.process.pid)
        names = {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in below}
        (place,) = (place_of(pid) for pid, name in names.items() if name == "dnsmasq")
        addresses = one.server.run("ip", "-6", "-brief", "address", "show", "dev", "eth0").stdout
        assert " fd" in addresses  # for iPXE's sake, as long as we serve
        netboot.process.send_signal(number)
        assert netboot.process.wait(15) == (-9 if number == signal.SIGKILL else 0)
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in below) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(Path(f"/proc/{pid}").exists() for pid in below)
        if number != signal.SIGKILL:
            after = one.server.run("ip", "-6", "-brief", "address", "show", "dev", "eth0").stdout
            assert " fd" not in after
            assert not place.exists()
        else:
            shutil.rmtree(place)


def test_where_dnsmasq_dies_the_command_says_so_and_ends(tmp_path: Path) -> None:
    with net() as one:
        netboot = one.netboot(
            tmp_path / "boot", "--image", str(image(tmp_path / "image")), "--interface", "eth0"
        )
        (pid,) = (
            pid
            for pid in children(netboot.process.pid)
            if Path(f"/proc/{pid}/comm").read_text().strip() == "dnsmasq"
        )
        os.kill(pid, signal.SIGKILL)
        assert netboot.process.wait(15) == 3
        assert "dnsmasq ended" in netboot.said


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("before", "options", "problem"),
    [
        ("link set lo up", ["--interface", "eth7"], "there is none of that name"),
        ("link set lo up", ["--interface", "lo"], "no machine can boot over it"),
        ("address flush dev eth0", ["--interface", "eth0"], "has no IPv4 address"),
        ("link set eth0 down", ["--interface", "eth0"], "it is down"),
        ("route add default via 10.9.0.250", ["--interface", "eth0"], "the default route leads there"),
        ("link set lo up", ["--interface", "eth0", "--http", "http://10.9.0.2:80"], "with --serve it is"),
        (
            "link set lo up",
            ["--interface", "eth0", "--range", "10.8.0.2,10.8.0.9"],
            "not a range of addresses",
        ),
        ("link set lo up", ["--interface", "eth0", "--range", "10.9.0.1,10.9.0.9"], "own address"),
    ],
)
def test_where_it_would_be_wrong_to_serve_it_is_refused(
    tmp_path: Path, before: str, options: list[str], problem: str
) -> None:
    with net() as one:
        one.server.ip(before)
        netboot = one.netboot(
            tmp_path / "boot", "--image", str(image(tmp_path / "image")), *options, wait=False
        )
        assert netboot.process.wait(30) == 2
        assert problem in netboot.said


def test_the_default_route_is_no_obstacle_where_the_operator_says_so(tmp_path: Path) -> None:
    with net() as one:
        one.server.ip("route add default via 10.9.0.250")
        options = ["--image", str(image(tmp_path / "image")), "--interface", "eth0", "--yes-this-network"]
        netboot = one.netboot(tmp_path / "boot", *options)
        assert netboot.end() == 0


@pytest.mark.parametrize("proxy", [False, True], ids=["refused", "proxy"])
def test_another_dhcp_server_is_found_and_its_answers_only_added_to(tmp_path: Path, proxy: bool) -> None:
    with net() as one:
        one.machine.ip("address add 10.9.0.7/24 dev eth0")
        other = [
            *[
                "dnsmasq",
                "--no-daemon",
                "--conf-file=/dev/null",
                "--port=0",
                "--interface=eth0",
                "--bind-interfaces",
            ],
            *["--dhcp-range=10.9.0.20,10.9.0.30,255.255.255.0", f"--dhcp-leasefile={tmp_path / 'leases'}"],
            *["--user=", "--no-ping"],
        ]
        one.start(one.machine, *other, log=tmp_path / "other.log")
        time.sleep(0.5)
        options = [
            "--image",
            str(image(tmp_path / "image")),
            "--interface",
            "eth0",
            *(["--proxy"] if proxy else []),
        ]
        netboot = one.netboot(tmp_path / "boot", *options, wait=proxy)
        if proxy:
            assert "dhcp-range=10.9.0.0,proxy" in (tmp_path / "boot" / "dnsmasq.conf").read_text()
            assert netboot.end() == 0
        else:
            assert netboot.process.wait(30) == 2
            assert "a DHCP server answers there already (10.9.0.7)" in netboot.said


#: What a PXE ROM sends (PXE 2.1, table 2-1), and the answer that comes: file, address. With "request" it asks at port 4011.
PXE = """
import socket, sys
from ahc_server.netboot import probe
extra, request = bytes.fromhex(sys.argv[1]), sys.argv[2:] == ["request"]
packet = probe.discover(77, bytes.fromhex("525400000001")).rstrip(b"\\0")[:-1] + extra + b"\\xff"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    line.bind(("", 68))
    if request:
        packet = packet.replace(b"\\x35\\x01\\x01", b"\\x35\\x01\\x03", 1)
        packet = packet[:12] + socket.inet_aton("10.9.0.9") + packet[16:]
    line.sendto(packet, ("10.9.0.1", 4011) if request else ("255.255.255.255", 67))
    line.settimeout(3)
    answer = line.recv(4096)
    print(answer[108:236].rstrip(b"\\0").decode() or "-", ".".join(map(str, answer[16:20])))
"""


def rom(architecture: int) -> str:
    """Options 93, 94, 97 and 60 as firmware sends them, in hexadecimal."""
    uuid = "6111" + "00" * 17
    return (
        f"5d02{architecture:04x}"
        + "5e03010201"
        + uuid
        + "3c20"
        + f"PXEClient:Arch:{architecture:05}:UNDI:002001".encode().hex()
    )


@needs_loaders
def test_beside_another_dhcp_server_firmware_learns_what_to_boot_and_no_address(tmp_path: Path) -> None:
    ipxe = "af03b10501"
    with net() as one:
        options = ["--image", str(image(tmp_path / "image")), "--interface", "eth0", "--proxy"]
        netboot = one.netboot(tmp_path / "boot", *options)
        assert "no DHCP server answers on eth0" in netboot.said
        one.machine.ip("address add 10.9.0.9/24 dev eth0")

        def ask(*arguments: str) -> list[str]:
            return one.machine.run(sys.executable, "-c", PXE, *arguments).stdout.split()

        assert ask(rom(0)) == ["undionly.kpxe", "0.0.0.0"]
        assert ask(rom(7), "request") == ["ipxe.efi", "0.0.0.0"]
        for architecture in (0, 7):
            assert ask(rom(architecture) + ipxe) == [f"{HTTP}/boot.ipxe", "0.0.0.0"]
        assert one.machine.dhcp("eth0", tmp_path, tries=1) is None
