"""The ramdisk's packing: a change of the agent, and packers and levels side by side on what is in the image."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ramdisk import python
from ramdisk.build import Built, build
from ramdisk.contents import FLAVOURS
from ramdisk.recipe import Recipe

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: unpacks packages"),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="needs mmdebstrap (.ci/packages ramdisk)"),
    pytest.mark.timeout(1800),
]

#: Packers that Debian's kernels can unpack an initramfs with, and levels.
PACKERS = (("zstd", "-3"), ("zstd", "-12"), ("zstd", "-19"), ("xz", "-6"), ("gzip", "-6"))
OURS = "zstd -12"


def quiet(_: str) -> None:
    """Nobody is told what runs."""


def seconds(argv: list[str | Path], out: Path) -> float:
    """How long a program takes whose output goes to a file."""
    started = time.perf_counter()
    with out.open("wb") as file:
        subprocess.run(argv, stdout=file, stderr=subprocess.DEVNULL, check=True, timeout=900)
    return time.perf_counter() - started


@pytest.mark.parametrize("flavour", list(FLAVOURS))
def test_a_change_of_the_agent(
    benchmark: Any, flavour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(python.SOURCES / "ahc_agent", sources / "ahc_agent")
    monkeypatch.setattr(python, "SOURCES", sources)
    recipe = Recipe(flavour=flavour, level=1, out=tmp_path / "out")
    build(recipe, quiet)

    def change() -> Built:
        with (sources / "ahc_agent/errors.py").open("a") as file:
            file.write("\nCHANGED = True\n")
        return build(recipe, quiet)

    changed = benchmark.pedantic(change, rounds=3)
    same = build(recipe, quiet)
    benchmark.extra_info.update(changed_s=changed.seconds, same_s=same.seconds)
    print(f"\n{flavour}: agent changed {changed.seconds:.1f} s, nothing changed {same.seconds:.1f} s")
    assert changed.changed
    assert not same.changed


def test_packers(benchmark: Any, tmp_path: Path) -> None:
    """Bytes, packing, and unpacking, which a machine pays at each boot."""
    built = build(Recipe(flavour="full", level=1, out=tmp_path / "out"), quiet)
    plain = tmp_path / "plain"
    seconds(["zstd", "-dcq", built.folder / "initramfs"], plain)
    rows: dict[str, tuple[int, float, float]] = {}
    for program, level in PACKERS:
        packed = tmp_path / f"{program}{level}"
        cores = ["-T0"] if program != "gzip" else []
        packing_s = seconds([program, level, *cores, "-c", plain], packed)
        unpacking_s = min(seconds([program, "-dc", packed], tmp_path / "again") for _ in range(3))
        rows[f"{program} {level}"] = (packed.stat().st_size, packing_s, unpacking_s)
    benchmark.pedantic(seconds, args=(["zstd", "-dc", tmp_path / "zstd-12"], tmp_path / "again"), rounds=3)
    ours = rows[OURS]
    print(f"\n{plain.stat().st_size / 1e6:.1f} MB")
    for name, (size, packing_s, unpacking_s) in rows.items():
        benchmark.extra_info[name] = {"bytes": size, "packing_s": packing_s, "unpacking_s": unpacking_s}
        print(
            f"{name:9} {size / 1e6:6.1f} MB ({size / ours[0]:.2f}), packed in {packing_s:5.1f} s "
            f"({packing_s / ours[1]:.1f}), unpacked in {unpacking_s:.2f} s ({unpacking_s / ours[2]:.1f})"
        )
