"""Small libraries in place of large ones that a program is linked with but that nothing in the image calls.

Debian's fio is linked with the clients of Ceph, Gluster, NBD, RDMA and persistent memory, sysbench with two databases, ipmitool
with FreeIPMI: 90 MB unpacked. They are bound when the program starts (``BIND_NOW``), so each must be there and define every
symbol with its version. A stand-in has the name of the library and these symbols; whichever is called says so on standard error
and ends the program with status 1: no crash, no half-done work.

It is a handful of instructions of x86-64 (system calls ``write`` and ``exit_group``), put together by ``as`` and ``ld``.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from pathlib import Path

from ahc_agent.programs import run
from ramdisk.elf import Elf
from ramdisk.errors import BuildError

EXIT_STATUS = 1

_TOOL_TIME_LIMIT_S = 60.0
_ENTRY = """
    .globl {name}
    .type {name}, @function
{name}:
    lea .Lsays{number}(%rip), %rsi
    mov ${length}, %edx
    jmp .Lrefuse
"""
_REFUSE = f"""
    .text
.Lrefuse:
    mov $2, %edi
    mov $1, %eax
    syscall
    mov ${EXIT_STATUS}, %edi
    mov $231, %eax
    syscall
    ud2
"""
_TEXT = '    .section .rodata\n.Lsays{number}: .ascii "{text}\\n"\n    .text\n'
_NO_STACK = '    .section .note.GNU-stack,"",@progbits\n'


def make(tree: Path, library: str, users: Iterable[Path], work: Path) -> Path:
    """Make the stand-in of one library for the programs that are linked with it. Returns the file, below ``work``.

    Raises BuildError on another machine than x86-64.
    """
    if platform.machine() != "x86_64":
        raise BuildError("stand-in libraries are written for x86-64; build on such a machine")
    symbols = wanted(tree, library, users)
    source, script, thing, target = (work / f"{library}.{ending}" for ending in ("s", "map", "o", "made"))
    source.write_text(assembly(library, sorted({name for name, _ in symbols})))
    script.write_text(version_script(symbols))
    run(["as", "--64", "-o", str(thing), str(source)], time_limit_s=_TOOL_TIME_LIMIT_S)
    argv = [
        "ld",
        "-shared",
        "-nostdlib",
        "--build-id=none",
        "--hash-style=gnu",
        "-z",
        "noexecstack",
        "-s",
        "-soname",
        library,
    ]
    run(
        [*argv, "--version-script", str(script), "-o", str(target), str(thing)],
        time_limit_s=_TOOL_TIME_LIMIT_S,
    )
    return target


def wanted(tree: Path, library: str, users: Iterable[Path]) -> list[tuple[str, str]]:
    """Symbols (with their version, or "") that the programs take from a library of the tree, sorted."""
    real = Elf.open(tree / "usr/lib/x86_64-linux-gnu" / library)
    if real is None:
        raise BuildError(f"{library} is not a library")
    defined = real.defined()
    found = set()
    for user in users:
        elf = Elf.open(user)
        for symbol in elf.undefined() if elf is not None else ():
            if symbol.library == library or (not symbol.library and symbol.name in defined):
                found.add((symbol.name, symbol.version))
    return sorted(found)


def assembly(library: str, names: list[str]) -> str:
    """The stand-in's source."""
    texts = [
        f"{library} is not part of this image, and {name} of it was called: what needs it cannot run here"
        for name in names
    ]
    entries = "".join(
        _ENTRY.format(name=name, number=number, length=len(text) + 1) + _TEXT.format(number=number, text=text)
        for number, (name, text) in enumerate(zip(names, texts, strict=True))
    )
    return f"{_REFUSE}{entries}{_NO_STACK}"


def version_script(symbols: Iterable[tuple[str, str]]) -> str:
    """For ``ld --version-script``: each symbol under its version."""
    by_version: dict[str, list[str]] = {}
    for name, version in symbols:
        by_version.setdefault(version, []).append(name)
    if set(by_version) <= {""}:
        return "{ global: *; };\n"
    unversioned = by_version.pop("", [])
    first, *others = sorted(by_version)
    nodes = [f"{first} {{ global: {'; '.join([*by_version[first], *unversioned])}; local: *; }};"]
    nodes += [f"{version} {{ global: {'; '.join(by_version[version])}; }};" for version in others]
    return "\n".join(nodes) + "\n"
