"""The package whose answers ours have to be: ``hardware`` 0.24.0 in a process of its own, asked line by line in JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.peer_helpers import peer, runs

PACKAGES = ("hardware==0.24.0", "pbr>=1.0", "setuptools")
IMPORTS = "from hardware import cmdb, generate, matcher, state"
#: How long the package may think about one question; some it would think about for years.
PATIENCE_S = 1.0

DRIVER = """
import json, signal, sys, warnings
warnings.simplefilter("ignore")
from hardware import cmdb, generate, matcher, state
# Its files are meant to be evaluated with this name at hand (a comment there says so), but it is not imported.
cmdb.generate = generate.generate

class Slow(BaseException):
    pass

def stop(*_):
    raise Slow

signal.signal(signal.SIGALRM, stop)

def match(lines, specs):
    bound, preferred = {}, {}
    fits = matcher.match_all([tuple(x) for x in lines], [tuple(x) for x in specs], bound, preferred)
    return {"fits": fits, "bound": bound if fits else {}, "preferred": preferred}

def find(folder, roles, lines):
    known = state.State([tuple(x) for x in roles], cfg_dir=folder)
    try:
        role, bound = known.find_match([tuple(x) for x in lines])
    except state.StateError:
        return {"role": None, "roles": known._data}
    return {"role": role, "bound": bound, "roles": known._data}

def entries(model):
    return {"entries": generate.generate(model)}

for line in sys.stdin:
    what, args, patience = json.loads(line)
    signal.setitimer(signal.ITIMER_REAL, patience)
    try:
        said = {"match": match, "find": find, "entries": entries}[what](*args)
    except Slow:
        said = {"slow": True}
    except Exception as error:
        said = {"error": type(error).__name__}
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(json.dumps(said), flush=True)
"""


class Package:
    """The process. ``error`` in an answer is the class of an exception; ``slow``: no answer in time."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [python, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _ask(self, what: str, *args: Any, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, args, patience_s]) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def match(self, lines: Sequence[Sequence[Any]], specs: Sequence[Sequence[str]]) -> dict[str, Any]:
        return self._ask("match", list(lines), list(specs))

    def find(self, folder: Path, roles: Sequence[Any], lines: Sequence[Sequence[Any]]) -> dict[str, Any]:
        return self._ask("find", str(folder), list(roles), list(lines), patience_s=60.0)

    def entries(self, model: dict[str, Any]) -> dict[str, Any]:
        return self._ask("entries", model)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def package_python() -> Path:
    """The interpreter that has the package; it is installed at the first time. Skips where that cannot be done."""
    # Without what its other modules need: numpy and pandas.
    return peer("matcher", "the package hardware", ("--no-deps", *PACKAGES), runs(IMPORTS)) / "bin" / "python"
