"""Small ELF files, archives and trees for the tests of ``ramdisk``; made with the tools that the build itself uses."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ramdisk.tree import Contents, Tree

SBIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

needs_binutils = pytest.mark.skipif(
    shutil.which("as") is None or shutil.which("ld") is None, reason="needs as and ld (binutils)"
)
needs_busybox = pytest.mark.skipif(shutil.which("busybox") is None, reason="needs busybox")
needs_zstd = pytest.mark.skipif(shutil.which("zstd") is None, reason="needs zstd")
needs_depmod = pytest.mark.skipif(shutil.which("depmod", path=SBIN) is None, reason="needs depmod (kmod)")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")

LIBRARIES = "usr/lib/x86_64-linux-gnu"


def run(*argv: str | Path, stdin: bytes = b"", status: int = 0) -> str:
    """Run a tool that must end with this status; its standard output and error."""
    done = subprocess.run([*map(str, argv)], input=stdin, capture_output=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == status, said
    return said


def library(
    path: Path,
    *,
    defines: Sequence[str] = (),
    calls: Sequence[str] = (),
    needs: Sequence[Path] = (),
    version: str = "",
    runpath: str = "",
) -> Path:
    """Make a shared library: ``defines`` functions that do nothing, ``calls`` functions of the libraries that it ``needs``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f".globl {name}\n.type {name},@function\n{name}: ret" for name in defines]
    lines += ["caller:", *(f"call {name}@PLT" for name in calls), "ret"]
    thing, script = path.with_name(f"{path.name}.o"), path.with_name(f"{path.name}.map")
    run("as", "--64", "-o", thing, "-", stdin=("\n".join(lines) + "\n").encode())
    argv: list[str | Path] = ["ld", "-shared", "-z", "noexecstack", "-soname", path.name, "-o", path, thing]
    if version:
        script.write_text(f"{version} {{ global: {'; '.join(defines)}; local: *; }};\n")
        argv += ["--version-script", script]
    if runpath:
        argv += ["--enable-new-dtags", "-rpath", runpath]
    run(*argv, "--no-as-needed", *needs)
    thing.unlink()
    script.unlink(missing_ok=True)
    return path


def kernel_module(path: Path, **info: str) -> Path:
    """Make a file with a section ``.modinfo`` as a kernel module has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [".section .modinfo", *(f'.asciz "{key}={value}"' for key, value in info.items())]
    run("as", "--64", "-o", path, "-", stdin=("\n".join(lines) + "\n").encode())
    return path


def tree(path: Path) -> Tree:
    """An unpacked tree of no packages."""
    path.mkdir(exist_ok=True)
    return Tree(path, Contents(key="0", packages=(), wheels=()))


def parts(initramfs: Path) -> list[bytes]:
    """The archives that an initramfs consists of, uncompressed."""
    plain = subprocess.run(
        ["zstd", "-dcq", str(initramfs)], capture_output=True, check=True, timeout=120
    ).stdout
    found, start, at = [], 0, 0
    while at < len(plain):
        assert plain[at : at + 6] == b"070701", f"no header at {at}"
        size, name_length = (int(plain[at + place : at + place + 8], 16) for place in (54, 94))
        name = plain[at + 110 : at + 110 + name_length - 1]
        at += 110 + name_length
        at += -at % 4 + size
        at += -at % 4
        if name == b"TRAILER!!!":
            found.append(plain[start:at])
            start = at
    assert start == len(plain), "the last archive has no end"
    return found


def lay_out(initramfs: Path, folder: Path) -> Path:
    """Unpack an initramfs as the kernel does: one archive over the other. Needs root, for the device nodes."""
    folder.mkdir()
    for part in parts(initramfs):
        subprocess.run(
            ["busybox", "cpio", "-idmu"], input=part, cwd=folder, check=True, capture_output=True, timeout=120
        )
    return folder
