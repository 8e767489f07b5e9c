"""`ahc netboot --serve` with real clients: what machines are told, and that nobody else is told anything."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ahc_agent.programs import find
from tests.netboot_helpers import HTTP, KEY, SERVER, Net, Netboot, image, net

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        any(find(each) is None for each in ("dnsmasq", "busybox", "curl", "setpriv")),
        reason="needs dnsmasq, busybox, curl and setpriv",
    ),
]

#: DHCP option 93 of a BIOS, of UEFI, of UEFI that fetches by HTTP; option 175 of iPXE.
BIOS, UEFI, UEFI_HTTP = (("-x", f"0x5d:{code}") for code in ("0000", "0007", "0010"))
IPXE = ("-x", "0xaf:b10501")
LOADERS = Path("/usr/lib/ipxe")
needs_loaders = pytest.mark.skipif(
    not (LOADERS / "undionly.kpxe").exists() or not (LOADERS / "ipxe.efi").exists(),
    reason="Debian's package ipxe is not installed",
)


@dataclass
class Served:
    net: Net
    folder: Path
    netboot: Netboot


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A folder that is served to the machine's network; the stranger can reach the server over the other card."""
    place = tmp_path_factory.mktemp("netboot")
    with net() as one:
        folder = place / "boot"
        options = [
            "--image",
            str(image(place / "image")),
            "--interface",
            "eth0",
            "--upload",
            "--session",
            "rack7",
        ]
        netboot = one.netboot(folder, *options, "--console", "ttyS0", "--arg", "ahc.onsuccess=poweroff")
        one.machine.ip("address add 10.9.0.9/24 dev eth0")
        one.stranger.ip("address add 10.8.0.9/24 dev eth0")
        one.stranger.ip("route add 10.9.0.0/24 via 10.8.0.1")
        yield Served(one, folder, netboot)


# ── DHCP ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_machine_gets_an_address_and_the_server_by_private_options(served: Served, tmp_path: Path) -> None:
    told = served.net.machine.dhcp("eth0", tmp_path, "-O", "224", "-O", "225")
    assert told is not None
    assert told["ip"].startswith("10.9.0.") and int(told["ip"].split(".")[3]) >= 128
    assert bytes.fromhex(told["opt224"]).decode() == SERVER
    assert bytes.fromhex(told["opt225"]).decode() == KEY
    assert "router" not in told and "dns" not in told
    served.netboot.wait_for(f"asked, got {told['ip']}")


def test_ipxe_gets_the_script(served: Served, tmp_path: Path) -> None:
    told = served.net.machine.dhcp("eth0", tmp_path, *BIOS, *IPXE)
    assert told is not None and told["boot_file"] == f"{HTTP}/boot.ipxe"


@needs_loaders
@pytest.mark.parametrize(
    ("firmware", "loads"),
    [(BIOS, "undionly.kpxe"), (UEFI, "ipxe.efi"), (UEFI_HTTP, f"{HTTP}/ipxe.efi")],
    ids=["bios", "uefi", "uefi-http"],
)
def test_firmware_without_ipxe_gets_ipxe(
    served: Served, tmp_path: Path, firmware: tuple[str, str], loads: str
) -> None:
    told = served.net.machine.dhcp("eth0", tmp_path, *firmware)
    assert told is not None and told["boot_file"] == loads
    if firmware is UEFI_HTTP:
        # Such firmware takes no offer without it; busybox's client keeps it to itself.
        served.netboot.wait_for(f"option: 60 vendor-class  {b'HTTPClient'.hex(':')}")
    else:
        assert told["siaddr"] == "10.9.0.1"
        body = served.net.machine.curl(f"tftp://10.9.0.1/{loads}")[1]
        assert body == (LOADERS / loads).read_bytes()


# ── HTTP and TFTP ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scheme", [HTTP, "tftp://10.9.0.1"])
@pytest.mark.parametrize(
    "name", ["vmlinuz", "initramfs", "boot.ipxe", "grub/grub.cfg", "pxelinux.cfg/default"]
)
def test_a_machine_fetches_the_files(served: Served, scheme: str, name: str) -> None:
    status, body = served.net.machine.curl(f"{scheme}/{name}")
    assert status == 0
    assert body == (served.folder / name).read_bytes()
    served.netboot.wait_for(f"10.9.0.9: fetched {name} (")


def test_large_blocks_and_sizes_are_agreed_on(served: Served) -> None:
    _, body = served.net.machine.curl("tftp://10.9.0.1/initramfs", "--tftp-blksize", "1468")
    assert body == (served.folder / "initramfs").read_bytes()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("0-9", slice(0, 10)),
        ("299000-", slice(299_000, None)),
        ("-7", slice(-7, None)),
        ("5-9999999", slice(5, None)),
    ],
)
def test_a_part_of_a_file_can_be_fetched(served: Served, asked: str, expected: slice) -> None:
    whole = (served.folder / "initramfs").read_bytes()
    status, body = served.net.machine.curl(f"{HTTP}/initramfs", "--range", asked)
    assert (status, body) == (0, whole[expected])


@pytest.mark.parametrize(
    "path",
    ["", "dnsmasq.conf", "README.txt", "uploads/", "../image/vmlinuz", "%2e%2e/image/vmlinuz", "etc/passwd"],
)
def test_nothing_else_is_handed_out(served: Served, path: str) -> None:
    machine = served.net.machine
    _, code = machine.curl(
        f"{HTTP}/{path}", "--path-as-is", "--output", "/dev/null", "--write-out", "%{http_code}"
    )
    assert code == b"404"
    assert machine.curl(f"tftp://10.9.0.1/{path or 'x'}", "--path-as-is")[1] == b""


def test_a_file_that_went_away_is_said_and_comes_back(served: Served) -> None:
    path = served.folder / "grub.cfg"
    data = path.read_bytes()
    path.unlink()
    code = ("--output", "/dev/null", "--write-out", "%{http_code}")
    assert served.net.machine.curl(f"{HTTP}/grub.cfg", *code)[1] == b"404"
    assert served.net.machine.curl("tftp://10.9.0.1/grub.cfg")[1] == b""
    served.netboot.wait_for("grub.cfg cannot be read: No such file")
    path.write_bytes(data)
    assert served.net.machine.curl(f"{HTTP}/grub.cfg")[1] == data


# ── results ────────────────────────────────────────────────────────────────────────────────────────


def put(served: Served, source: Path, name: str) -> bytes:
    _, code = served.net.machine.curl(
        f"{HTTP}/uploads/{name}",
        "--upload-file",
        str(source),
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
    )
    return code


def test_results_are_kept_and_never_overwritten(served: Served, tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_text('{"run": 1}')
    second.write_text('{"run": 2}')
    uploads = served.folder / "uploads"
    assert put(served, first, "SER1.json") == b"201"
    assert put(served, first, "SER1.json") == b"201"  # an answer that got lost: sent once more, kept once
    assert put(served, second, "SER1.json") == b"201"
    assert json.loads((uploads / "SER1.json").read_text()) == {"run": 1}
    assert json.loads((uploads / "SER1.2.json").read_text()) == {"run": 2}
    assert sorted(path.name for path in uploads.glob("*SER1*")) == ["SER1.2.json", "SER1.json"]
    served.netboot.wait_for("10.9.0.9: sent its result, kept as SER1.2.json")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.sh", "{}", b"403"),
        ("../boot.ipxe", "{}", b"403"),
        ("..%2fx.json", "{}", b"403"),
        ("deep/x.json", "{}", b"403"),
        ("x.json", "#!/bin/sh", b"422"),
    ],
)
def test_what_is_no_result_is_refused(
    served: Served, tmp_path: Path, name: str, content: str, code: bytes
) -> None:
    source = tmp_path / "source"
    source.write_text(content)
    before = hashlib.sha256((served.folder / "boot.ipxe").read_bytes()).digest()
    got = served.net.machine.curl(
        f"{HTTP}/uploads/{name}",
        *[
            "--path-as-is",
            "--upload-file",
            str(source),
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ],
    )[1]
    assert got == code
    assert hashlib.sha256((served.folder / "boot.ipxe").read_bytes()).digest() == before
    assert not list(served.folder.glob("uploads/x*"))


def test_a_serial_number_with_odd_characters_names_a_plain_file(served: Served, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("{}")
    assert put(served, source, "To%20be%20filled*.json") == b"201"
    assert (served.folder / "uploads" / "To_be_filled_.json").exists()


# ── nobody else ────────────────────────────────────────────────────────────────────────────────────


def test_the_other_network_gets_no_answer(served: Served, tmp_path: Path) -> None:
    stranger = served.net.stranger
    reachable = "import socket; socket.create_connection(('10.9.0.1', 9), 3)"
    refused = stranger.run("python3", "-c", reachable, check=False).stderr
    assert "Connection refused" in refused  # the address itself can be reached from there
    assert stranger.dhcp("eth0", tmp_path, tries=2) is None
    for address in ("10.9.0.1", "10.8.0.1"):
        for url in (f"http://{address}:8080/boot.ipxe", f"tftp://{address}/boot.ipxe"):
            status, body = stranger.curl(url, "--max-time", "1")
            assert status != 0 and body == b""
    assert "10.8.0.9" not in served.netboot.said


def test_everything_listens_on_the_one_interface_and_dnsmasq_has_no_rights_to_spare(served: Served) -> None:
    lines = served.net.server.run("ss", "-Hlnptu").stdout.splitlines()
    mine = {line.split()[4] for line in lines if not line.split()[4].startswith(("[", "*"))}
    assert mine == {"0.0.0.0%eth0:67", "10.9.0.1%eth0:69", "10.9.0.1%eth0:8080"}
    (pid,) = {int(line.split("pid=")[1].split(",")[0]) for line in lines if "dnsmasq" in line}
    status = dict(line.partition(":")[::2] for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["Uid"].split()[0] != "0"
    assert status["CapBnd"].strip() == "0000000000003400"  # net_bind_service, net_admin, net_raw
    assert status["NoNewPrivs"].strip() == "1"


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


def test_an_upload_that_is_too_large_or_breaks_off_is_not_kept(served: Served, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    assert put(served, large, "large.json") == b"413"
    broken = (
        "import socket; line = socket.create_connection(('10.9.0.1', 8080), 3);"
        "line.sendall(b'PUT /uploads/broken.json HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 100\\r\\n\\r\\n{');"
        "line.close()"
    )
    served.net.machine.run("python3", "-c", broken)
    served.netboot.wait_for("went away in the middle of broken.json")
    assert not list(served.folder.glob("uploads/*large*")) + list(served.folder.glob("uploads/*broken*"))
    assert not list(served.folder.glob("uploads/.*"))
