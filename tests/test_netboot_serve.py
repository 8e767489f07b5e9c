"""`ahc netboot --serve` with real clients: what machines are told, and that nobody else is told anything."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ahc_agent.programs import find
from tests.netboot_helpers import HTTP, KEY, LOADERS, SERVER, Net, Netboot, image, needs_loaders, net

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
    served.netboot.wait_for(f"10.9.0.9: fetched {name} {'(' if scheme == HTTP else 'by TFTP'}")


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
    served.netboot.wait_for("grub.cfg cannot be read: No such file")
    deadline = time.monotonic() + 10
    while served.net.machine.curl("tftp://10.9.0.1/grub.cfg")[1] != b"":
        assert time.monotonic() < deadline
    path.write_bytes(data)
    assert served.net.machine.curl(f"{HTTP}/grub.cfg")[1] == data


def test_tftp_follows_a_file_that_was_written_anew(served: Served) -> None:
    path = served.folder / "pxelinux.cfg" / "default"
    before, after = path.read_bytes(), path.read_bytes() + b"# anew\n"
    assert served.net.machine.curl("tftp://10.9.0.1/pxelinux.cfg/default")[1] == before
    fresh = path.with_name("fresh")
    fresh.write_bytes(after)
    fresh.replace(path)
    deadline = time.monotonic() + 10
    while served.net.machine.curl("tftp://10.9.0.1/pxelinux.cfg/default")[1] != after:
        assert time.monotonic() < deadline


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


def test_a_result_never_hides_from_the_import(served: Served, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("{}")
    for name in ("..json", "...json", ".hidden.json"):
        assert put(served, source, name) == b"201"
    uploads = served.folder / "uploads"
    assert (uploads / "unknown.json").exists()
    assert (uploads / "hidden.json").exists()
    assert not list(uploads.glob(".*"))


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
    # TFTP's is bound to the address alone: dnsmasq looks where each request came in (the test above asks from elsewhere).
    assert mine == {"0.0.0.0%eth0:67", "10.9.0.1:69", "10.9.0.1%eth0:8080"}
    (pid,) = {int(line.split("pid=")[1].split(",")[0]) for line in lines if "dnsmasq" in line}
    status = dict(line.partition(":")[::2] for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["Uid"].split()[0] != "0"
    assert status["CapBnd"].strip() == "0000000000003400"  # net_bind_service, net_admin, net_raw
    assert status["NoNewPrivs"].strip() == "1"
