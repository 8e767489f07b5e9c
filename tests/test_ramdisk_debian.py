"""What is read of Debian packages for the manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from ahc_agent.errors import ProgramFailed
from ramdisk import debian
from tests.ramdisk_helpers import needs_dpkg, run

DEP5 = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: someone
License: GPL-2+

Files: debian/*
Copyright: someone
License: Expat

License: GPL-2+
 This program is free software; License: not a field in the middle of a line.
"""


@needs_dpkg
def test_a_package_tells_name_version_files_and_when_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "x"
    (folder / "DEBIAN").mkdir(parents=True)
    (folder / "usr/bin").mkdir(parents=True)
    (folder / "usr/bin/x").write_text("program")
    control = "Package: x\nSource: xs (1.0)\nVersion: 1:2.0-1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: x\n"
    (folder / "DEBIAN/control").write_text(control)
    (folder / "etc").mkdir()
    (folder / "etc/x.conf").write_text("setting")
    (folder / "DEBIAN/conffiles").write_text("/etc/x.conf\n")
    (folder / "DEBIAN/md5sums").write_text("0123456789abcdef0123456789abcdef  usr/bin/x\n")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    run("touch", "-d", "@1600000000", folder / "DEBIAN/control")
    run("dpkg-deb", "--build", "--root-owner-group", folder, tmp_path / "x.deb")
    package = debian.read(tmp_path / "x.deb")
    assert (package.name, package.version, package.source) == ("x", "1:2.0-1", "xs")
    assert package.files == ("usr/bin/x",)
    assert package.settings == ("etc/x.conf",)
    assert package.made_unix_s == 1_600_000_000
    assert package.deb == "x.deb"


@needs_dpkg
def test_a_file_that_is_no_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(b"nothing")
    with pytest.raises(ProgramFailed):
        debian.read(tmp_path / "x.deb")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (DEP5, ("Expat", "GPL-2+")),
        ("This package was debianised by hand.\nLicense: as is\n", ("see copyright",)),
        (None, ("see copyright",)),
    ],
)
def test_licences_are_short_names_where_the_copyright_file_has_them(
    text: str | None, found: tuple[str, ...], tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "usr/share/doc/x").mkdir(parents=True)
        (tmp_path / "usr/share/doc/x/copyright").write_text(text)
    assert debian.licences(tmp_path, "x") == found
