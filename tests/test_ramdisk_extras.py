"""What is in an image only when asked for, and that nobody gets in otherwise."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ramdisk import base, debian, extras, upper
from ramdisk.errors import BuildError, RecipeError
from ramdisk.image import Image
from ramdisk.recipe import Recipe, pair
from ramdisk.tree import Contents, Tree
from tests.ramdisk_helpers import needs_dpkg, needs_openssl, run

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ1aWxkZXI= who@where"


def image() -> Image:
    """An image with the files of its own that have to do with who may come in."""
    made = Image()
    base.add_layout(made)
    made.file("etc/inittab", upper.ROOTFS / "etc/inittab", "agent")
    return made


def text(made: Image, path: str) -> str:
    return made.entries[path].read().decode()


def test_without_options_there_is_no_password_no_key_and_no_listening_program() -> None:
    made = image()
    extras.add_logins(made, Recipe())
    assert [line.split(":")[1] for line in text(made, "etc/shadow").splitlines()] == ["!", "!"]
    assert stat.S_IMODE(made.entries["etc/shadow"].mode) == 0o600
    assert all(line.split(":")[1] == "x" for line in text(made, "etc/passwd").splitlines())
    assert not any(path.startswith("root/") for path in made.entries)
    assert "getty" not in text(made, "etc/inittab")
    assert "dropbear" not in text(made, "etc/inittab")


def test_a_key_lets_its_owner_in_over_ssh_and_nobody_by_password(tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text(f"# mine\n{KEY}\n")
    made = image()
    extras.add_logins(made, Recipe(ssh_key=key))
    assert text(made, "root/.ssh/authorized_keys") == f"{KEY}\n"
    assert stat.S_IMODE(made.entries["root/.ssh"].mode) == 0o700
    line = next(line for line in text(made, "etc/inittab").splitlines() if "dropbear" in line)
    assert " -s" in line
    assert text(made, "etc/shadow").startswith("root:!:")


@pytest.mark.parametrize(
    "content", ["", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "ssh-ed25519\n", "* *\n"]
)
def test_what_is_no_public_key_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(RecipeError, match="does not hold public keys"):
        extras.add_logins(image(), Recipe(ssh_key=tmp_path / "key"))


@needs_openssl
def test_a_password_is_in_the_image_as_a_hash_only(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("open sesame\n")
    made = image()
    extras.add_logins(made, Recipe(root_password=tmp_path / "word"))
    hashed = text(made, "etc/shadow").splitlines()[0].split(":")[1]
    salt = hashed.split("$")[2]
    assert run("openssl", "passwd", "-6", "-salt", salt, "open sesame").strip() == hashed
    assert not any(
        b"open sesame" in entry.read() for entry in made.entries.values() if stat.S_ISREG(entry.mode)
    )
    assert "getty" in text(made, "etc/inittab")


def test_a_hash_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("$6$salt$abcdef\n")
    made = image()
    extras.add_logins(made, Recipe(root_password=tmp_path / "word"))
    assert "root:$6$salt$abcdef:" in text(made, "etc/shadow")


@pytest.mark.parametrize("content", ["", "\n", "two\nlines\n"])
def test_a_file_that_holds_no_password_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "word").write_text(content)
    with pytest.raises(RecipeError, match="one line"):
        extras.add_logins(image(), Recipe(root_password=tmp_path / "word"))


@needs_dpkg
def test_a_package_s_links_to_nowhere_stay_what_they_are(tmp_path: Path) -> None:
    source, unpacked = tmp_path / "source", tmp_path / "made/root"
    for folder in (source / "DEBIAN", source / "usr/lib/x", tmp_path / "made/debs", unpacked):
        folder.mkdir(parents=True)
    control = "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: x\n"
    (source / "DEBIAN/control").write_text(control)
    (source / "usr/lib/x/data").write_text("data")
    for name, target in {"masked": "/dev/null", "others": "../not/here", "own": "data"}.items():
        (source / "usr/lib/x" / name).symlink_to(target)
    run("dpkg-deb", "--build", "--root-owner-group", source, tmp_path / "made/debs/x.deb")
    run("dpkg-deb", "-x", tmp_path / "made/debs/x.deb", unpacked)
    package = debian.read(tmp_path / "made/debs/x.deb")
    made = image()
    contents = Contents(key="0", packages=(package,), wheels=())
    extras.add_packages(made, Recipe(packages=("x",)), Tree(unpacked, contents))
    assert {name: text(made, f"usr/lib/x/{name}") for name in ("masked", "others", "own", "data")} == {
        "masked": "/dev/null",
        "others": "../not/here",
        "own": "data",
        "data": "data",
    }


def test_files_and_folders_of_the_builder_keep_their_modes(tmp_path: Path) -> None:
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "folder/deep/tool").write_text("#!/bin/sh\n")
    (tmp_path / "folder/deep/tool").chmod(0o755)
    (tmp_path / "note").write_text("note")
    made = image()
    extras.add_files(made, Recipe(files=((tmp_path / "folder", "/opt"), (tmp_path / "note", "/etc/note"))))
    assert stat.S_IMODE(made.entries["opt/deep/tool"].mode) == 0o755
    assert text(made, "etc/note") == "note"


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("note")
    with pytest.raises(RecipeError, match="say /root/note"):
        extras.add_files(image(), Recipe(files=((tmp_path / "note", "/root/"),)))
    with pytest.raises(BuildError, match="/etc is a folder"):
        extras.add_files(image(), Recipe(files=((tmp_path / "note", "/etc"),)))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="neither a file nor a folder"):
        extras.add_files(image(), Recipe(files=((tmp_path / "nothing", "/x"),)))


def test_source_and_destination_are_read_from_one_option() -> None:
    assert pair("a/b=/etc/c=d") == (Path("a/b"), "/etc/c=d")


@pytest.mark.parametrize("wrong", ["a", "a=", "=/x", "a=relative", "a=/etc/../../x", ""])
def test_an_option_of_another_form_is_refused(wrong: str) -> None:
    with pytest.raises(RecipeError, match="SRC=/PATH"):
        pair(wrong)
