"""The folder that boots machines: image, boot scripts, configuration, sums, and a page that says what to do with it.

Everything is written anew each time, each file whole or not at all; what others have put there (uploads above all) stays. The
image is copied, not linked: the next build must not change what machines are fetching.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ahc_agent.errors import CannotAnswer, UsageError
from ahc_agent.wire.keys import fingerprint
from ahc_server.netboot import readme, scripts, signing
from ahc_server.netboot.dnsmasq import BIOS_LOADER, SCRIPT, UEFI_LOADER, Lan, configuration
from ahc_server.netboot.values import Url, command_line, safe

UPLOADS = "uploads"
PLAN = "plan.json"
SUMS = "SHA256SUMS"
#: What `make ramdisk` leaves beside an image.
MANIFEST = "manifest.json"
IMAGE = (scripts.KERNEL, scripts.INITRAMFS)
#: Where Debian's package ``ipxe`` puts its loaders.
LOADERS = Path("/usr/lib/ipxe")

#: What an earlier folder may have had and this one has not.
_SOMETIMES = {BIOS_LOADER, UEFI_LOADER, PLAN, *(f"{name}.sig" for name in IMAGE)}

#: The kernel's news go to its log and not to the console: at 115,200 bit/s they would hold up a boot for seconds. What warns, and
#: the kernel's name, are shown (Documentation/admin-guide/kernel-parameters.txt, "loglevel").
LOG_LEVEL = "loglevel=6"
#: A kernel that finds no whole initramfs has no agent that would tell it to start anew. Debian's stand still for ever.
PANIC = "panic=30"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, each value checked by ``values``. ``image``: a folder with ``vmlinuz`` and ``initramfs``; ``plan``:
    JSON of ``ahc.tasks/1``; ``lan``: who is to serve, None where that is somebody else; ``signer``: a PEM file with key and
    certificate."""

    image: Path
    http: Url
    server: str | None = None
    key: str | None = None
    console: str | None = None
    arguments: tuple[str, ...] = ()
    session: str | None = None
    plan: bytes | None = None
    upload: bool = False
    lan: Lan | None = None
    signer: Path | None = None
    loaders: Path = LOADERS


class _File(msgspec.Struct, frozen=True):
    sha256: str


class _Manifest(msgspec.Struct, frozen=True):
    """Of an image's manifest what is looked at here."""

    vmlinuz: _File
    initramfs: _File


@dataclass(frozen=True, slots=True)
class Written:
    """``files``: name in the folder → path, of what machines may fetch. ``remarks``: sentences for the operator."""

    folder: Path
    files: dict[str, Path]
    command_line: str
    remarks: list[str] = field(default_factory=list)

    @property
    def has_loaders(self) -> bool:
        return {BIOS_LOADER, UEFI_LOADER} <= self.files.keys()


def write(folder: Path, wanted: Wanted) -> Written:
    """Write the folder. Raises UsageError (values, an image that is missing) or CannotAnswer (disk), ProgramError (openssl)."""
    line = kernel_arguments(wanted)
    if wanted.signer is not None:  # before anything is replaced: old signatures fit old files alone
        signing.check(wanted.signer)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = _copy_image(folder, wanted.image)
        loaders, remarks = _copy_loaders(folder, wanted.loaders)
        names += loaders
        if wanted.signer is not None:
            names += _sign(folder, wanted.signer)
        texts = _scripts(line, wanted)
        if wanted.plan is not None:
            texts[PLAN] = wanted.plan
        for name, data in texts.items():
            _write(folder / name, data)
        if wanted.upload:
            (folder / UPLOADS).mkdir(exist_ok=True)
        for name in _SOMETIMES & _earlier(folder) - {*names, *texts}:
            (folder / name).unlink(missing_ok=True)
        files = {name: folder / name for name in (*names, *texts, SUMS)}
        written = Written(folder, files, line, remarks)
        _write(folder / SUMS, _sums(folder, [*names, *texts]))
        _write(folder / "dnsmasq.conf", dnsmasq_conf(written, wanted, folder.resolve()))
        page = readme.text(folder.resolve(), wanted.http, loaders=written.has_loaders, uploads=wanted.upload)
        _write(folder / "README.txt", page.encode())
    except OSError as error:
        raise CannotAnswer(f"{error.filename or folder}: {error.strerror or error}") from error
    return written


def kernel_arguments(wanted: Wanted) -> str:
    """The kernel's command line; raises UsageError."""
    chosen = {word.partition("=")[0] for word in wanted.arguments}
    arguments = [
        *([] if chosen & {"loglevel", "quiet", "debug", "ahc.debug"} else [LOG_LEVEL]),
        *([] if "panic" in chosen else [PANIC]),
        *([f"console=tty0 console={wanted.console}"] if wanted.console else []),
        *([f"ahc.server={wanted.server}"] if wanted.server else []),
        *([f"ahc.key={wanted.key}"] if wanted.server and wanted.key else []),
        *([f"ahc.session={wanted.session}"] if wanted.session else []),
        *([f"ahc.plan={wanted.http}/{PLAN}"] if wanted.plan is not None else []),
        *([f"ahc.upload={wanted.http}/{UPLOADS}/"] if wanted.upload else []),
        *wanted.arguments,
    ]
    for word in arguments:
        safe(word.replace(" console=", ""), word.partition("=")[0])
    return command_line(arguments)


def dnsmasq_conf(written: Written, wanted: Wanted, tftp_root: Path | None) -> bytes:
    """dnsmasq's configuration: for the interface that was asked for, else an example that dnsmasq refuses until it is
    edited."""
    lan = wanted.lan or readme.example_lan(wanted.http)
    key = wanted.key if wanted.server else None
    text = configuration(
        lan, wanted.http, tftp_root, server=wanted.server, key=key, loaders=written.has_loaders
    )
    return (text if wanted.lan else readme.EDIT_FIRST + text).encode()


def _scripts(line: str, wanted: Wanted) -> dict[str, bytes]:
    remarks = [scripts.TITLE]
    if wanted.server:
        remarks.append(f"server {wanted.server}")
    if wanted.server and wanted.key:
        remarks.append(f"key fingerprint {fingerprint(wanted.key)} (ahc serve shows the same)")
    script = scripts.Script(wanted.http, line, remarks, signed=wanted.signer is not None)
    texts = {
        SCRIPT: scripts.ipxe(script),
        "grub.cfg": scripts.grub(script),
        "grub/grub.cfg": scripts.grub(script),  # where Debian's GRUB, signed for Secure Boot, looks
        "pxelinux.cfg/default": scripts.pxelinux(script),
    }
    return {name: text.encode() for name, text in texts.items()}


def _copy_image(folder: Path, image: Path) -> list[str]:
    """Kernel and initramfs of one build: where they are links into a folder that a build swaps, that folder is looked up once.
    Raises UsageError where one is missing, or where a manifest beside them says that they do not belong together."""
    for name in IMAGE:
        if not (image / name).is_file():
            raise UsageError(
                f"{image / name} is not there: build the image (make ramdisk), or name its folder by --image"
            )
    real = (image / scripts.KERNEL).resolve().parent
    source = real if (real / scripts.INITRAMFS).is_file() else image
    sums = _told_sums(source / MANIFEST)
    with ExitStack() as whole:  # neither takes its place before both are copied
        for name in IMAGE:
            temporary = whole.enter_context(_appearing(folder / name))
            shutil.copyfile(source / name, temporary)
            if sums and _sum(temporary) != sums[name]:
                raise UsageError(
                    f"{source / name} is not the one of {source / MANIFEST}: build the image anew (make ramdisk)"
                )
    return list(IMAGE)


def _told_sums(manifest: Path) -> dict[str, str]:
    """SHA-256 by file, of ``ahc.ramdisk/1``; none where there is no manifest. Raises UsageError where it is none."""
    try:
        told = msgspec.json.decode(manifest.read_bytes(), type=_Manifest)
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise UsageError(f"{manifest}: {error}; build the image anew (make ramdisk)") from error
    return {scripts.KERNEL: told.vmlinuz.sha256, scripts.INITRAMFS: told.initramfs.sha256}


def _copy_loaders(folder: Path, loaders: Path) -> tuple[list[str], list[str]]:
    """The names of those that are there, and what to say of those that are not."""
    names = [name for name in (BIOS_LOADER, UEFI_LOADER) if (loaders / name).is_file()]
    for name in names:
        _copy(loaders / name, folder / name)
    absent = [name for name in (BIOS_LOADER, UEFI_LOADER) if name not in names]
    remark = f"no {' and no '.join(absent)} in {loaders} (Debian package ipxe): only firmware that is iPXE will boot"
    return names, [remark] if absent else []


def _sign(folder: Path, signer: Path) -> list[str]:
    for name in IMAGE:
        with _appearing(folder / f"{name}.sig") as target:
            signing.sign(folder / name, signer, target)
    return [f"{name}.sig" for name in IMAGE]


def _earlier(folder: Path) -> set[str]:
    """What an earlier call has written into this folder, by its sums: a file that only has such a name is somebody's own."""
    try:
        lines = (folder / SUMS).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return set()
    return {line.partition("  ")[2] for line in lines}


def _sums(folder: Path, names: list[str]) -> bytes:
    """As ``sha256sum --check`` reads them."""
    return "".join(f"{_sum(folder / name)}  {name}\n" for name in sorted(names)).encode()


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: Path, target: Path) -> None:
    with _appearing(target) as temporary:
        shutil.copyfile(source, temporary)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with _appearing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A temporary file that takes the place of ``path`` when all went well. Everybody may read it: a TFTP server is nobody."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
