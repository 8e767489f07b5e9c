"""Where the server keeps things: the store, its keys and its control socket, side by side in one folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ahc_agent.errors import UsageError


def default_store() -> Path:
    """``$XDG_STATE_HOME/ahc/ahc.db``, by default ``~/.local/state/ahc/ahc.db``."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "ahc" / "ahc.db"


@dataclass(frozen=True, slots=True)
class Where:
    """The store's path, and what stands beside it. This is what every subcommand gets as ``ctx.obj``."""

    store: Path

    @classmethod
    def of(cls, url: str) -> Where:
        """From ``--store``: a path, or ``sqlite:///PATH`` (three slashes relative, four absolute)."""
        if url.startswith("sqlite:///"):
            return cls(Path(url.removeprefix("sqlite:///")))
        if "://" in url:
            raise UsageError(f"--store {url}: only SQLite files are supported; give a path or sqlite:///PATH")
        return cls(Path(url))

    @property
    def secret_key(self) -> Path:
        """The server's CURVE secret key, mode 0600."""
        return self.store.with_suffix(".key")

    @property
    def public_key(self) -> Path:
        return self.store.with_suffix(".pub")

    @property
    def control(self) -> Path:
        """The Unix socket by which ``ahc run`` talks to ``ahc serve``. Its folder is the guard: mode 0700."""
        return self.store.with_suffix(".ctl")
