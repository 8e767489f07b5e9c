"""``python -m ramdisk``: builds the image that machines with empty disks boot."""

from __future__ import annotations

from pathlib import Path

import click

from ahc_agent.console import run_main
from ramdisk.build import build as build_image
from ramdisk.contents import FLAVOURS
from ramdisk.recipe import OUT, Recipe


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Build the discovery ramdisk: kernel and initramfs, with a manifest of what is in them."""


@group.command()
@click.option("--flavour", type=click.Choice(list(FLAVOURS)), default="full", show_default=True)
@click.option(
    "--level", type=click.IntRange(1, 19), default=19, show_default=True, help="How hard zstd tries."
)
@click.option(
    "--fresh",
    is_flag=True,
    help="Ask the mirror for newer packages instead of taking those of the last build.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=OUT,
    help="Folder for images and cache.",
)
def build(flavour: str, level: int, fresh: bool, out: Path) -> None:
    """Build vmlinuz, initramfs and manifest.json below ramdisk/out/FLAVOUR."""
    recipe = Recipe(flavour=flavour, level=level, out=out.resolve())
    done = build_image(recipe, click.echo, fresh=fresh)
    if not done.changed:
        click.echo(f"nothing has changed: {done.folder} stays as it is")
        return
    about = done.manifest
    for part, size in sorted(about.unpacked_bytes.items(), key=lambda item: -item[1]):
        click.echo(f"{size / 1e6:8.1f} MB  {part} (unpacked)")
    for file in (about.vmlinuz, about.initramfs):
        click.echo(f"{file.size_bytes / 1e6:8.1f} MB  {done.folder / file.file}")
    click.echo(f"kernel {about.kernel_version}, {len(about.packages)} packages, {done.seconds:.0f} s")


if __name__ == "__main__":
    run_main(group, "python -m ramdisk")
