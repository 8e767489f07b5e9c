"""The folder that boots machines, as other programs read it: sha256sum, dnsmasq, GRUB, a kernel's command line."""

from __future__ import annotations

import ipaddress
import re
import shlex
from pathlib import Path

import pytest

from ahc_agent.errors import UsageError
from ahc_agent.programs import find
from ahc_agent.wire.keys import fingerprint
from ahc_server.netboot import dnsmasq, folder, values
from tests.netboot_helpers import HTTP, KEY, SERVER, image, tool

#: A key with whatever is awkward in one of the formats, and safe where it is written.
AWKWARD = "a#b$c(d)e[f]g{h}i!j*k?l&m<n>o^p@q%r=s.t-"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return image(tmp_path / "image")


def wanted(source: Path, **more: object) -> folder.Wanted:
    fields: dict[str, object] = {"server": SERVER, "key": KEY, "loaders": source / "none", **more}
    return folder.Wanted(source, values.url(HTTP), **fields)  # type: ignore[arg-type]


def test_everything_is_there_and_the_sums_are_right(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = folder.write(out, wanted(source, upload=True, plan=b"{}"))
    assert {*written.files} == {
        *["vmlinuz", "initramfs", "boot.ipxe", "grub.cfg", "grub/grub.cfg", "pxelinux.cfg/default"],
        *["plan.json", "SHA256SUMS"],
    }
    assert (out / "uploads").is_dir() and (out / "dnsmasq.conf").exists() and (out / "README.txt").exists()
    assert (out / "initramfs").read_bytes() == (source / "initramfs").read_bytes()
    sums = (out / "SHA256SUMS").read_text()
    assert {line.split("  ")[1] for line in sums.splitlines()} == set(written.files) - {"SHA256SUMS"}
    checked = tool("sh", "-c", f"cd {shlex.quote(str(out))} && sha256sum --check --strict SHA256SUMS")
    assert checked.stdout.count(": OK") == 7


def test_written_again_it_is_the_same_and_results_stay(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    folder.write(out, wanted(source, upload=True))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (out / "uploads" / "S1.json").write_text("{}")
    folder.write(out, wanted(source, upload=True))
    assert {path: path.read_bytes() for path in before} == before
    assert (out / "uploads" / "S1.json").read_text() == "{}"
    assert not list(out.rglob(".*"))


def test_what_is_no_longer_wanted_goes_and_what_is_not_ours_stays(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "plan.json").write_text("somebody's own")
    folder.write(out, wanted(source))
    assert (out / "plan.json").read_text() == "somebody's own"
    folder.write(out, wanted(source, plan=b"{}"))
    folder.write(out, wanted(source))
    assert not (out / "plan.json").exists()


def test_a_new_image_does_not_change_what_is_being_served(source: Path, tmp_path: Path) -> None:
    folder.write(tmp_path / "out", wanted(source))
    before = (tmp_path / "out" / "initramfs").read_bytes()
    with (source / "initramfs").open("r+b") as file:
        file.write(b"new")
    assert (tmp_path / "out" / "initramfs").read_bytes() == before


def test_an_image_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="make ramdisk"):
        folder.write(tmp_path / "out", wanted(tmp_path / "empty"))


def kernel_lines(out: Path) -> dict[str, list[str]]:
    """The arguments that each boot script gives to the kernel, as its reader splits them."""
    ipxe = (out / "boot.ipxe").read_text()
    grub = (out / "grub.cfg").read_text()
    pxelinux = (out / "pxelinux.cfg/default").read_text()
    kernel = re.search(
        r"^kernel --name vmlinuz \S+ initrd=initramfs (.*) BOOTIF=\S+ \|\| goto failed$", ipxe, re.M
    )
    linux = re.search(r"^ +linux \S+ (.*) BOOTIF=\S+$", grub, re.M)
    append = re.search(r"^ +APPEND (.*)$", pxelinux, re.M)
    assert kernel and linux and append
    return {
        "iPXE": kernel[1].split(),
        # Between single quotes GRUB takes everything as it is, as a shell does.
        "GRUB": shlex.split(linux[1], comments=False),
        "PXELINUX": append[1].split(),
    }


def test_every_boot_script_says_the_same_to_the_kernel(source: Path, tmp_path: Path) -> None:
    assert len(AWKWARD) == 40
    more = {"console": "ttyS0,115200", "session": "rack7", "upload": True, "plan": b"{}"}
    arguments = ("ahc.ip=10.0.0.2/24,gateway=10.0.0.1;10.1.0.2/24", "mitigations=off", "nosmt")
    written = folder.write(tmp_path / "out", wanted(source, key=AWKWARD, arguments=arguments, **more))
    expected = [
        *[
            "loglevel=6",
            "panic=30",
            "console=tty0",
            "console=ttyS0,115200",
            f"ahc.server={SERVER}",
            f"ahc.key={AWKWARD}",
            "ahc.session=rack7",
        ],
        *[f"ahc.plan={HTTP}/plan.json", f"ahc.upload={HTTP}/uploads/", *arguments],
    ]
    assert written.command_line.split() == expected
    assert kernel_lines(tmp_path / "out") == dict.fromkeys(("iPXE", "GRUB", "PXELINUX"), expected)


def test_machines_that_join_nobody_are_told_no_key(source: Path, tmp_path: Path) -> None:
    written = folder.write(tmp_path / "out", wanted(source, server=None, key=None, plan=b"{}"))
    assert written.command_line == f"loglevel=6 panic=30 ahc.plan={HTTP}/plan.json"


@pytest.mark.parametrize("word", ["loglevel=7", "quiet", "ahc.debug=1"])
def test_how_much_the_kernel_says_is_the_operators_choice(source: Path, tmp_path: Path, word: str) -> None:
    written = folder.write(
        tmp_path / "out", wanted(source, server=None, key=None, plan=b"{}", arguments=(word,))
    )
    assert written.command_line == f"panic=30 ahc.plan={HTTP}/plan.json {word}"


def test_when_a_machine_starts_anew_after_a_panic_is_the_operators_choice(
    source: Path, tmp_path: Path
) -> None:
    written = folder.write(tmp_path / "out", wanted(source, arguments=("panic=0",)))
    assert [word for word in written.command_line.split() if "panic" in word] == ["panic=0"]


@pytest.mark.parametrize("bad", ["a b", "x'y", "x${y}"])
def test_nothing_unsafe_is_written_whoever_asks(source: Path, tmp_path: Path, bad: str) -> None:
    with pytest.raises(UsageError, match="cannot be written safely"):
        folder.write(tmp_path / "out", wanted(source, arguments=(f"x={bad}",)))
    assert not (tmp_path / "out").exists()


def test_every_boot_script_shows_the_keys_fingerprint(source: Path, tmp_path: Path) -> None:
    folder.write(tmp_path / "out", wanted(source))
    for name, word in (("boot.ipxe", "echo"), ("grub.cfg", "echo"), ("pxelinux.cfg/default", "SAY")):
        text = (tmp_path / "out" / name).read_text()
        assert re.search(rf"^ *{word} '?key fingerprint {fingerprint(KEY)} ", text, re.M), name


def test_ipxe_fetches_over_tls_where_that_was_asked_for(source: Path, tmp_path: Path) -> None:
    secure = folder.Wanted(source, values.url("https://boot.example.org/ahc"), loaders=source)
    folder.write(tmp_path / "out", secure)
    assert "set base https://boot.example.org/ahc\n" in (tmp_path / "out" / "boot.ipxe").read_text()


@pytest.mark.parametrize("name", ["grub.cfg", "grub/grub.cfg", "pxelinux.cfg/default"])
def test_other_loaders_fetch_from_where_they_came_from(source: Path, tmp_path: Path, name: str) -> None:
    folder.write(tmp_path / "out", wanted(source, server=None, key=None))
    text = (tmp_path / "out" / name).read_text()
    assert re.search(r"^ +(linux|KERNEL) /vmlinuz", text, re.M) and "http" not in text


@pytest.mark.skipif(find("grub-script-check") is None, reason="GRUB is not installed")
def test_grub_takes_its_script(source: Path, tmp_path: Path) -> None:
    folder.write(tmp_path / "out", wanted(source, key=AWKWARD))
    tool("grub-script-check", str(tmp_path / "out" / "grub.cfg"))


# ── loaders ────────────────────────────────────────────────────────────────────────────────────────


def test_loaders_are_brought_along_where_they_are_installed(source: Path, tmp_path: Path) -> None:
    loaders = tmp_path / "ipxe"
    loaders.mkdir()
    for name in ("undionly.kpxe", "ipxe.efi"):
        (loaders / name).write_text(name)
    written = folder.write(tmp_path / "out", wanted(source, loaders=loaders))
    assert written.has_loaders and written.remarks == []
    assert "dhcp-boot=tag:!ipxe,tag:bios,undionly.kpxe" in (tmp_path / "out" / "dnsmasq.conf").read_text()


def test_without_loaders_it_is_said_what_will_not_boot(source: Path, tmp_path: Path) -> None:
    written = folder.write(tmp_path / "out", wanted(source))
    assert not written.has_loaders
    assert len(written.remarks) == 1 and "Debian package ipxe" in written.remarks[0]
    assert "undionly" not in (tmp_path / "out" / "dnsmasq.conf").read_text()


# ── dnsmasq ────────────────────────────────────────────────────────────────────────────────────────

LAN = dnsmasq.Lan(
    "eth0",
    ipaddress.IPv4Address("10.9.0.1"),
    ipaddress.IPv4Network("10.9.0.0/24"),
    dnsmasq.usual_range(ipaddress.IPv4Address("10.9.0.1"), ipaddress.IPv4Network("10.9.0.0/24")),
    advertise=True,
)
PROXY = dnsmasq.Lan(LAN.interface, LAN.address, LAN.network, None)


@pytest.mark.skipif(find("dnsmasq") is None, reason="dnsmasq is not installed")
@pytest.mark.parametrize("lan", [None, LAN, PROXY], ids=["example", "range", "proxy"])
def test_dnsmasq_takes_its_configuration(source: Path, tmp_path: Path, lan: dnsmasq.Lan | None) -> None:
    loaders = tmp_path / "ipxe"
    loaders.mkdir()
    for name in ("undionly.kpxe", "ipxe.efi"):
        (loaders / name).write_text(name)
    folder.write(tmp_path / "out", wanted(source, key=AWKWARD, lan=lan, loaders=loaders))
    text = (tmp_path / "out" / "dnsmasq.conf").read_text()
    assert "port=0\n" in text and "bind-dynamic\n" in text
    edited = tmp_path / "edited.conf"
    edited.write_text(text.replace("conf-file=/CHANGE-ME\n", ""))
    done = tool("dnsmasq", "--test", f"--conf-file={edited}")
    assert "syntax check OK" in done.stderr


@pytest.mark.skipif(find("dnsmasq") is None, reason="dnsmasq is not installed")
def test_the_example_starts_nothing_until_somebody_has_edited_it(source: Path, tmp_path: Path) -> None:
    folder.write(tmp_path / "out", wanted(source))
    options = [
        "--no-daemon",
        f"--conf-file={tmp_path / 'out' / 'dnsmasq.conf'}",
        "--user=",
        "--dhcp-leasefile=/dev/null",
    ]
    done = tool("dnsmasq", *options, check=False, time_limit_s=10)
    assert done.returncode != 0 and "/CHANGE-ME" in done.stderr


def test_a_folder_whose_name_dnsmasq_would_not_take_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        folder.write(tmp_path / "a b,c", wanted(source))
