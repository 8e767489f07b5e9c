"""Signatures as iPXE's ``imgverify`` reads them: CMS (RFC 5652), detached, DER, without signed attributes.

Source: https://ipxe.org/crypto, and iPXE's ``crypto/cms.c``: it hashes the file itself, whatever attributes were signed, and
refuses a signer whose certificate does not say that it may sign, and sign code; one that says nothing may neither.
"""

from __future__ import annotations

from pathlib import Path

from ahc_agent.errors import UsageError
from ahc_agent.programs import run

_SIGN_LIMIT_S = 120.0
_READ_LIMIT_S = 30.0
#: Extensions of the certificate (RFC 5280, 4.2.1.3 and 4.2.1.12), as openssl names them, and how openssl is asked for them.
_NEEDED = {"Digital Signature": "keyUsage=digitalSignature", "Code Signing": "extendedKeyUsage=codeSigning"}


def check(signer: Path) -> None:
    """``signer``: a PEM file with key and certificate. Raises UsageError for a certificate that no iPXE takes, ProgramFailed for
    none."""
    told = run(["openssl", "x509", "-in", str(signer), "-noout", "-text"], time_limit_s=_READ_LIMIT_S).text()
    uses = {word.strip() for line in told.splitlines() for word in line.split(",")}
    missing = [asked for use, asked in _NEEDED.items() if use not in uses]
    if missing:
        raise UsageError(
            f"--sign {signer}: iPXE takes nothing that was signed with this certificate, which lacks"
            f" {' and '.join(missing)}: make one with {' '.join(f'-addext {each}' for each in missing)}"
        )


def sign(file: Path, signer: Path, target: Path) -> None:
    """Write the signature of a file. Raises ProgramFailed."""
    argv = ["openssl", "cms", "-sign", "-binary", "-noattr", "-outform", "DER", "-in", str(file)]
    run([*argv, "-signer", str(signer), "-out", str(target)], time_limit_s=_SIGN_LIMIT_S)
