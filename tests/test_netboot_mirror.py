"""What is handed out by TFTP: always what the folder holds, whatever happens to it meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ahc_server.netboot.mirror import Mirror


def test_files_appear_change_and_go_away_with_the_folders(tmp_path: Path) -> None:
    source, root = tmp_path / "grub.cfg", tmp_path / "tftp"
    source.write_bytes(b"one")
    mirror = Mirror({"grub/grub.cfg": source, "absent": tmp_path / "absent"}, root)
    handed_out = root / "grub" / "grub.cfg"
    assert [*mirror.refresh()] == [] and handed_out.read_bytes() == b"one"

    with handed_out.open("rb") as somebody_fetches:
        fresh = tmp_path / "fresh"
        fresh.write_bytes(b"two")
        fresh.replace(source)
        assert [*mirror.refresh()] == [] and handed_out.read_bytes() == b"two"
        assert somebody_fetches.read() == b"one"

    source.unlink()
    assert [*mirror.refresh()] == []
    assert [path.name for path in root.rglob("*")] == ["grub"]


def test_where_no_link_can_be_made_a_copy_stands_that_everybody_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another_file_system(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", another_file_system)
    source, root = tmp_path / "vmlinuz", tmp_path / "tftp"
    source.write_bytes(b"kernel")
    source.chmod(0o600)
    assert [*Mirror({"vmlinuz": source}, root).refresh()] == []
    assert (root / "vmlinuz").read_bytes() == b"kernel"
    assert (root / "vmlinuz").stat().st_mode & 0o777 == 0o644
    assert root.stat().st_mode & 0o777 == 0o755


def test_a_file_that_others_may_not_read_is_handed_out_all_the_same(tmp_path: Path) -> None:
    """As an editor may leave it; by HTTP it is handed out too."""
    source, root = tmp_path / "grub.cfg", tmp_path / "tftp"
    source.write_bytes(b"one")
    source.chmod(0o644)
    mirror = Mirror({"grub.cfg": source}, root)
    assert [*mirror.refresh()] == [] and (root / "grub.cfg").samefile(source)
    source.chmod(0o600)
    assert [*mirror.refresh()] == [] and (root / "grub.cfg").read_bytes() == b"one"
    assert (root / "grub.cfg").stat().st_mode & 0o777 == 0o644
    assert source.stat().st_mode & 0o777 == 0o600, "that is its owner's business"


def test_a_file_that_cannot_be_followed_is_said_once(tmp_path: Path) -> None:
    source = tmp_path / "vmlinuz"
    source.mkdir()  # neither a link nor a copy can be made of a folder
    mirror = Mirror({"vmlinuz": source}, tmp_path / "tftp")
    assert [*mirror.refresh()] == [f"{source}: cannot be handed out by TFTP: Is a directory"]
    assert [*mirror.refresh()] == []
