"""``python -m ramdisk``: builds the image that machines with empty disks boot."""

from __future__ import annotations

from pathlib import Path

import click

from ahc_agent.console import run_main
from ramdisk.build import build as build_image
from ramdisk.contents import FLAVOURS
from ramdisk.disk import DEFAULT_ARGUMENTS, Disk, manifest_of
from ramdisk.disk import make as make_disk
from ramdisk.recipe import LEVEL, OUT, Recipe, pair


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Build the discovery ramdisk: kernel and initramfs, with a manifest of what is in them."""


_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@group.command()
@click.option("--flavour", type=click.Choice(list(FLAVOURS)), default="full", show_default=True)
@click.option(
    "--level", type=click.IntRange(1, 19), default=LEVEL, show_default=True, help="How hard zstd tries."
)
@click.option(
    "--fresh",
    is_flag=True,
    help="Ask the mirror for newer packages instead of taking those of the last build.",
)
@click.option(
    "--extra",
    "packages",
    multiple=True,
    metavar="PACKAGE",
    help="A whole Debian package on top (repeatable).",
)
@click.option(
    "--firmware", multiple=True, metavar="PACKAGE", help="A Debian package of firmware (repeatable)."
)
@click.option(
    "--pip", multiple=True, metavar="PACKAGE", help="A Python package with all that it needs (repeatable)."
)
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="SRC=DEST",
    help="A file or folder of this machine (repeatable).",
)
@click.option(
    "--ssh-key", type=_FILE, help="Public keys that may log in as root over SSH; without it nothing listens."
)
@click.option(
    "--root-password-file",
    type=_FILE,
    help="Password of root (or its hash) for a login on the second console.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=OUT,
    help="Folder for images and cache.",
)
def build(
    flavour: str,
    level: int,
    fresh: bool,
    packages: tuple[str, ...],
    firmware: tuple[str, ...],
    pip: tuple[str, ...],
    files: tuple[str, ...],
    ssh_key: Path | None,
    root_password_file: Path | None,
    out: Path,
) -> None:
    """Build vmlinuz, initramfs and manifest.json below ramdisk/out/FLAVOUR.

    \b
    Example: python -m ramdisk build --flavour virtual --extra tcpdump
    """
    recipe = Recipe(
        flavour=flavour,
        level=level,
        packages=packages,
        firmware=firmware,
        pip=pip,
        files=tuple(pair(text) for text in files),
        ssh_key=ssh_key,
        root_password=root_password_file,
        out=out.resolve(),
    )
    done = build_image(recipe, click.echo, fresh=fresh)
    if not done.changed:
        click.echo(f"nothing has changed: {done.folder} stays as it is ({done.seconds:.1f} s)")
        return
    about = done.manifest
    for part, size in sorted(about.unpacked_bytes.items(), key=lambda item: -item[1]):
        click.echo(f"{size / 1e6:8.1f} MB  {part} (unpacked)")
    for file in (about.vmlinuz, about.initramfs):
        click.echo(f"{file.size_bytes / 1e6:8.1f} MB  {done.folder / file.file}")
    click.echo(f"kernel {about.kernel_version}, {len(about.packages)} packages, {done.seconds:.0f} s")


@group.command()
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--flavour", type=click.Choice(list(FLAVOURS)), default="full", show_default=True)
@click.option(
    "--arguments", default=DEFAULT_ARGUMENTS, show_default=True, help="Kernel arguments, ahc.* and others."
)
@click.option(
    "--export-mib", type=click.IntRange(36, 65536), default=64, show_default=True, help="Room for results."
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=OUT, help="Folder of images and cache."
)
def disk(target: Path, flavour: str, arguments: str, export_mib: int, out: Path) -> None:
    """Write TARGET, a disk image that boots by BIOS and UEFI, with a partition AHCEXPORT for the results.

    \b
    Example: python -m ramdisk disk /tmp/ahc.img --arguments ahc.plan=quick
    """
    recipe = Recipe(flavour=flavour, out=out.resolve())
    made = make_disk(recipe, Disk(arguments=arguments, export_mib=export_mib), target)
    click.echo(f"{made.stat().st_size / 1e6:8.1f} MB  {made}")
    click.echo(f"             {manifest_of(made)}")


if __name__ == "__main__":
    run_main(group, "python -m ramdisk")
