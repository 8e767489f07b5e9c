"""Key files: made once, kept secret, read strictly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import zmq

from ahc_agent.errors import FileFormatError, UsageError
from ahc_agent.wire.keys import is_key, load_or_create, new_pair, public_key, read_authorized_keys


def test_a_key_file_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ahc.key"
    first = load_or_create(path)
    assert load_or_create(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert zmq.curve_public(first.secret.encode()).decode() == first.public
    assert list(path.parent.iterdir()) == [path]


def test_the_public_key_is_written_beside_it_and_mended(tmp_path: Path) -> None:
    secret, public = tmp_path / "a.key", tmp_path / "a.pub"
    pair = load_or_create(secret, public_path=public)
    assert public.read_text().strip() == pair.public
    public.write_text("something else")
    assert load_or_create(secret, public_path=public) == pair
    assert public.read_text().strip() == pair.public


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "ahc.key"
    load_or_create(path)
    path.chmod(mode)
    with pytest.raises(UsageError, match="chmod 600"):
        load_or_create(path)


@pytest.mark.parametrize("text", ["", "too short", "x" * 41, "\xe9" * 40, "#" * 40])
def test_a_file_without_a_key_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ahc.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(FileFormatError):
        load_or_create(path)
    assert path.read_text() == text


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="key file"):
        load_or_create(tmp_path / "file" / "ahc.key")


def test_an_easy_key_needs_no_quotes_in_a_shell_or_a_boot_script() -> None:
    assert re.fullmatch(r"[\w.:+/@%][\w.:+/@%\-]{39}", new_pair(easy=True).public)


def test_secrets_do_not_show() -> None:
    pair = new_pair()
    assert pair.secret not in repr(pair)
    assert pair.public in repr(pair)


def test_a_typed_key_is_checked() -> None:
    key = new_pair().public
    assert public_key(f" {key}\n") == key
    with pytest.raises(UsageError, match="this has 39"):
        public_key(key[:-1])
    with pytest.raises(UsageError, match="40 characters of Z85"):
        public_key("~" * 40)
    assert not is_key("#" * 40)  # 40 right characters, but more than 32 bytes


def test_authorized_keys_have_comments(tmp_path: Path) -> None:
    keys = [new_pair().public for _ in range(3)]
    path = tmp_path / "authorized"
    path.write_text(f"# rack 1\n{keys[0]} n1, first\n\n  {keys[1]}\n#{keys[2]} switched off\n   # indented\n")
    assert read_authorized_keys(path) == {keys[0], keys[1]}


def test_no_key_starts_with_a_hash_so_comments_are_never_keys() -> None:
    """The first of five characters counts 85^4, and "#" is the 84th: more than 32 bits hold."""
    assert not is_key("#" + "0" * 39)
    assert is_key("%" + "0" * 39)


def test_a_mistake_in_authorized_keys_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "authorized"
    path.write_text(f"{new_pair().public}\n\nssh-ed25519 AAAA\n")
    with pytest.raises(FileFormatError, match=r"authorized:3: 'ssh-ed25519' is not a public key"):
        read_authorized_keys(path)
    with pytest.raises(UsageError, match="No such file"):
        read_authorized_keys(tmp_path / "absent")
