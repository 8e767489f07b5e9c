"""Whole images: built from Debian's packages, twice, looked into, and their programs run in them."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ahc_agent import __version__
from ramdisk import python
from ramdisk.build import Built, build
from ramdisk.contents import FLAVOURS
from ramdisk.recipe import Recipe
from tests.conftest import REPOSITORY
from tests.ramdisk_helpers import lay_out, needs_busybox, parts, run

pytestmark = [
    pytest.mark.machines,
    pytest.mark.timeout(900),
    needs_busybox,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: unpacks packages"),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="needs mmdebstrap (.ci/packages ramdisk)"),
]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ1aWxkZXI= who@where\n"

#: Drivers that servers have, one for each vendor and kind: whoever changes the tables sees what would be lost.
SERVER_MODULES = (
    "8021q", "aacraid", "ahci", "amd64_edac", "atlantic", "be2net", "bnx2x", "bnxt_en", "bonding",
    "coretemp", "cxgb4", "device_dax", "e1000e", "ena", "hfi1", "hpsa", "hpwdt", "i40e", "i6300esb",
    "iTCO_wdt", "ib_ipoib", "ice", "igb", "igc", "ipmi_devintf", "ipmi_si", "ipmi_ssif", "ipmi_watchdog",
    "ixgbe", "k10temp", "lpfc", "megaraid_sas", "mlx4_en", "mlx4_ib", "mlx5_core", "mlx5_ib", "mpt3sas",
    "msr", "mtip32xx", "nd_pmem", "nfp", "nls_ascii", "nls_cp437", "nls_iso8859_1", "nvme", "qede",
    "qla2xxx", "r8169", "sb_edac", "sd_mod", "sfc", "sg", "skx_edac", "smartpqi", "softdog", "sr_mod",
    "tg3", "uas", "usb_storage", "usbhid", "vfat", "virtio_blk", "virtio_net", "virtio_scsi", "vmxnet3",
    "xhci_pci",
)  # fmt: skip
VIRTUAL_MODULES = (
    "8021q", "ena", "hv_netvsc", "nls_ascii", "sd_mod", "softdog", "vfat", "virtio_blk", "virtio_net",
    "virtio_scsi", "vmxnet3",
)  # fmt: skip


def make(folder: Path, **options: object) -> Built:
    said: list[str] = []
    return build(Recipe(level=3, out=folder, **options), said.append)  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the agent that nobody edits while the images are built, and that a test can change."""
    folder = tmp_path_factory.mktemp("sources")
    shutil.copytree(
        python.SOURCES / "ahc_agent", folder / "ahc_agent", ignore=shutil.ignore_patterns("__pycache__")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(python, "SOURCES", folder)
        yield folder


@pytest.fixture(scope="module")
def virtual(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return make(tmp_path_factory.mktemp("virtual"), flavour="virtual")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return make(tmp_path_factory.mktemp("full"), flavour="full")


@pytest.fixture(scope="module")
def root(virtual: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The virtual image, unpacked."""
    return lay_out(virtual.folder / "initramfs", tmp_path_factory.mktemp("root") / "image")


@pytest.fixture
def inside(root: Path) -> Callable[..., str]:
    """Runs a program of the image in the image."""

    def call(*argv: str, status: int = 0) -> str:
        return run("chroot", root, *argv, status=status)

    return call


# ── the same bytes ─────────────────────────────────────────────────────────────────────────────────


def test_two_builds_in_two_folders_are_the_same_to_the_bit(virtual: Built, tmp_path: Path) -> None:
    again = make(tmp_path, flavour="virtual")
    assert again.changed
    for name in ("vmlinuz", "initramfs", "manifest.json"):
        assert (again.folder / name).read_bytes() == (virtual.folder / name).read_bytes(), name


def test_nothing_of_the_builder_is_in_the_image(root: Path, virtual: Built, sources: Path) -> None:
    """No path of the checkout, of the cache or of the agent's sources; no name of the machine or of its network."""
    places = [str(place).encode() for place in (REPOSITORY, virtual.folder.parent, sources)]
    assert not [
        name for name in ("resolv.conf", "hostname", "nvme", "machine-id") if (root / "etc" / name).exists()
    ]
    for path in (p for p in root.rglob("*") if p.is_file() and not p.is_symlink()):
        content = path.read_bytes()
        assert not any(place in content for place in places), path
        assert path.stat().st_uid == 0
        assert path.stat().st_mode & stat.S_ISUID == 0


def test_a_second_build_finds_that_nothing_has_changed(virtual: Built) -> None:
    again = make(virtual.folder.parent, flavour="virtual")
    assert not again.changed
    assert again.manifest == virtual.manifest


def test_a_change_of_the_agent_packs_the_upper_archive_only(
    virtual: Built, sources: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(virtual.folder.parent, out, copy_function=os.link, symlinks=True)
    changed = sources / "ahc_agent/errors.py"
    before = changed.read_text()
    try:
        changed.write_text(f"{before}\nCHANGED = True\n")
        again = make(out, flavour="virtual")
    finally:
        changed.write_text(before)
    old, new = parts(virtual.folder / "initramfs"), parts(again.folder / "initramfs")
    assert again.changed
    assert new[0] == old[0]
    assert b"CHANGED = True" in new[1]


# ── size and manifest ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("flavour", ["virtual", "full"])
def test_an_image_is_no_larger_than_promised_even_quickly_packed(
    flavour: str, request: pytest.FixtureRequest
) -> None:
    built: Built = request.getfixturevalue(flavour)
    assert built.manifest.initramfs.size_bytes == (built.folder / "initramfs").stat().st_size
    assert built.manifest.initramfs.size_bytes <= FLAVOURS[flavour].limit_bytes


def test_the_manifest_tells_packages_wheels_licences_and_sums(virtual: Built) -> None:
    text = json.loads((virtual.folder / "manifest.json").read_text())
    assert text["schema"] == "ahc.ramdisk/1"
    packages = {line["name"]: line for line in text["packages"]}
    assert {"fio", "busybox", "python3.11-minimal", "libc6", "netbase", "ca-certificates"} <= packages.keys()
    assert "GPL-2" in packages["fio"]["licences"]
    assert not {"librbd1", "libicu72", "perl-base"} & packages.keys()
    assert {line["name"] for line in text["wheels"]} == {"click", "msgspec", "psutil", "pyzmq"}
    assert all(line["licence"] and len(line["sha256"]) == 64 for line in text["wheels"])
    for name in ("vmlinuz", "initramfs"):
        assert run("sha256sum", virtual.folder / name).split()[0] == text[name]["sha256"]
    assert text["source_date_from"] == "newest package"


@pytest.mark.parametrize(("flavour", "wanted"), [("virtual", VIRTUAL_MODULES), ("full", SERVER_MODULES)])
def test_a_flavour_has_the_drivers_of_its_machines(
    flavour: str, wanted: tuple[str, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    built: Built = request.getfixturevalue(flavour)
    image = lay_out(built.folder / "initramfs", tmp_path / "image")
    for name in wanted:  # with all that it depends on, or built into the kernel
        run(
            "modprobe",
            "--dirname",
            image,
            "--set-version",
            built.manifest.kernel_version,
            "--show-depends",
            name,
        )


# ── what is in it runs ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "argv",
    [
        ("fio", "--version"),
        ("sysbench", "cpu", "--time=1", "run"),
        ("sysbench", "memory", "--time=1", "run"),
        ("iperf3", "--version"),
        ("smartctl", "--version"),
        ("ipmitool", "-V"),
        ("ethtool", "--version"),
        ("numactl", "--show"),
        ("ip", "-V"),
        ("tc", "-V"),
        ("blkid", "-V"),
        ("wipefs", "-V"),
        ("lspci", "--version"),
        ("modprobe", "--version"),
        ("busybox", "true"),
        ("sh", "-c", "udhcpc --help 2>&1 | grep -q busybox -i"),
        ("ahc-agent", "--version"),
        ("ahc-agent", "boot", "--help"),
    ],
    ids=" ".join,
)
def test_a_program_runs_in_the_image(inside: Callable[..., str], argv: tuple[str, ...]) -> None:
    inside(*argv)


@pytest.mark.parametrize("engine", ["libaio", "io_uring", "psync"])
def test_fio_measures_with_the_engines_that_the_agent_uses(inside: Callable[..., str], engine: str) -> None:
    job = [
        "--name=x",
        "--filename=/tmp/x",
        "--size=1M",
        "--rw=randread",
        f"--ioengine={engine}",
        "--output-format=json",
    ]
    assert json.loads(inside("fio", *job))["jobs"][0]["read"]["io_bytes"] == 1024 * 1024


def test_fio_says_clearly_that_cluster_storage_is_not_for_this_image(inside: Callable[..., str]) -> None:
    job = ["--name=x", "--size=1M", "--ioengine=rbd", "--pool=p", "--rbdname=r", "--clientname=c"]
    assert "librados.so.2 is not part of this image" in inside("fio", *job, status=1)


def test_every_module_of_the_agent_can_be_imported(inside: Callable[..., str]) -> None:
    """But for those that stand on ironic-python-agent, which is not in every image."""
    names = [
        name for name in python.agent_modules() if "ironic" not in name and not name.endswith("__main__")
    ]
    inside("python3", "-I", "-c", f"import importlib\nfor name in {names!r}: importlib.import_module(name)")


def test_a_person_who_looks_for_a_fault_finds_the_debugger_and_https(inside: Callable[..., str]) -> None:
    inside(
        "python3",
        "-I",
        "-c",
        "import pdb, traceback, ssl, http.client; ssl.create_default_context().get_ca_certs()[40]",
    )


def test_python_compiles_nothing_when_it_starts(inside: Callable[..., str]) -> None:
    said = inside("python3", "-I", "-v", "-c", "import ahc_agent.cli, ahc_agent.agent, zmq, json, ssl")
    read = [line for line in said.splitlines() if line.startswith("# code object from")]
    assert len(read) > 100
    assert [line for line in read if not line.endswith(".pyc'")] == []


def test_other_programs_find_the_agent_s_version_and_entry_points(inside: Callable[..., str]) -> None:
    code = "from importlib import metadata; d = metadata.distribution('ahc'); print(d.version, [e.group for e in d.entry_points])"
    assert __version__ in inside("python3", "-I", "-c", code)


def test_the_shipped_plans_are_there(root: Path) -> None:
    for name in ("quick", "standard"):
        assert json.loads((root / f"usr/share/ahc/plans/{name}.json").read_text())["schema"] == "ahc.tasks/1"


def test_every_link_of_the_image_leads_to_something(root: Path) -> None:
    """Those into what is mounted at run time aside."""
    loose = []
    for path in (p for p in root.rglob("*") if p.is_symlink()):
        target = str(path.readlink())
        place = root / target.lstrip("/") if target.startswith("/") else path.parent / target
        if not target.startswith(("/proc", "/run", "/dev")) and not place.exists():
            loose.append(str(path.relative_to(root)))
    assert loose == []


# ── options ────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_asked_for_is_in_the_image(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(KEY)
    (tmp_path / "word").write_text("$6$salt$hash\n")
    (tmp_path / "note").write_text("note\n")
    built = make(
        tmp_path / "out",
        flavour="virtual",
        packages=("tcpdump",),
        firmware=("firmware-linux-free",),
        pip=("PyYAML",),
        files=((tmp_path / "note", "/opt/note"),),
        ssh_key=tmp_path / "key.pub",
        root_password=tmp_path / "word",
    )
    image = lay_out(built.folder / "initramfs", tmp_path / "image")
    run("chroot", image, "tcpdump", "--version")
    run("chroot", image, "dropbear", "-V")
    run("chroot", image, "python3", "-I", "-c", "import yaml")
    assert list((image / "usr/lib/firmware").rglob("*.fw")) or list(
        (image / "usr/lib/firmware").rglob("*.bin")
    )
    assert (image / "opt/note").read_text() == "note\n"
    assert (image / "root/.ssh/authorized_keys").read_text() == KEY
    assert "$6$salt$hash" in (image / "etc/shadow").read_text()
    assert {"tcpdump", "dropbear-bin", "firmware-linux-free"} <= {
        line.name for line in built.manifest.packages
    }
    assert built.manifest.unpacked_bytes["firmware"] > 0


def test_by_default_nobody_can_log_in_and_nothing_listens(root: Path) -> None:
    table = (root / "etc/inittab").read_text()
    assert "getty" not in table
    assert "dropbear" not in table
    assert not (root / "usr/sbin/dropbear").exists()
    assert all(line.split(":")[1] == "!" for line in (root / "etc/shadow").read_text().splitlines())
