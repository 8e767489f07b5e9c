"""No two modules import each other, not even for their types: one could not be read without the other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


def modules(package: str) -> dict[str, Path]:
    found = {}
    for path in sorted((REPOSITORY / package).rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_at_top(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Also those under ``if TYPE_CHECKING``, but none inside functions: these are made when they are needed."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports_at_top(node)


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of ours. A package's own ``__init__`` only gathers what its rooms have: it is not counted for them."""
    names: set[str] = set()
    for node in imports_at_top(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif node.module is not None:
            names |= {
                full if (full := f"{node.module}.{alias.name}") in known else node.module
                for alias in node.names
            }
    return names & known.keys()


@pytest.mark.parametrize("package", ["ahc_agent", "ahc_server"])
def test_no_modules_import_each_other(package: str) -> None:
    known = modules(package)
    graph = {name: imported(path, known) - {name} for name, path in known.items()}
    assert sum(map(len, graph.values())) > len(graph), "imports are found"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None
