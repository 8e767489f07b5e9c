"""Signatures of an image, read the way in which iPXE reads them (its ``crypto/cms.c``), and checked by openssl."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ahc_agent.errors import ProgramFailed, UsageError
from ahc_agent.programs import find
from ahc_server.netboot import folder, values
from tests.netboot_helpers import HTTP, KEY, MAY_SIGN, SERVER, image, signer, tool

pytestmark = pytest.mark.skipif(find("openssl") is None, reason="openssl is not installed")

#: DER (X.690): tags of what is read here, and contents of two object identifiers.
SEQUENCE, SET, INTEGER, OID, OCTETS, EXPLICIT = 0x30, 0x31, 0x02, 0x06, 0x04, 0xA0
SHA256, RSA = "608648016503040201", "2a864886f70d010101"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return image(tmp_path / "image")


def wanted(source: Path, signed_by: Path | None = None) -> folder.Wanted:
    return folder.Wanted(
        source, values.url(HTTP), server=SERVER, key=KEY, loaders=source / "none", signer=signed_by
    )


def parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each part; iPXE knows lengths that are told beforehand only."""
    while data:
        tag, length, head = data[0], data[1], 2
        if length >= 0x80:
            assert length > 0x80, "a length that is told at the end"
            head += length - 0x80
            length = int.from_bytes(data[2:head])
        yield tag, data[head : head + length]
        data = data[head + length :]


def enter(data: bytes, tag: int) -> bytes:
    [(found, content)] = parts(data)
    assert found == tag
    return content


def signature_of(der: bytes) -> bytes:
    """The signature itself, by iPXE's way through the message."""
    (tag, kind), (_, message) = parts(enter(der, SEQUENCE))
    assert (tag, kind.hex()) == (OID, "2a864886f70d010702")  # pkcs7-signedData
    fields = list(parts(enter(message, SEQUENCE)))
    assert [tag for tag, _ in fields] == [INTEGER, SET, SEQUENCE, EXPLICIT, SET]
    assert [tag for tag, _ in parts(fields[2][1])] == [OID], "the file itself is not in its signature"
    assert [tag for tag, _ in parts(fields[3][1])] == [SEQUENCE], "one certificate, the signer's"
    info = list(parts(enter(fields[4][1], SEQUENCE)))
    # Version, issuer and serial number, digest, algorithm, signature; attributes would stand between.
    assert [tag for tag, _ in info] == [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, OCTETS]
    assert next(parts(info[2][1])) == (OID, bytes.fromhex(SHA256))
    assert next(parts(info[3][1])) == (OID, bytes.fromhex(RSA))
    return info[4][1]


def test_a_signed_image_is_verified_before_it_starts(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = folder.write(out, wanted(source, signer(tmp_path, *MAY_SIGN)))
    assert {"vmlinuz.sig", "initramfs.sig"} <= written.files.keys()
    lines = (out / "boot.ipxe").read_text().splitlines()
    trust = lines.index("imgtrust --permanent || goto untrusted")
    checks = [
        lines.index(f"imgverify {name} ${{base}}/{name}.sig || goto untrusted")
        for name in ("vmlinuz", "initramfs")
    ]
    assert trust < min(checks) and max(checks) < lines.index("boot || goto failed") and ":untrusted" in lines
    # Without signatures nothing is said of trust, and old ones go away.
    folder.write(out, wanted(source))
    assert "imgverify" not in (out / "boot.ipxe").read_text() and not list(out.glob("*.sig"))


@pytest.mark.parametrize("name", ["vmlinuz", "initramfs"])
def test_a_signature_is_one_of_the_file_itself(source: Path, tmp_path: Path, name: str) -> None:
    out, public, plain = tmp_path / "out", tmp_path / "public.pem", tmp_path / "plain"
    folder.write(out, wanted(source, signer(tmp_path, *MAY_SIGN)))
    plain.write_bytes(signature_of((out / f"{name}.sig").read_bytes()))
    tool("openssl", "pkey", "-in", str(tmp_path / "key.pem"), "-pubout", "-out", str(public))
    check = ["openssl", "dgst", "-sha256", "-verify", str(public), "-signature", str(plain), str(out / name)]
    assert tool(*check).stdout == "Verified OK\n"
    with (out / name).open("ab") as file:
        file.write(b"more")
    assert tool(*check, check=False).returncode != 0


@pytest.mark.parametrize(
    ("extensions", "said"),
    [
        ((), "lacks keyUsage=digitalSignature and extendedKeyUsage=codeSigning"),
        (MAY_SIGN[1:], "-addext keyUsage=digitalSignature$"),
        (MAY_SIGN[:1], "-addext extendedKeyUsage=codeSigning$"),
        (("keyUsage=keyCertSign", MAY_SIGN[1]), "lacks keyUsage=digitalSignature:"),
    ],
)
def test_a_certificate_that_no_ipxe_takes_is_refused(
    source: Path, tmp_path: Path, extensions: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        folder.write(tmp_path / "out", wanted(source, signer(tmp_path, *extensions)))


def test_a_signer_that_is_refused_leaves_a_folder_that_boots(source: Path, tmp_path: Path) -> None:
    folder.write(tmp_path / "out", wanted(source, signer(tmp_path, *MAY_SIGN)))
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with (source / "initramfs").open("ab") as file:
        file.write(b"of a later build")
    with pytest.raises(UsageError, match="iPXE takes nothing"):
        folder.write(tmp_path / "out", wanted(source, signer(tmp_path)))
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_a_file_that_cannot_sign_is_said(source: Path, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no key")
    with pytest.raises(ProgramFailed, match="openssl"):
        folder.write(tmp_path / "out", wanted(source, tmp_path / "no.pem"))
