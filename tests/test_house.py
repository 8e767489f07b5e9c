"""The house rules that a machine can hold us to."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ROOMS = ("ahc_agent", "ahc_server")
MODULES = sorted(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_agent_imports_nothing_that_does_not_fit_a_ramdisk() -> None:
    barred = {"ahc_server", "numpy", "scipy", "rich", "yaml", "pyghmi"}
    found = {
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in MODULES
        if path.is_relative_to(REPOSITORY / "ahc_agent")
        for name in imports(path)
        if name.split(".")[0] in barred
    }
    assert found == set()


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        ("ahc_agent.cli", {"zmq", "psutil", "numpy", "ahc_agent.inventory", "ahc_agent.bench"}),
        ("ahc_server.commands.report", {"scipy", "yaml", "zmq", "pyghmi"}),
        ("ahc_server.commands.run", {"scipy", "numpy", "ahc_server.judge"}),
    ],
)
def test_commands_start_without_loading_what_they_do_not_use(module: str, unused: set[str]) -> None:
    seen = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=REPOSITORY,
    ).stdout.split()
    assert not unused & set(seen)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_module_has_two_subjects_or_dangerous_calls(path: Path) -> None:
    source = path.read_text()
    assert source.count("\n") <= 420, "a file much past 400 lines usually holds two subjects"
    tree = ast.parse(source)
    assert ast.get_docstring(tree) or not tree.body, "a module says in its first line what it is for"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else None
            assert called not in {"eval", "exec", "compile", "__import__"}, f"line {node.lineno}: {called}"
            assert not any(k.arg == "shell" for k in node.keywords), f"line {node.lineno}: shell="
    assert not {"pickle", "marshal", "shelve"} & {name.split(".")[0] for name in imports(path)}


def test_only_one_door_leads_to_outside_programs() -> None:
    """Long-lived children (lab processes, DHCP clients) are the exception, and listed here."""
    allowed = {
        "ahc_agent/programs.py",
        "ahc_agent/boot/dhcp.py",
        "ahc_server/lab/processes.py",
        "ahc_server/lab/cleanup.py",
        "ahc_server/netboot/child.py",
    }
    users = {
        str(path.relative_to(REPOSITORY))
        for path in MODULES
        if any(name.split(".")[0] in {"subprocess", "pty"} for name in imports(path))
    }
    assert users <= allowed
