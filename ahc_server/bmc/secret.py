"""A password that cannot get into a log, a repr or a traceback by accident."""

from __future__ import annotations


class Secret:
    """Text that shows itself only to whoever calls ``reveal``."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written down")

    def hidden_in(self, text: str) -> str:
        """``text`` with every occurrence of the secret replaced: for what libraries say."""
        return text.replace(self._text, "***") if self._text else text
