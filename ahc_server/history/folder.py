"""Where baselines are kept: one JSON file each, in a folder beside the store.

Files and no table of the store, so that a baseline can be read, compared, kept under version control, and taken to the site
where the next delivery arrives.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import msgspec

from ahc_agent.errors import CannotAnswer, NoData, UsageError
from ahc_server.history.baseline import Baseline

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_BYTES = 64 << 20


class BaselineFolder:
    """The baselines beside a store. Raises UsageError for names that cannot be, NoData and CannotAnswer for files that cannot be
    read."""

    def __init__(self, store: Path) -> None:
        self.path = store.with_suffix(".baselines")

    def names(self) -> list[str]:
        """Of all that are there, in order."""
        if not self.path.is_dir():
            return []
        return sorted(file.stem for file in self.path.glob("*.json") if _NAME.fullmatch(file.stem))

    def save(self, baseline: Baseline, *, replace: bool = False) -> Path:
        """Write it whole or not at all."""
        file = self._file(baseline.name)
        if file.exists() and not replace:
            raise UsageError(f"there is a baseline {baseline.name!r} already (--replace writes over it)")
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, made = tempfile.mkstemp(dir=self.path, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as out:
                    out.write(msgspec.json.format(msgspec.json.encode(baseline), indent=1) + b"\n")
                    out.flush()
                    os.fsync(out.fileno())
                Path(made).replace(file)
            except BaseException:
                Path(made).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise CannotAnswer(f"{file}: {error.strerror} (check free space and rights)") from error
        return file

    def load(self, name: str) -> Baseline:
        """A baseline by its name, or by the path of its file (which has a slash in it)."""
        file = Path(name) if "/" in name else self._file(name)
        try:
            if file.stat().st_size > _MOST_BYTES:
                raise CannotAnswer(f"{file}: larger than any baseline")
            return msgspec.json.decode(file.read_bytes(), type=Baseline)
        except FileNotFoundError as error:
            raise NoData(f"no baseline {name!r} (`ahc baseline list` lists them)") from error
        except OSError as error:
            raise CannotAnswer(f"{file}: {error.strerror}") from error
        except (msgspec.MsgspecError, ValueError) as error:
            raise CannotAnswer(f"{file}: no baseline of AHC: {error}") from error

    def remove(self, name: str) -> None:
        try:
            self._file(name).unlink()
        except FileNotFoundError as error:
            raise NoData(f"no baseline {name!r} (`ahc baseline list` lists them)") from error
        except OSError as error:
            raise CannotAnswer(f"{self._file(name)}: {error.strerror} (check its folder's rights)") from error

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"baseline {name!r}: 1 to 100 letters, digits, dots, dashes and underscores are meant"
            )
        return self.path / f"{name}.json"
