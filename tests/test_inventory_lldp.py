"""LLDP: frames parsed, neighbours heard on a real cable, and asked of a real daemon."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import WireError
from ahc_agent.facts import Lldp
from ahc_agent.inventory import lldp
from tests.device_helpers import Namespace, veth_pair
from tests.lldp_helpers import CHASSIS_MAC, PORT_NAME, frame, send, tlv


def test_a_switch_tells_its_name_its_port_and_its_vlans() -> None:
    heard = lldp.parse(
        frame(
            tlv(4, b"to rack 7, unit 12"),
            tlv(5, "leaf-schöneberg".encode()),
            tlv(127, b"\x00\x80\xc2\x01" + (42).to_bytes(2, "big")),
            tlv(127, b"\x00\x80\xc2\x03" + (100).to_bytes(2, "big") + b"\x07storage"),
            tlv(127, b"\x00\x12\x0f\x01\x03\x6c\x11\x00\x10"),
        )
    )
    assert heard == Lldp(
        chassis_id="00:11:22:33:44:55",
        port_id="Ethernet1/7",
        port_description="to rack 7, unit 12",
        system_name="leaf-schöneberg",
        vlan_ids=[42, 100],
    )


@pytest.mark.parametrize(
    ("chassis", "port", "chassis_id", "port_id"),
    [
        (
            b"\x05\x01\x0a\x00\x00\x01",
            b"\x03" + bytes.fromhex("0a0b0c0d0e0f"),
            "10.0.0.1",
            "0a:0b:0c:0d:0e:0f",
        ),
        (b"\x05\x02" + bytes(15) + b"\x01", b"\x04\x01\xc0\x00\x02\x01", "::1", "192.0.2.1"),
        (b"\x07switch", b"\x01uplink to core", "switch", "uplink to core"),
        (b"\x06mgmt0", b"\x07\xff\xfe", "mgmt0", "fffe"),
        (b"\x04short", b"\x05\x1b[31mred\x07", "short", "[31mred"),
    ],
)
def test_identities_of_all_kinds(chassis: bytes, port: bytes, chassis_id: str, port_id: str) -> None:
    heard = lldp.parse(frame(chassis=chassis, port=port))
    assert heard is not None
    assert (heard.chassis_id, heard.port_id) == (chassis_id, port_id)


def test_a_neighbour_that_says_goodbye_is_none() -> None:
    assert lldp.parse(frame(ttl=0)) is None


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        bytes(60),
        frame()[:20],
        frame()[:14] + tlv(2, PORT_NAME) + tlv(1, CHASSIS_MAC) + tlv(3, b"\0\x78"),
        frame()[:14] + tlv(1, CHASSIS_MAC) + tlv(2, PORT_NAME),
        frame()[:14] + tlv(1, CHASSIS_MAC) + tlv(2, PORT_NAME) + tlv(3, b"\0"),
        frame(chassis=b"\x04"),
        frame()[:-2] + (5 << 9 | 500).to_bytes(2, "big") + b"cut",
    ],
)
def test_malformed_frames_are_refused(broken: bytes) -> None:
    with pytest.raises(WireError):
        lldp.parse(broken)


@given(st.binary(max_size=1600))
def test_no_frame_does_harm(body: bytes) -> None:
    for data in (body, frame()[:14] + body, frame()[:-2] + body):
        try:
            heard = lldp.parse(data)
        except WireError:
            continue
        for text in (
            (heard.chassis_id, heard.port_id, heard.port_description, heard.system_name) if heard else ()
        ):
            assert text is None or (text.isprintable() and len(text) <= 1022)


@given(
    name=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=100),
    description=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=100),
    vlans=st.lists(st.integers(1, 4094), unique=True, max_size=20),
)
def test_what_is_said_is_heard(name: str, description: str, vlans: list[int]) -> None:
    names = [tlv(127, b"\x00\x80\xc2\x03" + vlan.to_bytes(2, "big") + b"\x00") for vlan in vlans]
    heard = lldp.parse(frame(tlv(4, description.encode()), tlv(5, name.encode()), *names))
    assert heard is not None
    assert (heard.system_name, heard.port_description, heard.vlan_ids) == (name, description, vlans)


def announce(end: Namespace, data: bytes, stop: threading.Event) -> None:
    """Send a frame again and again, as a switch does."""
    while not stop.is_set():
        send(end, data)
        stop.wait(0.1)


@pytest.mark.root
def test_a_neighbour_is_heard_over_a_real_cable() -> None:
    stop = threading.Event()
    with veth_pair() as (node, switch):
        noise = frame()[:14] + b"\xff" * 40
        voices = [
            threading.Thread(target=announce, args=(switch, data, stop))
            for data in (noise, frame(tlv(5, b"leaf1")))
        ]
        for voice in voices:
            voice.start()
        try:
            heard = node.python(
                f"from ahc_agent.inventory import lldp; print(lldp.listen(['{node.interface}', 'no-such-card'], 20))"
            )
            inventory = json.loads(
                node.python("from ahc_agent.cli import group; group.main(['inventory', '--lldp', '20'])")
            )
        finally:
            stop.set()
            for voice in voices:
                voice.join()
    leaf = Lldp(chassis_id="00:11:22:33:44:55", port_id="Ethernet1/7", system_name="leaf1")
    assert heard.strip() == str({node.interface: leaf})
    assert [nic["lldp"] for nic in inventory["nics"]] == [msgspec.to_builtins(leaf)]
    assert [error for error in inventory["errors"] if error["collector"] == "lldp"] == []


@pytest.mark.root
def test_silence_ends_at_the_time_limit_and_own_frames_are_not_heard() -> None:
    stop = threading.Event()
    with veth_pair() as (node, _):
        voice = threading.Thread(target=announce, args=(node, frame(), stop))
        voice.start()
        try:
            heard = node.python(
                "import time; from ahc_agent.inventory import lldp; start = time.monotonic()\n"
                f"print(lldp.listen(['{node.interface}'], 0.7), time.monotonic() - start >= 0.7)"
            )
        finally:
            stop.set()
            voice.join()
    assert heard.strip() == "{} True"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """lldpctl runs as the daemon's own user: it cannot enter pytest's folders."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_without_a_daemon_nobody_is_asked(tmp_path: Path) -> None:
    assert lldp.from_daemon(str(tmp_path / "lldpd.socket")) == {}


@pytest.mark.root
@pytest.mark.skipif(
    shutil.which("lldpd", path="/usr/sbin:/usr/bin:/sbin:/bin") is None, reason="lldpd is not installed"
)
def test_a_real_daemon_is_heard_and_asked(open_folder: Path) -> None:
    """The daemon announces itself on one end; it is heard raw on the other, and hears our frame itself."""
    control = open_folder / "lldpd.socket"
    stop = threading.Event()
    with veth_pair() as (switch, node):
        daemon = subprocess.Popen(
            switch.argv("lldpd", "-d", "-u", str(control), "-I", switch.interface),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        voice = threading.Thread(target=announce, args=(node, frame(tlv(5, b"leaf1")), stop))
        voice.start()
        try:
            deadline = time.monotonic() + 20
            asked: dict[str, Lldp] = {}
            while not asked and time.monotonic() < deadline:
                time.sleep(0.2)
                asked = lldp.from_daemon(str(control))
            subprocess.run(
                ["lldpcli", "-u", control, "configure", "lldp", "tx-interval", "1"],
                check=True,
                capture_output=True,
                timeout=20,
            )
            heard = node.python(
                "from ahc_agent.inventory import lldp\n"
                f"print(lldp.listen(['{node.interface}'], 20)['{node.interface}'].port_description)\n"
            )
        finally:
            stop.set()
            voice.join()
            daemon.terminate()
            daemon.wait(timeout=20)
    assert asked[switch.interface].system_name == "leaf1"
    assert asked[switch.interface].port_id == "Ethernet1/7"
    assert heard.strip() == switch.interface
