"""Archives are read as folders are: bounded, nothing is unpacked, and nothing but regular files counts."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ahc_agent.errors import FileFormatError
from ahc_server.importers import archive
from ahc_server.importers.archive import is_archive, members
from ahc_server.importers.files import find


def tar(files: dict[str, bytes], also: Callable[[tarfile.TarFile], None] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_400_000_000
            made.addfile(info, io.BytesIO(data))
        if also is not None:
            also(made)
    return out.getvalue()


def named(path: Path) -> dict[str, bytes]:
    return {str(each.path): each.data for each in members(path, "a.tar")}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_is_known_by_its_content_however_it_is_packed(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "results"
    path.write_bytes(pack(tar({"./run/1/cpu-cpu/a.hw": b"[1]", "run/hosts": b"x" * 100_000})))
    assert is_archive(path)
    assert named(path) == {"run/1/cpu-cpu/a.hw": b"[1]", "run/hosts": b"x" * 100_000}
    assert [each.at_unix_s for each in members(path, "a.tar")] == [1_400_000_000.0] * 2


@pytest.mark.parametrize(
    "data", [b"", b"[('a',)]", gzip.compress(b"[1]", mtime=0), b"\x1f\x8bnonsense", b"\xfd7zXZ\0bad"]
)
def test_other_files_are_no_archives(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(data)
    assert not is_archive(path)
    assert [each.path for each in find([str(path)])] == [path]


def test_links_devices_and_hidden_files_are_left_out_and_names_are_only_names(tmp_path: Path) -> None:
    def odd(made: tarfile.TarFile) -> None:
        for kind, name in (
            (tarfile.SYMTYPE, "link.hw"),
            (tarfile.LNKTYPE, "hard.hw"),
            (tarfile.FIFOTYPE, "pipe.hw"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            made.addfile(info)

    path = tmp_path / "odd.tar"
    path.write_bytes(
        tar({"../../etc/evil.hw": b"1", "/abs.hw": b"2", ".hidden/x.hw": b"3", "a/.x.hw": b"4"}, odd)
    )
    assert named(path) == {"abs.hw": b"2"}
    assert not (tmp_path.parent / "etc").exists()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_an_archive_that_was_cut_short_is_refused(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    whole = pack(tar({f"{n}.hw": bytes([n]) * 2000 for n in range(200)}))
    path = tmp_path / "cut.tar"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(FileFormatError, match=r"a\.tar: (a broken archive|.*ends)"):
        named(path)


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(tar({f"{n}.hw": bytes(200_000) for n in range(20)})))
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1_000_000)
    with pytest.raises(FileFormatError, match="holds more than 0 MiB"):
        named(path)
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 10**9)
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 100_000)
    with pytest.raises(FileFormatError, match=r"0\.hw: larger than"):
        named(path)
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 10**7)
    monkeypatch.setattr(archive, "MAX_FILES", 10)
    with pytest.raises(FileFormatError, match="more than 10 files"):
        named(path)


def test_a_header_that_asks_for_much_memory_is_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tarfile.TarInfo("x" * 90)
    info.type, info.size = tarfile.XHDTYPE, 50_000_000
    path = tmp_path / "pax.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(50_000_000)))
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 2_000_000)
    with pytest.raises(FileFormatError):
        named(path)
