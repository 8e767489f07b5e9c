"""The agent's Python dependencies: wheels of exactly the pinned versions, unpacked into the tree."""

from __future__ import annotations

import configparser
import email.parser
import shutil
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

import msgspec

from ahc_agent.programs import run
from ramdisk.contents import PYTHON
from ramdisk.errors import BuildError
from ramdisk.recipe import CHECKOUT, fingerprint, sha256

_PIP_TIME_LIMIT_S = 600.0
_RUNS = "{python}\nimport sys\n\nfrom {module} import {name}\n\nsys.exit({call}())\n"
_PYTHON_LINE = "#!/usr/bin/python3 -I"


class Wheel(msgspec.Struct, frozen=True, kw_only=True):
    """One wheel that is in the tree."""

    name: str
    version: str
    licence: str
    sha256: str


def requirements(extra: tuple[str, ...]) -> tuple[str, ...]:
    """What the agent needs (``pyproject.toml``), what was asked for on top, and the pins of all."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    pins = fingerprint((CHECKOUT / "constraints.txt").read_bytes())
    return (*project["project"]["dependencies"], *extra, f"# {pins}")


def install(wanted: tuple[str, ...], cache: Path, target: Path) -> list[Wheel]:
    """Fetch wheels into the cache and unpack them.

    Raises BuildError when the Python that runs this is not the image's: pip would choose the wrong wheels.
    """
    if f"{sys.version_info.major}.{sys.version_info.minor}" != PYTHON:
        raise BuildError(f"the image has Python {PYTHON}: run the build with that version")
    folder = cache / fingerprint(wanted)
    names = [name for name in wanted if not name.startswith("#")]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as fetched:
            pins = ["--constraint", str(CHECKOUT / "constraints.txt")]
            run([*pip, "wheel", "--wheel-dir", fetched, *pins, *names], time_limit_s=_PIP_TIME_LIMIT_S)
            Path(fetched).rename(folder)
            Path(fetched).mkdir()
    files = sorted(folder.glob("*.whl"))
    argv = [
        *pip,
        "install",
        "--no-index",
        "--no-deps",
        "--no-compile",
        "--no-warn-script-location",
        "--target",
        str(target),
    ]
    run([*argv, *map(str, files)], time_limit_s=_PIP_TIME_LIMIT_S)
    shutil.rmtree(target / "bin", ignore_errors=True)
    return [_describe(path) for path in files]


def scripts(site: Path) -> dict[str, str]:
    """Programs that the unpacked wheels declare: name → text of the program."""
    found = {}
    for path in sorted(site.glob("*.dist-info/entry_points.txt")):
        points = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        points.optionxform = str  # type: ignore[assignment,method-assign]
        points.read_string(path.read_text())
        for name, place in points.items("console_scripts") if points.has_section("console_scripts") else ():
            module, _, call = place.split("[")[0].strip().partition(":")
            found[name] = _RUNS.format(python=_PYTHON_LINE, module=module, name=call.split(".")[0], call=call)
    return found


def _describe(path: Path) -> Wheel:
    with zipfile.ZipFile(path) as file:
        name = next(
            (n for n in file.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1), None
        )
        if name is None:
            raise BuildError(f"{path.name} is not a wheel: it has no METADATA")
        about = email.parser.Parser().parsestr(file.read(name).decode("utf-8", "replace"), headersonly=True)
    classified = [
        c.rpartition(" :: ")[2] for c in about.get_all("Classifier", []) if c.startswith("License ::")
    ]
    stated = about.get("License-Expression") or (about.get("License") or "").split("\n")[0].strip()
    return Wheel(
        name=str(about["Name"]),
        version=str(about["Version"]),
        licence=stated or ", ".join(classified) or "see the wheel",
        sha256=sha256(path),
    )
