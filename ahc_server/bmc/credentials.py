"""Names and passwords of BMCs: from a file that nobody else can read, or from the environment. Never from a command line."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ahc_agent.errors import FileFormatError, UsageError
from ahc_server.bmc.secret import Secret
from ahc_server.bmc.target import Login
from ahc_server.yamlfile import Section, read_document

USER_VARIABLE, PASSWORD_VARIABLE = "AHC_BMC_USER", "AHC_BMC_PASSWORD"

_KEYS = ("user", "password")


@dataclass(frozen=True, slots=True)
class Credentials:
    """``usual`` is for every BMC that has none of its own in ``own`` (by address as written)."""

    usual: Login | None = None
    own: Mapping[str, Login] = field(default_factory=dict)

    def login(self, node: str, *addresses: str) -> Login:
        """The login for one of the spellings of a BMC's address. Raises UsageError where there is none."""
        for address in addresses:
            if address in self.own:
                return self.own[address]
        if self.usual is None:
            raise UsageError(
                f"{node}: no user and password for its BMC (pm_user and pm_password in the nodes file, --credentials FILE,"
                f" or {USER_VARIABLE} and {PASSWORD_VARIABLE} in the environment)"
            )
        return self.usual


def read_credentials(path: Path | None, environment: Mapping[str, str] = os.environ) -> Credentials:
    """A file (YAML: ``user``, ``password``, ``bmcs``: address → ``user``, ``password``), else the environment.

    Raises FileFormatError (a mistake in it, or others may read it) and UsageError (one variable without the other).
    """
    if path is None:
        return _from_environment(environment)
    _refuse_readable(path)
    top = read_document(path, secret=True).section()
    top.only((*_KEYS, "bmcs"), "a credentials file")
    own = {}
    if "bmcs" in top:
        for address, section in top.sections("bmcs").items():
            section.only(_KEYS, "a BMC's credentials")
            own[address] = login_of(section, *_KEYS)
    usual = login_of(top, *_KEYS) if set(_KEYS) & set(top.plain) or not own else None
    return Credentials(usual, own)


def _from_environment(environment: Mapping[str, str]) -> Credentials:
    user, password = environment.get(USER_VARIABLE), environment.get(PASSWORD_VARIABLE)
    if user is None and password is None:
        return Credentials()
    if user is None or password is None:
        missing = USER_VARIABLE if user is None else PASSWORD_VARIABLE
        raise UsageError(f"{missing} is not set, its sister is (both, or neither)")
    return Credentials(Login(user, Secret(password)))


def login_of(section: Section, user_key: str, password_key: str) -> Login:
    """User and password of a section. The errors never show a password. Raises FileFormatError."""
    user = section.text(user_key, max_length=256)
    password = section.plain.get(password_key)
    for key, value in ((user_key, user), (password_key, password)):
        if value is None:
            section.fail(None, f"{key} is missing")
    if not isinstance(password, str):
        section.fail(password_key, f"{password_key}: text is expected", "put it in quotes")
    if not 0 < len(password) <= 256:
        section.fail(password_key, f"{password_key}: 1 to 256 characters are expected")
    assert user is not None
    return Login(user, Secret(password))


def readable_by_others(path: Path) -> bool:
    """Whether group or others may read a file. Raises FileFormatError where it is not there."""
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    except OSError as error:
        raise FileFormatError(str(path), f"cannot be read: {error.strerror}") from error


def _refuse_readable(path: Path) -> None:
    if readable_by_others(path):
        raise FileFormatError(
            str(path), "holds passwords, and others than its owner may use it", remedy=f"chmod 600 {path}"
        )
    if path.stat().st_uid not in (0, os.geteuid()):
        raise FileFormatError(str(path), "holds passwords, and belongs to another user")
